"""The tracer: follows a process and all that it starts, and kills them all at a chosen call."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.power_cuts import ptrace
from tests.power_cuts.calls import Begun, Change, Reader

if TYPE_CHECKING:
    from pathlib import Path

    from tests.power_cuts.interference import Interference

_SYSTEM_CALL: Final = signal.SIGTRAP | 0x80
_STOPPED: Final = 128
"""The event of a new thread or process, which waits to be continued."""


@dataclass
class Trace:
    """The end of a traced process, and the changes that were made below the folder."""

    changes: list[Change] = field(default_factory=list)
    points: int = 0
    """The count of calls that were begun and might have changed something there."""
    disturbed: int = 0
    """The count of calls that were made to fail."""
    code: int | None = None
    """The exit code; negative for a signal."""


class Tracer:
    """Traces one process with all that it starts, until its end or until a chosen call."""

    def __init__(self, pid: int, folder: Path, interference: Interference | None) -> None:
        """Begin to trace a process that waits.

        Args:
            pid: The process.
            folder: The folder of which changes are of interest.
            interference: What is done at a call.
        """
        self._first, self._interference = pid, interference
        self._reader = Reader(folder)
        self._begun: dict[int, Begun] = {}
        self._threads = {pid}
        self._trace = Trace()
        ptrace.seize(pid)

    def follow(self) -> Trace:
        """Follow the process to its end."""
        while self._threads:
            tid, status = os.waitpid(-1, ptrace.WALL)
            if os.WIFSTOPPED(status):
                self._threads.add(tid)
                try:
                    self._stopped(tid, status)
                except ProcessLookupError:
                    continue  # it was killed meanwhile; its end is yet to be reported
            else:
                self._threads.discard(tid)
                if tid == self._first:
                    self._trace.code = os.waitstatus_to_exitcode(status)
        return self._trace

    def _stopped(self, tid: int, status: int) -> None:
        stop, event = os.WSTOPSIG(status), status >> 16
        if event == ptrace.EVENT_STOPPED_BY_FILTER:
            self._begin(tid)
        elif stop == _SYSTEM_CALL:
            self._end(tid)
        elif event or stop == signal.SIGTRAP:
            ptrace.resume(tid)
        else:
            ptrace.resume(tid, stop)

    def _begin(self, tid: int) -> None:
        begun = self._reader.begin(tid, ptrace.call_of(tid))
        if begun is None:
            ptrace.resume(tid)
            return
        self._trace.points += 1
        if self._interference and self._interfere(tid, begun, self._interference):
            return
        self._begun[tid] = begun
        ptrace.resume(tid, to_exit=True)

    def _interfere(self, tid: int, begun: Begun, by: Interference) -> bool:
        """Disturb a call; return whether it is over, and need not be followed to its end."""
        if by.kills(self._trace.points):
            for one in self._threads:
                os.kill(one, signal.SIGKILL)
            return True
        if by.disturbance is None or not by.fails(self._trace.points, begun.change.kind):
            return False
        self._trace.disturbed += 1
        if by.disturbance.error:
            ptrace.skip(tid, by.disturbance.error)
            ptrace.resume(tid)
            return True
        ptrace.halve(tid)
        return False

    def _end(self, tid: int) -> None:
        change = self._reader.end(tid, self._begun.pop(tid), ptrace.call_of(tid).result)
        if change is not None:
            self._trace.changes.append(change)
        ptrace.resume(tid)
