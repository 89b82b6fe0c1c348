"""The survey of Polars: the batches of all exports combined.

Participations with one statement, nearly all, come from the batches' sums and ids, the others from
the `comparison` of their statements.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl

from pipeline.definitions.steps import MONTH, PERIOD, REASON, ROWS
from pipeline.engines import grouping, look_alikes, participants, quarantine, row_hash
from pipeline.engines.polars import batches, distinct, hashing, scan
from pipeline.engines.polars.batch_files import CacheCorrupt
from pipeline.engines.polars.cache import Cached
from pipeline.engines.polars.comparison import Compared, compare, numbered_files
from pipeline.engines.polars.scratch import Scratch
from pipeline.engines.polars.sums import ADDITIVE_NAMES
from pipeline.engines.row_hash import CHECKSUM, MODULUS
from pipeline.model import ledger
from pipeline.model.breakdowns import BY_CATEGORY, VALUE
from pipeline.model.cells import Cell, CellContent
from pipeline.model.columns import ORG_ID, PARTICIPANT_ID
from pipeline.model.ledger import COUNTED, INCOMPLETE_REASONS, LEDGER, LINE_NUMBERS
from pipeline.model.metrics import Aggregation, metrics_by
from pipeline.model.periods import KINDS, Period

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pipeline.engines import RejectedRows, ScanRequest
    from pipeline.engines.participants import Participants
    from pipeline.engines.polars.cache import Cache
    from pipeline.engines.polars.distinct import DistinctIds
    from pipeline.engines.polars.partials import Partial
    from pipeline.model.cells import CellNumbers
    from pipeline.sources.accepted import Export

_LINE: Final = pl.col(REASON).fill_null(LINE_NUMBERS[COUNTED])
_DISTINCT_NAMES: Final = tuple(metric.name for metric in metrics_by(Aggregation.COUNT_DISTINCT))


def survey(request: ScanRequest, cache: Cache | None) -> PolarsSurvey:
    """Read the exports, as far as the cache has not what is needed."""
    scratch = Scratch(None if cache is None else cache.disk)
    if cache is not None:
        for find in (cache.find, _nothing):
            try:
                return _read(request, find(request.exports), cache, scratch)
            except CacheCorrupt as error:  # what a nightly run may skip is read instead
                cache.report(error)
        cache.discard()
    return _read(request, Cached(), None, scratch)


def _nothing(_: Iterable[Export]) -> Cached:
    return Cached()


def _read(
    request: ScanRequest, cached: Cached, cache: Cache | None, scratch: Scratch
) -> PolarsSurvey:
    """Read what is not cached; a few batches stay in memory where they can't be cached."""
    is_large = sum(export.rows for export in request.exports) > batches.AT_ONCE * scan.BATCH_ROWS

    def put(found: Partial) -> Partial:
        in_cache = None if cache is None else cache.put(found)
        if in_cache is not None:
            return in_cache
        return scratch.put_partial(found) if is_large else found

    found = batches.read(request, cached, put)
    return PolarsSurvey(request, found, compare(request, found, scratch), cache, scratch)


def _participant_hashes(found: Partial) -> Iterator[pl.Series]:
    """Give the `row_hash.text_hash` of participants, some at a time, in any order."""
    yield from found.several.hashes(hashing.id_columns(PARTICIPANT_ID)[1])
    months = found.months.get_column(MONTH).unique().to_list()
    for frame in found.ids[BY_CATEGORY].frames.of_months(months)[PARTICIPANT_ID]:
        yield frame.get_column(distinct.HASH[1])


