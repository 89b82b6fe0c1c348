"""Costs of several processes at once, of the sessions that a benchmark has started.

A session has the number of its first process. Processes that it starts belong to the session too,
so none is found by a name, and none of another program is measured or ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final, Self

import msgspec

_PROC: Final = Path("/proc")
_KIBIBYTE: Final = 1024
_GIGABYTE: Final = 10**9
_INTERVAL_SECONDS: Final = 0.1
_END_SECONDS: Final = 60
_RESETS_PEAK: Final = "5"
"""The number that lets the system forget the most memory that a process had."""


class Usage(msgspec.Struct, frozen=True):
    """The cost of a program and of all processes that worked for it."""

    seconds: float
    """From the start of the program to its end."""
    processor_seconds: float
    gigabytes: Mapping[str, float]
    """The most memory, by the name of the process."""

    @classmethod
    def medians(cls, usages: Sequence[Usage]) -> Self:
        """Return the medians, each number by itself."""
        names = dict.fromkeys(name for one in usages for name in one.gigabytes)
        return cls(
            median(one.seconds for one in usages),
            median(one.processor_seconds for one in usages),
            {name: median(one.gigabytes.get(name, 0.0) for one in usages) for name in names},
        )


@dataclass(frozen=True, slots=True)
class Process:
    """One process as the system describes it."""

    id: int
    session: int
    has_ended: bool
    seconds: float
    """Its processor time."""

    @property
    def arguments(self) -> list[str]:
        """Its command line; empty once it has ended."""
        try:
            line = (_PROC / str(self.id) / "cmdline").read_bytes()
        except OSError:
            return []
        return line.decode(errors="replace").split("\0")

    @property
    def peak(self) -> int:
        """The most memory that it had, in bytes; zero once it has ended."""
        with suppress(OSError):
            for line in (_PROC / str(self.id) / "status").read_text("utf-8").splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * _KIBIBYTE
        return 0

    def reset_peak(self) -> None:
        """Let its most memory be what it has now, where the system can do that."""
        with suppress(OSError):
            (_PROC / str(self.id) / "clear_refs").write_text(_RESETS_PEAK, "ascii")


def of_sessions(sessions: Collection[int]) -> list[Process]:
    """List the processes of these sessions."""
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):
                process = _process(int(folder.name), (folder / "stat").read_text("utf-8"))
                if process.session in sessions:
                    found.append(process)
    return found


def _process(number: int, stat: str) -> Process:
    # The name before the bracket may have blanks.
    state, _, _, session, *others = stat.rpartition(")")[2].split()
    ticks = int(others[7]) + int(others[8])
    return Process(number, int(session), state in {"Z", "X"}, ticks / os.sysconf("SC_CLK_TCK"))


@contextmanager
def started(
    command: Sequence[str], folder: Path, name: str, variables: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in a session of its own, and end the whole session.

    Args:
        command: The program and its arguments.
        folder: The folder of its log.
        name: The name of its log, without an ending.
        variables: Its environment.
    """
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=variables,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            terminated(process)


def terminated(process: subprocess.Popen[bytes]) -> None:
    """End a program and those that it has started; kill what has not ended after a minute."""
    try:
        _signal(process, signal.SIGTERM)
        end = time.monotonic() + _END_SECONDS
        while _is_running(process) and time.monotonic() < end:
            time.sleep(_INTERVAL_SECONDS)
    finally:
        if _is_running(process):
            _signal(process, signal.SIGKILL)
        process.wait(_END_SECONDS)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    return not all(one.has_ended for one in of_sessions({process.pid}))


@dataclass
class Sampler:
    """The costs of a program and of the sessions that work for it, looked at ten times a second."""

    program: int
    sessions: Collection[int]
    _begin: dict[int, float] = field(default_factory=dict)
    _seconds: dict[int, float] = field(default_factory=dict)
    _peaks: dict[tuple[str, int], int] = field(default_factory=dict)
    _has_ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Begin: what the sessions have used before does not count."""
        for process in of_sessions(self.sessions):
            if process.session != self.program:
                self._begin[process.id] = process.seconds
                process.reset_peak()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look a last time: a process that was not waited for still has its processor time."""
        self._has_ended.set()
        self._thread.join()
        self._sample()

    def usage(self, seconds: float) -> Usage:
        """Give the costs of a program that took so many seconds."""
        used = sum(end - self._begin.get(id_, 0.0) for id_, end in self._seconds.items())
        gigabytes: dict[str, float] = {}
        for (name, _), peak in sorted(self._peaks.items()):
            if name:
                gigabytes[name] = gigabytes.get(name, 0.0) + peak / _GIGABYTE
        return Usage(seconds, used, gigabytes)

    def _run(self) -> None:
        while not self._has_ended.wait(_INTERVAL_SECONDS):
            self._sample()

    def _sample(self) -> None:
        for process in of_sessions(self.sessions):
            self._seconds[process.id] = process.seconds
            key = self._name(process), process.id
            self._peaks[key] = max(self._peaks.get(key, 0), process.peak)

    def _name(self, process: Process) -> str:
        return OURS if process.id == self.program else part_of_spark(process.arguments)


OURS: Final = "bufdir"
DRIVER: Final = "driver"
EXECUTOR: Final = "executor"
DAEMONS: Final = "master and workers"
_EXECUTOR_CLASS: Final = "CoarseGrainedExecutorBackend"
_NUMBER: Final = "--executor-id"
_DAEMON_CLASSES: Final = ("deploy.master.Master", "deploy.worker.Worker")
_DRIVER_CLASS: Final = "org.apache.spark.deploy.SparkSubmit"
_LAUNCHER_CLASS: Final = "org.apache.spark.launcher.Main"
"""A program of Spark's scripts, which prints the command line of a part."""


def part_of_spark(arguments: Sequence[str]) -> str:
    """Name the part of Spark that a command line starts; empty for scripts and other programs."""
    if not arguments or not arguments[0].endswith("java") or _LAUNCHER_CLASS in arguments:
        return ""
    if any(one.endswith(_EXECUTOR_CLASS) for one in arguments):
        number = arguments.index(_NUMBER) + 1 if _NUMBER in arguments else 0
        return f"{EXECUTOR} {arguments[number]}" if number else EXECUTOR
    if any(one.endswith(_DAEMON_CLASSES) for one in arguments):
        return DAEMONS
    return DRIVER if _DRIVER_CLASS in arguments else ""


def run(
    command: Sequence[str], variables: Mapping[str, str], sessions: Collection[int] = ()
) -> tuple[Usage, str]:
    """Run a program to its end, and end what it leaves behind; return its cost and its output.

    Args:
        command: The program and its arguments.
        variables: Its environment.
        sessions: Sessions of programs that run already and work for it.

    Raises:
        RuntimeError: The program failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin = time.perf_counter()
        with started(command, folder, "program", variables) as process:
            with Sampler(process.pid, {process.pid, *sessions}) as sampler:
                # Not waited for, so that the system still has its processor time.
                os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
                seconds = time.perf_counter() - begin
            code = process.wait()
        output = (folder / "program.log").read_text("utf-8")
    if code:
        raise RuntimeError(f"{' '.join(command)} ended with {code}: {output}")
    return sampler.usage(seconds), output
