"""How Polars opens exports: lazily, in our columns, and which of them it can't read to the end.

Owns how exports are cut into batches: many small files make one, a large file makes several, so
that neither the number of files nor their size decides what a batch costs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline.definitions.participations import typed
from pipeline.errors import ExportRefused
from pipeline.model.columns import COLUMNS, FILE, ORG_ID, ROW, ColumnMapping, Kind, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.definitions.participations import Frame
    from pipeline.engines import ScanRequest
    from pipeline.sources.parquet import Export

FAULTS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged file ends in."""

BATCH_ROWS: Final = 1_000_000
"""Rows that are in memory at a time, for each thread."""

# A zone may be an offset, such as +01:00, which Polars does not know; only ticks are read here.
os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")

_ROW: Final = "\0row"
"""A name that no column of an export has."""


@dataclass(frozen=True, slots=True)
class Split:
    """Some consecutive rows of an export, or all."""

    export: Export
    first: int
    rows: int


def whole(exports: Iterable[Export]) -> list[Split]:
    """Each export as one part."""
    return [Split(export, 0, export.rows) for export in exports]


def cut(parts: Iterable[Split]) -> list[tuple[Split, ...]]:
    """Batches of about `BATCH_ROWS` rows, from these parts in their order; at least one."""
    batches: list[list[Split]] = [[]]
    room = BATCH_ROWS
    for part in parts:
        for piece in _pieces(part):
            if piece.rows > room and batches[-1]:
                batches.append([])
                room = BATCH_ROWS
            batches[-1].append(piece)
            room -= piece.rows
    return [tuple(batch) for batch in batches]


def _pieces(part: Split) -> list[Split]:
    """A part as pieces of equal size, none larger than a batch."""
    count = max(1, -(-part.rows // BATCH_ROWS))
    edges = [part.rows * n // count for n in range(count + 1)]
    return [Split(part.export, part.first + begin, end - begin) for begin, end in pairwise(edges)]


def scan(parts: Sequence[Split], question: ScanRequest) -> pl.LazyFrame:
    """One typed row per row of the parts, nothing read yet; `FILE` is the part's place."""
    scans = [_scan(group, question) for group in _alike(parts)]
    return pl.concat([_nothing(question), *scans])


def _alike(parts: Sequence[Split]) -> list[dict[int, Split]]:
    """The parts by their places, in groups that are read as one.

    A query over thousands of scans takes Polars minutes to plan; over one scan of as many files
    it takes no time. Large files, and parts of them, are read alone.
    """
    groups: dict[object, dict[int, Split]] = {}
    for place, part in enumerate(parts):
        is_small = part.rows == part.export.rows < BATCH_ROWS
        groups.setdefault(part.export.layout if is_small else place, {})[place] = part
    return list(groups.values())


def _nothing(question: ScanRequest) -> pl.LazyFrame:
    """No rows, in the columns that all have; so that no exports at all is no special case."""
    raw = pl.LazyFrame(schema={FILE: pl.Int32, ROW: pl.Int64})
    return native(typed(nw.from_native(raw), ColumnMapping({}, {}), question.clock, {}))


def _scan(group: Mapping[int, Split], question: ScanRequest) -> pl.LazyFrame:
    alike = list(group.values())
    export = alike[0].export
    paths = [part.export.file.path for part in alike]
    raw = pl.scan_parquet(paths, row_index_name=_ROW, glob=False)
    if len(alike) == 1:
        raw = raw.slice(alike[0].first, alike[0].rows)
    if question.organisations is not None:
        source = pl.col(export.shape.sources[ORG_ID])
        raw = raw.filter(source.cast(pl.String).is_in(list(question.organisations)))
    columns = [
        _raw(column.kind, export, column.name).alias(column.name)
        for column in COLUMNS
        if column.name in export.shape.sources
    ]
    raw = raw.select(*columns, *_whence(group))
    return native(typed(nw.from_native(raw), export.shape, question.clock, question.mapping))


def _whence(group: Mapping[int, Split]) -> tuple[pl.Expr, pl.Expr]:
    """The place of each row's part, and the row's own in its file."""
    row = pl.col(_ROW).cast(pl.Int64)
    if len(group) == 1:
        return pl.lit(next(iter(group))).alias(FILE), row.alias(ROW)
    # The rows of one scan are numbered through all its files.
    counts = (part.rows for part in list(group.values())[:-1])
    firsts = pl.lit(pl.Series(list(accumulate(counts, initial=0)), dtype=pl.Int64))
    nth = firsts.search_sorted(row, side="right") - 1
    places = pl.lit(pl.Series(list(group), dtype=pl.Int64))
    return places.gather(nth).alias(FILE), (row - firsts.gather(nth)).alias(ROW)


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


def damaged(question: ScanRequest) -> Mapping[Export, ExportRefused]:
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
