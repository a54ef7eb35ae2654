#!/usr/bin/env python3
"""Serves a folder on the loopback interface, with a delay before each answer, until its standard input ends.

    delayed_server.py FOLDER MILLISECONDS

Prints the port that it listens on. One thread for each connection, which stays open for further requests.
"""

import http.server
import os
import sys
import threading
import time


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and content go out in one piece; no waiting for acknowledgements.
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def do_GET(self):
        time.sleep(self.server.delay)
        super().do_GET()

    def copyfile(self, source, outputfile):
        outputfile.flush()
        self.connection.sendfile(source)

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main():
    folder, delay = sys.argv[1], int(sys.argv[2]) / 1000
    os.chdir(folder)
    server = Server(("127.0.0.1", 0), Handler)
    server.delay = delay
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
