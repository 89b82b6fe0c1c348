"""The same numbers from plain engines, each with the query that its manual suggests.

    python benchmarks/peers.py ENGINE EXPORTS ANSWER.parquet

For every organisation and quarter, and for each of their categories: participations, different
people, seconds and different activities; the latest statement wins, the same rows count. They
publish nothing, and give no reason why a row does not count.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

CATEGORIES: Final = ("foreldre_barn", "ungdom", "eldre", "funksjonsnedsettelse")
PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
FIRST, LAST = "2000-01-01", "2101-01-01"
MOST_HOURS: Final = 24
KEY: Final = ("org_id", "activity_id", "participant_id")


def polars(exports: Path, answer: Path) -> None:
    """Count with a lazy query, streamed."""
    import polars as pl

    zone = "Europe/Oslo"
    begin, end = (pl.lit(day).str.to_datetime("%Y-%m-%d", time_zone=zone) for day in (FIRST, LAST))
    rows = pl.scan_parquet(exports / "**/*.parquet", include_file_paths="file")
    local = pl.col("started_at").dt.convert_time_zone(zone)
    statements = rows.filter(
        *(pl.col(name).is_not_null() & (pl.col(name) != "") for name in KEY),
        pl.col("org_id").str.contains(PATTERN),
        (local >= begin) & (local < end),
    )
    latest = ("bufdir_category", "started_at", "hours", "status", "deleted")
    latest_statements = statements.group_by(KEY).agg(
        pl.col(*latest).sort_by("updated_at", "file", nulls_last=False).last()
    )
    counted = latest_statements.filter(
        ~pl.col("deleted").fill_null(value=False),
        pl.col("status") == "completed",
        pl.col("bufdir_category").is_in(CATEGORIES),
        pl.col("hours").is_finite() & (pl.col("hours") >= 0) & (pl.col("hours") <= MOST_HOURS),
    ).with_columns(
        quarter=pl.col("started_at").dt.convert_time_zone(zone).dt.truncate("1q").dt.date(),
        seconds=((pl.col("hours") * 7_200_000_000 + 0.5).floor().cast(pl.Int64) // 1_000_000 + 1)
        // 2,
    )
    numbers = (
        pl.len().cast(pl.Int64).alias("participations"),
        pl.col("participant_id").n_unique().cast(pl.Int64).alias("people"),
        pl.col("seconds").sum(),
        pl.col("activity_id").n_unique().cast(pl.Int64).alias("activities"),
    )
    totals = counted.group_by("org_id", "quarter").agg(numbers)
    shares = counted.group_by("org_id", "quarter", "bufdir_category").agg(numbers)
    total, share = pl.collect_all([totals, shares], engine="streaming")
    pl.concat([share, total], how="diagonal").write_parquet(answer)


_RULES: Final = f"""
    org_id <> '' AND activity_id <> '' AND participant_id <> ''
    AND regexp_matches(org_id, '{PATTERN}')
    AND started_at >= timezone('Europe/Oslo', TIMESTAMP '{FIRST}')
    AND started_at < timezone('Europe/Oslo', TIMESTAMP '{LAST}')
