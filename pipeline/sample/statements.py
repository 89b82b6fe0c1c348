"""The rows of a sample as numbers: attended meetings, and corrections of them.

Every row follows from the seed and its own position, so any range of rows can be made alone.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date
from typing import TYPE_CHECKING, Final

import numpy as np

from pipeline.sample.groups import (
    CATEGORIES,
    FIRST_DAY,
    MEETINGS_A_MEMBER,
    WEEKS,
    attendance_of,
    meeting_numbers,
    scatter,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pipeline.sample.groups import Integers, Plan

_SECOND: Final = 1_000_000  # instants are microseconds
_QUARTER_HOUR: Final = 900 * _SECOND
_DAY: Final = 96 * _QUARTER_HOUR

_CORRECTIONS: Final = np.array(
    ["hours", "sent again", "quarter", "hours", "category", "hours", "sent again", "withdrawn"]
)
"""The changes that later statements make, one after the other."""


@dataclass(frozen=True, slots=True)
class Statements:
    """Rows of an export, as numbers."""

    organisation: Integers
    activity: Integers
    person: Integers
    category: Integers
    started_at: Integers
    quarters: Integers
    updated_at: Integers
    deleted: NDArray[np.bool_]

    def take(self, rows: Integers) -> Statements:
        """Select rows by position."""
        return Statements(*(getattr(self, field.name)[rows] for field in fields(self)))


def statements_of(plan: Plan, first: int, last: int) -> Statements:
    """Make the rows of a range of positions, which are in the order of weeks."""
    begin, end = np.searchsorted(plan.week_starts, (first, last - 1), side="right")
    parts = [_week(plan, week, first, last) for week in range(int(begin) - 1, int(end))]
    columns = ([getattr(part, field.name) for part in parts] for field in fields(Statements))
    return Statements(*(np.concatenate(column) for column in columns))


def _week(plan: Plan, week: int, first: int, last: int) -> Statements:
    """Make the rows of a range of positions that are in one week."""
    groups, start = plan.groups, int(plan.week_starts[week])
    meeting = meeting_numbers(groups, week)
    attendance = attendance_of(groups, plan.seed, meeting)
    ends = np.cumsum(attendance)
    place = np.arange(max(first - start, 0), min(last - start, int(ends[-1])))
    group = np.searchsorted(ends, place, side="right")
    seat = place - (ends - attendance)[group]

    activity = group * WEEKS + week
    chance = scatter(activity, plan.seed)
    started_at = _started_at(plan, week)[group]
    quarters = groups.quarters[group]
    gone = meeting[group] // MEETINGS_A_MEMBER
    return Statements(
        organisation=groups.organisation[group],
        activity=activity,
        person=groups.first_person[group] + gone + (seat + chance) % groups.members[group],
        category=groups.category[group],
        started_at=started_at,
        quarters=quarters - np.where((seat + chance) % 7 == 0, 1 + seat % 3, 0),  # left early
        updated_at=started_at + quarters * _QUARTER_HOUR + chance % (48 * 3600) * _SECOND,
        deleted=np.zeros(len(place), dtype=np.bool_),
    )


def _started_at(plan: Plan, week: int) -> Integers:
    """Compute the begin of each group's meeting in a week, in epoch microseconds."""
    monday = ((FIRST_DAY - date(1970, 1, 1)).days + 7 * week) * _DAY
    day = 7 * week + plan.groups.week_quarter // 96
    return monday + plan.groups.week_quarter * _QUARTER_HOUR - plan.clock_offsets[day]


def corrected(statements: Statements, plan: Plan, first: int, last: int) -> Statements:
    """Make later statements about some of these rows: the same keys, up to two months later."""
    begin, end = (plan.corrections * place // plan.rows for place in (first, last))
    rng = np.random.default_rng((plan.seed, first, 1))
    old = statements.take(np.sort(rng.choice(last - first, end - begin, replace=False)))
    change = _CORRECTIONS[np.arange(begin, end) % len(_CORRECTIONS)]
    moved = np.where(old.activity % WEEKS < WEEKS // 2, 13 * 7, -13 * 7) * _DAY
    return replace(
        old,
        category=(old.category + (change == "category")) % len(CATEGORIES),
        started_at=old.started_at + np.where(change == "quarter", moved, 0),
        quarters=old.quarters + 2 * (change == "hours"),
        updated_at=old.updated_at + rng.integers(1, 60 * 86_400, len(change)) * _SECOND,
        deleted=change == "withdrawn",
    )
