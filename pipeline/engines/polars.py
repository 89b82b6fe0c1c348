"""The default engine: Polars. Also tells by a digest whether a cell's rows have changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec
import narwhals as nw
import polars as pl

from pipeline import breakdown, engines, rules
from pipeline.breakdown import MONTH, REASON, ROWS, STANDS, Cell
from pipeline.errors import ExportRefused
from pipeline.participations import (
    ACTIVITY_ID,
    AGE,
    COLUMNS,
    FILE,
    KEY,
    ORG_ID,
    PARTICIPANT_ID,
    ROW,
    STARTED_AT,
    Kind,
    Shape,
    Unit,
    typed,
)
from pipeline.periods import KINDS, Period

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pipeline.breakdown import Breakdown
    from pipeline.engines import Question
    from pipeline.footers import Export
    from pipeline.participations import Frame

FAULTS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged file ends in."""

LANES: Final = ("lane_0", "lane_1")
"""Two 64-bit sums over the hashes of a group's rows: equal for equal rows in any order."""
_SEEDS: Final = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_CONTENT: Final = (
    ACTIVITY_ID,
    PARTICIPANT_ID,
    *(name for name in AGE if name != FILE),
)
"""What a row says, apart from its organisation, which every group is of."""
_ROW: Final = "\0row"
"""A name that no column of an export has."""
_NEWEST: Final = "newest"
"""The content of the statement that stands for the row's participation, hashed."""


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
    rows = typed(nw.from_native(raw), export.shape, question.clock, question.mapping)
    return _native(rows)


def _native(frame: Frame) -> pl.LazyFrame:
    native: pl.LazyFrame = frame.to_native()
    return native


def _raw(kind: Kind, export: Export, name: str) -> pl.Expr:
    column = pl.col(export.shape.sources[name])
    if kind is not Kind.INSTANT or name not in export.shape.instants:
        return column
    ticks = export.shape.instants[name]
    unit: Literal["ns", "us"] = "ns" if ticks.unit is Unit.NANOSECONDS else "us"
    # A date becomes its midnight; a coarser unit is widened.
    return column.cast(pl.Datetime(unit, "UTC" if ticks.zoned else None)).to_physical()


@dataclass(frozen=True, slots=True)
class Content:
    """What a cell is computed from: how many rows lie in it, and a digest of what they say."""

    rows: int
    digest: str


NOTHING: Final = Content(0, "nothing")
"""The content of a cell in which no row lies."""


