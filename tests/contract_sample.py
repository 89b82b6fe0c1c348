"""The sample that ships: small real exports whose numbers are settled beforehand.

Each cell is planned as participations, activities, hours and people; then people, times and
lengths are found that give exactly these, and over them is laid what must not count: statements
that were corrected, participations that were withdrawn, and dirt of every kind. Three systems
write the files, each with types of its own.

Run as `python tests/contract_sample.py DIR`; the rows are the same every time.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Item = TypeVar("Item")

ZONE: Final = ZoneInfo("Europe/Oslo")
ORG_42, ORG_58, ORG_91 = "org-bufdir-42", "org-bufdir-58", "org-bufdir-91"
FAMILIES, YOUTH, ELDERLY = "foreldre_barn", "ungdom", "eldre"
DISABLED: Final = "funksjonsnedsettelse"
SMALLEST, LARGEST = 3, 30
LONGEST_QUARTERS: Final = 4 * 24
CORRECTIONS: Final = "rettelser-2025-01.parquet"
LATE: Final = "org-bufdir-42-late.parquet"


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """A reading of the wall clock."""
    return datetime(year, month, day, hour, minute)  # noqa: DTZ001 that it has no zone is the point


@dataclass(frozen=True, slots=True)
class Part:
    """What one category of a cell comes to."""

    category: str
    participations: int
    activities: int
    hours: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What one cell comes to."""

    org_id: str
    year: int
    quarter: int
    people: int
    weeks_elsewhere: int
    """So much earlier or later, the organisation was active as well."""
    parts: tuple[Part, ...]

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
        """How finely its system keeps time, in quarters of an hour."""
        return 4 if self.org_id == ORG_91 else 1


PLANS: Final = (
    Plan(
        ORG_42,
        2024,
        4,
        people=1601,
        weeks_elsewhere=-13,
        parts=(
            Part(FAMILIES, 312, 48, 1560),
            Part(YOUTH, 580, 86, 3100),
            Part(ELDERLY, 210, 31, 1050.5),
            Part(DISABLED, 740, 109, 3600),
        ),
    ),
    Plan(
        ORG_42,
        2024,
        3,
        people=640,
        weeks_elsewhere=-13,
        parts=(
            Part(FAMILIES, 168, 25, 672),
            Part(YOUTH, 342, 50, 1539.5),
            Part(ELDERLY, 96, 15, 384),
            Part(DISABLED, 402, 60, 1929),
        ),
    ),
    Plan(
        ORG_42,
        2024,
        2,
        people=812,
        weeks_elsewhere=13,
        parts=(
            Part(FAMILIES, 204, 30, 918),
            Part(YOUTH, 388, 56, 1707.25),
            Part(ELDERLY, 131, 20, 516.5),
            Part(DISABLED, 455, 68, 2150),
        ),
    ),
    Plan(
        ORG_58,
        2024,
        4,
        people=214,
        weeks_elsewhere=-40,
        parts=(
            Part(FAMILIES, 240, 34, 540),
            Part(YOUTH, 410, 58, 1127.5),
            Part(ELDERLY, 335, 46, 770),
        ),
    ),
    Plan(
        ORG_58,
        2024,
        1,
        people=198,
        weeks_elsewhere=-13,
        parts=(
            Part(FAMILIES, 190, 27, 427.5),
            Part(YOUTH, 365, 52, 1003.75),
            Part(ELDERLY, 301, 41, 692),
        ),
    ),
    Plan(
        ORG_58,
        2023,
        4,
        people=181,
        weeks_elsewhere=13,
        parts=(
            Part(FAMILIES, 155, 22, 349),
            Part(YOUTH, 290, 41, 797.5),
            Part(ELDERLY, 260, 36, 598),
            Part(DISABLED, 35, 5, 87.5),
        ),
    ),
    Plan(
        ORG_91,
        2024,
        4,
        people=158,
        weeks_elsewhere=-13,
        parts=(Part(YOUTH, 520, 74, 1560), Part(ELDERLY, 64, 9, 160), Part(DISABLED, 130, 19, 455)),
    ),
    Plan(
        ORG_91,
        2024,
        3,
        people=121,
        weeks_elsewhere=13,
        parts=(Part(YOUTH, 310, 45, 930), Part(DISABLED, 88, 13, 308)),
    ),
)

CLOCK_CHANGES: Final = {
    (2023, 4): at(2023, 10, 29, 2, 30),  # twice
    (2024, 1): at(2024, 3, 31, 2, 30),  # skipped
    (2024, 4): at(2024, 10, 27, 2, 30),  # twice
}
"""Readings of the wall clock that are no instant, or two."""


