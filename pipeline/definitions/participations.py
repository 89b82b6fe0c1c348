"""Typed rows: the one type of each column, and how stored values are converted to it.

An engine opens a file and passes a *raw* frame: our column names, values as stored, instants as
integer ticks. Everything after that is defined here, once for every engine.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline.definitions.dialect import STANDARD, StepFunction
from pipeline.model.columns import (
    CATEGORY,
    COLUMNS,
    COMPLETED,
    DELETED,
    FILE,
    HOURS,
    KEY,
    LATEST_BY,
    ROW,
    STARTED_AT,
    STARTED_AT_NS,
    STATUS,
    UNREADABLE,
    UPDATED_AT,
    UPDATED_AT_NS,
    ColumnMapping,
    Ticks,
    Unit,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.definitions.dialect import Dialect, Frame
    from pipeline.model.clock import WallClock
    from pipeline.model.columns import Column

_MICROSECONDS: Final = {
    Unit.DAYS: 86_400_000_000,
    Unit.MILLISECONDS: 1000,
    Unit.MICROSECONDS: 1,
    Unit.SPLIT: 1,
}
_FAR_US: Final = 2**62
"""The largest distance from 1970; instants beyond it in coarse units become this one."""
_OFFSET: Final = "offset"
"""How much a wall clock is ahead of UTC, in microseconds."""


def typed(
    raw: Frame,
    mapping: ColumnMapping,
    clock: WallClock,
    columns: Iterable[Column] = COLUMNS,
    dialect: Dialect = STANDARD,
) -> Frame:
    """Give every column its one type: one row per row of a raw frame, in no order.

    Ids and texts are strings; an empty id is null. Instants are UTC epoch microseconds and
    the nanoseconds beyond. Hours are doubles: decimals become the nearest one. The mapping
    replaces a category; one that it lacks is unchanged. Columns that the file does not have are
    null. A file without a status means that everything was completed. Without `UNREADABLE`, every
    value of it could be read.

    Args:
        raw: A file's columns under our names, as stored, with `FILE` and `ROW`.
        mapping: The columns that the file has, the units of its timestamps, and its categories.
        clock: The wall clock of times without a zone.
        columns: All columns that are read; those that the definitions do not know are texts.
        dialect: The engine's own way of some steps.
    """
    further = [column.name for column in columns if column.name not in {*KEY, *LATEST_BY}]
    rows = raw.select(
        *(_id(name, mapping).alias(name) for name in KEY),
        _column(CATEGORY, mapping, nw.String()).alias(CATEGORY),
        *_reading(STARTED_AT, STARTED_AT_NS, mapping),
        _column(HOURS, mapping, nw.Float64()).alias(HOURS),
        *_reading(UPDATED_AT, UPDATED_AT_NS, mapping),
        _status(mapping).alias(STATUS),
        _column(DELETED, mapping, nw.Boolean()).alias(DELETED),
        *(_id(name, mapping).alias(name) for name in further),
        _flag(UNREADABLE, mapping).alias(UNREADABLE),
        nw.col(FILE).cast(nw.Int32()),
        nw.col(ROW).cast(nw.Int64()),
    )
    if mapping.categories:
        rows = dialect.with_replaced(rows, CATEGORY, mapping.categories)
    for name, ticks in mapping.instants.items():
        if not ticks.zoned:
            rows = _to_utc(rows, name, clock, dialect)
    return rows


def _column(name: str, mapping: ColumnMapping, dtype: nw.dtypes.DType) -> nw.Expr:
    return nw.col(name).cast(dtype) if name in mapping.sources else nw.lit(None).cast(dtype)


def _flag(name: str, mapping: ColumnMapping) -> nw.Expr:
    """Give a flag that is false where the file does not have it."""
    return nw.col(name) if name in mapping.sources else nw.lit(value=False)


def _id(name: str, mapping: ColumnMapping) -> nw.Expr:
    text = _column(name, mapping, nw.String())
    return nw.when(text != "").then(text)


def _status(mapping: ColumnMapping) -> nw.Expr:
    return _column(STATUS, mapping, nw.String()) if STATUS in mapping.sources else nw.lit(COMPLETED)


def _reading(name: str, rest: str, mapping: ColumnMapping) -> Iterable[nw.Expr]:
    """Compute a clock's reading in whole microseconds, and the nanoseconds beyond."""
    if name not in mapping.instants:
        return nw.lit(None).cast(nw.Int64()).alias(name), nw.lit(0).cast(nw.Int64()).alias(rest)
    ticks = mapping.instants[name]
    raw = nw.col(name).cast(nw.Int64())
    micros = raw // 1000 if ticks.unit is Unit.NANOSECONDS else _micros(raw, ticks)
    return micros.alias(name), _beyond(rest, raw, ticks).alias(rest)


def _beyond(rest: str, raw: nw.Expr, ticks: Ticks) -> nw.Expr:
    """Compute the nanoseconds beyond whole microseconds.

    They are 0 where there is no time, so that files with a finer unit do not win ties.
    """
    match ticks.unit:
        case Unit.NANOSECONDS:
            return (raw % 1000).fill_null(0)
        case Unit.SPLIT:
            return nw.col(rest).cast(nw.Int64()).fill_null(0)
        case _:
            return nw.lit(0).cast(nw.Int64())


def _micros(raw: nw.Expr, ticks: Ticks) -> nw.Expr:
    """Convert ticks to microseconds, clipped so that offsets can't make them overflow 64 bits."""
    scale = _MICROSECONDS[ticks.unit]
    if scale == 1 and ticks.zoned:
        return raw
    return raw.clip(-_FAR_US // scale, _FAR_US // scale) * scale


def _to_utc(rows: Frame, name: str, clock: WallClock, dialect: Dialect) -> Frame:
    """Convert readings of the wall clock to UTC.

    Uses our own steps instead of the engines' zone conversion: DuckDB and Polars differ in the
    hour that occurs twice.
    """
    offsets = accumulate((step.change_us for step in clock.steps), initial=clock.first_offset_us)
    steps = StepFunction([step.wall_us for step in clock.steps], list(offsets))
    shifted = dialect.with_level(rows, _OFFSET, name, steps)
    return shifted.with_columns(nw.col(name) - nw.col(_OFFSET)).drop(_OFFSET)
