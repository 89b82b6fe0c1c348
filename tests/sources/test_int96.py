"""INT96, the timestamp of Spark and Impala: its zone, its nanoseconds, and how far it reaches."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.model.columns import Ticks, Unit
from pipeline.sources import batches
from tests.given import AUTUMN, CELL, cells, export, ledgers, read, row, survey_of

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
JULIAN_DAY = 2_440_588
"""The Julian day of 1 January 1970."""
MIDNIGHT = datetime(2024, 12, 31, 23, tzinfo=UTC)
"""Midnight in Oslo, at which a quarter ends."""
OLD: dict[str, Any] = {"use_deprecated_int96_timestamps": True}
ZONED, LOCAL = pa.timestamp("us", "UTC"), pa.timestamp("us")


def ticks(data: Path, column: str = "updated_at") -> Ticks:
    (accepted,) = read(data).accepted
    return accepted.mapping.instants[column]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Oslo"])
@pytest.mark.parametrize("stored", [True, False])
def test_it_is_an_instant(engine: str, data: Path, unit: str, zone: str, *, stored: bool) -> None:
    types = {"started_at": pa.timestamp(unit, zone)}
    rows = [row(started_at=MIDNIGHT - timedelta(seconds=1)), row(participant_id="p2")]
    rows[1]["started_at"] = MIDNIGHT
    export(data, rows, types=types, store_schema=stored, **OLD)
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}, "rp-2025-q1": {"counted": 1}}


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_it_is_wall_clock_where_the_file_says_so(engine: str, data: Path, unit: str) -> None:
    walls = [datetime(2024, 12, 31, 23, 59, 59), datetime(2025, 1, 1)]  # noqa: DTZ001 wall clock
    rows = [row(participant_id=f"p{n}", started_at=wall) for n, wall in enumerate(walls)]
    export(data, rows, types={"started_at": pa.timestamp(unit)}, **OLD)
    assert not ticks(data, "started_at").zoned
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}, "rp-2025-q1": {"counted": 1}}


def test_it_is_an_instant_where_the_file_says_nothing(engine: str, data: Path) -> None:
    export(data, [row(started_at=MIDNIGHT)], types={"started_at": LOCAL}, store_schema=False, **OLD)
    assert ticks(data, "started_at") == Ticks(Unit.SPLIT, zoned=True)
    assert ledgers(engine, data) == {"rp-2025-q1": {"counted": 1}}


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize(
    ("year", "wins"), [(1000, False), (1677, False), (2262, True), (2263, True), (9999, True)]
)
def test_a_placeholder_far_away_is_as_old_or_as_new_as_it_says(
    engine: str, data: Path, year: int, *, wins: bool, stored: bool
) -> None:
    far = row(hours=1.0, updated_at=datetime(year, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
    near = row(hours=2.0, updated_at=AUTUMN)
    options: dict[str, Any] = {"types": {"updated_at": ZONED}, "store_schema": stored, **OLD}
    export(data, [far], "b.parquet", **options)
    export(data, [near], "a.parquet", **options)
    assert cells(engine, data)[CELL].total["seconds"] == (3600 if wins else 7200)


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def written(data: Path, values: list[tuple[int, int]]) -> None:
    """Write INT96 of these days and nanoseconds in place of values that Arrow can't write."""
    marks = [datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(len(values))]
    rows = [row(participant_id=f"p{n}", updated_at=mark) for n, mark in enumerate(marks)]
    plain: dict[str, Any] = {"use_dictionary": False, "compression": "none"}
    path = export(data, rows, types={"updated_at": ZONED}, **plain, **OLD)
    content = path.read_bytes()
    for mark, (day, nanoseconds) in zip(marks, values, strict=True):
        old = struct.pack("<qi", 0, JULIAN_DAY + (mark - EPOCH).days)
        assert content.count(old) >= 1
        content = content.replace(old, struct.pack("<qi", nanoseconds, JULIAN_DAY + day), 1)
    path.write_bytes(content)


def test_every_nanosecond_counts_however_far_it_is(data: Path) -> None:
    far = micros(datetime(9999, 12, 31, tzinfo=UTC))
    day = 86_400 * 1_000_000
    values = [
        (0, 1),
        (0, 86_399_999_999_999),
        (-1, 86_399_999_999_999),
        (19_000, 999),
        (-400_000, 123_456_789),
        (far // day, 999_999_999),
    ]
    written(data, values)
    (accepted,) = read(data).accepted
    (batch,) = batches.read(accepted)
    assert batch["updated_at"].to_pylist() == [day * n + ns // 1000 for n, ns in values]
    assert batch["updated_at_ns"].to_pylist() == [ns % 1000 for _, ns in values]


def test_beyond_all_years_it_is_the_farthest_instant_of_all(data: Path) -> None:
    written(data, [(2**31 - 1 - JULIAN_DAY, 5), (-400_000, 5), (19_000, 5)])
    (accepted,) = read(data).accepted
    (batch,) = batches.read(accepted)
    last, first, near = batch["updated_at"].to_pylist()
    assert last > 2**61
    assert first < near < last


@pytest.mark.parametrize(
    ("day", "nanoseconds"),
    [(2**31 - 1 - JULIAN_DAY, 5), (60_000_000, 7), (-400_000, 5), (0, 2**63 - 1), (0, -1)],
)
def test_every_engine_reads_an_instant_beyond_all_years_alike(
    engine: str, data: Path, day: int, nanoseconds: int
) -> None:
    written(data, [(day, nanoseconds), (19_000, 5)])
    with survey_of(data, engine=engine) as found, survey_of(data) as expected:
        assert found.contents("quarter") == expected.contents("quarter")
        assert found.checksums == expected.checksums


def test_nulls_among_them_stay_null(engine: str, data: Path) -> None:
    rows = [row(started_at=AUTUMN, updated_at=None), row(started_at=AUTUMN, updated_at=MIDNIGHT)]
    rows[1]["hours"] = 5.0
    export(data, rows, types={"started_at": ZONED, "updated_at": ZONED}, **OLD)
    counted = cells(engine, data)[CELL]
    assert counted.total["seconds"] == 5 * 3600


def test_many_rows_keep_their_places_beside_the_other_columns(data: Path) -> None:
    count = 70_000
    times = [EPOCH + timedelta(hours=n) for n in range(count)]
    table = pa.table(
        {
            "org_id": ["org-1"] * count,
            "activity_id": [str(n) for n in range(count)],
            "participant_id": ["p"] * count,
            "bufdir_category": ["ungdom"] * count,
            "started_at": pa.array(times, pa.timestamp("ns", "UTC")),
            "hours": [1.0] * count,
        }
    )
    pq.write_table(table, data / "exports" / "a.parquet", row_group_size=9_999, **OLD)
    (accepted,) = read(data).accepted
    first, rows = 9_000, 60_000
    found = pa.Table.from_batches(list(batches.read(accepted, first, rows))).to_pydict()
    assert found["activity_id"] == [str(n) for n in range(first, first + rows)]
    assert found["started_at"] == [n * 3_600_000_000 for n in range(first, first + rows)]
