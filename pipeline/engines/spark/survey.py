"""The answers of Spark, from validated rows that the cluster holds for as long as the survey lasts.

The exports are read once. Only groups come back, folded some cells at a time, and the rows that are
quarantined.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Final, Self
from uuid import uuid4

import narwhals as nw
import polars as pl
from pyspark.sql import functions as F  # noqa: N812 (Spark's documentation names it so)

from pipeline.definitions import rules, steps
from pipeline.engines import grouping, look_alikes, participants, quarantine, row_hash
from pipeline.engines.participants import HASH
from pipeline.engines.row_hash import CHECKSUM
from pipeline.engines.spark import hashing, scan
from pipeline.engines.spark import rows as plan
from pipeline.engines.spark.cluster import ReadFailed
from pipeline.errors import EngineFailed
from pipeline.model import ledger
from pipeline.model.cells import Cell, CellContent
from pipeline.model.columns import FILE, ORG_ID
from pipeline.model.ledger import INCOMPLETE_REASONS, LEDGER
from pipeline.model.periods import KINDS, Period

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pyspark.sql import DataFrame

    from pipeline.engines import RejectedRows, ScanRequest
    from pipeline.engines.participants import Participants
    from pipeline.engines.spark.cluster import Cluster
    from pipeline.model.cells import CellNumbers

_MONTHS_AT_ONCE: Final = 100_000
"""Organisations and months whose numbers come back together."""
_FEW_MONTHS: Final = 10_000
"""Organisations and months that are looked up in a list."""


@dataclass(frozen=True)
class SparkSurvey:
    """The rows of one survey, held by the cluster."""

    cluster: Cluster
    request: ScanRequest
    of: scan.Sources
    name: str
    """The name under which the cluster holds the rows."""
    rows: DataFrame
    """One row per row that was asked for, with month, verdict, seconds and checksums."""
    files: pl.DataFrame
    """Rows and summed checksums by file, ledger line, and whether the row is in a cell."""

    def __enter__(self) -> Self:
        """Give the survey."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Let the cluster forget the rows, and cancel what it still computes."""
        self.cluster.forget(self.name, is_cancelled=kind is not None)

    def commit(self) -> None:
        """Do nothing: there is no cache."""

    @cached_property
    def rows_by_file(self) -> Sequence[int]:
        """Rows read of each export, in the order of the exports."""
        if self.request.organisations is None:
            counts = self.files.group_by(FILE).agg(pl.col(steps.ROWS).sum())
        else:
            with self._query():
                everything = scan.scan(self.cluster, self.request, self.of)
                # A column whose values are read: a count of rows alone reads the footers only.
                values = F.count(ORG_ID).alias(ORG_ID)
                counts = self._collected(everything.groupBy(FILE).agg(plan.counted_rows(), values))
        found = dict(counts.select(FILE, steps.ROWS).iter_rows())
        return [found.get(place, 0) for place in range(len(self.request.exports))]

    @cached_property
    def participants(self) -> Sequence[Participants]:
        """A sample of the participants of each export, of all organisations."""
        exports = self.request.exports
        with self._query():
            has_all = self.request.organisations is None
            rows = self.rows if has_all else scan.scan(self.cluster, self.request, self.of)
            drawn = self._collected(plan.drawn(self.cluster, rows, exports))
        hashes = pl.col(HASH).reinterpret(signed=False)
        samples = participants.sample(drawn.with_columns(hashes), range(len(exports)))
        return participants.counted([samples], exports)

    def look_alikes(self) -> Mapping[str, int]:
        """Count, by export, the participants whose ids look like another's."""
        with self._query():
            people = self._collected(plan.odd_ids(self.rows))
        found = look_alikes.find(people.lazy())
        if found.is_empty():
            return {}
        plain = found.select(
            pl.col(look_alikes.PLAIN).reinterpret(signed=True).alias(HASH)
        ).unique()
        with self._query():
            wanted = self.cluster.spark.createDataFrame(plain.to_arrow())
            hashes = self._collected(plan.participant_hashes(self.rows, wanted))
        others = hashes.select(pl.col(HASH).reinterpret(signed=False)).to_series()
        return look_alikes.count(found, [others], self.request.exports)

    @cached_property
    def ledger(self) -> Mapping[str, int]:
        """Rows by ledger line, zeros included."""
        return ledger.complete(_by_line(self.files))

    @cached_property
    def rows_without_cell(self) -> Mapping[str, int]:
        """Rows that are in no cell, by ledger line."""
        lines = _by_line(self.files.filter(~pl.col(plan.HAS_CELL)))
        return {line.name: lines.get(line.name, 0) for line in INCOMPLETE_REASONS}

    @cached_property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The valid organisations that the rows of each export name, sorted."""
        pairs = self.rows.filter(rules.HAS_VALID_ORG).select(FILE, ORG_ID).distinct()
        named = self._collected(pairs).sort(ORG_ID).group_by(FILE).agg(ORG_ID)
        found = dict(named.select(FILE, ORG_ID).iter_rows())
        return [found.get(place, []) for place in range(len(self.request.exports))]

    @cached_property
    def checksums(self) -> Mapping[str, str]:
        """The content checksum of each export by name: equal for equal rows in any order."""
        return plan.content_checksums(self.request, self.files)

    @cached_property
    def _months(self) -> pl.DataFrame:
        """Rows and summed checksums by organisation and month."""
        rows = self.rows.filter(F.col(steps.MONTH).isNotNull())
        found = self._collected(
            rows.groupBy(ORG_ID, steps.MONTH).agg(plan.counted_rows(), *hashing.sums(CHECKSUM))
        )
        return found.select(ORG_ID, steps.MONTH, steps.ROWS, hashing.total().alias(CHECKSUM))

    def contents(self, kind: str) -> Mapping[Cell, CellContent]:
        """Sum up the rows of each cell of a kind that has any, in the order of the cells."""
        period = (pl.col(steps.MONTH) // KINDS[kind]).alias(steps.PERIOD)
        by_cell = self._months.group_by(ORG_ID, period).agg(
            pl.col(steps.ROWS).sum(), pl.col(CHECKSUM).sum()
        )
        in_order = by_cell.sort(ORG_ID, steps.PERIOD)
        return {
            Cell(org_id, Period(kind, ordinal)): CellContent(rows, row_hash.row_digest(rows, total))
            for org_id, ordinal, rows, total in grouping.rows_of(in_order)
        }

    def count(self, kind: str, cells: Collection[Cell]) -> Iterator[Mapping[Cell, CellNumbers]]:
        """Count these cells of one kind, some at a time; cells without rows are left out."""
        breakdowns = self.request.terms.breakdowns
        for rows, some in self._parts(cells):
            with self._query():
                exact = nw.from_native(self._with_exact_seconds(rows))
                queries = grouping.queries(exact, kind, breakdowns, plan.COUNTING)
                counts, lines = (
                    self._collected(query.to_native()) for query in (queries.counts, queries.ledger)
                )
            found = grouping.fold(kind, grouping.groups(counts, lines, breakdowns), breakdowns)
            yield {cell: found[cell] for cell in some if cell in found}

    def rows_by_export(self, cells: Iterable[Cell]) -> Mapping[Cell, Mapping[str, int]]:
        """Count the rows of each of these cells in each export that has any, by its name."""
        found: dict[Cell, Mapping[str, int]] = {}
        for rows, some in self._parts(cells):
            groups = rows.groupBy(FILE, ORG_ID, steps.MONTH).agg(plan.counted_rows())
            counts = self._collected(groups)
            found |= grouping.rows_by_export(counts, some, self.request.exports)
        return found

    def rejected_rows(self, cells: Iterable[Cell]) -> RejectedRows:
        """Give the rows of these cells for quarantine, in the order of files and rows."""
        found: RejectedRows = {}
        for rows, some in self._parts(cells):
            found |= quarantine.by_cell(self._rejected(rows), some, self.request)
        return found

    def unplaced_rows(self) -> bytes:
        """Give the rows that are in no cell for quarantine, as `rejected_rows`."""
        rows = self._rejected(self.rows.filter(F.col(steps.MONTH).isNull()))
        return quarantine.unplaced(rows, self.request)

    def _rejected(self, rows: DataFrame) -> pl.DataFrame:
        left_out = rows.filter(F.col(plan.REJECTED).isNotNull())
        return self._collected(left_out.select(f"{plan.REJECTED}.*"))

    @cached_property
    def _exact_seconds(self) -> pl.DataFrame:
        """The seconds of the hours of counted rows that are near half a second."""
        near = self.rows.filter(F.col(plan.NEAR_HALF).isNotNull()).select(plan.NEAR_HALF)
        return plan.exact_seconds(self._collected(near.distinct()))

    def _with_exact_seconds(self, rows: DataFrame) -> DataFrame:
        if not self.files.get_column(plan.NEAR_HALF).sum():
            return rows
        exact = self.cluster.spark.createDataFrame(self._exact_seconds.to_arrow())
        return plan.with_exact_seconds(rows, exact)

    def _parts(self, cells: Iterable[Cell]) -> Iterator[tuple[DataFrame, Sequence[Cell]]]:
        """Divide cells, so that each part has a bounded number of months, with rows of each part.

        The rows of a few cells are looked up. For many, they are those of organisations next to
        each other, and of their other cells too: a list of all months would take the driver's
        memory again for each part.
        """
        wanted = sorted(cells)
        if sum(len(cell.period.months) for cell in wanted) <= _FEW_MONTHS:
            if wanted:
                yield self._looked_up(wanted), wanted
            return
        parts = self._part_of
        with_rows = (cell for cell in wanted if cell.org_id in parts)
        for _, part in groupby(with_rows, lambda cell: parts[cell.org_id]):
            some = list(part)
            of_part = F.col(ORG_ID).between(some[0].org_id, some[-1].org_id)
            yield self.rows.filter(of_part), some

    def _looked_up(self, cells: Iterable[Cell]) -> DataFrame:
        """Select the rows of a few cells."""
        with self._query():
            months = self.cluster.spark.createDataFrame(quarantine.months(cells).to_arrow())
            return self.rows.join(F.broadcast(months), [ORG_ID, steps.MONTH], "left_semi")

    @cached_property
    def _part_of(self) -> Mapping[str, int]:
        """The number of the part of each organisation, in their order."""
        months = self._months.group_by(ORG_ID).len().sort(ORG_ID)
        part = pl.col("len").cum_sum() // _MONTHS_AT_ONCE
        return dict(months.select(ORG_ID, part).iter_rows())

    def _collected(self, query: DataFrame) -> pl.DataFrame:
        with self._query():
            return grouping.frame_of(query.toArrow())

    @contextmanager
    def _query(self) -> Iterator[None]:
        """Translate the errors of planning and of queries, after the rows were read once."""
        try:
            with self.cluster.query():
                yield
        except ReadFailed as error:
            problem = "an export could not be read a second time"
            raise EngineFailed("spark", problem, str(error)) from error


def survey(cluster: Cluster, request: ScanRequest, of: scan.Sources) -> SparkSurvey:
    """Plan the validated rows, and let the cluster compute and hold them.

    Raises:
        ReadFailed, OSError, pyarrow.ArrowException: A file can't be read to its end.
        EngineFailed: As `Cluster.query`.
    """
    name = f"bufdir_{uuid4().hex}"
    try:
        with cluster.query():
            planned = plan.validated(cluster, scan.scan(cluster, request, of), request)
            # A cluster gives the rows that it holds for every plan that is alike, even if
            # files were rewritten since. So each survey has a plan of its own.
            rows = cluster.hold(name, planned.filter(F.lit(name).isNotNull()))
            files = grouping.frame_of(plan.by_file(rows).toArrow())
    except BaseException:
        cluster.forget(name, is_cancelled=True)
        raise
    return SparkSurvey(cluster, request, of, name, rows, files)


def _by_line(files: pl.DataFrame) -> dict[str, int]:
    lines = files.group_by(steps.REASON).agg(pl.col(steps.ROWS).sum())
    return {LEDGER[line]: rows for line, rows in lines.iter_rows()}