@dataclass(frozen=True, slots=True)
class Judged:
    """All rows of a question, each with its cell and its verdict, held in memory."""

    rows: pl.DataFrame
    read: pl.DataFrame
    """How many rows were laid to each organisation and month before any was judged."""
    question: Question

    @property
    def unplaced(self) -> Mapping[str, int]:
        """Rows that lie in no cell, by reason."""
        nowhere = nw.from_native(self.rows.lazy().filter(pl.col(MONTH).is_null()))
        counts = breakdown.ledger(nowhere).to_native().collect()
        found = dict(counts.select(REASON, ROWS).iter_rows())
        return {reason.name: found.get(reason.name, 0) for reason in rules.INCOMPLETE_REASONS}

    @property
    def ledger(self) -> Mapping[str, int]:
        """All rows, by what became of them; zeros included."""
        counts = breakdown.ledger(nw.from_native(self.rows.lazy())).to_native().collect()
        return dict.fromkeys(rules.LEDGER, 0) | dict(counts.select(REASON, ROWS).iter_rows())

    @property
    def organisations(self) -> frozenset[str]:
        """The organisations that any row names."""
        return frozenset(self.rows.get_column(ORG_ID).drop_nulls().unique().to_list())

    @property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The organisations that the rows of each export name, in the order of the exports."""
        named = self.rows.lazy().group_by(FILE).agg(pl.col(ORG_ID).drop_nulls().unique().sort())
        by_file = dict(named.collect().iter_rows())
        return [by_file.get(place, []) for place in range(len(self.question.exports))]

    def contents(self, kind: str) -> Mapping[Cell, Content]:
        """What each cell of a kind is computed from, in the order of the cells.

        The same for the same rows, whichever files hold them and in whatever order; another as
        soon as one row that lies in the cell, or supersedes one that does, is another.
        """
        period = (pl.col(MONTH) // KINDS[kind]).alias(breakdown.PERIOD)
        read = self.read.lazy().group_by(ORG_ID, period).agg(pl.col(ROWS).sum())
        sums = self.rows.lazy().group_by(ORG_ID, period).agg(pl.col(*LANES).sum())
        joined = read.join(sums, on=(ORG_ID, breakdown.PERIOD)).sort(ORG_ID, breakdown.PERIOD)
        return {
            Cell(org_id, Period(kind, ordinal)): Content(rows, f"{rows}-{low:016x}{high:016x}")
            for org_id, ordinal, rows, low, high in joined.collect().iter_rows()
        }

    def breakdowns(self, kind: str, cells: Collection[Cell] | None) -> Mapping[Cell, Breakdown]:
        """The numbers of these cells of one kind, or of all; in the order of the cells."""
        rows = self.rows.lazy()
        if cells is not None:
            wanted = pl.LazyFrame(
                {
                    ORG_ID: [cell.org_id for cell in cells],
                    "_": [cell.period.ordinal for cell in cells],
                },
                schema={ORG_ID: pl.String, "_": pl.Int32},
            )
            period = pl.col(MONTH) // KINDS[kind]
            rows = rows.join(wanted, left_on=(ORG_ID, period), right_on=(ORG_ID, "_"), how="semi")
        queries = engines.queries(nw.from_native(rows), kind)
        collected = pl.collect_all([query.to_native() for query in queries])
        groups = engines.Groups(*(frame.rows() for frame in collected))
        return engines.breakdowns(kind, groups, self.question.rules.categories)

    def left_out(self) -> Iterator[tuple[str | None, int | None, bytes]]:
        """The rows that are kept to be looked at: organisation, month, and a line of JSON.

        In the order of the files and of the rows in them; without the participant.
        """
        rows = self.rows.filter(pl.col(REASON).is_in(list(rules.QUARANTINED))).sort(FILE, ROW)
        shown = rows.select(
            REASON,
            FILE,
            ROW,
            *(
                _shown(column.kind, column.name)
                for column in COLUMNS
                if column.name != PARTICIPANT_ID
            ),
        ).with_columns(
            pl.col(FILE).replace_strict(
                {n: export.file.name for n, export in enumerate(self.question.exports)},
                return_dtype=pl.String,
            )
        )
        places = rows.select(ORG_ID, MONTH).iter_rows()
        for (org_id, month), row in zip(places, shown.iter_rows(named=True), strict=True):
            yield org_id, month, msgspec.json.encode(row) + b"\n"


def _shown(kind: Kind, name: str) -> pl.Expr:
    """A value as people read it: instants as ISO 8601, hours as text for they may be no number."""
    if kind is Kind.INSTANT:
        return pl.from_epoch(name, "us").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").alias(name)
    return pl.col(name).cast(pl.String) if kind is Kind.NUMBER else pl.col(name)


def survey(question: Question) -> Judged:
    """Read the exports once, and give every row its cell and its verdict.

    Raises:
        polars.exceptions.PolarsError, OSError: A file can't be read to its end; `damaged` tells
            which.
    """
    scans = [_scan(question, place, export) for place, export in enumerate(question.exports)]
    rows = pl.concat([_nothing(question), *scans]).collect(engine="streaming")
    rows = _place(rows, question)
    read = (
        rows.lazy()
        .filter(pl.col(MONTH).is_not_null())
        .group_by(ORG_ID, MONTH)
        .agg(pl.len().cast(pl.Int64).alias(ROWS))
        .collect()
    )
    incomplete, statements = (
        rows.filter(pl.col(REASON).is_not_null()).with_columns(
            pl.lit(None, pl.Boolean).alias(STANDS), pl.lit(None, pl.UInt64).alias(_NEWEST)
        ),
        rows.filter(pl.col(REASON).is_null()),
    )
    settled = _settle(statements)
    judged = breakdown.judge(nw.from_native(settled.lazy()), question.rules).to_native().collect()
    return Judged(
        pl.concat([judged, incomplete], how="diagonal").with_columns(*_lanes()).drop(_NEWEST),
        read,
        question,
    )


def organisations(question: Question) -> frozenset[str]:
    """The organisations with a valid id that any row of the exports names."""
    scans = [_scan(question, place, export) for place, export in enumerate(question.exports)]
    named = pl.concat([_nothing(question), *scans]).select(pl.col(ORG_ID).unique()).collect()
    valid = pl.col(ORG_ID).str.contains(rules.ORGANISATION_PATTERN)
    return frozenset(named.filter(valid).get_column(ORG_ID).to_list())


def damaged(exports: Collection[Export]) -> Mapping[Export, ExportRefused]:
    """The files that can't be read to their end, found by reading each for itself."""
    found = {}
    for export in exports:
        try:
            pl.scan_parquet(export.file.path, glob=False).select(
                pl.col(name).count() for name in export.shape.sources.values()
            ).collect(engine="streaming")
        except FAULTS as error:
            reason = str(error).splitlines()[0]
            problem = f"it can't be read to its end ({reason}); export or copy it again"
            found[export] = ExportRefused(export.file.name, problem, export.rows)
    return found


