"""Exports read by DuckDB into one table of typed rows, and the files that it can't read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import duckdb
import narwhals as nw
import pyarrow as pa

from pipeline.definitions.participations import typed
from pipeline.engines import ScanRequest, UnreadableExports, refusal
from pipeline.model.columns import (
    FILE,
    ROW,
    ColumnMapping,
    Unit,
)
from pipeline.sources import batches, pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.definitions.dialect import Frame
    from pipeline.errors import ExportRefused
    from pipeline.sources.accepted import Export

READ_ERRORS: Final = (duckdb.Error, pa.ArrowException, OSError)
"""The errors that reading a damaged file raises."""
BATCH_ROWS: Final = 500_000
SCANNED: Final = "scanned"
"""The table of typed rows."""
_TICKS: Final = {
    Unit.DAYS: "CASE WHEN NOT isinf({0}) THEN {0} - DATE '1970-01-01' END",
    Unit.MICROSECONDS: "epoch_us({0})",
    Unit.NANOSECONDS: "epoch_ns({0})",
}
"""Ticks since 1970; null where DuckDB reads an instant as infinite."""
_MOST: Final = 2**63 - 1
_WILDCARDS: Final = str.maketrans({sign: f"[{sign}]" for sign in "*?["})


def connect() -> duckdb.DuckDBPyConnection:
    """Open an empty database in memory."""
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    return connection


def scan(connection: duckdb.DuckDBPyConnection, request: ScanRequest) -> Frame:
    """Read the exports into a table: one typed row per row, of all organisations.

    Verifies the checksums of pages in files that have any.

    Raises:
        duckdb.Error, OSError: A file can't be read to its end, or a page differs from its checksum.
    """
    for export in request.exports:
        pages.verify(export, 0, export.rows)
    _relation(_nothing(connection, request)).create(SCANNED)
    # Wrong statistics of row groups would leave out rows, or decide conditions.
    connection.execute("SET disabled_optimizers = 'filter_pushdown,statistics_propagation'")
    for group in _alike(request):
        try:
            _relation(_typed(request, _open(connection, group), group)).insert_into(SCANNED)
        except duckdb.Error:
            # Arrow reads some files that DuckDB refuses; each is read alone, so that one
            # damaged file fails by itself.
            for place, export in group.items():
                one = {place: export}
                rows = _typed(request, _through_arrow(connection, one), one)
                _relation(rows).insert_into(SCANNED)
    connection.execute("RESET disabled_optimizers")
    return nw.from_native(connection.table(SCANNED))


def refuse_unreadable(request: ScanRequest, error: Exception) -> None:
    """Find the exports that can't be read, by reading each alone.

    Raises:
        UnreadableExports: There are some.
        Exception: The error itself, where each was asked for alone already.
    """
    refused: dict[Export, ExportRefused] = {}
    for export in request.exports:
        with connect() as connection:
            alone = ScanRequest([export], request.terms)
            try:
                for _ in scan(connection, alone).to_native().to_arrow_reader(BATCH_ROWS):
                    pass
            except READ_ERRORS as found:
                refused[export] = refusal(export, found)
    if refused:
        raise UnreadableExports(refused) from error
    if request.one_by_one:
        raise error


def _relation(rows: Frame) -> duckdb.DuckDBPyRelation:
    relation: duckdb.DuckDBPyRelation = rows.to_native()
    return relation


def _nothing(connection: duckdb.DuckDBPyConnection, request: ScanRequest) -> Frame:
    """Make a typed frame without rows."""
    raw = connection.sql(f"SELECT 0 AS {FILE}, 0 AS {ROW} WHERE false")
    return typed(nw.from_native(raw), ColumnMapping({}, {}), request.clock, request.terms.columns)


def _typed(
    request: ScanRequest, raw: duckdb.DuckDBPyRelation, group: Mapping[int, Export]
) -> Frame:
    mapping = next(iter(group.values())).mapping
    return typed(nw.from_native(raw), mapping, request.clock, request.terms.columns)


def _alike(request: ScanRequest) -> list[dict[int, Export]]:
    """Group the exports, by position, that one scan can read; each alone where that is asked for.

    DuckDB can't plan a union of thousands of scans, one for each file.
    """
    groups: dict[object, dict[int, Export]] = {}
    for place, export in enumerate(request.exports):
        is_alone = request.one_by_one or not _is_native(export)
        groups.setdefault(place if is_alone else export.read_as, {})[place] = export
    return list(groups.values())


def _is_native(export: Export) -> bool:
    """Return whether DuckDB's own reader gives every value exactly; milliseconds it does not.

    DuckDB encrypts Parquet in a way of its own, so it can't read what Arrow has encrypted.
    """
    units = (ticks.unit for ticks in export.mapping.instants.values())
    is_encrypted = export.parquet.key is not None
    return export.is_native and not is_encrypted and Unit.MILLISECONDS not in units


def _open(
    connection: duckdb.DuckDBPyConnection, group: Mapping[int, Export]
) -> duckdb.DuckDBPyRelation:
    """Select the raw rows of exports of one layout."""
    export = next(iter(group.values()))
    if not _is_native(export):
        return _through_arrow(connection, group)
    columns = [f"{_raw(export, ours)} AS {ours}" for ours in export.types]
    place = f"{list(group)}[file_index::BIGINT + 1] AS {FILE}"
    query = "SELECT {} FROM read_parquet($1, hive_partitioning = false, union_by_name = false)"
    paths = [export.parquet.location.translate(_WILDCARDS) for export in group.values()]
    selected = ", ".join([*columns, place, f"file_row_number AS {ROW}"])
    return connection.sql(query.format(selected), params=[paths])


def _through_arrow(
    connection: duckdb.DuckDBPyConnection, group: Mapping[int, Export]
) -> duckdb.DuckDBPyRelation:
    """Select the raw rows of one export that DuckDB does not read itself."""
    ((place, export),) = group.items()
    schema = batches.schema(export).append(pa.field(ROW, pa.int64()))

    def numbered() -> Iterator[pa.RecordBatch]:
        row = 0
        for batch in batches.read(export):
            rows = pa.array(range(row, row + batch.num_rows), pa.int64())
            yield pa.RecordBatch.from_arrays([*batch.columns, rows], schema=schema)
            row += batch.num_rows

    reader = pa.RecordBatchReader.from_batches(schema, numbered())
    return connection.from_arrow(reader).project(f"*, {place} AS {FILE}")


def _raw(export: Export, ours: str) -> str:
    column = '"' + export.mapping.sources[ours].replace('"', '""') + '"'
    if ours not in export.mapping.instants:
        return column
    ticks = _TICKS[export.mapping.instants[ours].unit].format(column)
    # DuckDB reads the greatest and the least tick as infinite; here they are ordinary ticks.
    far = f"CASE WHEN {column}::VARCHAR = 'infinity' THEN {_MOST} ELSE -{_MOST} END"
    return f"CASE WHEN {column} IS NOT NULL THEN coalesce({ticks}, {far}) END"
