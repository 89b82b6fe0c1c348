"""The second opinion: the same definitions on DuckDB, from its own reading of the files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import duckdb
import narwhals as nw

from pipeline import engines
from pipeline.definitions import steps
from pipeline.definitions.participations import typed
from pipeline.definitions.steps import REASON
from pipeline.model.columns import COLUMNS, FILE, ORG_ID, ROW, STARTED_AT, Kind, Unit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pipeline.definitions.participations import Frame
    from pipeline.engines import ScanRequest
    from pipeline.model.cells import Breakdown, Cell
    from pipeline.sources.parquet import Export

FAULTS: Final = (duckdb.Error, OSError)
"""What reading a damaged file ends in."""

_TICKS: Final = {
    Unit.DAYS: "CASE WHEN NOT isinf({0}) THEN {0} - DATE '1970-01-01' END",
    Unit.MILLISECONDS: "epoch_ms({0})",
    Unit.MICROSECONDS: "epoch_us({0})",
    Unit.NANOSECONDS: "epoch_ns({0})",
}
"""Ticks since 1970; null where DuckDB takes an instant for infinite."""
_MOST: Final = 2**63 - 1
_WILDCARDS: Final = str.maketrans({sign: f"[{sign}]" for sign in "*?["})


def breakdowns(
    question: ScanRequest, kind: str, cells: Collection[Cell] | None
) -> Mapping[Cell, Breakdown]:
    """The numbers of these cells of one kind, or of all; in the order of the cells."""
    if not question.exports:
        return {}
    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        judged = _judge(connection, question)
        collected = [
            query.collect("pyarrow").to_native() for query in engines.queries(judged, kind)
        ]
    groups = engines.Groups(
        *(list(zip(*table.to_pydict().values(), strict=True)) for table in collected)
    )
    found = engines.breakdowns(kind, groups, question.rules.categories)
    return (
        found if cells is None else {cell: found[cell] for cell in sorted(cells) if cell in found}
    )


def _judge(connection: duckdb.DuckDBPyConnection, question: ScanRequest) -> Frame:
    """Every row with its cell and its verdict, as a table so that it is computed once."""
    rows = _table(connection, "rows", _scan(connection, question))
    low, high = connection.execute(
        f"SELECT coalesce(min({STARTED_AT}), 0), coalesce(max({STARTED_AT}), 0) FROM rows"
    ).fetchall()[0]
    everything = question.calendar
    placed = steps.place(steps.vet(rows), everything.around(low, high), everything)
    placed = _table(connection, "placed", placed)
    statements = steps.mark_latest(placed.filter(nw.col(REASON).is_null()))
    judged = steps.validate(statements, question.rules)
    connection.execute(f"CREATE TABLE judged AS {judged.to_native().sql_query()}")
    connection.execute(
        f"INSERT INTO judged BY NAME SELECT * FROM placed WHERE {REASON} IS NOT NULL"
    )
    return nw.from_native(connection.table("judged"))


def _table(connection: duckdb.DuckDBPyConnection, name: str, frame: Frame) -> Frame:
    frame.to_native().create(name)
    return nw.from_native(connection.table(name))


def _scan(connection: duckdb.DuckDBPyConnection, question: ScanRequest) -> Frame:
    scans = [
        typed(
            nw.from_native(_open(connection, question, place, export)),
            export.shape,
            question.clock,
            question.mapping,
        )
        for place, export in enumerate(question.exports)
    ]
    return nw.concat(scans)


def _open(
    connection: duckdb.DuckDBPyConnection, question: ScanRequest, place: int, export: Export
) -> duckdb.DuckDBPyRelation:
    columns = ", ".join(
        f"{_raw(column.kind, export, column.name)} AS {column.name}"
        for column in COLUMNS
        if column.name in export.shape.sources
    )
    relation = connection.read_parquet(str(export.file.path).translate(_WILDCARDS))
    if question.organisations is not None:
        source = duckdb.ColumnExpression(export.shape.sources[ORG_ID]).cast("VARCHAR")
        relation = relation.filter(
            source.isin(*map(duckdb.ConstantExpression, question.organisations))
        )
    # Row numbers serve quarantine, which the first engine writes.
    return relation.project(f"{columns}, {place} AS {FILE}, 0 AS {ROW}")


def _raw(kind: Kind, export: Export, name: str) -> str:
    column = '"' + export.shape.sources[name].replace('"', '""') + '"'
    if kind is not Kind.INSTANT or name not in export.shape.instants:
        return column
    ticks = _TICKS[export.shape.instants[name].unit].format(column)
    # The greatest and the least tick are infinite here; for us they are ticks like all others.
    far = f"CASE WHEN {column}::VARCHAR = 'infinity' THEN {_MOST} ELSE -{_MOST} END"
    return f"CASE WHEN {column} IS NOT NULL THEN coalesce({ticks}, {far}) END"
