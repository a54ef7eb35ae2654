"""The package `osbuild`, as little of it as most stages need.

The library directory has the whole package, whose first import brings a build engine along that no stage needs. What
is asked for and not here comes from there.
"""

import importlib
import sys

_WHOLE = "/run/osbuild/python/__init__.py"
_executed = []


def _execute_whole():
    if not _executed:
        _executed.append(_WHOLE)
        with open(_WHOLE, encoding="utf8") as file:
            exec(compile(file.read(), _WHOLE, "exec"), globals())  # pylint: disable=exec-used


def __getattr__(name):
    module = __name__ + "." + name
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name != module:
            raise
    _execute_whole()
    try:
        return globals()[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


# Before 3.7 nobody asks a module for what it does not have.
if sys.version_info < (3, 7):
    _execute_whole()
