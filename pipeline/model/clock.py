"""The local clock of a zone: where months begin, and by how much a wall clock is ahead of UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from pipeline.model.periods import FIRST_YEAR, LAST_YEAR, MICROSECOND, MONTHS, epoch_us

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Calendar:
    """The local months that rows can lie in: where each begins, in epoch microseconds.

    `first` counts from January 2000; `starts` has one more entry than there are months, the end
    of the last. A calendar of fewer months than all is quicker, and right as long as no row that
    is in range lies outside.
    """

    first: int
    starts: Sequence[int]

    def around(self, low_us: int, high_us: int) -> Calendar:
        """The part of this calendar that holds all instants from low to high that it holds."""
        begin = max((n for n, start in enumerate(self.starts[:-1]) if start <= low_us), default=0)
        end = min((n for n, start in enumerate(self.starts) if start > high_us), default=MONTHS)
        end = max(end, begin + 1)
        return Calendar(self.first + begin, self.starts[begin : end + 1])


@dataclass(frozen=True, slots=True)
class ClockStep:
    """From this wall-clock reading on, the clock's offset from UTC is larger by `change_us`."""

    wall_us: int
    change_us: int


@dataclass(frozen=True, slots=True)
class WallClock:
    """By how much a zone's wall clock is ahead of UTC, as a first offset and its steps.

    A reading that occurs twice is taken as its first occurrence, and one that the clock skips
    is taken one gap later: both follow from keeping the old offset until the step's later edge.
    """

    first_offset_us: int
    steps: tuple[ClockStep, ...]


@lru_cache(maxsize=8)
def wall_clock(zone: ZoneInfo) -> WallClock:
    """The steps of a zone's clock from 1999 to 2101; the first and last offset hold beyond."""
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
    """Each instant at which the offset changes, with the offsets before and after."""
    day = timedelta(days=1)
    low, before = begin, _offset(zone, begin)
    while low < end:
        after = _offset(zone, low + day)
        if after != before:
            yield _edge(zone, low, low + day, before), before, after
        low, before = low + day, after


def _edge(zone: ZoneInfo, low: datetime, high: datetime, before: timedelta) -> datetime:
    """The first whole second in (low, high] with another offset than before."""
    second = timedelta(seconds=1)
    while high - low > second:
        middle = low + (high - low) // 2 // second * second
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    return high
