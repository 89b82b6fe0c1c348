"""A reporting period: its id, its kind, and its half-open interval of UTC instants.

Every kind is a whole number of months, so a period is its kind and how many such stretches
have passed since January 2000. Owns the UTC instants of local midnights too. Refuses ids of
another form and years outside 2000 to 2100.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pipeline.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2100
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

KINDS: Final[Mapping[str, int]] = {
    "year": 12,
    "half-year": 6,
    "tertial": 4,
    "quarter": 3,
    "month": 1,
}
"""The number of months in a period of each kind, longest first."""

_LETTERS: Final = {"year": "", "half-year": "h", "tertial": "t", "quarter": "q", "month": "m"}
_FORM: Final = re.compile(r"rp-(\d{4})(?:-([htqm])(\d{1,2}))?", re.ASCII)
_ALLOWED: Final = (
    "periods are written rp-2024, rp-2024-h2, rp-2024-t3, rp-2024-q4 or rp-2024-m10, "
    f"years {FIRST_YEAR} to {LAST_YEAR}"
)
MONTHS: Final = (LAST_YEAR + 1 - FIRST_YEAR) * 12


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """A number of whole months, identified by its kind and its position since January 2000."""

    kind: str
    ordinal: int

    @property
    def months(self) -> range:
        """The months that the period is made of, as whole months since January 2000."""
        length = KINDS[self.kind]
        return range(self.ordinal * length, (self.ordinal + 1) * length)

    @property
    def id(self) -> str:
        """The period's id: `rp-2024`, `rp-2024-h2`, `rp-2024-t3`, `rp-2024-q4`, `rp-2024-m10`."""
        year, part = divmod(self.months.start, 12)
        letter = _LETTERS[self.kind]
        suffix = f"-{letter}{part // KINDS[self.kind] + 1}" if letter else ""
        return f"rp-{FIRST_YEAR + year}{suffix}"

    def overlaps(self, other: Period) -> bool:
        """Return whether the two have a month in common."""
        ours, theirs = self.months, other.months
        return ours.start < theirs.stop and theirs.start < ours.stop

    def start(self, zone: ZoneInfo) -> datetime:
        """Return the period's first instant, in UTC: its first local midnight."""
        return month_start(self.months.start, zone)

    def end(self, zone: ZoneInfo) -> datetime:
        """Return the first instant after the period, in UTC."""
        return month_start(self.months.stop, zone)


def parse(period_id: str) -> Period:
    """Read a period's id.

    Raises:
        InvalidValue: The id has another form, or names a part or year that does not exist.
    """
    form = _FORM.fullmatch(period_id)
    if form is None:
        raise InvalidValue("period", period_id, _ALLOWED)
    year, letter, part = int(form[1]), form[2] or "", int(form[3] or 1)
    kind = next(kind for kind, known in _LETTERS.items() if known == letter)
    parts = 12 // KINDS[kind]
    period = Period(kind, (year - FIRST_YEAR) * parts + part - 1)
    if not FIRST_YEAR <= year <= LAST_YEAR or not 1 <= part <= parts:
        raise InvalidValue("period", period_id, _ALLOWED)
    if period.id != period_id:
        raise InvalidValue("period", period_id, f"numbers have no leading zero; write {period.id}")
    return period


def parse_range(text: str) -> tuple[Period, ...]:
    """Read one period, or a range `rp-2024-q1..rp-2024-q4` of one kind, both ends included.

    Raises:
        InvalidValue: An end can't be read, the kinds differ, or the range runs backwards.
    """
    first_id, dots, last_id = text.partition("..")
    first = parse(first_id)
    last = parse(last_id) if dots else first
    if first.kind != last.kind:
        raise InvalidValue("period", text, "both ends of a range must be of the same kind")
    if last.ordinal < first.ordinal:
        raise InvalidValue("period", text, "the range runs backwards; put the earlier period first")
    return tuple(Period(first.kind, n) for n in range(first.ordinal, last.ordinal + 1))


def month_start(month: int, zone: ZoneInfo) -> datetime:
    """Return the UTC instant of the local midnight that begins a month; 0 is January 2000."""
    year, index = divmod(month, 12)
    return datetime(FIRST_YEAR + year, index + 1, 1, tzinfo=zone).astimezone(UTC)


def epoch_us(instant: datetime) -> int:
    """Count the whole microseconds since 1970-01-01T00:00:00Z."""
    return (instant - EPOCH) // MICROSECOND


@lru_cache(maxsize=8)
def month_starts_us(zone: ZoneInfo) -> tuple[int, ...]:
    """Return the beginnings of all months in range and of the one after, in epoch microseconds."""
    return tuple(epoch_us(month_start(month, zone)) for month in range(MONTHS + 1))
