"""What one row of an export says: its columns, the types they may have, the mapping onto ours.

An engine opens a file and hands over a *raw* frame: our column names, their values as stored,
instants as integer ticks. From there on everything is defined here, once for every engine.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import narwhals as nw

from pipeline.model.columns import (
    CATEGORY,
    COMPLETED,
    DELETED,
    FILE,
    HOURS,
    KEY,
    ROW,
    STARTED_AT,
    STARTED_AT_NS,
    STATUS,
    UPDATED_AT,
    UPDATED_AT_NS,
    ColumnMapping,
    Ticks,
    Unit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.model.clock import WallClock

Frame: TypeAlias = nw.LazyFrame[Any]
"""Rows that nobody has computed yet, on any engine."""

_MICROSECONDS: Final = {Unit.DAYS: 86_400_000_000, Unit.MILLISECONDS: 1000, Unit.MICROSECONDS: 1}
_FAR_US: Final = 2**62
"""Farther from 1970 no clock has to go: beyond, instants in coarse units are all one."""


def typed(
    raw: Frame, shape: ColumnMapping, clock: WallClock, categories: Mapping[str, str]
) -> Frame:
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


def _column(name: str, shape: ColumnMapping, dtype: nw.dtypes.DType) -> nw.Expr:
    return nw.col(name).cast(dtype) if name in shape.sources else nw.lit(None).cast(dtype)


def _id(name: str, shape: ColumnMapping) -> nw.Expr:
    text = _column(name, shape, nw.String())
    return nw.when(text != "").then(text)


def _status(shape: ColumnMapping) -> nw.Expr:
    return _column(STATUS, shape, nw.String()) if STATUS in shape.sources else nw.lit(COMPLETED)


def _category(shape: ColumnMapping, categories: Mapping[str, str]) -> nw.Expr:
    text = _column(CATEGORY, shape, nw.String())
    if not categories:
        return text
    return text.replace_strict(
        list(categories), list(categories.values()), default=text, return_dtype=nw.String()
    )


def _instant(name: str, rest: str, shape: ColumnMapping, clock: WallClock) -> Iterable[nw.Expr]:
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
    return step_function(wall_us, [step.wall_us for step in clock.steps], list(offsets))


def step_function(value: nw.Expr, edges: Sequence[int], levels: Sequence[int]) -> nw.Expr:
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
        .then(step_function(value, edges[middle + 1 :], levels[middle + 1 :]))
        .otherwise(step_function(value, edges[:middle], levels[: middle + 1]))
    )