@dataclass(frozen=True, slots=True)
class Activity:
    """One meeting, at a reading of the wall clock in Oslo."""

    id: str
    category: str
    size: int
    wall: datetime


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an export; times are readings of the wall clock in Oslo."""

    org_id: str | None
    activity_id: str | None
    participant_id: str | None
    category: str | None
    wall: datetime | None
    hours: float | None
    updated: datetime | None
    status: str | None = "completed"
    deleted: bool | None = False


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


def write(folder: Path) -> list[Path]:
    """Write `exports` and `late` below a folder."""
    files = {f"exports/{name}": rows for name, rows in exports().items()}
    files[f"late/{LATE}"] = late()
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(name, rows), path, compression="zstd")
    return [folder / name for name in files]


def exports() -> dict[str, list[Row]]:
    """The rows of every export, by its path."""
    files: dict[str, list[Row]] = {}
    for plan in PLANS:
        right = counted(plan)
        for name, row in (*told(plan, right), *withdrawn(plan, right), *dirt(plan, right)):
            files.setdefault(name, []).append(row)
    return {
        name: sorted(rows, key=lambda row: (str(row.wall), row.activity_id or ""))
        for name, rows in sorted(files.items())
    }


def counted(plan: Plan) -> list[Row]:
    """The rows of a cell that count, as they are in the end."""
    random = Random(f"{plan.org_id} {plan.period_id}")  # noqa: S311 no secret
    seats = [activity for activity in activities(plan, random) for _ in range(activity.size)]
    people = attend(seats, plan.people, random)
    quarters = {part.category: iter(lengths(plan, part, seats, random)) for part in plan.parts}
    return [
        Row(
            plan.org_id,
            seat.id,
            pseudonym(plan.org_id, person),
            seat.category,
            seat.wall,
            next(quarters[seat.category]) / 4,
            seat.wall + timedelta(hours=26, minutes=person % 60),
        )
        for seat, person in zip(seats, people, strict=True)
    ]


def activities(plan: Plan, random: Random) -> list[Activity]:
    """Meetings of the planned sizes, in the order of time."""
    kinds = [
        (part.category, size)
        for part in plan.parts
        for size in sizes(part.participations, part.activities, random)
    ]
    walls = times(plan, len(kinds))
    form = "{}{}{:03}" if plan.org_id == ORG_91 else f"{plan.org_id[-2:]}-{{}}q{{}}-{{:03}}"
    return [
        Activity(form.format(plan.year, plan.quarter, number), category, size, wall)
        for number, ((category, size), wall) in enumerate(
            zip(shuffled(kinds, random), walls, strict=True), start=1
        )
    ]


def sizes(participations: int, count: int, random: Random) -> list[int]:
    """Three people at least, and the others mostly where there are some already."""
    found = [SMALLEST] * count
    missing = participations - SMALLEST * count
    while missing:
        place = int(random.random() ** 2 * count)
        if found[place] < LARGEST:
            found[place] += 1
            missing -= 1
    return found


def times(plan: Plan, count: int) -> list[datetime]:
    """Spread over the quarter, with its first and last second and what its clock does."""
    midnights = [
        datetime.combine(date.fromordinal(plan.days[len(plan.days) * place // count]), time())
        for place in range(count)
    ]
    hours = (17, 10, 18, 12, 19, 9, 16)
    walls = [
        midnight + timedelta(hours=hours[place % 7], minutes=15 * (place % 4))
        for place, midnight in enumerate(midnights)
    ]
    walls[:2] = midnights[0], midnights[0] + timedelta(minutes=30)
    walls[-1] = midnights[-1] + timedelta(days=1, seconds=-1)
    change = CLOCK_CHANGES.get((plan.year, plan.quarter))
    if change:
        walls[-2] = change
    return sorted(walls)


def attend(seats: Sequence[Activity], people: int, random: Random) -> list[int]:
    """A person for each seat: everybody once, then somebody again, nobody twice at a meeting."""
    found = dict[int, int]()
    taken = set[tuple[str, int]]()
    for place, seat in enumerate(shuffled(range(len(seats)), random)):
        person = place
        while person >= people or (seats[seat].id, person) in taken:
            person = int(random.random() * people)
        taken.add((seats[seat].id, person))
        found[seat] = person
    return [found[seat] for seat in range(len(seats))]


def lengths(plan: Plan, part: Part, seats: Iterable[Activity], random: Random) -> list[int]:
    """Quarters of an hour for each seat of a category; together they are the planned hours."""
    mean = round(part.hours / part.participations * 2) * 2
    mean -= mean % plan.step
    usual: dict[str, int] = {}
    found = []
    for seat in seats:
        if seat.category == part.category:
            other = 4 * int(random.random() * 5) - 8
            found.append(usual.setdefault(seat.id, max(4, mean + other)))
    missing = round(4 * part.hours) - sum(found)
    while missing:  # some came late, some stayed on
        place = int(random.random() * len(found))
        change = int(math.copysign(plan.step, missing))
        if 0 < found[place] + change <= LONGEST_QUARTERS:
            found[place] += change
            missing -= change
    return found


def shuffled(items: Iterable[Item], random: Random) -> list[Item]:
    """By `random()` alone, which gives the same on every version of Python."""
    return sorted(items, key=lambda _: random.random())


def pseudonym(org_id: str, person: int) -> str:
    """One system knows people by numbers, the others by what looks like chance."""
    if org_id == ORG_91:
        return str(910_000 + 7 * person)
    return blake2b(f"{org_id} {person}".encode(), digest_size=6).hexdigest()


def told(plan: Plan, right: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Each row in its file; some were told otherwise before they were told right."""
    for number, row in enumerate(right):
        hours = row.hours or 0
        wrong = {
            7: replace(row, hours=hours + 1),
            37: replace(row, category=YOUTH if row.category == ELDERLY else ELDERLY),
            67: replace(row, wall=later(row.wall, weeks=plan.weeks_elsewhere)),
            97: replace(row, hours=None),
        }.get(number % 120)
        if wrong:
            yield home(wrong), wrong
            yield CORRECTIONS, replace(row, updated=in_january(number))
        elif number % 240 == 45:  # at the same instant: the later file wins
            yield home(row), replace(row, hours=hours + 1)
            yield CORRECTIONS, row
        elif number % 240 == 105:  # at the same instant in the same file: more hours win
            yield home(row), replace(row, hours=max(0, hours - 1))
            yield home(row), row
        elif number % 240 == 165:  # word for word
            yield home(row), row
            yield home(row), row
        else:
            yield home(row), row


