"""The columns of exports: their names, their types, and the mapping of a file's columns to ours."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ORG_ID: Final = "org_id"
ACTIVITY_ID: Final = "activity_id"
PARTICIPANT_ID: Final = "participant_id"
CATEGORY: Final = "bufdir_category"
STARTED_AT: Final = "started_at"
HOURS: Final = "hours"
UPDATED_AT: Final = "updated_at"
STATUS: Final = "status"
DELETED: Final = "deleted"

COMPLETED: Final = "completed"
"""The one status that counts."""

STARTED_AT_NS: Final = "started_at_ns"
UPDATED_AT_NS: Final = "updated_at_ns"
"""Nanoseconds of a timestamp beyond its whole microseconds, 0 to 999."""
NANOSECONDS_OF: Final = {STARTED_AT: STARTED_AT_NS, UPDATED_AT: UPDATED_AT_NS}
"""The nanosecond column of each column of instants."""
UNREADABLE: Final = "unreadable"
"""Whether a value of the row could not be read as its column's type; only converted files have it.

A file of theirs that has a column of this name has it as any other column that is not read.
"""
FILE: Final = "file"
"""The position of the row's file among all exports in the order of their paths."""
ROW: Final = "row"
"""The row's position in its file, from 0."""


class Kind(Enum):
    """The kind of a column's content; the value names the Arrow types that are accepted for it."""

    ID = "a string, dictionary or integer"
    TEXT = "a string or dictionary"
    INSTANT = "a timestamp or a date"
    NUMBER = "a float, integer or decimal"
    FLAG = "a boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of exports; a file may lack it unless it is required."""

    name: str
    kind: Kind
    required: bool


COLUMNS: Final = (
    Column(ORG_ID, Kind.ID, required=True),
    Column(ACTIVITY_ID, Kind.ID, required=True),
    Column(PARTICIPANT_ID, Kind.ID, required=True),
    Column(CATEGORY, Kind.TEXT, required=True),
    Column(STARTED_AT, Kind.INSTANT, required=True),
    Column(HOURS, Kind.NUMBER, required=True),
    Column(UPDATED_AT, Kind.INSTANT, required=False),
    Column(STATUS, Kind.TEXT, required=False),
    Column(DELETED, Kind.FLAG, required=False),
)

KEY: Final = (ORG_ID, ACTIVITY_ID, PARTICIPANT_ID)
"""The columns that identify a participation: rows that agree in them are about the same one."""

LATEST_BY: Final = (
    UPDATED_AT,
    UPDATED_AT_NS,
    FILE,
    CATEGORY,
    STARTED_AT,
    STARTED_AT_NS,
    HOURS,
    STATUS,
    DELETED,
)
"""The sort order of the statements of one participation, null first: the last is the latest."""


def latest_by(columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the sort order of the statements of one participation; further columns come last."""
    return *LATEST_BY, *(one.name for one in columns if one.name not in {*KEY, *LATEST_BY})


class Unit(Enum):
    """The unit of a raw instant's ticks."""

    DAYS = "d"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"
    SPLIT = "us+ns"
    """Whole microseconds, with the nanoseconds beyond in a raw column of their own.

    INT96 has a larger range than 64 bits of nanoseconds.
    """


@dataclass(frozen=True, slots=True)
class Ticks:
    """The meaning of a raw instant: its unit, and whether it is already UTC."""

    unit: Unit
    zoned: bool


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """The mapping from one file's columns to ours.

    `sources` has the file's name for each of our columns in it. `instants` has the unit and zone
    of each column of timestamps. `categories` has our category for each of the file's that differs.
    """

    sources: Mapping[str, str]
    instants: Mapping[str, Ticks]
    categories: Mapping[str, str] = field(default_factory=dict)
