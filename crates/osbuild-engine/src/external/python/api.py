"""The module `osbuild.api`, as little of it as most stages need: what is not here comes from the library directory."""

import contextlib
import json
import sys

_WHOLE = "/run/osbuild/python/api.py"
_namespace = {}


def _whole():
    if not _namespace:
        _namespace.update(__name__=__name__, __package__=__package__, __file__=_WHOLE)
        with open(_WHOLE, encoding="utf8") as file:
            exec(compile(file.read(), _WHOLE, "exec"), _namespace)  # pylint: disable=exec-used
    return _namespace


def arguments(path="/run/osbuild/api/arguments"):
    """Gives what the stage is to do, and with what."""
    with open(path, encoding="utf8") as file:
        return json.load(file)


def metadata(data, path="/run/osbuild/meta"):
    """Leaves what is to be reported of the stage; the last call counts."""
    with open(path, "w", encoding="utf8") as file:
        json.dump(data, file, indent=2)


@contextlib.contextmanager
def exception_handler(path="/run/osbuild/api/osbuild"):
    """Reports an exception on the socket, and ends the program."""
    try:
        yield
    except Exception as error:  # pylint: disable=broad-except
        _whole()["exception_on_path_and_die"](error, path)


def __getattr__(name):
    try:
        return _whole()[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


# Before 3.7 nobody asks a module for what it does not have.
if sys.version_info < (3, 7):
    globals().update(_whole())
