"""The groups of a sample: their organisations, members, weekly meetings and attendance.

Owns all that is decided before the first row is made. Everything follows from the seed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_ZONE: Final = ZoneInfo("Europe/Oslo")
FIRST_DAY: Final = date(2023, 1, 2)  # a Monday; 104 weeks from here end before 2025 begins
WEEKS: Final = 104

ONE_IN: Final = 100  # rows to one correction, and rows to one of dirt
_GROUP_ROWS: Final = 600  # participations of one group in two years, at least
MEETINGS_A_MEMBER: Final = 4  # after so many, one member leaves and another joins
_SMALLEST: Final = 3
_LARGEST: Final = 30

CATEGORIES: Final = {
    "foreldre_barn": 0.3,
    "ungdom": 0.4,
    "eldre": 0.18,
    "funksjonsnedsettelse": 0.12,
}
"""The share of groups in each category."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups that meet weekly for a while, in the order of their hours in the week."""

    organisation: Integers
    participations: Integers
    meetings: Integers
    first_week: Integers
    week_quarter: Integers
    """The begin of the meeting: quarters of an hour since Monday's midnight, local time."""
    category: Integers
    quarters: Integers
    """The usual length of a meeting: quarters of an hour."""
    spread: Integers
    """The most people by which a meeting is smaller or larger than the group's mean."""
    members: Integers
    """The number of members at a time: more than ever come at once."""
    first_person: Integers


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before the first row is made."""

    seed: int
    groups: Groups
    rows: int
    """The number of rows without corrections."""
    corrections: int
    week_starts: Integers
    """The number of rows before each week, and last the number of all."""
    clock_offsets: Integers
    """The offset of the local clock on each day, in microseconds."""


def plan_of(rows: int, organisations: int, files: int, seed: int) -> Plan:
    """Decide the groups of a sample, and the rows of each week."""
    corrections = min(rows // ONE_IN, rows - max(organisations, files))
    groups = _groups(rows - corrections, organisations, seed)
    numbers = (meeting_numbers(groups, week) for week in range(WEEKS))
    weeks = [int(attendance_of(groups, seed, meeting).sum()) for meeting in numbers]
    # Offsets are those at noon: no group meets in the hours when the clock changes.
    noon = datetime.combine(FIRST_DAY, time(12), _ZONE)
    days = (noon + timedelta(days=day) for day in range(WEEKS * 7))
    offsets = [(day.utcoffset() or timedelta(0)) // timedelta(microseconds=1) for day in days]
    return Plan(
        seed=seed,
        groups=groups,
        rows=rows - corrections,
        corrections=corrections,
        week_starts=np.cumsum([0, *weeks]),
        clock_offsets=np.array(offsets, dtype=np.int64),
    )


def _groups(rows: int, organisations: int, seed: int) -> Groups:
    rng = np.random.default_rng(seed)
    organisation, participations = _shares(rows, organisations, rng)
    count = len(organisation)
    size = rng.integers(6, 21, count)
    meetings = np.clip(np.rint(participations / size).astype(np.int64), 1, WEEKS)
    mean = participations // meetings
    room = np.minimum(mean - _SMALLEST, _LARGEST - 1 - mean)
    spread = np.clip(room, 0, mean // 2)
    members = (mean + 1 + spread) * 5 // 4
    all_day = rng.integers(0, 10, count) == 0
    quarter_of_day = np.where(all_day, 4 * 9, rng.integers(4 * 9, 4 * 20, count))
    groups = Groups(
        organisation=organisation,
        participations=participations,
        meetings=meetings,
        first_week=rng.integers(0, WEEKS, count),
        week_quarter=96 * rng.integers(0, 7, count) + quarter_of_day,
        category=rng.choice(len(CATEGORIES), count, p=list(CATEGORIES.values())),
        quarters=np.where(all_day, rng.integers(20, 33, count), rng.integers(4, 13, count)),
        spread=spread,
        members=members,
        first_person=_first_people(organisation, members + meetings // MEETINGS_A_MEMBER),
    )
    order = np.argsort(groups.week_quarter, kind="stable")
    return Groups(*(getattr(groups, field.name)[order] for field in fields(groups)))


def _shares(rows: int, organisations: int, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """Return each group's organisation and number of participations, which add up to the rows.

    Organisations follow Zipf's law: the tenth has a tenth of the rows of the first.
    """
    reached = np.cumsum(1 / np.arange(1, organisations + 1))
    ends = np.floor(reached / reached[-1] * (rows - organisations)).astype(np.int64)
    totals = 1 + np.diff(ends, prepend=0)
    parts = np.maximum(1, totals // _GROUP_ROWS)
    organisation = np.repeat(np.arange(organisations), parts)
    part = np.arange(len(organisation)) - np.repeat(np.cumsum(parts) - parts, parts)
    total, count = totals[organisation], parts[organisation]
    moved = np.floor(total / count / 3 * rng.uniform(-1, 1, len(part))).astype(np.int64)
    before = (np.cumsum(totals) - totals)[organisation]
    begin = before + total * part // count + np.where(part == 0, 0, moved)
    return organisation, np.diff(begin, append=rows)


def _first_people(organisation: Integers, people: Integers) -> Integers:
    """Number each group's first person; groups of one organisation share some people."""
    another_follows = np.diff(organisation, append=-1) != 0
    step = np.where(another_follows, people, people * 5 // 6)
    return np.cumsum(step) - step


def meeting_numbers(groups: Groups, week: int) -> Integers:
    """Number the meeting of each group in a week, from 0; a group has only its first `meetings`."""
    return (week - groups.first_week) % WEEKS


def attendance_of(groups: Groups, seed: int, meeting: Integers) -> Integers:
    """Count who comes to each group's meeting; pairs of meetings have the mean together."""
    rows, meetings, spread = groups.participations, groups.meetings, groups.spread
    even = rows * (meeting + 1) // meetings - rows * meeting // meetings
    above = scatter(groups.first_person * WEEKS + meeting // 2, seed) % (2 * spread + 1) - spread
    has_partner = meeting // 2 * 2 + 1 < meetings
    come = even + np.where(has_partner, np.where(meeting % 2 == 0, above, -above), 0)
    return np.where(meeting < meetings, come, 0)


def scatter(numbers: Integers, seed: int) -> Integers:
    """Map numbers to others below 2**48 that look random; different ones have different results.

    Multiplication by an odd factor and a shifted xor are both reversible, so none collide.
    """
    mask, shift = np.uint64(2**48 - 1), np.uint64(23)
    mixed = numbers.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**48)
    for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB):
        mixed = mixed * np.uint64(factor) & mask
        mixed ^= mixed >> shift
    return mixed.astype(np.int64)
