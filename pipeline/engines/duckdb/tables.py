"""The tables of one survey: typed rows with their hashes, then with month, verdict and latest hash.

Row hashes are computed by `row_hash` over Arrow batches, because DuckDB has no XXH64 of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import narwhals as nw
import polars as pl

from pipeline.definitions import steps
from pipeline.definitions.participations import typed
from pipeline.engines import ScanRequest, participants, row_hash
from pipeline.engines.grouping import frame_of
from pipeline.engines.row_hash import ROW_HASH
from pipeline.model.columns import (
    FILE,
    KEY,
    ORG_ID,
    ROW,
    STARTED_AT,
    ColumnMapping,
    latest_by,
)

if TYPE_CHECKING:
    import duckdb

    from pipeline.definitions.dialect import Frame
from pipeline.engines.duckdb.scan import BATCH_ROWS, SCANNED, scan
from pipeline.engines.duckdb.survey import LATEST_HASH, DuckDBSurvey


def survey(connection: duckdb.DuckDBPyConnection, request: ScanRequest) -> DuckDBSurvey:
    """Fill the tables, one step after the other."""
    columns = request.terms.columns
    samples = _hash_rows(connection, request)
    counts = dict(connection.execute(f"SELECT {FILE}, count(*) FROM rows GROUP BY 1").fetchall())
    rows_by_file = [counts.get(number, 0) for number in range(len(request.exports))]
    if request.organisations is not None:
        wanted = list(request.organisations)
        connection.execute(
            f"DELETE FROM rows WHERE {ORG_ID} IS NULL OR {ORG_ID} NOT IN $1", [wanted]
        )
    months = _assign_month(connection, request)
    statements = months.filter(nw.col(steps.REASON).is_null())
    latest = steps.mark_latest(statements, columns)
    order = ", ".join(f"{name} ASC NULLS FIRST" for name in latest_by(columns))
    window = (
        f"OVER (PARTITION BY {', '.join(KEY)} ORDER BY {order} "
        "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
    )
    validated = steps.validate(latest, request.terms).to_native().sql_query()
    connection.execute(
        f"CREATE TABLE validated AS SELECT *, last_value({ROW_HASH}) {window} AS {LATEST_HASH} "
        f"FROM ({validated})"
    )
    connection.execute(
        f"INSERT INTO validated BY NAME SELECT *, {ROW_HASH} AS {LATEST_HASH} FROM placed "
        f"WHERE {steps.REASON} IS NOT NULL"
    )
    found = participants.counted(samples, request.exports)
    return DuckDBSurvey(connection, request, rows_by_file, found)


def _assign_month(connection: duckdb.DuckDBPyConnection, request: ScanRequest) -> Frame:
    low, high = connection.execute(
        f"SELECT coalesce(min({STARTED_AT}), 0), coalesce(max({STARTED_AT}), 0) FROM rows"
    ).fetchall()[0]
    everything = request.calendar
    rows = steps.check_organisations(nw.from_native(connection.table("rows")))
    placed = steps.assign_month(rows, everything.around(low, high), everything)
    placed.to_native().create("placed")
    return nw.from_native(connection.table("placed"))


def _hash_rows(connection: duckdb.DuckDBPyConnection, request: ScanRequest) -> list[pl.DataFrame]:
    """Create the table `rows`: typed rows, each with its `ROW_HASH`, batch by batch.

    Returns a sample of the participants of each batch.
    """
    names = row_hash.hashed_columns(request.terms.columns)

    def hashed(batch: pl.DataFrame) -> pl.DataFrame:
        return batch.with_columns(row_hash.row_hash(names, batch.schema))

    # Another query on the same connection would end the one that is still read.
    writer = connection.cursor()
    writer.register("batch", hashed(_no_rows(request)).to_arrow())
    writer.execute("CREATE TABLE rows AS SELECT * FROM batch")
    samples: list[pl.DataFrame] = []
    if not request.exports:
        return samples
    scanned = scan(connection, request).to_native()
    for batch in map(frame_of, scanned.to_arrow_reader(BATCH_ROWS)):
        writer.register("batch", hashed(batch).to_arrow())
        writer.execute("INSERT INTO rows BY NAME SELECT * FROM batch")
        drawn = participants.drawn(batch.lazy(), request.exports).collect()
        samples.append(participants.sample(drawn, range(len(request.exports))))
    writer.execute(f"DROP TABLE {SCANNED}")
    return samples


def _no_rows(request: ScanRequest) -> pl.DataFrame:
    raw = pl.LazyFrame(schema={FILE: pl.Int32, ROW: pl.Int64})
    nothing = ColumnMapping({}, {})
    frame = typed(nw.from_native(raw), nothing, request.clock, request.terms.columns)
    empty: pl.DataFrame = frame.to_native().collect()
    return empty
