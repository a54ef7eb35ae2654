#!/usr/bin/env python3
"""A module on the host for tests: the name of the method that is called says how it behaves."""
import array
import ctypes
import json
import os
import socket
import subprocess
import sys
import time

number = int(sys.argv[sys.argv.index("--service-fd") + 1])
connection = socket.socket(fileno=number)


def send(kind, data):
    connection.send(json.dumps({"type": kind, "data": data}).encode())


def receive():
    data, control, _, _ = connection.recvmsg(1 << 20, socket.CMSG_LEN(1024))
    if data != b"<args-via-fd>":
        return data
    descriptors = array.array("i")
    descriptors.frombytes(control[0][2])
    with os.fdopen(descriptors[0], "rb") as file:
        return file.read()


after = None
while True:
    data = receive()
    if not data:
        break
    call = json.loads(data)["data"]
    method, args = call["name"], call["args"]
    print(method, flush=True)
    if method == "echo":
        send("reply", {"reply": args})
    elif method == "arguments":
        send("reply", {"reply": sys.argv[1:]})
    elif method == "environment":
        send("reply", {"reply": [os.environ.get(name) for name in args]})
    elif method == "descriptors":
        send("reply", {"reply": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:4]})
    elif method == "signals":
        for _ in range(3):
            send("signal", {"reply": 1})
        send("reply", {"reply": "after"})
    elif method == "length":
        send("reply", {"reply": len(args)})
    elif method == "exception":
        send("exception", {"name": "KeyError", "value": "'x'", "backtrace": "  File \"m\", line 7\n    here\n"})
    elif method == "garbage":
        connection.send(b"\xff\xfe")
    elif method == "silence":
        time.sleep(1000)
    elif method == "close":
        connection.close()
        time.sleep(1000)
    elif method == "exit":
        print("last words", flush=True)
        sys.exit(3)
    elif method == "crash":
        ctypes.string_at(0)
    elif method == "talk":
        os.write(1, b"\xff" * 1_000_000 + b"\nmore\n")
        send("reply", {"reply": None})
    elif method == "daemon":
        subprocess.Popen(["setsid", "sleep", "1000"])
        send("reply", {"reply": None})
    elif method in ("linger", "fail"):
        after = method
        send("reply", {"reply": None})

print("stopped", flush=True)
if after == "linger":
    time.sleep(1000)
if after == "fail":
    sys.exit(9)