def withdrawn(plan: Plan, right: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Participations that were told and then taken back."""
    for number, row in enumerate(right[5 :: len(right) // 6]):
        gone = replace(row, participant_id=pseudonym(plan.org_id, 20_000 + number))
        yield home(gone), gone
        yield CORRECTIONS, replace(gone, updated=in_january(number), deleted=True)


def dirt(plan: Plan, right: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    """Every kind of dirt that the systems of a cell can hold, once."""
    for number, (_, column, value) in enumerate(DIRT):
        start = 31 * number % len(right)
        rows = (row for row in right[start:] if can_hold(home(row), column, value))
        for row in list(rows)[:1]:
            stranger = pseudonym(plan.org_id, 30_000 + number)
            yield home(row), replace(row, **{"participant_id": stranger, column: value})


def can_hold(name: str, column: str, value: object) -> bool:
    is_finite = not isinstance(value, float) or math.isfinite(value)
    if "medlemsregister" in name:
        return column not in {"status", "deleted"} and value != "" and is_finite
    return is_finite or "fagsystem" in name


def late() -> list[Row]:
    """What comes months later and brings the first cell to 1855 participations, 9402 hours."""
    autumn, summer = ([row for row in counted(plan) if row.category == YOUTH] for plan in PLANS[:2])
    spare = iter(autumn[2::9])
    evening, night = at(2024, 12, 10, 18), at(2024, 9, 30, 23, 30)
    meeting = [
        replace(next(spare), activity_id="42-2024q4-275", wall=evening, hours=5.0) for _ in range(9)
    ]
    strangers = [
        replace(next(spare), participant_id=pseudonym(ORG_42, 40_000 + number))
        for number in range(6)
    ]
    entered = [replace(row, wall=at(2024, 10, 1)) for row in summer[3:150:100]]
    left = [replace(next(spare), wall=night) for _ in range(2)]
    taken_back = [replace(next(spare), deleted=True) for _ in range(2)]
    moved = replace(next(spare), category=FAMILIES)
    gained = total([*meeting, *strangers, *entered]) - total([*left, *taken_back])
    longer = [next(spare) for _ in range(12)]
    missing = round(4 * (9402 - 9310.5 - gained))
    shares = [missing * (n + 1) // 12 - missing * n // 12 for n in range(12)]
    mended = [
        replace(row, hours=(row.hours or 0) + share / 4)
        for row, share in zip(longer, shares, strict=True)
    ]
    rows = [*meeting, *strangers, *entered, *left, *taken_back, moved, *mended]
    return [replace(row, updated=at(2025, 3, 20, 8, number)) for number, row in enumerate(rows)]


def total(rows: Iterable[Row]) -> float:
    return sum(row.hours or 0 for row in rows)


def later(wall: datetime | None, *, weeks: int) -> datetime | None:
    return wall and wall + timedelta(weeks=weeks)


def in_january(number: int) -> datetime:
    return at(2025, 1, 6, 8) + timedelta(minutes=number)


def home(row: Row) -> str:
    """The export that a row belongs to when it is new."""
    assert row.wall
    year, quarter = row.wall.year, (row.wall.month + 2) // 3
    if row.org_id == ORG_91:
        return "medlemsregister-2024.parquet"
    shared = row.category == ELDERLY and (year, quarter) == (2024, 4)
    if row.org_id == ORG_58 or shared:
        return f"{year}/aktivitetsbok/{year}-q{quarter}.parquet"
    return f"{year}/fagsystem-{row.wall:%Y-%m}.parquet"


def table(name: str, rows: Sequence[Row]) -> pa.Table:
    if "aktivitetsbok" in name:
        return activity_book(rows)
    if "medlemsregister" in name:
        return member_register(rows)
    return case_system(rows)


def case_system(rows: Sequence[Row]) -> pa.Table:
    """Strings, instants of UTC, floats."""
    text, instant = pa.string(), pa.timestamp("us", tz="UTC")
    return pa.table(
        {
            "org_id": pa.array([row.org_id for row in rows], text),
            "activity_id": pa.array([row.activity_id for row in rows], text),
            "participant_id": pa.array([row.participant_id for row in rows], text),
            "bufdir_category": pa.array([row.category for row in rows], text),
            "started_at": pa.array([utc(row.wall) for row in rows], instant),
            "hours": pa.array([row.hours for row in rows], pa.float64()),
            "updated_at": pa.array([utc(row.updated) for row in rows], instant),
            "status": pa.array([row.status for row in rows], text),
            "deleted": pa.array([row.deleted for row in rows], pa.bool_()),
        }
    )


def activity_book(rows: Sequence[Row]) -> pa.Table:
    """Dictionaries, the wall clock, decimals, columns in another order and one of its own."""
    text, wall = pa.dictionary(pa.int32(), pa.string()), pa.timestamp("ms")
    hours = [None if row.hours is None else Decimal(str(row.hours)) for row in rows]
    return pa.table(
        {
            "started_at": pa.array([row.wall for row in rows], wall),
            "hours": pa.array(hours, pa.decimal128(6, 2)),
            "municipality": pa.array(["0301" for _ in rows], text),
            "org_id": pa.array([row.org_id for row in rows], text),
            "activity_id": pa.array([row.activity_id for row in rows], text),
            "participant_id": pa.array([row.participant_id for row in rows], text),
            "bufdir_category": pa.array([row.category for row in rows], text),
            "status": pa.array([row.status for row in rows], text),
            "updated_at": pa.array([row.updated for row in rows], wall),
            # Null does not withdraw anything; this system knows no other way to say it.
            "deleted": pa.array([row.deleted or None for row in rows], pa.bool_()),
        }
    )


def member_register(rows: Sequence[Row]) -> pa.Table:
    """Integers, dates, and nothing that is optional."""
    return pa.table(
        {
            "participant_id": pa.array([number(row.participant_id) for row in rows], pa.int32()),
            "activity_id": pa.array([number(row.activity_id) for row in rows], pa.int64()),
            "org_id": pa.array([row.org_id for row in rows], pa.string()),
            "bufdir_category": pa.array([row.category for row in rows], pa.string()),
            "started_at": pa.array([row.wall and row.wall.date() for row in rows], pa.date32()),
            "hours": pa.array([number(row.hours) for row in rows], pa.int16()),
        }
    )


def number(value: str | float | None) -> int | None:
    return None if value is None else int(value)


def utc(wall: datetime | None) -> datetime | None:
    return wall and wall.replace(tzinfo=ZONE).astimezone(UTC)


if __name__ == "__main__":
    for path in write(Path(sys.argv[1])):
        print(path)  # noqa: T201 what a script is for
