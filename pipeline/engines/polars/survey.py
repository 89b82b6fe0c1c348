"""The default engine: Polars, in two passes over the files, a few batches in memory at a time.

Participations that have one statement only, nearly all, are judged and counted batch by batch.
Those that have several are found by their hashed keys in a first pass, kept apart, settled
together, and counted with the others.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline import engines
from pipeline.definitions import steps
from pipeline.definitions.steps import MONTH, PERIOD, REASON, ROWS
from pipeline.engines.polars import batches as reading
from pipeline.engines.polars import distinct as ids
from pipeline.engines.polars import hashing
from pipeline.engines.polars import partials as excerpts
from pipeline.engines.polars import rejected as quarantine
from pipeline.engines.polars import scan as files
from pipeline.engines.polars.cache import CacheCorrupt, Found, Shelf
from pipeline.engines.polars.hashing import CONTENT
from pipeline.model.cells import Cell
from pipeline.model.columns import CATEGORY, FILE, KEY, LATEST_BY, ORG_ID
from pipeline.model.ledger import COUNTED, INCOMPLETE_REASONS, LEDGER, ORGANISATION_PATTERN, PLACES
from pipeline.model.metrics import METRICS
from pipeline.model.periods import KINDS, Period

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.engines import ScanRequest
    from pipeline.engines.polars.distinct import Ids
    from pipeline.engines.polars.partials import Excerpt
    from pipeline.model.cells import Breakdown

FAULTS: Final = files.FAULTS
damaged = files.damaged
hashing_edition = hashing.edition

_NEWEST: Final = "newest"
"""The content of the statement that stands for the row's participation."""
_PLACE: Final = pl.col(REASON).fill_null(PLACES[COUNTED])


@dataclass(frozen=True, slots=True)
class Content:
    """What a cell is computed from: how many rows lie in it, and a digest of what they say."""

    rows: int
    digest: str


NOTHING: Final = Content(0, "nothing")
"""The content of a cell in which no row lies."""


