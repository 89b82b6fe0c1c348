"""The columns of exports: names, types, and how the columns of a file map onto ours."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

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
"""What a nanosecond timestamp has beyond whole microseconds, 0 to 999."""
FILE: Final = "file"
"""The place of the row's file among all exports in the order of their paths."""
ROW: Final = "row"
"""The row's place in its file, from 0."""


class Kind(Enum):
    """What a column holds; the value says which Arrow types may hold it."""

    ID = "a string, dictionary or integer"
    TEXT = "a string or dictionary"
    INSTANT = "a timestamp or a date"
    NUMBER = "a float, integer or decimal"
    FLAG = "a boolean"


@dataclass(frozen=True, slots=True)
class Column:
    """One column that exports have; only the required ones must be there."""

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
"""What makes two rows statements about one participation."""

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
"""Statements of one participation in this order, null least: the last one stands."""


class Unit(Enum):
    """How finely the ticks of a raw instant count."""

    DAYS = "d"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"
    NANOSECONDS = "ns"


@dataclass(frozen=True, slots=True)
class Ticks:
    """How a raw instant is to be read: its unit, and whether it is already UTC."""

    unit: Unit
    zoned: bool


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """What one file's columns need before they can be read as ours.

    `sources` gives their name for each of our columns that the file has; `instants` how its
    timestamps count.
    """

    sources: Mapping[str, str]
    instants: Mapping[str, Ticks]
