"""The ways in which a child process ends, read from its status and its last words."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EXIT_BROKEN: Final = 88
"""The exit code of a child that an unexpected error ended while it read exports."""
EXIT_NO_MEMORY: Final = 89
"""The exit code of such a child where the error is a want of memory."""

_NO_MEMORY: Final = re.compile(
    rb"memory allocation of \d+ bytes failed|bad_alloc|out of memory", re.IGNORECASE
)
"""The messages of Rust, C++ and Arrow where the system gives no more memory."""


class Death(StrEnum):
    """The cause that ended a child that should have gone on."""

    MEMORY = "memory"
    TIME = "time"
    STALLED = "stalled"
    """It used no processor time and read nothing for long."""
    CRASH = "crash"
    KILLED = "killed"
    """Another process killed it, or the system for want of memory."""


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """The end of a child process."""

    code: int
    """Its exit code, or the negative number of its signal."""
    death: Death | None
    """The cause, where it did not end by itself."""

    @property
    def signal_name(self) -> str:
        """The name of the signal that ended it; empty without one."""
        return signal.Signals(-self.code).name if self.code < 0 else ""


def exit_code_of(error: BaseException) -> int:
    """Give the exit code of a child that this error ends while it reads exports."""
    return EXIT_NO_MEMORY if isinstance(error, MemoryError) else EXIT_BROKEN


def ending(status: int, last_words: bytes, *, stalled: bool) -> ChildEnd:
    """Read how a child ended.

    Args:
        status: The status that the system gives.
        last_words: The end of what native libraries wrote to its stderr.
        stalled: Whether it was killed because it no longer went on.
    """
    code = os.waitstatus_to_exitcode(status)
    return ChildEnd(code, Death.STALLED if stalled else _death(code, last_words))


def _death(code: int, last_words: bytes) -> Death | None:
    if code == -signal.SIGXCPU:
        return Death.TIME
    if code == EXIT_NO_MEMORY:
        return Death.MEMORY
    if code == -signal.SIGKILL:
        return Death.KILLED
    if code not in {EXIT_BROKEN, *_CRASHES}:
        return None
    return Death.MEMORY if _NO_MEMORY.search(last_words) else Death.CRASH


_CRASHES: Final = frozenset(
    -number
    for number in (
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGSEGV,
        signal.SIGSYS,
        signal.SIGTRAP,
    )
)