def _nothing(question: Question) -> pl.LazyFrame:
    """No rows, in the columns that all have; so that no exports at all is no special case."""
    raw = pl.LazyFrame(schema={FILE: pl.Int32, ROW: pl.Int64})
    return _native(typed(nw.from_native(raw), Shape({}, {}), question.clock, {}))


def _place(rows: pl.DataFrame, question: Question) -> pl.DataFrame:
    everything = question.calendar
    low, high = rows.select(
        pl.col(STARTED_AT).min().fill_null(0).alias("low"),
        pl.col(STARTED_AT).max().fill_null(0).alias("high"),
    ).row(0)
    calendar = everything.around(low, high)
    return _native(breakdown.place(nw.from_native(rows.lazy()), calendar, everything)).collect()


def _settle(statements: pl.DataFrame) -> pl.DataFrame:
    """Only keys that occur more than once need an order: one statement in a hundred."""
    statements = statements.with_columns(_content_hash().alias(_NEWEST))
    contested = statements.select(pl.struct(KEY).is_duplicated()).to_series()
    alone = statements.filter(~contested).with_columns(pl.lit(value=True).alias(STANDS))
    several = nw.from_native(statements.filter(contested).lazy())
    # The superseder's content belongs to a cell that it does not lie in but takes a row from.
    newest = nw.col(_NEWEST).last().over(*KEY, order_by=AGE)
    settled = breakdown.settle(several).with_columns(newest)
    return pl.concat([alone, _native(settled).collect()])


def _content_hash() -> pl.Expr:
    """One number for all that a row says; the sum of independent hashes of its columns."""
    hashes = (pl.col(name).hash(_SEEDS[0] + n) for n, name in enumerate(_CONTENT))
    return pl.sum_horizontal(*hashes)


def _lanes() -> list[pl.Expr]:
    content = _content_hash() + pl.col(STANDS).hash(1) + pl.col(_NEWEST).hash(2)
    return [content.hash(seed).alias(lane) for lane, seed in zip(LANES, _SEEDS, strict=True)]


def hashing() -> str:
    """Another text as soon as Polars hashes otherwise; digests compare only under the same one."""
    probe: dict[str, Any] = {"text": ["bufdir"], "number": [1], "real": [0.5], "flag": [True]}
    hashes = pl.DataFrame(probe).select(pl.all().hash(_SEEDS[0])).row(0)
    return "-".join(f"{value:016x}" for value in hashes)