@dataclass(frozen=True)
class Judged:
    """All rows of a question, each with its cell and its verdict; most of them only as counts."""

    question: ScanRequest
    excerpts: Sequence[Excerpt]
    settled: pl.DataFrame
    """The statements of contested participations, judged; `FILE` is a place among the exports."""
    shelf: Shelf | None
    """Where the excerpts were laid."""

    def keep(self) -> None:
        """Let the next survey find what this one has read: no export has changed meanwhile."""
        if self.shelf is not None:
            self.shelf.keep(self.excerpts)

    @property
    def said(self) -> Mapping[str, str]:
        """What each export says, in short: the same for the same rows in any order."""
        return excerpts.said_by_name(self.excerpts)

    @cached_property
    def _placed(self) -> pl.DataFrame:
        """How many rows were laid to each organisation and month before any was judged."""
        laid = pl.concat(excerpt.placed for excerpt in self.excerpts)
        return laid.group_by(ORG_ID, MONTH).agg(pl.col(ROWS).sum())

    @cached_property
    def _settled_organisations(self) -> pl.Series:
        return self.settled.get_column(ORG_ID).unique().sort()

    @cached_property
    def _numbered(self) -> pl.DataFrame:
        settled = self.settled.lazy()
        return excerpts.numbered(settled, self._settled_organisations, self.question).collect()

    @cached_property
    def _sums(self) -> pl.DataFrame:
        """What all rows add up to, per organisation, month, reason and category."""
        organisations = self._settled_organisations
        settled = excerpts.sums(self._numbered, organisations, self.question, _NEWEST)
        return pl.concat([*(excerpt.sums for excerpt in self.excerpts), settled])

    @cached_property
    def _ids(self) -> Sequence[Ids]:
        """Of all rows that count."""
        organisations = self._settled_organisations
        settled = excerpts.counted_ids(self._numbered.lazy(), organisations, self.question)
        return [*(excerpt.ids for excerpt in self.excerpts), settled]

    @property
    def unplaced(self) -> Mapping[str, int]:
        """Rows that lie in no cell, by reason."""
        nowhere = self._by_reason(self._sums.filter(pl.col(MONTH).is_null()))
        return {reason.name: nowhere.get(reason.name, 0) for reason in INCOMPLETE_REASONS}

    @property
    def ledger(self) -> Mapping[str, int]:
        """All rows, by what became of them; zeros included."""
        return dict.fromkeys(LEDGER, 0) | self._by_reason(self._sums)

    @staticmethod
    def _by_reason(sums: pl.DataFrame) -> dict[str, int]:
        counts = sums.group_by(_PLACE).agg(pl.col(ROWS).sum())
        return {LEDGER[place]: rows for place, rows in counts.iter_rows()}

    @cached_property
    def organisations(self) -> frozenset[str]:
        """The organisations that any row names."""
        return frozenset(chain.from_iterable(self.organisations_by_file))

    @cached_property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The organisations that the rows of each export name, in the order of the exports."""
        named: dict[str, set[str]] = {export.file.name: set() for export in self.question.exports}
        for excerpt in self.excerpts:
            for part, organisations in zip(excerpt.parts, excerpt.named, strict=True):
                named[part.export.file.name].update(organisations)
        return [sorted(organisations) for organisations in named.values()]

    def contents(self, kind: str) -> Mapping[Cell, Content]:
        """What each cell of a kind is computed from, in the order of the cells.

        The same for the same rows, whichever files hold them and in whatever order; another as
        soon as one row that lies in the cell, or supersedes one that does, is another.
        """
        cell = (ORG_ID, _period(kind))
        read = self._placed.lazy().group_by(cell).agg(pl.col(ROWS).sum())
        sums = self._sums.lazy().group_by(cell).agg(pl.col(*hashing.LANES).sum())
        joined = read.join(sums, on=(ORG_ID, PERIOD)).sort(ORG_ID, PERIOD)
        return {
            Cell(org_id, Period(kind, ordinal)): Content(rows, f"{rows}-{low:016x}{high:016x}")
            for org_id, ordinal, rows, low, high in joined.collect().iter_rows()
        }

    def breakdowns(self, kind: str, cells: Collection[Cell] | None) -> Mapping[Cell, Breakdown]:
        """The numbers of these cells of one kind, or of all; in the order of the cells."""
        found: dict[Cell, Breakdown] = {}
        for of_period in self.period_by_period(kind, cells):
            found |= of_period
        return {cell: found[cell] for cell in sorted(found)}

    def period_by_period(
        self, kind: str, cells: Collection[Cell] | None
    ) -> Iterator[Mapping[Cell, Breakdown]]:
        """The same, a period at a time: the next are counted while the caller is at work."""
        laid = self._sums.filter(pl.col(MONTH).is_not_null())
        ledger = laid.group_by(ORG_ID, _period(kind), _PLACE).agg(pl.col(ROWS).sum())
        if cells is not None:
            ledger = ledger.join(_frame(cells), on=(ORG_ID, PERIOD), how="semi")
        waiting = ledger.sort(PERIOD).partition_by(PERIOD)
        of_period = partial(self._of_period, kind, self._ids)
        try:
            with ThreadPoolExecutor(reading.AT_ONCE) as pool:
                for found in pool.map(of_period, tuple(waiting)):
                    del waiting[0]
                    yield found
        except CacheCorrupt:
            # Somebody has taken excerpts away since they were found.
            others = set(chain.from_iterable(_cells(kind, ledger) for ledger in waiting))
            yield from self._anew.period_by_period(kind, others)

    @cached_property
    def _anew(self) -> Judged:
        """All read once more, and kept in memory."""
        return survey(self.question)

    def _of_period(
        self, kind: str, counted: Sequence[Ids], ledger: pl.DataFrame
    ) -> Mapping[Cell, Breakdown]:
        """The numbers of the cells of one period, which have this ledger.

        Raises:
            CacheCorrupt: Ids are gone or damaged.
        """
        organisations = ledger.get_column(ORG_ID).unique().sort().to_list()
        period = Period(kind, ledger.item(0, PERIOD))
        totals, shares = self._count(counted, period, organisations)
        numbers = [metric.name for metric in METRICS]
        groups = engines.Groups(
            totals.select(ORG_ID, PERIOD, *numbers).rows(),
            shares.select(ORG_ID, PERIOD, CATEGORY, *numbers).rows(),
            ledger.rows(),
        )
        return engines.breakdowns(kind, groups, self.question.rules.categories)

    def _count(
        self, counted: Sequence[Ids], period: Period, organisations: Sequence[str]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The metrics of one period: per organisation, and per organisation and category."""
        months = period.months
        here = self._sums.lazy().filter(
            pl.col(MONTH).is_between(months[0], months[-1]),
            pl.col(ORG_ID).is_in(organisations),
            pl.col(REASON).is_null(),
        )
        added = pl.col(*(metric.name for metric in excerpts.ADDED)).sum()
        totals, shares = pl.collect_all(
            [here.group_by(ORG_ID).agg(added), here.group_by(ORG_ID, CATEGORY).agg(added)]
        )
        categories = self.question.rules.categories
        for total, share in ids.count(counted, months, organisations, categories):
            totals = totals.join(total, on=ORG_ID)
            shares = shares.join(share, on=(ORG_ID, CATEGORY))
        place = pl.lit(period.ordinal, pl.Int32).alias(PERIOD)
        return totals.with_columns(place), shares.with_columns(place)

    def left_out(self, cells: Iterable[Cell]) -> Mapping[tuple[str, int] | None, bytes]:
        """The rows in these cells that are kept to be looked at, and those of no cell.

        By organisation and month, under None what lies in no cell; a line of JSON for each row,
        in the order of the files and of the rows in them.
        """
        everything = pl.concat(
            [
                *(_filed(self.question, excerpt, excerpt.left_out) for excerpt in self.excerpts),
                quarantine.kept(self.settled.lazy()).collect(),
            ]
        )
        names = [export.file.name for export in self.question.exports]
        return quarantine.lines(everything, names, cells)


