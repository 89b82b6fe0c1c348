"""How Polars opens exports: lazily, in our columns, and which of them it can't read to the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline.errors import ExportRefused
from pipeline.participations import COLUMNS, FILE, ORG_ID, ROW, Kind, Shape, Unit, typed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.engines import Question
    from pipeline.footers import Export
    from pipeline.participations import Frame

FAULTS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged file ends in."""

# A zone may be an offset, such as +01:00, which Polars does not know; only ticks are read here.
os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")

_ROW: Final = "\0row"
"""A name that no column of an export has."""


def scan(question: Question) -> pl.LazyFrame:
    """One typed row per row of the exports, nothing read yet."""
    scans = [_scan(question, place, export) for place, export in enumerate(question.exports)]
    return pl.concat([_nothing(question), *scans])


def _nothing(question: Question) -> pl.LazyFrame:
    """No rows, in the columns that all have; so that no exports at all is no special case."""
    raw = pl.LazyFrame(schema={FILE: pl.Int32, ROW: pl.Int64})
    return native(typed(nw.from_native(raw), Shape({}, {}), question.clock, {}))


def _scan(question: Question, place: int, export: Export) -> pl.LazyFrame:
    raw = pl.scan_parquet(export.file.path, row_index_name=_ROW, glob=False)
    if question.organisations is not None:
        source = pl.col(export.shape.sources[ORG_ID])
        raw = raw.filter(source.cast(pl.String).is_in(list(question.organisations)))
    columns = [
        _raw(column.kind, export, column.name).alias(column.name)
        for column in COLUMNS
        if column.name in export.shape.sources
    ]
    raw = raw.select(*columns, pl.lit(place).alias(FILE), pl.col(_ROW).alias(ROW))
    return native(typed(nw.from_native(raw), export.shape, question.clock, question.mapping))


def _raw(kind: Kind, export: Export, name: str) -> pl.Expr:
    column = pl.col(export.shape.sources[name])
    if kind is not Kind.INSTANT or name not in export.shape.instants:
        return column
    is_day = export.shape.instants[name].unit is Unit.DAYS
    # Arrow may have noted days as milliseconds, and Polars then reads them as instants.
    return (column.cast(pl.Date) if is_day else column).to_physical()


def native(frame: Frame) -> pl.LazyFrame:
    """The Polars frame that a definition was applied to."""
    unwrapped: pl.LazyFrame = frame.to_native()
    return unwrapped


def damaged(question: Question) -> Mapping[Export, ExportRefused]:
    """The files that can't be read to their end, found by reading each for itself."""
    found = {}
    for place, export in enumerate(question.exports):
        try:
            _scan(question, place, export).select(pl.all().count()).collect(engine="streaming")
        except FAULTS as error:
            reason = str(error).splitlines()[0]
            problem = f"it can't be read to its end ({reason}); export or copy it again"
            found[export] = ExportRefused(export.file.name, problem, export.rows)
    return found
