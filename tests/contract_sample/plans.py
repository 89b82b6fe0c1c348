"""The cells of the sample that ships: their participations, activities, hours and people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

ORG_42, ORG_58, ORG_91 = "org-bufdir-42", "org-bufdir-58", "org-bufdir-91"
FAMILIES, YOUTH, ELDERLY = "foreldre_barn", "ungdom", "eldre"
DISABLED: Final = "funksjonsnedsettelse"
SMALLEST, LARGEST = 3, 30
LONGEST_QUARTERS: Final = 4 * 24


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """Return a reading of the wall clock."""
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001 that it has no zone is the point


@dataclass(frozen=True, slots=True)
class Share:
    """The planned numbers of one category of a cell."""

    category: str
    participations: int
    activities: int
    hours: float


@dataclass(frozen=True, slots=True)
class Plan:
    """The planned numbers of one cell."""

    org_id: str
    year: int
    quarter: int
    people: int
    weeks_elsewhere: int
    """So much earlier or later, the organisation was active as well."""
    parts: tuple[Share, ...]

    @property
    def period_id(self) -> str:
        return f"rp-{self.year}-q{self.quarter}"

    @property
    def days(self) -> range:
        """The ordinals of its days."""
        first, last = 3 * self.quarter - 2, 3 * self.quarter
        after = date(self.year + last // 12, last % 12 + 1, 1)
        return range(date(self.year, first, 1).toordinal(), after.toordinal())

    @property
    def step(self) -> int:
        """The precision of its system's hours, in quarters of an hour."""
        return 4 if self.org_id == ORG_91 else 1


PLANS: Final = (
    Plan(
        ORG_42,
        2024,
        4,
        people=1601,
        weeks_elsewhere=-13,
        parts=(
            Share(FAMILIES, 312, 48, 1560),
            Share(YOUTH, 580, 86, 3100),
            Share(ELDERLY, 210, 31, 1050.5),
            Share(DISABLED, 740, 109, 3600),
        ),
    ),
    Plan(
        ORG_42,
        2024,
        3,
        people=640,
        weeks_elsewhere=-13,
        parts=(
            Share(FAMILIES, 168, 25, 672),
            Share(YOUTH, 342, 50, 1539.5),
            Share(ELDERLY, 96, 15, 384),
            Share(DISABLED, 402, 60, 1929),
        ),
    ),
    Plan(
        ORG_42,
        2024,
        2,
        people=812,
        weeks_elsewhere=13,
        parts=(
            Share(FAMILIES, 204, 30, 918),
            Share(YOUTH, 388, 56, 1707.25),
            Share(ELDERLY, 131, 20, 516.5),
            Share(DISABLED, 455, 68, 2150),
        ),
    ),
    Plan(
        ORG_58,
        2024,
        4,
        people=214,
        weeks_elsewhere=-40,
        parts=(
            Share(FAMILIES, 240, 34, 540),
            Share(YOUTH, 410, 58, 1127.5),
            Share(ELDERLY, 335, 46, 770),
        ),
    ),
    Plan(
        ORG_58,
        2024,
        1,
        people=198,
        weeks_elsewhere=-13,
        parts=(
            Share(FAMILIES, 190, 27, 427.5),
            Share(YOUTH, 365, 52, 1003.75),
            Share(ELDERLY, 301, 41, 692),
        ),
    ),
    Plan(
        ORG_58,
        2023,
        4,
        people=181,
        weeks_elsewhere=13,
        parts=(
            Share(FAMILIES, 155, 22, 349),
            Share(YOUTH, 290, 41, 797.5),
            Share(ELDERLY, 260, 36, 598),
            Share(DISABLED, 35, 5, 87.5),
        ),
    ),
    Plan(
        ORG_91,
        2024,
        4,
        people=158,
        weeks_elsewhere=-13,
        parts=(
            Share(YOUTH, 520, 74, 1560),
            Share(ELDERLY, 64, 9, 160),
            Share(DISABLED, 130, 19, 455),
        ),
    ),
    Plan(
        ORG_91,
        2024,
        3,
        people=121,
        weeks_elsewhere=13,
        parts=(Share(YOUTH, 310, 45, 930), Share(DISABLED, 88, 13, 308)),
    ),
)

CLOCK_CHANGES: Final = {
    (2023, 4): at(2023, 10, 29, 2, 30),  # twice
    (2024, 1): at(2024, 3, 31, 2, 30),  # skipped
    (2024, 4): at(2024, 10, 27, 2, 30),  # twice
}
"""Readings of the wall clock that are no instant, or two."""