def _period(kind: str) -> pl.Expr:
    return (pl.col(MONTH) // KINDS[kind]).alias(PERIOD)


def _cells(kind: str, ledger: pl.DataFrame) -> set[Cell]:
    """The cells that a ledger is of."""
    places = ledger.select(ORG_ID, PERIOD).iter_rows()
    return {Cell(org_id, Period(kind, ordinal)) for org_id, ordinal in places}


def _frame(cells: Collection[Cell]) -> pl.DataFrame:
    return pl.DataFrame(
        [(cell.org_id, cell.period.ordinal) for cell in cells],
        schema={ORG_ID: pl.String, PERIOD: pl.Int32},
        orient="row",
    )


def survey(
    question: ScanRequest, data: Path | None = None, *, reuse: bool = False, lay: bool = False
) -> Judged:
    """Read the exports, and give every row its cell and its verdict.

    Args:
        question: Which exports, and by which rules.
        data: The data folder, in which an earlier reading may lie.
        reuse: Not to read again what an earlier reading has read; where what it laid down is
            damaged, all is read.
        lay: To lay this reading there for the next, which finds it as soon as `Judged.keep` is
            called.

    Raises:
        polars.exceptions.PolarsError, OSError: A file can't be read to its end; `damaged` tells
            which.
    """
    shelf = None if data is None else Shelf(data, question)
    target = shelf if lay else None
    try:
        found = Found() if shelf is None or not reuse else shelf.find(question.exports)
        read = reading.read(question, found, target)
    except CacheCorrupt:
        read = reading.read(question, Found(), target)
    return Judged(question, read, _settle(question, read), target)


def say_the_same(question: ScanRequest, known: Mapping[str, str]) -> bool:
    """Whether each of these exports says what is known of it, as `Judged.said` has it.

    Raises:
        polars.exceptions.PolarsError, OSError: A file can't be read to its end.
    """
    return all(
        excerpts.said(export, excerpts.digest(files.scan(files.whole([export]), question)))
        == known.get(export.file.name)
        for export in question.exports
    )


def _settle(question: ScanRequest, found: Sequence[Excerpt]) -> pl.DataFrame:
    """The statements of all contested participations, judged.

    Each has, besides, the content of the statement that stands for its participation.
    """
    contested = pl.concat(_filed(question, excerpt, excerpt.contested) for excerpt in found)
    newest = nw.col(CONTENT).last().over(*KEY, order_by=LATEST_BY).alias(_NEWEST)
    undecided = nw.lit(None).cast(nw.Int8()).alias(REASON)
    rows = nw.from_native(contested.lazy()).with_columns(newest, undecided)
    judged = steps.validate(steps.mark_latest(rows), question.rules)
    return files.native(judged).collect()


def _filed(question: ScanRequest, excerpt: Excerpt, rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows; `FILE` is a place among the exports."""
    exports = {export.file.name: place for place, export in enumerate(question.exports)}
    places = pl.Series([exports[part.export.file.name] for part in excerpt.parts], dtype=pl.Int32)
    return rows.with_columns(pl.lit(places).gather(pl.col(FILE)).alias(FILE))


def organisations(question: ScanRequest) -> frozenset[str]:
    """The organisations with a valid id that any row of the exports names."""
    rows = files.scan(files.whole(question.exports), question)
    named = rows.select(pl.col(ORG_ID).unique()).collect(engine="streaming")
    valid = pl.col(ORG_ID).str.contains(ORGANISATION_PATTERN)
    return frozenset(named.filter(valid).get_column(ORG_ID).to_list())
