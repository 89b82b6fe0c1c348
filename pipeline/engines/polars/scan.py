"""Exports as lazy Polars frames in our columns, and those that can't be read to their end.

Owns how exports are cut into batches. Many small files make one batch, a large file makes
several. The cost of a batch therefore depends neither on the number of files nor on their size.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from itertools import accumulate, islice, pairwise
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl
import polars.selectors as cs
import pyarrow as pa
from polars.io.plugins import register_io_source

from pipeline.definitions.participations import typed
from pipeline.definitions.steps import ROWS
from pipeline.engines import participants, refusal
from pipeline.model.columns import FILE, NANOSECONDS_OF, ORG_ID, PARTICIPANT_ID, ROW, ColumnMapping
from pipeline.sources import batches, pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.definitions.dialect import Frame
    from pipeline.engines import ScanRequest
    from pipeline.errors import ExportRefused
    from pipeline.sources.accepted import Export

READ_ERRORS: Final = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    pa.ArrowException,
    OSError,
)
"""The errors that reading a damaged file raises."""

BATCH_ROWS: Final = 1_000_000
"""The rows in memory at a time, for each thread."""

# A zone may be an offset, such as +01:00, which Polars does not know; only ticks are read here.
os.environ.setdefault("POLARS_IGNORE_TIMEZONE_PARSE_ERROR", "1")

_ROW: Final = "\0row"
"""A name that no column of an export has."""
_COUNT: Final = pl.col(ORG_ID).is_null().count().cast(pl.Int64).alias(ROWS)
"""Counts rows by reading a column of them; the footer may have another number."""
_CASTS: Final = pl.ScanCastOptions(categorical_to_string="allow", datetime_cast="convert-timezone")
"""Dictionaries are read as texts. Zones do not matter, because ticks are read."""


@dataclass(frozen=True, slots=True)
class Split:
    """Consecutive rows of an export, or all of them."""

    export: Export
    first: int
    rows: int


def whole(exports: Iterable[Export]) -> list[Split]:
    """Make one split of each export."""
    return [Split(export, 0, export.rows) for export in exports]


def cut(parts: Iterable[Split]) -> list[tuple[Split, ...]]:
    """Cut these splits, in their order, into batches of about `BATCH_ROWS` rows; at least one."""
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
    """Cut a split into pieces of equal size, none larger than a batch."""
    count = max(1, -(-part.rows // BATCH_ROWS))
    bounds = [part.rows * n // count for n in range(count + 1)]
    return [Split(part.export, part.first + begin, end - begin) for begin, end in pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class Scan:
    """The typed rows of some splits, not read yet; `FILE` is the split's position."""

    rows: pl.LazyFrame
    """One row per row of the organisations that are asked for, or of all."""
    counts: pl.LazyFrame | None
    """`ROWS` by `FILE` of all organisations; None where `rows` has all."""
    drawn: pl.LazyFrame | None = None
    """The rows of all organisations from which participants are sampled; None as `counts`."""

    def collect(self) -> tuple[pl.DataFrame, pl.DataFrame | None, pl.DataFrame | None]:
        """Read the rows, count them, and draw the sample."""
        if self.counts is None or self.drawn is None:
            return self.rows.collect(engine="streaming"), None, None
        found = pl.collect_all([self.rows, self.counts, self.drawn], engine="streaming")
        rows, counts, drawn = found
        return rows, counts, drawn

    def in_memory(self) -> Scan:
        """Read the rows now."""
        rows, counts, drawn = self.collect()
        return Scan(
            rows.lazy(),
            None if counts is None else counts.lazy(),
            None if drawn is None else drawn.lazy(),
        )


def scan(parts: Sequence[Split], request: ScanRequest) -> Scan:
    """Plan the scan of these splits; reads no rows yet.

    Verifies the checksums of pages in files that have any.

    Raises:
        OSError: A file is gone, or a page differs from its checksum.
    """
    for part in parts:
        pages.verify(part.export, part.first, part.rows)
    grouped = _each(parts) if request.one_by_one else _alike(parts)
    empty, groups = _nothing(request), [(group, _raw(group)) for group in grouped]
    wanted = request.organisations
    if wanted is None:
        return Scan(pl.concat([empty, *(_scan(*one, request) for one in groups)]), None)
    of_wanted = pl.col(ORG_ID).cast(pl.String).is_in(list(wanted))
    rows = [_scan(group, raw.filter(of_wanted), request) for group, raw in groups]
    counts = [raw.group_by(FILE).agg(_COUNT) for _, raw in groups]
    no_counts = empty.group_by(FILE).agg(_COUNT)
    people = [_scan(group, raw, request).select(FILE, PARTICIPANT_ID) for group, raw in groups]
    everyone = pl.concat([empty.select(FILE, PARTICIPANT_ID), *people])
    drawn = participants.drawn(everyone, [part.export for part in parts])
    return Scan(pl.concat([empty, *rows]), pl.concat([no_counts, *counts]), drawn)


def _alike(parts: Sequence[Split]) -> list[dict[int, Split]]:
    """Group the splits, by position, that one scan can read.

    Polars takes minutes to plan a query over thousands of scans, and no time over one scan of as
    many files. Large files, and splits of them, are read alone.
    """
    groups: dict[object, dict[int, Split]] = {}
    for place, part in enumerate(parts):
        is_small = part.rows == part.export.rows < BATCH_ROWS and part.export.is_native
        alike = (part.export.read_as, part.export.parquet.key)
        groups.setdefault(alike if is_small else place, {})[place] = part
    return list(groups.values())


