"""The answers of DuckDB, from the table of validated rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Self

import narwhals as nw
import polars as pl

from pipeline.definitions import steps
from pipeline.engines import ScanRequest, grouping, look_alikes, quarantine, row_hash
from pipeline.engines.row_hash import CHECKSUM, MODULUS, ROW_HASH
from pipeline.model import ledger
from pipeline.model.cells import Cell, CellContent
from pipeline.model.columns import (
    FILE,
    ORG_ID,
    PARTICIPANT_ID,
)
from pipeline.model.ledger import COUNTED, INCOMPLETE_REASONS, LEDGER, ORGANISATION_PATTERN
from pipeline.model.periods import KINDS, Period

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    import duckdb

    from pipeline.definitions.dialect import Frame
    from pipeline.engines import RejectedRows
    from pipeline.engines.participants import Participants
    from pipeline.model.cells import CellNumbers
from pipeline.engines.duckdb.scan import BATCH_ROWS

LATEST_HASH: Final = "latest_hash"
"""The row hash of the latest statement of the row's participation."""


@dataclass(frozen=True)
class DuckDBSurvey:
    """The tables of one survey: `validated` has every row that was asked for."""

    connection: duckdb.DuckDBPyConnection
    request: ScanRequest
    rows_by_file: Sequence[int]
    participants: Sequence[Participants]
    """A sample of the participants of each export, of all organisations."""

    def __enter__(self) -> Self:
        """Give the survey."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self.connection.close()

    def commit(self) -> None:
        """Do nothing: there is no cache."""

    @property
    def ledger(self) -> Mapping[str, int]:
        """Rows by ledger line, zeros included."""
        return ledger.complete(self._by_line("true"))

    @property
    def rows_without_cell(self) -> Mapping[str, int]:
        """Rows that are in no cell, by ledger line."""
        lines = self._by_line(f"{steps.MONTH} IS NULL")
        return {line.name: lines.get(line.name, 0) for line in INCOMPLETE_REASONS}

    def _by_line(self, condition: str) -> dict[str, int]:
        rows = self.connection.execute(
            f"SELECT coalesce({steps.REASON}, {LEDGER.index(COUNTED)}), count(*) "
            f"FROM validated WHERE {condition} GROUP BY 1"
        ).fetchall()
        return {LEDGER[line]: count for line, count in rows}

    @cached_property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The valid organisations that the rows of each export name, sorted."""
        rows = self.connection.execute(
            f"SELECT DISTINCT {FILE}, {ORG_ID} FROM validated "
            f"WHERE regexp_matches({ORG_ID}, '{ORGANISATION_PATTERN}') ORDER BY ALL"
        ).fetchall()
        named = {file: [org for _, org in of] for file, of in groupby(rows, itemgetter(0))}
        return [named.get(place, []) for place in range(len(self.request.exports))]

    @cached_property
    def checksums(self) -> Mapping[str, str]:
        """The content checksum of each export by name: equal for equal rows in any order."""
        hashes = self._batches(f"SELECT {FILE}, {ROW_HASH}, {ROW_HASH} AS {LATEST_HASH}")
        sums = _summed(hashes, (FILE,))
        return {
            export.file.name: row_hash.content_checksum(export, sums.get((place,), 0))
            for place, export in enumerate(self.request.exports)
        }

    def look_alikes(self) -> Mapping[str, int]:
        """Count, by export, the participants whose ids look like another's."""
        query = (
            f"SELECT DISTINCT {FILE}, {PARTICIPANT_ID} FROM validated "
            f"WHERE {PARTICIPANT_ID} IS NOT NULL"
        )
        people = grouping.frame_of(self.connection.sql(query).to_arrow_table())
        found = look_alikes.find(people.lazy())
        own = row_hash.text_hash(PARTICIPANT_ID).alias(look_alikes.OWN)
        hashes = people.select(own).to_series()
        plain = found.get_column(look_alikes.PLAIN).unique().implode()
        others = [hashes.filter(hashes.is_in(plain))]
        return look_alikes.count(found, others, self.request.exports)

    def contents(self, kind: str) -> Mapping[Cell, CellContent]:
        """Sum up the rows of each cell of a kind that has any, in the order of the cells."""
        rows = self.connection.execute(
            f"SELECT {ORG_ID}, {steps.MONTH} // {KINDS[kind]}, count(*) FROM validated "
            f"WHERE {steps.MONTH} IS NOT NULL GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        sums: dict[tuple[str, int], int] = {}
        for (org_id, month), total in self._sums_by_month.items():
            key = (org_id, month // KINDS[kind])
            sums[key] = (sums.get(key, 0) + total) % MODULUS
        return {
            Cell(org_id, Period(kind, period)): CellContent(
                count, row_hash.row_digest(count, sums[org_id, period])
            )
            for org_id, period, count in rows
        }

    @cached_property
    def _sums_by_month(self) -> Mapping[tuple[str, int], int]:
        key = f"{ORG_ID}, {steps.MONTH}"
        hashes = self._batches(f"SELECT {key}, {ROW_HASH}, {LATEST_HASH}", "month IS NOT NULL")
        return _summed(hashes, (ORG_ID, steps.MONTH))

    def _batches(self, select: str, condition: str = "true") -> Iterator[pl.DataFrame]:
        relation = self.connection.sql(f"{select} FROM validated WHERE {condition}")
        return map(grouping.frame_of, relation.to_arrow_reader(BATCH_ROWS))

    def count(self, kind: str, cells: Collection[Cell]) -> Iterator[Mapping[Cell, CellNumbers]]:
        """Count these cells of one kind, all at once; cells without rows are left out."""
        breakdowns = self.request.terms.breakdowns
        rows = nw.from_native(self.connection.table("validated"))
        wanted = sorted({cell.org_id for cell in cells})
        queries = grouping.queries(rows.filter(nw.col(ORG_ID).is_in(wanted)), kind, breakdowns)
        counts, lines = _collected(queries.counts), _collected(queries.ledger)
        found = grouping.fold(kind, grouping.groups(counts, lines, breakdowns), breakdowns)
        yield {cell: found[cell] for cell in sorted(cells) if cell in found}

    def rows_by_export(self, cells: Iterable[Cell]) -> Mapping[Cell, Mapping[str, int]]:
        """Count the rows of each of these cells in each export that has any, by its name."""
        return grouping.rows_by_export(self._months, cells, self.request.exports)

    @cached_property
    def _months(self) -> pl.DataFrame:
        """Rows by export, organisation and month."""
        rows = self.connection.sql(
            f"SELECT {FILE}, {ORG_ID}, {steps.MONTH}, count(*) AS {steps.ROWS} FROM validated "
            f"WHERE {steps.MONTH} IS NOT NULL GROUP BY ALL"
        )
        return grouping.frame_of(rows.to_arrow_table())

    def rejected_rows(self, cells: Iterable[Cell]) -> RejectedRows:
        """Give the rows of these cells for quarantine, in the order of files and rows."""
        return quarantine.by_cell(self._rejected, cells, self.request)

    def unplaced_rows(self) -> bytes:
        """Give the rows that are in no cell for quarantine, as `rejected_rows`."""
        return quarantine.unplaced(self._rejected, self.request)

    @cached_property
    def _rejected(self) -> pl.DataFrame:
        lines = ", ".join(map(str, quarantine.LINES))
        columns = ", ".join(quarantine.columns(self.request.terms.columns))
        relation = self.connection.sql(
            f"SELECT {columns} FROM validated WHERE {steps.REASON} IN ({lines})"
        )
        return grouping.frame_of(relation.to_arrow_table())


def _collected(query: Frame) -> pl.DataFrame:
    return grouping.frame_of(query.to_native().to_arrow_table())


def _summed(batches: Iterable[pl.DataFrame], key: Sequence[str]) -> dict[Any, int]:
    """Add up the checksums of rows by key, modulo 2^64."""
    hashes = (pl.col(ROW_HASH), pl.col(LATEST_HASH))
    sums: dict[Any, int] = {}
    for batch in batches:
        groups = batch.with_columns(row_hash.checksum(*hashes)).group_by(key)
        for *group, total in groups.agg(pl.col(CHECKSUM).sum()).iter_rows():
            sums[tuple(group)] = (sums.get(tuple(group), 0) + total) % MODULUS
    return sums
