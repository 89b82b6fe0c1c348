"""The participations of a cell that count, in the numbers of its plan."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
from tests.contract_sample.plans import (
    CLOCK_CHANGES,
    LARGEST,
    LONGEST_QUARTERS,
    ORG_91,
    SMALLEST,
    Plan,
    Share,
)

Item = TypeVar("Item")


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


def counted(plan: Plan) -> list[Row]:
    """Return the rows of a cell that count, in their final form."""
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
    """Give each meeting three people at least, and the others mostly to the first meetings."""
    found = [SMALLEST] * count
    missing = participations - SMALLEST * count
    while missing:
        place = int(random.random() ** 2 * count)
        if found[place] < LARGEST:
            found[place] += 1
            missing -= 1
    return found


def times(plan: Plan, count: int) -> list[datetime]:
    """Spread times over the quarter, with its first and last second and its clock change."""
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
    """Give each seat a person: each person once, then some again, none twice at a meeting."""
    found = dict[int, int]()
    taken = set[tuple[str, int]]()
    for place, seat in enumerate(shuffled(range(len(seats)), random)):
        person = place
        while person >= people or (seats[seat].id, person) in taken:
            person = int(random.random() * people)
        taken.add((seats[seat].id, person))
        found[seat] = person
    return [found[seat] for seat in range(len(seats))]


def lengths(plan: Plan, part: Share, seats: Iterable[Activity], random: Random) -> list[int]:
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
    """Shuffle by `random()` alone, which gives the same on every version of Python."""
    return sorted(items, key=lambda _: random.random())


def pseudonym(org_id: str, person: int) -> str:
    """Return a participant id: a number in one system, a hash in the others."""
    if org_id == ORG_91:
        return str(910_000 + 7 * person)
    return blake2b(f"{org_id} {person}".encode(), digest_size=6).hexdigest()