def _each(parts: Sequence[Split]) -> list[dict[int, Split]]:
    """Make a scan of each split."""
    return [{place: part} for place, part in enumerate(parts)]


def _nothing(request: ScanRequest) -> pl.LazyFrame:
    """Make a typed frame without rows, so that a folder without exports is no special case."""
    raw = pl.LazyFrame(schema={FILE: pl.Int32, ROW: pl.Int64})
    return _typed(raw, ColumnMapping({}, {}), request)


def _raw(group: Mapping[int, Split]) -> pl.LazyFrame:
    """Scan the raw rows of splits that are stored alike."""
    place, part = next(iter(group.items()))
    raw = _files(group) if part.export.is_native else _through_arrow(place, part)
    return raw.with_columns(pl.col(FILE).cast(pl.Int32))


def _scan(group: Mapping[int, Split], raw: pl.LazyFrame, request: ScanRequest) -> pl.LazyFrame:
    part = next(iter(group.values()))
    return _typed(raw, part.export.mapping, request)


def _typed(raw: pl.LazyFrame, mapping: ColumnMapping, request: ScanRequest) -> pl.LazyFrame:
    return native(typed(nw.from_native(raw), mapping, request.clock, request.terms.columns))


def _files(group: Mapping[int, Split]) -> pl.LazyFrame:
    """Scan the raw rows of files that Polars reads itself.

    Uses the types that `footer` decided, never those that Polars infers. Ignores the statistics
    of row groups, because wrong ones would leave out rows.
    """
    alike = list(group.values())
    export = alike[0].export
    theirs = export.mapping.sources
    raw = pl.scan_parquet(
        [part.export.parquet.location for part in alike],
        schema=pl.Schema(pa.schema((theirs[ours], kind) for ours, kind in export.types.items())),
        extra_columns="ignore",
        cast_options=_CASTS,
        row_index_name=_ROW,
        glob=False,
        hive_partitioning=False,
        use_statistics=False,
        decryption=_decryption(export),
    )
    if alike[0].rows < export.rows:
        raw = raw.slice(alike[0].first, alike[0].rows)
    columns = [_column(theirs[ours]).alias(ours) for ours in export.types]
    ticks = [pl.col(ours).to_physical() for ours in export.mapping.instants]
    return raw.select(*columns, *_whence(group)).with_columns(ticks)


def _decryption(export: Export) -> pl.ParquetDecryptionProperties | None:
    key = export.parquet.key
    return None if key is None else pl.ParquetDecryptionProperties(footer_key=key)


def _column(name: str) -> pl.Expr:
    """Select the column of exactly this name; `pl.col` may read a name as a pattern."""
    return cs.by_name(name).as_expr()


def _whence(group: Mapping[int, Split]) -> tuple[pl.Expr, pl.Expr]:
    """Compute the position of each row's split, and of the row in its file."""
    row = pl.col(_ROW).cast(pl.Int64)
    if len(group) == 1:
        return pl.lit(next(iter(group))).alias(FILE), row.alias(ROW)
    # Polars numbers the rows of a scan through all its files.
    counts = (part.rows for part in list(group.values())[:-1])
    firsts = pl.lit(pl.Series(list(accumulate(counts, initial=0)), dtype=pl.Int64))
    nth = firsts.search_sorted(row, side="right") - 1
    places = pl.lit(pl.Series(list(group), dtype=pl.Int64))
    return places.gather(nth).alias(FILE), (row - firsts.gather(nth)).alias(ROW)


def _through_arrow(place: int, part: Split) -> pl.LazyFrame:
    """Scan the raw rows of a file that Polars does not read itself."""
    schema = {**pl.Schema(batches.schema(part.export)), FILE: pl.Int64(), ROW: pl.Int64()}

    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        row = part.first
        wanted = part.rows if rows is None else min(rows, part.rows)
        for batch in batches.read(_projected(part.export, columns, predicate), row, wanted):
            frame = pl.DataFrame(batch).with_columns(
                pl.lit(place, pl.Int64).alias(FILE),
                pl.int_range(row, row + batch.num_rows).alias(ROW),
            )
            row += batch.num_rows
            found = frame if predicate is None else frame.filter(predicate)
            yield found if columns is None else found.select(columns)

    return register_io_source(frames, schema=pl.Schema(schema))


def _projected(export: Export, columns: list[str] | None, predicate: pl.Expr | None) -> Export:
    """Leave out the columns that a query does not read; at least one stays, to count rows."""
    if columns is None:
        return export
    needed = {*columns, *(predicate.meta.root_names() if predicate is not None else ())}
    types = {
        ours: kind
        for ours, kind in export.types.items()
        if needed.intersection((ours, NANOSECONDS_OF.get(ours)))
    }
    return replace(export, types=types or dict(islice(export.types.items(), 1)))


def native(frame: Frame) -> pl.LazyFrame:
    """Unwrap the Polars frame that a definition was applied to."""
    unwrapped: pl.LazyFrame = frame.to_native()
    return unwrapped


def unreadable(request: ScanRequest) -> Mapping[Export, ExportRefused]:
    """Find the files that can't be read to their end, by reading each alone."""
    found = {}
    everything = replace(request, organisations=None)
    for part in whole(request.exports):
        try:
            rows = scan([part], everything).rows
            rows.select(pl.all().count()).collect(engine="streaming")
        except READ_ERRORS as error:
            found[part.export] = refusal(part.export, error)
    return found
