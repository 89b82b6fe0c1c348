"""The rows of each export: those that count, their corrections, and those that do not count."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
from tests.contract_sample.participations import Row, counted, pseudonym
from tests.contract_sample.plans import (
    ELDERLY,
    FAMILIES,
    ORG_42,
    ORG_58,
    ORG_91,
    PLANS,
    YOUTH,
    Plan,
    at,
)

CORRECTIONS: Final = "rettelser-2025-01.parquet"
LATE: Final = "org-bufdir-42-late.parquet"

DIRT: Final[tuple[tuple[str, str, Any], ...]] = (
    ("missing_org_id", "org_id", None),
    ("missing_org_id", "org_id", ""),
    ("missing_activity_id", "activity_id", None),
    ("missing_activity_id", "activity_id", ""),
    ("missing_participant_id", "participant_id", None),
    ("missing_participant_id", "participant_id", ""),
    ("missing_started_at", "wall", None),
    ("invalid_org_id", "org_id", "org bufdir 42"),
    ("started_at_out_of_range", "wall", at(1924, 11, 5, 17)),
    ("started_at_out_of_range", "wall", at(2124, 11, 5, 17)),
    ("deleted", "deleted", True),
    ("not_completed", "status", "cancelled"),
    ("not_completed", "status", "no_show"),
    ("not_completed", "status", None),
    ("unknown_category", "category", None),
    ("unknown_category", "category", "Åpen barnehage"),
    ("hours_missing", "hours", None),
    ("hours_not_finite", "hours", math.nan),
    ("hours_not_finite", "hours", math.inf),
    ("hours_negative", "hours", -2.0),
    ("hours_too_long", "hours", 25.0),
)
"""The reason for which a row does not count, and the column and value that make it so."""


def exports() -> dict[str, list[Row]]:
    """Return the rows of every export, by its path."""
    files: dict[str, list[Row]] = {}
    for plan in PLANS:
        right = counted(plan)
        for name, row in (*stated(plan, right), *withdrawn(plan, right), *dirt(plan, right)):
            files.setdefault(name, []).append(row)
    return {
        name: sorted(rows, key=lambda row: (str(row.wall), row.activity_id or ""))
        for name, rows in sorted(files.items())
    }


def stated(plan: Plan, right: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Yield each row with its file; some follow an earlier statement that was wrong."""
    for number, row in enumerate(right):
        hours = row.hours or 0
        wrong = {
            7: replace(row, hours=hours + 1),
            37: replace(row, category=YOUTH if row.category == ELDERLY else ELDERLY),
            67: replace(row, wall=later(row.wall, weeks=plan.weeks_elsewhere)),
            97: replace(row, hours=None),
        }.get(number % 120)
        if wrong:
            yield export_of(wrong), wrong
            yield CORRECTIONS, replace(row, updated=in_january(number))
        elif number % 240 == 45:  # at the same instant: the later file wins
            yield export_of(row), replace(row, hours=hours + 1)
            yield CORRECTIONS, row
        elif number % 240 == 105:  # at the same instant in the same file: more hours win
            yield export_of(row), replace(row, hours=max(0, hours - 1))
            yield export_of(row), row
        elif number % 240 == 165:  # word for word
            yield export_of(row), row
            yield export_of(row), row
        else:
            yield export_of(row), row


def withdrawn(plan: Plan, right: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Yield participations that were stated and then withdrawn."""
    for number, row in enumerate(right[5 :: len(right) // 6]):
        gone = replace(row, participant_id=pseudonym(plan.org_id, 20_000 + number))
        yield export_of(gone), gone
        yield CORRECTIONS, replace(gone, updated=in_january(number), deleted=True)


def dirt(plan: Plan, right: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Yield every kind of dirt that the systems of a cell can export, once."""
    for number, (_, column, value) in enumerate(DIRT):
        start = 31 * number % len(right)
        rows = (row for row in right[start:] if can_hold(export_of(row), column, value))
        for row in list(rows)[:1]:
            stranger = pseudonym(plan.org_id, 30_000 + number)
            yield export_of(row), replace(row, **{"participant_id": stranger, column: value})


def can_hold(name: str, column: str, value: object) -> bool:
    is_finite = not isinstance(value, float) or math.isfinite(value)
    if "medlemsregister" in name:
        return column not in {"status", "deleted"} and value != "" and is_finite
    return is_finite or "fagsystem" in name


def late() -> list[Row]:
    """Return the late export, which brings the first cell to 1855 participations, 9402 hours."""
    autumn, summer = ([row for row in counted(plan) if row.category == YOUTH] for plan in PLANS[:2])
    spare = iter(autumn[2::9])
    evening, last_evening = at(2024, 12, 10, 18), at(2024, 9, 30, 23, 30)
    meeting = [
        replace(next(spare), activity_id="42-2024q4-275", wall=evening, hours=5.0) for _ in range(9)
    ]
    strangers = [
        replace(next(spare), participant_id=pseudonym(ORG_42, 40_000 + number))
        for number in range(6)
    ]
    entered = [replace(row, wall=at(2024, 10, 1)) for row in summer[3:150:100]]
    left = [replace(next(spare), wall=last_evening) for _ in range(2)]
    taken_back = [replace(next(spare), deleted=True) for _ in range(2)]
    moved = replace(next(spare), category=FAMILIES)
    gained = total([*meeting, *strangers, *entered]) - total([*left, *taken_back])
    longer = [next(spare) for _ in range(12)]
    missing = round(4 * (9402 - 9310.5 - gained))
    shares = [missing * (n + 1) // 12 - missing * n // 12 for n in range(12)]
    corrected = [
        replace(row, hours=(row.hours or 0) + share / 4)
        for row, share in zip(longer, shares, strict=True)
    ]
    rows = [*meeting, *strangers, *entered, *left, *taken_back, moved, *corrected]
    return [replace(row, updated=at(2025, 3, 20, 8, number)) for number, row in enumerate(rows)]


def total(rows: Iterable[Row]) -> float:
    return sum(row.hours or 0 for row in rows)


def later(wall: datetime | None, *, weeks: int) -> datetime | None:
    return wall and wall + timedelta(weeks=weeks)


def in_january(number: int) -> datetime:
    return at(2025, 1, 6, 8) + timedelta(minutes=number)


def export_of(row: Row) -> str:
    """Return the export that a row belongs to when it is new."""
    assert row.wall
    year, quarter = row.wall.year, (row.wall.month + 2) // 3
    if row.org_id == ORG_91:
        return "medlemsregister-2024.parquet"
    shared = row.category == ELDERLY and (year, quarter) == (2024, 4)
    if row.org_id == ORG_58 or shared:
        return f"{year}/aktivitetsbok/{year}-q{quarter}.parquet"
    return f"{year}/fagsystem-{row.wall:%Y-%m}.parquet"
