"""How Polars opens exports: lazily, in our columns, and which of them it can't read to the end.

Owns how exports are cut into batches: many small files make one, a large file makes several, so
that neither the number of files nor their size decides what a batch costs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline.errors import ExportRefused
from pipeline.participations import COLUMNS, FILE, ORG_ID, ROW, Kind, Shape, Unit, typed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.engines import Question
    from pipeline.footers import Export
    from pipeline.participations import Frame

FAULTS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged file ends in."""

BATCH_ROWS: Final = 1_000_000
"""Rows that are in memory at a time, for each thread."""

# A zone may be an offset, such as +01:00, which Polars does not know; only ticks are read here.
os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")

_ROW: Final = "\0row"
"""A name that no column of an export has."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some consecutive rows of an export, or all."""

    export: Export
    first: int
    rows: int


def whole(exports: Iterable[Export]) -> list[Part]:
    """Each export as one part."""
    return [Part(export, 0, export.rows) for export in exports]


def cut(parts: Iterable[Part]) -> list[tuple[Part, ...]]:
    """Batches of about `BATCH_ROWS` rows, from these parts in their order; at least one."""
    batches: list[list[Part]] = [[]]
    room = BATCH_ROWS
    for part in parts:
        for piece in _pieces(part):
            if piece.rows > room and batches[-1]:
                batches.append([])
                room = BATCH_ROWS
            batches[-1].append(piece)
            room -= piece.rows
    return [tuple(batch) for batch in batches]


def _pieces(part: Part) -> list[Part]:
    """A part as pieces of equal size, none larger than a batch."""
    count = max(1, -(-part.rows // BATCH_ROWS))
    edges = [part.rows * n // count for n in range(count + 1)]
    return [Part(part.export, part.first + begin, end - begin) for begin, end in pairwise(edges)]


def scan(parts: Sequence[Part], question: Question) -> pl.LazyFrame:
    """One typed row per row of the parts, nothing read yet; `FILE` is the part's place."""
    scans = [_scan(place, part, question) for place, part in enumerate(parts)]
    return pl.concat([_nothing(question), *scans])


def _nothing(question: Question) -> pl.LazyFrame:
    """No rows, in the columns that all have; so that no exports at all is no special case."""
    raw = pl.LazyFrame(schema={FILE: pl.Int32, ROW: pl.Int64})
    return native(typed(nw.from_native(raw), Shape({}, {}), question.clock, {}))


def _scan(place: int, part: Part, question: Question) -> pl.LazyFrame:
    export = part.export
    raw = pl.scan_parquet(export.file.path, row_index_name=_ROW, glob=False)
    if part.rows != export.rows:
        raw = raw.slice(part.first, part.rows)
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
    for part in whole(question.exports):
        try:
            scan([part], question).select(pl.all().count()).collect(engine="streaming")
        except FAULTS as error:
            reason = str(error).splitlines()[0]
            problem = f"it can't be read to its end ({reason}); export or copy it again"
            found[part.export] = ExportRefused(part.export.file.name, problem, part.rows)
    return found
