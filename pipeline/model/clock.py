"""The local clock of a zone: when months begin, and how much a wall clock is ahead of UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pipeline.model.periods import FIRST_YEAR, LAST_YEAR, MICROSECOND, MONTHS, epoch_us

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo

_STEP: Final = timedelta(days=3)
"""Less than the time between any two changes of one clock: since 1999 at least six days."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The local months that rows can be in, with the beginning of each in epoch microseconds.

    `first` counts from January 2000. `starts` has one more entry than there are months: the end
    of the last. A calendar of fewer months is quicker to search. It is right as long as it covers
    every row from 2000 to 2100.
    """

    first: int
    starts: Sequence[int]

    def around(self, low_us: int, high_us: int) -> Calendar:
        """Return the part of this calendar that covers the instants from low to high."""
        begin = max((n for n, start in enumerate(self.starts[:-1]) if start <= low_us), default=0)
        end = min((n for n, start in enumerate(self.starts) if start > high_us), default=MONTHS)
        end = max(end, begin + 1)
        return Calendar(self.first + begin, self.starts[begin : end + 1])


@dataclass(frozen=True, slots=True)
class ClockStep:
    """A change of the offset from UTC, by `change_us`, from this wall-clock reading on."""

    wall_us: int
    change_us: int


@dataclass(frozen=True, slots=True)
class WallClock:
    """The offset of a zone's wall clock from UTC, as a first offset and its steps.

    A reading that occurs twice means its first occurrence. A reading that the clock skips means
    one gap later. Both follow because the old offset applies until the later end of the step.
    """

    first_offset_us: int
    steps: tuple[ClockStep, ...]


@lru_cache(maxsize=8)
def wall_clock(zone: ZoneInfo) -> WallClock:
    """List the steps of a zone's clock from 1999 to 2101; beyond, the nearest offset applies."""
    begin = datetime(FIRST_YEAR - 1, 1, 1, tzinfo=UTC)
    end = datetime(LAST_YEAR + 2, 1, 1, tzinfo=UTC)
    steps = tuple(
        ClockStep(
            wall_us=epoch_us(instant) + max(before, after) // MICROSECOND,
            change_us=(after - before) // MICROSECOND,
        )
        for instant, before, after in _changes(zone, begin, end)
    )
    return WallClock(_offset(zone, begin) // MICROSECOND, steps)


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta(0)


def _changes(
    zone: ZoneInfo, begin: datetime, end: datetime
) -> Iterator[tuple[datetime, timedelta, timedelta]]:
    """Find each instant at which the offset changes, with the offsets before and after."""
    low, before = begin, _offset(zone, begin)
    while low < end:
        after = _offset(zone, low + _STEP)
        if after != before:
            yield _first_changed(zone, low, low + _STEP, before), before, after
        low, before = low + _STEP, after


def _first_changed(zone: ZoneInfo, low: datetime, high: datetime, before: timedelta) -> datetime:
    """Find the first whole second in (low, high] with another offset than before."""
    second = timedelta(seconds=1)
    while high - low > second:
        middle = low + (high - low) // 2 // second * second
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
