"""The default engine: Polars, in a few passes over the files with memory that stays flat.

Rows of participations that have one statement only, nearly all, go straight from the file into the
counts. Those that have several are found by hashed keys in a first pass, settled in memory, and
counted with the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
import narwhals as nw
import polars as pl

from pipeline import breakdown, engines, rules
from pipeline.breakdown import MONTH, REASON, ROWS, STANDS, Cell
from pipeline.engines import polars_files as files
from pipeline.engines import polars_hashing as hashing
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
)
from pipeline.periods import KINDS, Period

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from pipeline.breakdown import Breakdown
    from pipeline.engines import Question

FAULTS: Final = files.FAULTS
damaged = files.damaged

_KEY: Final = "key"
_YEAR_1_US: Final = -62_135_596_800_000_000
_YEAR_9999_US: Final = 253_402_300_799_999_999
"""The first and the last microsecond that ISO 8601 writes with four digits of a year."""
_NEWEST: Final = "newest"
"""The content of the statement that stands for the row's participation, hashed."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a cell is computed from: how many rows lie in it, and a digest of what they say."""

    rows: int
    digest: str


NOTHING: Final = Content(0, "nothing")
"""The content of a cell in which no row lies."""


@dataclass(frozen=True, slots=True)
class Judged:
    """All rows of a question, each with its cell and its verdict; most of them still on disk."""

    question: Question
    rows: pl.LazyFrame
    read: pl.DataFrame
    """How many rows were laid to each organisation and month before any was judged."""
    summary: pl.DataFrame
    """How many rows of each file, organisation, month and reason there are, and their lanes."""

    @property
    def unplaced(self) -> Mapping[str, int]:
        """Rows that lie in no cell, by reason."""
        nowhere = self._by_reason(self.summary.filter(pl.col(MONTH).is_null()))
        return {reason.name: nowhere.get(reason.name, 0) for reason in rules.INCOMPLETE_REASONS}

    @property
    def ledger(self) -> Mapping[str, int]:
        """All rows, by what became of them; zeros included."""
        return dict.fromkeys(rules.LEDGER, 0) | self._by_reason(self.summary)

    @staticmethod
    def _by_reason(summary: pl.DataFrame) -> dict[str, int]:
        place = pl.col(REASON).fill_null(rules.PLACES[rules.COUNTED])
        counts = summary.group_by(place).agg(pl.col(ROWS).sum())
        return {rules.LEDGER[place]: rows for place, rows in counts.iter_rows()}

    @property
    def organisations(self) -> frozenset[str]:
        """The organisations that any row names."""
        return frozenset(self.summary.get_column(ORG_ID).drop_nulls().unique().to_list())

    @property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The organisations that the rows of each export name, in the order of the exports."""
        named = self.summary.group_by(FILE).agg(pl.col(ORG_ID).drop_nulls().unique().sort())
        by_file = dict(named.iter_rows())
        return [by_file.get(place, []) for place in range(len(self.question.exports))]

    def contents(self, kind: str) -> Mapping[Cell, Content]:
        """What each cell of a kind is computed from, in the order of the cells.

        The same for the same rows, whichever files hold them and in whatever order; another as
        soon as one row that lies in the cell, or supersedes one that does, is another.
        """
        cell = (ORG_ID, (pl.col(MONTH) // KINDS[kind]).alias(breakdown.PERIOD))
        read = self.read.lazy().group_by(cell).agg(pl.col(ROWS).sum())
        sums = self.summary.lazy().group_by(cell).agg(pl.col(*hashing.LANES).sum())
        joined = read.join(sums, on=(ORG_ID, breakdown.PERIOD)).sort(ORG_ID, breakdown.PERIOD)
        return {
            Cell(org_id, Period(kind, ordinal)): Content(rows, f"{rows}-{low:016x}{high:016x}")
            for org_id, ordinal, rows, low, high in joined.collect().iter_rows()
        }

    def breakdowns(self, kind: str, cells: Collection[Cell] | None) -> Mapping[Cell, Breakdown]:
        """The numbers of these cells of one kind, or of all; in the order of the cells."""
        rows = self.rows if cells is None else self.rows.filter(_lies_in(kind, cells))
        rows = rows.with_columns(hashing.wide(PARTICIPANT_ID), hashing.wide(ACTIVITY_ID))
        queries = engines.queries(nw.from_native(rows), kind)
        collected = pl.collect_all(map(files.native, queries), engine="streaming")
        groups = engines.Groups(*(frame.rows() for frame in collected))
        found = engines.breakdowns(kind, groups, self.question.rules.categories)
        return found if cells is None else {cell: found[cell] for cell in found if cell in cells}

    def left_out(self) -> Iterator[tuple[str | None, int | None, bytes]]:
        """The rows that are kept to be looked at: organisation, month, and a line of JSON.

        In the order of the files and of the rows in them; without the participant.
        """
        kept = pl.col(REASON).is_in([rules.PLACES[line] for line in rules.QUARANTINED])
        names = {n: export.file.name for n, export in enumerate(self.question.exports)}
        rows = self.rows.filter(kept).sort(FILE, ROW).collect(engine="streaming")
        shown = rows.select(
            pl.col(REASON).replace_strict(dict(enumerate(rules.LEDGER)), return_dtype=pl.String),
            pl.col(FILE).replace_strict(names, return_dtype=pl.String),
            ROW,
            *(
                _shown(column.kind, column.name)
                for column in COLUMNS
                if column.name != PARTICIPANT_ID
            ),
        )
        places = rows.select(ORG_ID, MONTH).iter_rows()
        for (org_id, month), row in zip(places, shown.iter_rows(named=True), strict=True):
            yield org_id, month, msgspec.json.encode(row) + b"\n"


def _lies_in(kind: str, cells: Collection[Cell]) -> pl.Expr:
    """Rows of the cells' organisations in the months from their first period to their last."""
    ordinals = [cell.period.ordinal for cell in cells] or [0]
    first, after = min(ordinals) * KINDS[kind], (max(ordinals) + 1) * KINDS[kind]
    organisations = sorted({cell.org_id for cell in cells})
    return pl.col(ORG_ID).is_in(organisations) & pl.col(MONTH).is_between(first, after - 1)