@dataclass(frozen=True)
class PolarsSurvey:
    """All rows of a request; most of them only as sums and ids."""

    request: ScanRequest
    partials: Sequence[Partial]
    compared: Compared
    """Participations with several statements."""
    cache: Cache | None
    scratch: Scratch

    def __enter__(self) -> Self:
        """Give the survey."""
        return self

    def __exit__(self, *_: object) -> None:
        """Delete what was not committed."""
        self.scratch.empty()
        if self.cache is not None:
            self.cache.discard()

    def commit(self) -> None:
        """Let the next survey find the batches of this one."""
        if self.cache is not None:
            self.cache.commit(self.partials)

    @property
    def rows_by_file(self) -> Sequence[int]:
        """Rows read of each export, in the order of the exports."""
        counts = {export.file.name: 0 for export in self.request.exports}
        for one in self.partials:
            for split, rows in zip(one.splits, one.rows_read, strict=True):
                counts[split.export.file.name] += rows
        return list(counts.values())

    @cached_property
    def participants(self) -> Sequence[Participants]:
        """A sample of the participants of each export, of all organisations."""
        samples = (numbered_files(self.request, one, one.participants) for one in self.partials)
        return participants.counted(samples, self.request.exports)

    def look_alikes(self) -> Mapping[str, int]:
        """Count, by export, the participants whose ids look like another's.

        The other one must count, or have several statements.
        """
        numbered = [numbered_files(self.request, one, one.odd_ids) for one in self.partials]
        found = pl.concat([pl.DataFrame(schema=look_alikes.SCHEMA), *numbered])
        if found.is_empty():
            return {}
        plain = found.get_column(look_alikes.PLAIN).unique().implode()
        others = (
            ids.filter(ids.is_in(plain))
            for one in self.partials
            for ids in _participant_hashes(one)
        )
        try:
            return look_alikes.count(found, others, self.request.exports)
        except CacheCorrupt:  # deleted, as in `count`
            return self._again.look_alikes()

    @cached_property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The valid organisations that the rows of each export name, sorted."""
        named: dict[str, set[str]] = {export.file.name: set() for export in self.request.exports}
        for one in self.partials:
            for split, organisations in zip(one.splits, one.named, strict=True):
                named[split.export.file.name].update(organisations)
        return [sorted(organisations) for organisations in named.values()]

    @property
    def checksums(self) -> Mapping[str, str]:
        """The content checksum of each export by name: equal for equal rows in any order."""
        totals: dict[Export, int] = {}
        for one in self.partials:
            for split, total in zip(one.splits, one.checksums, strict=True):
                totals[split.export] = (totals.get(split.export, 0) + total) % MODULUS
        return {
            export.file.name: row_hash.content_checksum(export, total)
            for export, total in totals.items()
        }

    @property
    def rows_without_cell(self) -> Mapping[str, int]:
        """Rows that are in no cell, by ledger line."""
        lines = self._by_line(self._sums.filter(pl.col(MONTH).is_null()))
        return {line.name: lines.get(line.name, 0) for line in INCOMPLETE_REASONS}

    @property
    def ledger(self) -> Mapping[str, int]:
        """Rows by ledger line, zeros included."""
        return ledger.complete(self._by_line(self._sums))

    @staticmethod
    def _by_line(sums: pl.DataFrame) -> dict[str, int]:
        counts = sums.group_by(_LINE).agg(pl.col(ROWS).sum())
        return {LEDGER[line]: rows for line, rows in counts.iter_rows()}

    def contents(self, kind: str) -> Mapping[Cell, CellContent]:
        """Sum up the rows of each cell of a kind that has any, in the order of the cells."""
        cell = (ORG_ID, _period(kind))
        read = self._months.lazy().group_by(cell).agg(pl.col(ROWS).sum())
        sums = self._sums.lazy().group_by(cell).agg(pl.col(CHECKSUM).sum())
        joined = read.join(sums, on=(ORG_ID, PERIOD)).sort(ORG_ID, PERIOD)
        return {
            Cell(org_id, Period(kind, number)): CellContent(rows, row_hash.row_digest(rows, total))
            for org_id, number, rows, total in joined.collect().iter_rows()
        }

    def count(self, kind: str, cells: Collection[Cell]) -> Iterator[Mapping[Cell, CellNumbers]]:
        """Count these cells, a period at a time: the next are counted while the caller works."""
        in_cells = self._sums.filter(pl.col(MONTH).is_not_null())
        lines = in_cells.group_by(ORG_ID, _period(kind), _LINE).agg(pl.col(ROWS).sum())
        waiting = (
            lines.join(_frame(cells), on=(ORG_ID, PERIOD), how="semi")
            .sort(PERIOD)
            .partition_by(PERIOD)
        )
        try:
            with ThreadPoolExecutor(batches.AT_ONCE) as pool:
                for found in pool.map(partial(self._count_period, kind), tuple(waiting)):
                    del waiting[0]
                    yield found
        except CacheCorrupt:
            # Another process or a user has deleted files of the cache since they were found.
            others = set(chain.from_iterable(_cells(kind, lines) for lines in waiting))
            yield from self._again.count(kind, others)

    def rows_by_export(self, cells: Iterable[Cell]) -> Mapping[Cell, Mapping[str, int]]:
        """Count the rows of each of these cells in each export that has any, by its name."""
        return grouping.rows_by_export(self._months, cells, self.request.exports)

    def rejected_rows(self, cells: Iterable[Cell]) -> RejectedRows:
        """Give the rows of these cells for quarantine, in the order of files and rows."""
        return quarantine.by_cell(self._rejected, cells, self.request)

    def unplaced_rows(self) -> bytes:
        """Give the rows that are in no cell for quarantine, as `rejected_rows`."""
        return quarantine.unplaced(self._rejected, self.request)

    @cached_property
    def _rejected(self) -> pl.DataFrame:
        own = (numbered_files(self.request, one, one.rejected) for one in self.partials)
        return pl.concat([*own, self.compared.rejected])

    @cached_property
    def _again(self) -> PolarsSurvey:
        """The survey of the same request, read once more, in memory."""
        return _read(self.request, Cached(), None, self.scratch)

    @cached_property
    def _months(self) -> pl.DataFrame:
        """`ROWS` by export, organisation and month, counted before any row was validated."""
        return pl.concat(numbered_files(self.request, one, one.months) for one in self.partials)

    @cached_property
    def _sums(self) -> pl.DataFrame:
        """The sums of all rows by organisation, month, reason and category."""
        return pl.concat([*(one.sums for one in self.partials), self.compared.sums])

    @cached_property
    def _shares(self) -> Mapping[str, pl.DataFrame]:
        """The additive metrics of each breakdown, by organisation, month and value."""
        further = {
            name: pl.concat([*(one.shares[name] for one in self.partials), of_several])
            for name, of_several in self.compared.shares.items()
        }
        return {BY_CATEGORY: self._sums.filter(pl.col(REASON).is_null()), **further}

    @cached_property
    def _ids(self) -> Mapping[str, Sequence[DistinctIds]]:
        """The ids of all rows that count, by breakdown."""
        return {
            name: [*(one.ids[name] for one in self.partials), *of_several]
            for name, of_several in self.compared.ids.items()
        }

    def _count_period(self, kind: str, lines: pl.DataFrame) -> Mapping[Cell, CellNumbers]:
        """Count the cells of one period that have these ledger lines.

        Raises:
            CacheCorrupt: Ids are missing or corrupt.
        """
        organisations = lines.get_column(ORG_ID).unique().sort().to_list()
        period = Period(kind, lines.item(0, PERIOD))
        breakdowns = self.request.terms.breakdowns
        by_value = {
            one.name: self._count_breakdown(one.name, period, organisations) for one in breakdowns
        }
        totals = by_value[BY_CATEGORY][0]
        groups = grouping.Groups(
            totals.select(ORG_ID, PERIOD, *grouping.METRIC_NAMES),
            {
                name: shares.select(ORG_ID, PERIOD, VALUE, *grouping.METRIC_NAMES)
                for name, (_, shares) in by_value.items()
            },
            lines,
        )
        return grouping.fold(kind, groups, breakdowns)

    def _count_breakdown(
        self, breakdown: str, period: Period, organisations: Sequence[str]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Compute the metrics of a period: per organisation, and per organisation and value."""
        months = period.months
        here = (
            self._shares[breakdown]
            .lazy()
            .filter(
                pl.col(MONTH).is_between(months[0], months[-1]), pl.col(ORG_ID).is_in(organisations)
            )
        )
        added = pl.col(ADDITIVE_NAMES).sum()
        totals, shares = pl.collect_all(
            [here.group_by(ORG_ID).agg(added), here.group_by(ORG_ID, VALUE).agg(added)]
        )
        for total, share in distinct.count(self._ids[breakdown], months, organisations):
            totals = totals.join(total, on=ORG_ID, how="left")
            shares = shares.join(share, on=(ORG_ID, VALUE), how="left")
        number = pl.lit(period.ordinal, pl.Int32).alias(PERIOD)
        # No id, where the column is null in all rows of a group.
        different = pl.col(_DISTINCT_NAMES).fill_null(0)
        return totals.with_columns(number, different), shares.with_columns(number, different)


def _period(kind: str) -> pl.Expr:
    return (pl.col(MONTH) // KINDS[kind]).alias(PERIOD)


def _cells(kind: str, lines: pl.DataFrame) -> set[Cell]:
    """List the cells of ledger lines."""
    pairs: Iterable[Any] = lines.select(ORG_ID, PERIOD).iter_rows()
    return {Cell(org_id, Period(kind, number)) for org_id, number in pairs}


def _frame(cells: Collection[Cell]) -> pl.DataFrame:
    return pl.DataFrame(
        [(cell.org_id, cell.period.ordinal) for cell in cells],
        schema={ORG_ID: pl.String, PERIOD: pl.Int32},
        orient="row",
    )