"""
_COUNT: Final = f"""
    SELECT org_id, quarter, bufdir_category, count(*) AS participations,
           count(DISTINCT participant_id) AS people,
           CAST(sum(
               (CAST(floor(hours * 7200000000 + 0.5) AS BIGINT) // 1000000 + 1) // 2
           ) AS BIGINT) AS seconds,
           count(DISTINCT activity_id) AS activities
    FROM (
        SELECT *, CAST(
            date_trunc('quarter', timezone('Europe/Oslo', started_at)) AS DATE
        ) AS quarter
        FROM latest_statements
    )
    WHERE NOT coalesce(deleted, false) AND status = 'completed'
      AND bufdir_category IN {CATEGORIES} AND isfinite(hours) AND hours BETWEEN 0 AND 24
    GROUP BY GROUPING SETS ((org_id, quarter), (org_id, quarter, bufdir_category))
"""


def duckdb_arg_max(exports: Path, answer: Path) -> None:
    """Count the latest statements, by `arg_max`, with grouping sets."""
    _duckdb(
        exports,
        answer,
        """
        SELECT org_id, activity_id, participant_id, unnest(latest) FROM (
            SELECT org_id, activity_id, participant_id,
                   arg_max({bufdir_category: bufdir_category, started_at: started_at,
                            hours: hours, status: status, deleted: deleted},
                           {moment: coalesce(updated_at, TIMESTAMPTZ '0001-01-01'), file: filename})
                       AS latest
            FROM statements GROUP BY ALL
        )
        """,
    )


def duckdb_row_number(exports: Path, answer: Path) -> None:
    """Count the latest statements, by `row_number()`, with grouping sets."""
    _duckdb(
        exports,
        answer,
        """
        SELECT * FROM statements
        QUALIFY row_number() OVER (
            PARTITION BY org_id, activity_id, participant_id
            ORDER BY updated_at DESC NULLS LAST, filename DESC
        ) = 1
        """,
    )


def _duckdb(exports: Path, answer: Path, latest_statements: str) -> None:
    import duckdb

    with duckdb.connect() as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(
            "CREATE VIEW statements AS SELECT * FROM "
            f"read_parquet('{exports}/**/*.parquet', filename = true) WHERE {_RULES}"
        )
        connection.execute(f"CREATE VIEW latest_statements AS {latest_statements}")
        connection.execute(f"COPY ({_COUNT}) TO '{answer}' (FORMAT parquet)")


def chdb(exports: Path, answer: Path) -> None:
    """Count with ClickHouse: the latest statement by `argMax`, then `uniqExact`."""
    import chdb

    chdb.query(
        f"""
        SELECT org_id, quarter,
               if(grouping(category) = 1, NULL, category) AS bufdir_category,
               toInt64(count()) AS participations,
               toInt64(uniqExact(participant_id)) AS people,
               toInt64(sum(
                   intDiv(intDiv(toInt64(floor(hours * 7200000000 + 0.5)), 1000000) + 1, 2)
               )) AS seconds,
               toInt64(uniqExact(activity_id)) AS activities
        FROM (
            SELECT org_id, participant_id, activity_id, tupleElement(latest, 1) AS category,
                   toDate32(toStartOfQuarter(toTimeZone(tupleElement(latest, 2), 'Europe/Oslo')))
                       AS quarter,
                   tupleElement(latest, 3) AS hours,
                   tupleElement(latest, 4) AS status, tupleElement(latest, 5) AS deleted
            FROM (
                SELECT org_id, activity_id, participant_id,
                       argMax(tuple(bufdir_category, assumeNotNull(started_at), hours, status,
                                    deleted),
                              tuple(coalesce(updated_at, toDateTime64(0, 6, 'UTC')), _path))
                           AS latest
                FROM file('{exports}/**/*.parquet', Parquet)
                WHERE org_id <> '' AND activity_id <> '' AND participant_id <> ''
                  AND match(org_id, '{PATTERN}')
                  AND started_at >= toDateTime64('{FIRST} 00:00:00', 6, 'Europe/Oslo')
                  AND started_at < toDateTime64('{LAST} 00:00:00', 6, 'Europe/Oslo')
                GROUP BY ALL
            )
        )
        WHERE NOT ifNull(deleted, false) AND status = 'completed'
          AND category IN {CATEGORIES} AND isFinite(hours) AND hours BETWEEN 0 AND 24
        GROUP BY GROUPING SETS ((org_id, quarter), (org_id, quarter, category))
        INTO OUTFILE '{answer}' TRUNCATE FORMAT Parquet
        """
    )


ENGINES: Final[dict[str, Callable[[Path, Path], None]]] = {
    "polars": polars,
    "duckdb-arg-max": duckdb_arg_max,
    "duckdb-row-number": duckdb_row_number,
    "chdb": chdb,
}


if __name__ == "__main__":
    ENGINES[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
