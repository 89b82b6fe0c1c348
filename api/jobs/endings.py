"""The ways in which a run process ends: its exit codes, and the meaning of each for its run."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pipeline.settings import RunSettings

EXIT_SUCCEEDED: Final = 0
EXIT_CRASHED: Final = 1
"""A fault of the program; also Python's own exit code for an exception that is not caught."""
EXIT_FAILED: Final = 3
"""The run failed by its inputs, and its process recorded why."""
EXIT_OUT_OF_MEMORY: Final = 12
EXIT_STORE_UNUSABLE: Final = 74
"""The data folder could not be read or written; the number is EX_IOERR of sysexits.h."""

CRASHED_PROBLEM: Final = "it crashed by a fault of the program; the log of the server describes it"
"""The error of a run that crashed."""


class RunEnd(StrEnum):
    """The way in which a run process ended, as metrics and the log name it."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    STORE_UNUSABLE = "store_unusable"
    CRASHED = "crashed"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a run process, and what remains to be done with its run."""

    how: RunEnd
    problem: str | None = None
    """The error that the run still has to be given; None where it needs none."""

    @property
    def is_recorded(self) -> bool:
        """Whether the process itself recorded the end of its run."""
        return self.how in (RunEnd.SUCCEEDED, RunEnd.FAILED)


def ending(code: int, limits: RunSettings) -> Ending:
    """Read an exit code, as the operating system gives it: negative for a signal."""
    if code == EXIT_SUCCEEDED:
        return Ending(RunEnd.SUCCEEDED)
    if code == EXIT_FAILED:
        return Ending(RunEnd.FAILED)
    if code == -signal.SIGALRM:
        return Ending(RunEnd.TIMEOUT, f"it took longer than runs.seconds = {limits.seconds}")
    # Rust aborts where it gets no memory; Python raises, and the process exits with its own code.
    if code in (EXIT_OUT_OF_MEMORY, -signal.SIGABRT):
        problem = f"it needed more than runs.memory_mb = {limits.memory_mb} MB"
        return Ending(RunEnd.OUT_OF_MEMORY, problem)
    if code == EXIT_STORE_UNUSABLE:
        problem = "the data folder can't be used, and the log of the server describes why"
        return Ending(RunEnd.STORE_UNUSABLE, problem)
    return Ending(RunEnd.KILLED) if code < 0 else Ending(RunEnd.CRASHED, CRASHED_PROBLEM)
