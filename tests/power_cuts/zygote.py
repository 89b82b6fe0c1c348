"""A process with the program loaded, which forks a process for each command that it is asked for.

To load the program takes longer than most commands do, and a test starts thousands of them. Each
process executes the real command line, alone, and ends as others do.
"""

from __future__ import annotations

import atexit
import importlib
import os
import pkgutil
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Final, NoReturn

import api.jobs
import cli
import pipeline
from tests.power_cuts import programs, ptrace
from tests.power_cuts.calls import BY_NUMBER
from tests.power_cuts.tracer import Trace, Tracer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.power_cuts.interference import Interference

_LEFT_OUT: Final = ("pipeline.engines.spark", "pipeline.sources.object_stores")
"""The modules whose packages are extras."""


@dataclass(frozen=True, slots=True)
class Request:
    """A command to execute in a process of its own."""

    data: Path
    arguments: tuple[str, ...]
    """Those of the command line; or `api` and the name of a program of `programs`."""
    variables: Mapping[str, str]
    output: Path
    """The folder for what it prints."""
    is_traced: bool = False
    interference: Interference | None = None


def main(descriptor: int) -> int:
    """Serve requests until the other end is closed."""
    connection = Connection(descriptor)
    _load()
    connection.send("ready")
    while True:
        try:
            request: Request = connection.recv()
        except EOFError:
            return 0
        ready, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go)
            connection.close()
            _exit(_execute(request, ready))
        os.close(ready)
        connection.send(_follow(pid, go, request))


def _load() -> None:
    """Import all modules that commands import; no thread of theirs has work before a run."""
    for package in (pipeline, api.jobs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.startswith(_LEFT_OUT):
                importlib.import_module(module.name)


def _follow(pid: int, go: int, request: Request) -> Trace:
    if request.is_traced:
        tracer = Tracer(pid, request.data, request.interference)
        os.close(go)
        return tracer.follow()
    os.close(go)
    _, status = os.waitpid(pid, 0)
    return Trace(code=os.waitstatus_to_exitcode(status))


def _execute(request: Request, ready: int) -> int:
    """Execute a request in this process, once it is traced; return the exit code."""
    ptrace.die_with_parent()
    for name, place in (("out", 1), ("err", 2)):
        descriptor = os.open(request.output / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(descriptor, place)
        os.close(descriptor)
    os.environ.update(request.variables)
    os.read(ready, 1)
    os.close(ready)
    if request.is_traced:
        ptrace.stop_at({number: form.condition for number, form in BY_NUMBER.items()})
    try:
        return _call(request)
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:  # noqa: BLE001 (as the interpreter itself does)
        traceback.print_exc()
        return 1


def _exit(code: int) -> NoReturn:
    """End this process as the interpreter does, but free nothing: that takes most of the time."""
    atexit._run_exitfuncs()  # noqa: SLF001 (no other function does that)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _call(request: Request) -> int:
    first, *rest = request.arguments
    if first == "api":
        return programs.run(rest[0], request.data, *rest[1:])
    sys.argv = ["bufdir", "--data", str(request.data), *request.arguments]
    cli.main()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
