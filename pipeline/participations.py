"""What one row of an export says: its columns, the types they may have, the mapping onto ours.

An engine opens a file and hands over a *raw* frame: our column names, their values as stored,
instants as integer ticks. From there on everything is defined here, once for every engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import narwhals as nw

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.periods import WallClock

Frame: TypeAlias = nw.LazyFrame[Any]
"""Rows that nobody has computed yet, on any engine."""

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

AGE: Final = (
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


_MICROSECONDS: Final = {Unit.DAYS: 86_400_000_000, Unit.MILLISECONDS: 1000, Unit.MICROSECONDS: 1}
_FAR_US: Final = 2**62
"""Farther from 1970 no clock has to go: beyond, instants in coarse units are all one."""


@dataclass(frozen=True, slots=True)
class Ticks:
    """How a raw instant is to be read: its unit, and whether it is already UTC."""

    unit: Unit
    zoned: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """What one file's columns need before they can be read as ours.

    `sources` gives their name for each of our columns that the file has; `instants` how its
    timestamps count.
    """

    sources: Mapping[str, str]
    instants: Mapping[str, Ticks]


def typed(raw: Frame, shape: Shape, clock: WallClock, categories: Mapping[str, str]) -> Frame:
    """One row per row of a raw frame, in no order, with every column in its one type.

    Ids and texts are strings; an empty id is null. Instants are UTC epoch microseconds and
    the nanoseconds beyond. Hours are doubles: decimals become the nearest one. A category is
    put through the mapping and stands for itself where that has nothing. Columns that the file
    does not have are null; a file without a status says that everything was completed. `FILE` and
    `ROW` are taken over.
    """
    return raw.select(
        *(_id(name, shape).alias(name) for name in KEY),
        _category(shape, categories).alias(CATEGORY),
        *_instant(STARTED_AT, STARTED_AT_NS, shape, clock),
        _column(HOURS, shape, nw.Float64()).alias(HOURS),
        *_instant(UPDATED_AT, UPDATED_AT_NS, shape, clock),
        _status(shape).alias(STATUS),
        _column(DELETED, shape, nw.Boolean()).alias(DELETED),
        nw.col(FILE).cast(nw.Int32()),
        nw.col(ROW).cast(nw.Int64()),
    )


def _column(name: str, shape: Shape, dtype: nw.dtypes.DType) -> nw.Expr:
    return nw.col(name).cast(dtype) if name in shape.sources else nw.lit(None).cast(dtype)


def _id(name: str, shape: Shape) -> nw.Expr:
    text = _column(name, shape, nw.String())
    return nw.when(text != "").then(text)


def _status(shape: Shape) -> nw.Expr:
    return _column(STATUS, shape, nw.String()) if STATUS in shape.sources else nw.lit(COMPLETED)


def _category(shape: Shape, categories: Mapping[str, str]) -> nw.Expr:
    text = _column(CATEGORY, shape, nw.String())
    if not categories:
        return text
    return text.replace_strict(
        list(categories), list(categories.values()), default=text, return_dtype=nw.String()
    )


def _instant(name: str, rest: str, shape: Shape, clock: WallClock) -> Iterable[nw.Expr]:
    """The instant's whole microseconds, and the nanoseconds beyond."""
    if name not in shape.instants:
        return nw.lit(None).cast(nw.Int64()).alias(name), nw.lit(0).cast(nw.Int64()).alias(rest)
    ticks = shape.instants[name]
    raw = nw.col(name).cast(nw.Int64())
    nanoseconds = ticks.unit is Unit.NANOSECONDS
    micros = raw // 1000 if nanoseconds else _micros(raw, ticks)
    # No null here: where there is no time, a file that counts finer must not win a tie.
    beyond = (raw % 1000).fill_null(0) if nanoseconds else nw.lit(0).cast(nw.Int64())
    instant = micros if ticks.zoned else micros - _offset(micros, clock)
    return instant.alias(name), beyond.alias(rest)


def _micros(raw: nw.Expr, ticks: Ticks) -> nw.Expr:
    """Ticks as microseconds, kept from overflowing 64 bits here and when an offset is taken off."""
    scale = _MICROSECONDS[ticks.unit]
    if scale == 1 and ticks.zoned:
        return raw
    return raw.clip(-_FAR_US // scale, _FAR_US // scale) * scale


def _offset(wall_us: nw.Expr, clock: WallClock) -> nw.Expr:
    """By how much the wall clock is ahead of UTC when it reads this, in microseconds.

    Our own steps instead of the engines' zone conversion: in the hour that occurs twice DuckDB's
    differs from Polars', and the rule must be one.
    """
    offsets = accumulate((step.change_us for step in clock.steps), initial=clock.first_offset_us)
    return staircase(wall_us, [step.wall_us for step in clock.steps], list(offsets))


def staircase(value: nw.Expr, edges: Sequence[int], levels: Sequence[int]) -> nw.Expr:
    """The first level below the first edge, and from each edge on the level after it.

    A tree of choices that halves the edges each time: engines then look at ten of a thousand,
    and none has to take in a chain of a thousand terms. Null has no level that means anything.

    Args:
        value: What is compared with the edges.
        edges: In rising order.
        levels: One more than there are edges.
    """
    if not edges:
        return nw.lit(levels[0])
    middle = len(edges) // 2
    return (
        nw.when(value >= edges[middle])
        .then(staircase(value, edges[middle + 1 :], levels[middle + 1 :]))
        .otherwise(staircase(value, edges[:middle], levels[: middle + 1]))
    )
