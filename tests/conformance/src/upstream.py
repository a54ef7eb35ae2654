"""Runs upstream's command line again and again without paying for its start each time.

Reads one request as JSON from each line of standard input and answers with one line:

  {"argv": [...], "cwd": "..."}   ->  {"code": 0, "stdout": "...", "stderr": "..."}
  {"schemas": true}               ->  {"Stage": {"org.osbuild.noop": {"1": {...}, "2": {...}}}, ...}

The argument is upstream's checkout. Each command runs in a fork, so that none can spoil the next.
"""

import json
import os
import sys
import tempfile
import traceback

CHECKOUT = sys.argv[1]
sys.path.insert(0, CHECKOUT)

import osbuild.main_cli  # noqa: E402
import osbuild.meta  # noqa: E402


def exit_code(ending):
    if ending.code is None:
        return 0
    if isinstance(ending.code, int):
        return ending.code
    print(ending.code, file=sys.stderr)
    return 1


def command(request, stdout, stderr):
    os.chdir(request["cwd"])
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(stdout.fileno(), 1)
    os.dup2(stderr.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8")
    sys.stderr = os.fdopen(2, "w", encoding="utf-8")
    sys.argv = ["osbuild", *request["argv"]]
    try:
        code = osbuild.main_cli.osbuild_cli()
    except SystemExit as ending:
        code = exit_code(ending)
    except BaseException:  # pylint: disable=broad-except
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(request):
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if child == 0:
            command(request, stdout, stderr)
        _, status = os.waitpid(child, 0)
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
        return {"code": os.waitstatus_to_exitcode(status), "stdout": texts[0], "stderr": texts[1]}


def schema(index, kind, name, version):
    try:
        return index.get_schema(kind, name, version).data
    except ValueError:
        # Inputs, devices and mounts are of format 2 only.
        return None


def schemas():
    index = osbuild.meta.Index(CHECKOUT)
    found = {}
    for kind in ("Assembler", "Device", "Input", "Mount", "Source", "Stage"):
        found[kind] = {
            name: {version: schema(index, kind, name, version) for version in ("1", "2")}
            for name in index.list_modules_for_class(kind)
        }
    return found


def main():
    for line in sys.stdin:
        request = json.loads(line)
        answer = schemas() if request.get("schemas") else run(request)
        print(json.dumps(answer), flush=True)


main()