def _shown(kind: Kind, name: str) -> pl.Expr:
    """A value as people read it: instants as ISO 8601, hours as text for they may be no number.

    What no calendar has is shown as it was stored, in microseconds since 1970.
    """
    if kind is Kind.INSTANT:
        first, last = pl.lit(_YEAR_1_US), pl.lit(_YEAR_9999_US)
        known = pl.from_epoch(pl.col(name).clip(first, last), "us")
        return (
            pl.when(pl.col(name).is_between(first, last))
            .then(known.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
            .otherwise(pl.col(name).cast(pl.String))
            .alias(name)
        )
    return pl.col(name).cast(pl.String) if kind is Kind.NUMBER else pl.col(name)


def survey(question: Question) -> Judged:
    """Read the exports, and give every row its cell and its verdict.

    Raises:
        polars.exceptions.PolarsError, OSError: A file can't be read to its end; `damaged` tells
            which.
    """
    placed = _place(files.scan(question), question).with_columns(
        hashing.key().alias(_KEY), hashing.content().alias(_NEWEST)
    )
    is_statement = pl.col(REASON).is_null()
    keys, read = pl.collect_all(
        [
            placed.filter(is_statement).select(_KEY).sort(_KEY),
            placed.filter(pl.col(MONTH).is_not_null())
            .group_by(ORG_ID, MONTH)
            .agg(pl.len().cast(pl.Int64).alias(ROWS)),
        ],
        engine="streaming",
    )
    several = keys.filter(pl.col(_KEY) == pl.col(_KEY).shift(1)).get_column(_KEY).unique()
    is_contested = is_statement & pl.col(_KEY).is_in(several.implode())
    contested = placed.filter(is_contested).collect(engine="streaming")
    alone = placed.filter(~is_contested).with_columns(pl.lit(value=True).alias(STANDS))
    rows = _judge(pl.concat([alone, _settle(contested).lazy()]), question)
    summary = (
        rows.with_columns(hashing.lanes(hashing.content(), pl.col(_NEWEST)))
        .group_by(FILE, ORG_ID, MONTH, REASON)
        .agg(pl.len().cast(pl.Int64).alias(ROWS), pl.col(*hashing.LANES).sum())
        .collect(engine="streaming")
    )
    return Judged(question, rows, read, summary)


def _place(rows: pl.LazyFrame, question: Question) -> pl.LazyFrame:
    everything = question.calendar
    started = pl.col(STARTED_AT)
    ends = rows.select(
        started.min().fill_null(0).alias("low"), started.max().fill_null(0).alias("high")
    )
    calendar = everything.around(*ends.collect(engine="streaming").row(0))
    return files.native(breakdown.place(nw.from_native(rows), calendar, everything))


def _settle(contested: pl.DataFrame) -> pl.DataFrame:
    """The same rows, each with whether it stands, and with the content of the one that does.

    The superseder's content belongs to a cell that it does not lie in but takes a row from.
    """
    newest = nw.col(_NEWEST).last().over(*KEY, order_by=AGE)
    rows = nw.from_native(contested.lazy()).with_columns(newest)
    return files.native(breakdown.settle(rows)).collect()


def _judge(rows: pl.LazyFrame, question: Question) -> pl.LazyFrame:
    return files.native(breakdown.judge(nw.from_native(rows), question.rules))


def organisations(question: Question) -> frozenset[str]:
    """The organisations with a valid id that any row of the exports names."""
    named = files.scan(question).select(pl.col(ORG_ID).unique()).collect(engine="streaming")
    valid = pl.col(ORG_ID).str.contains(rules.ORGANISATION_PATTERN)
    return frozenset(named.filter(valid).get_column(ORG_ID).to_list())


hashing_edition = hashing.edition
