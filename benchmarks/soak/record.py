"""The record of a soak, shared by all its callers: what was exported, read and deleted, and when.

Each fact has the time at which it began to be possible and the time from which it must be so. A
reply is judged by the times between which it was asked for and received.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from benchmarks.soak.exports import ORGANISATIONS, Cell

_MOST_BREACHES: Final = 50
"""Breaches that are described; those beyond are counted only."""


@dataclass(slots=True)
class Absence:
    """The time for which a snapshot was deleted, in seconds of a monotonic clock."""

    may_begin: float
    begun: float = float("inf")
    may_end: float = float("inf")
    ended: float = float("inf")


@dataclass
class Record:
    """What is known of a soak so far."""

    exported: list[int] = field(default_factory=lambda: [-1] * ORGANISATIONS)
    """The last generation of each organisation that may have been read."""
    written: list[int] = field(default_factory=lambda: [-1] * ORGANISATIONS)
    """The last generation of each organisation that was wholly written."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was done, and how often."""
    breaches: list[str] = field(default_factory=list)
    _newest: dict[Cell, int] = field(default_factory=dict)
    _absences: dict[str, list[Absence]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, name: str) -> None:
        """Count something that was done."""
        with self._lock:
            self.counts[name] += 1

    def breach(self, sentence: str) -> None:
        """Record what must not be."""
        with self._lock:
            self.counts["breaches"] += 1
            if len(self.breaches) < _MOST_BREACHES:
                self.breaches.append(sentence)

    def newest(self, cell: Cell) -> int:
        """Give the newest generation that any caller has read so far."""
        return self._newest.get(cell, -1)

    def read(self, cell: Cell, generation: int, least: int) -> None:
        """Record that a generation was read, and judge it.

        Args:
            cell: The cell that was read.
            generation: The generation of its numbers.
            least: The oldest generation that the reply may be of.
        """
        if generation < least:
            self.breach(f"{cell} was of generation {generation}, after {least} had been read")
        if generation > self.exported[cell.organisation]:
            self.breach(f"{cell} was of generation {generation}, which was not exported yet")
        with self._lock:
            self._newest[cell] = max(self._newest.get(cell, -1), generation)

    def deleting(self, snapshot_id: str) -> Absence:
        """Record that a snapshot is about to be deleted; the caller sets the other times."""
        absence = Absence(time.monotonic())
        with self._lock:
            self._absences.setdefault(snapshot_id, []).append(absence)
        return absence

    def may_be_gone(self, snapshot_id: str, begin: float, end: float) -> bool:
        """Return whether a reply between these times may leave a snapshot out."""
        absences = self._absences.get(snapshot_id, ())
        return any(one.may_begin < end and begin < one.ended for one in absences)

    def may_be_there(self, snapshot_id: str, begin: float, end: float) -> bool:
        """Return whether a reply between these times may have a snapshot."""
        absences = self._absences.get(snapshot_id, ())
        return not any(one.begun < begin and end < one.may_end for one in absences)
