"""Every kind of time in files, both clock changes, and both sides of every midnight."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import narwhals as nw
import pyarrow as pa
import pytest

from pipeline.definitions.participations import typed
from pipeline.model import clock
from pipeline.model.columns import STARTED_AT, ColumnMapping, Ticks, Unit
from pipeline.model.states import EngineName
from pipeline.storage import version_files
from tests.given import (
    DataFolder,
    applied,
    cells,
    export,
    ledger,
    ledgers,
    row,
    settings,
    survey_of,
    table,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.definitions.dialect import Dialect, Frame

OSLO = ZoneInfo("Europe/Oslo")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNITS = ("s", "ms", "us", "ns")
CLOCKS = tuple(unit for unit in Unit if unit not in {Unit.DAYS, Unit.SPLIT})
"""The units in which a wall clock is read to less than a day, as one number."""
SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
ZONES = ("UTC", "Europe/Oslo", "America/New_York", "Asia/Kathmandu", "+05:30")


def tick(wall: datetime, unit: str) -> int:
    """Convert a wall-clock reading, or an instant if it has a zone, to the ticks of a file."""
    start = EPOCH if wall.tzinfo else EPOCH.replace(tzinfo=None)
    return (wall - start) // timedelta(seconds=1) * SECOND[unit]


def walls(*readings: str) -> list[datetime]:
    return [datetime.fromisoformat(reading) for reading in readings]


def instants(engine: str, zone: ZoneInfo, ticks: list[int], unit: Unit) -> list[datetime]:
    """Return the instants as which an engine reads wall-clock times."""
    is_split = engine == EngineName.SPARK and unit is Unit.NANOSECONDS
    known = Ticks(Unit.SPLIT if is_split else unit, zoned=False)
    shape = ColumnMapping({STARTED_AT: STARTED_AT}, {STARTED_AT: known})
    raw = pa.table({STARTED_AT: ticks, "file": [0] * len(ticks), "row": range(len(ticks))})

    def step(rows: Frame, dialect: Dialect) -> Frame:
        if is_split:  # as the engine does, before the definitions
            from pipeline.engines.spark import stored  # noqa: PLC0415 (where it is installed)

            native = rows.to_native()
            split = stored.split_nanoseconds(STARTED_AT, native[STARTED_AT])
            rows = nw.from_native(native.select("file", "row", *split))
        return typed(rows, shape, clock.wall_clock(zone), dialect=dialect)

    found = applied(engine, raw, step).sort("row")
    return [EPOCH + timedelta(microseconds=micros) for micros in found[STARTED_AT].to_list()]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("zone", ZONES)
def test_a_timestamp_with_a_zone_is_an_instant_whatever_the_zone(
    engine: str, data: Path, unit: str, zone: str
) -> None:
    kind = pa.timestamp(unit, zone)
    times = [datetime(2024, 12, 31, 22, 59, 59, tzinfo=UTC), datetime(2024, 12, 31, 23, tzinfo=UTC)]
    rows = [
        row(participant_id=f"p{n}", started_at=pa.scalar(tick(time, unit), pa.int64()).cast(kind))
        for n, time in enumerate(times)
    ]
    export(data, rows, types={"started_at": kind})
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}, "rp-2025-q1": {"counted": 1}}


@pytest.mark.parametrize("unit", UNITS)
def test_a_timestamp_without_a_zone_is_what_the_wall_clock_shows_in_oslo(
    engine: str, data: Path, unit: str
) -> None:
    kind = pa.timestamp(unit)
    rows = [
        row(participant_id=f"p{n}", started_at=pa.scalar(tick(wall, unit), pa.int64()).cast(kind))
        for n, wall in enumerate(walls("2024-12-31T23:59:59", "2025-01-01T00:00:00"))
    ]
    export(data, rows, types={"started_at": kind})
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}, "rp-2025-q1": {"counted": 1}}


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()], ids=str)
def test_a_date_is_midnight_in_oslo(engine: str, data: Path, kind: Any) -> None:
    days = [date(2024, 12, 31), date(2025, 1, 1)]
    rows = [row(participant_id=f"p{n}", started_at=day) for n, day in enumerate(days)]
    export(data, rows, types={"started_at": kind})
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}, "rp-2025-q1": {"counted": 1}}


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64(), pa.timestamp("ms")], ids=str)
def test_updated_at_is_read_as_started_at_is(engine: str, data: Path, kind: Any) -> None:
    """Midnight in Oslo on 1 December is 30 November 23:00 UTC."""
    midnight = datetime(2024, 11, 30, 23, tzinfo=UTC)
    day: Any = datetime(2024, 12, 1) if pa.types.is_timestamp(kind) else date(2024, 12, 1)  # noqa: DTZ001
    for n, apart in enumerate((timedelta(seconds=1), timedelta(seconds=-1))):
        export(data, [row(updated_at=day, hours=1.0)], "z.parquet", types={"updated_at": kind})
        export(data, [row(updated_at=midnight + apart, hours=2.0)], "a.parquet")
        (counted,) = cells(engine, data).values()
        assert counted.total["seconds"] == (7200, 3600)[n]


@pytest.mark.parametrize("unit", CLOCKS)
def test_the_hour_that_occurs_twice_is_taken_as_the_first(engine: str, unit: Unit) -> None:
    readings = walls(
        "2024-10-27T01:59:59",
        "2024-10-27T02:00:00",
        "2024-10-27T02:30:00",
        "2024-10-27T02:59:59",
        "2024-10-27T03:00:00",
    )
    found = instants(engine, OSLO, [tick(wall, unit.value) for wall in readings], unit)
    assert [instant.strftime("%dT%H:%M:%S") for instant in found] == [
        "26T23:59:59",
        "27T00:00:00",
        "27T00:30:00",
        "27T00:59:59",
        "27T02:00:00",
    ]


@pytest.mark.parametrize("unit", CLOCKS)
def test_the_hour_that_the_clock_skips_is_taken_one_hour_later(engine: str, unit: Unit) -> None:
    readings = walls(
        "2024-03-31T01:59:59",
        "2024-03-31T02:00:00",
        "2024-03-31T02:30:00",
        "2024-03-31T02:59:59",
        "2024-03-31T03:00:00",
    )
    found = instants(engine, OSLO, [tick(wall, unit.value) for wall in readings], unit)
    local = [instant.astimezone(OSLO).strftime("%dT%H:%M:%S") for instant in found]
    assert local == ["31T01:59:59", "31T03:00:00", "31T03:30:00", "31T03:59:59", "31T03:00:00"]


@pytest.mark.parametrize("unit", ["us", "ns"])
def test_both_engines_read_ambiguous_hours_alike(data: Path, engine: str, unit: str) -> None:
    """In a zone whose clock changes at the midnight of a month, the choice decides the month."""
    chosen = settings(timezone="America/Asuncion", periods=("month",))
    # Paraguay: Sunday 1 October 2017 00:00 is skipped; 1:00 follows 30 September 23:59:59.
    readings = walls("2017-09-30T23:59:59", "2017-10-01T00:00:00", "2017-10-01T00:59:59")
    kind = pa.timestamp(unit)
    rows = [
        row(participant_id=f"p{n}", started_at=pa.scalar(tick(wall, unit), pa.int64()).cast(kind))
        for n, wall in enumerate(readings)
    ]
    export(data, rows, types={"started_at": kind})
    found = cells(engine, data, "month", chosen)
    assert {period: counted.ledger["counted"] for (_, period), counted in found.items()} == {
        "rp-2017-m9": 1,
        "rp-2017-m10": 2,
    }


def expected(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone, fold=0).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "year"),
    [
        ("Europe/Oslo", 2024),
        ("Europe/Oslo", 2099),
        ("America/New_York", 2010),
        ("Australia/Lord_Howe", 2023),
        ("Africa/Casablanca", 2024),
        ("Pacific/Apia", 2011),
        ("UTC", 2024),
    ],
)
def test_a_whole_year_every_half_hour_is_what_python_makes_of_it(zone: str, year: int) -> None:
    readings = [
        datetime(year, 1, 1) + timedelta(minutes=30 * n)  # noqa: DTZ001 a wall clock has no zone
        for n in range(366 * 48)
    ]
    ticks = [tick(wall, "us") for wall in readings]
    found = instants("polars", ZoneInfo(zone), ticks, Unit.MICROSECONDS)
    assert found == [expected(wall, ZoneInfo(zone)) for wall in readings]


def test_every_engine_reads_the_same_year_alike(engine: str) -> None:
    readings = [datetime(2024, 1, 1) + timedelta(minutes=30 * n) for n in range(366 * 48)]  # noqa: DTZ001
    ticks = [tick(wall, "ns") for wall in readings]
    found = instants(engine, OSLO, ticks, Unit.NANOSECONDS)
    assert found == [expected(wall, OSLO) for wall in readings]


@pytest.mark.parametrize("year", [2000, 2024, 2025, 2100])
@pytest.mark.parametrize("quarter", [1, 2, 3, 4])
def test_both_sides_of_the_midnight_that_begins_a_quarter(
    engine: str, data: Path, year: int, quarter: int
) -> None:
    midnight = datetime(year, 3 * quarter - 2, 1, tzinfo=OSLO).astimezone(UTC)
    micro = timedelta(microseconds=1)
    rows = [row(participant_id="before", started_at=midnight - micro), row(started_at=midnight)]
    export(data, rows)
    before = f"rp-{year}-q{quarter - 1}" if quarter > 1 else f"rp-{year - 1}-q4"
    expected_cells = {f"rp-{year}-q{quarter}": {"counted": 1}}
    if before != "rp-1999-q4":
        expected_cells[before] = {"counted": 1}
    assert ledgers(engine, data) == expected_cells


def test_a_nanosecond_before_midnight_is_the_old_quarter(engine: str, data: Path) -> None:
    midnight = int(datetime(2024, 12, 31, 23, tzinfo=UTC).timestamp()) * 10**9
    kind = pa.timestamp("ns", "UTC")
    times = [pa.scalar(midnight + n, pa.int64()).cast(kind) for n in (-1, 0)]
    rows = [row(participant_id=f"p{n}", started_at=time) for n, time in enumerate(times)]
    export(data, rows, types={"started_at": kind})
    assert list(ledgers(engine, data)) == ["rp-2024-q4", "rp-2025-q1"]


@pytest.mark.parametrize("end", ["first", "last"])
def test_a_nanosecond_outside_2000_to_2100_is_out_of_range(data: Path, end: str) -> None:
    kind = pa.timestamp("ns", "UTC")
    instant = {
        "first": datetime(1999, 12, 31, 23, tzinfo=UTC),
        "last": datetime(2100, 12, 31, 23, tzinfo=UTC),
    }[end]
    start = int(instant.timestamp()) * 10**9
    times = [pa.scalar(start + n, pa.int64()).cast(kind) for n in (-1, 0)]
    rows = [row(participant_id=f"p{n}", started_at=time) for n, time in enumerate(times)]
    export(data, rows, types={"started_at": kind})
    assert ledger(survey_of(data).ledger) == {"counted": 1, "started_at_out_of_range": 1}


def of_ticks(kind: Any, ticks: list[int]) -> Any:
    small = pa.int32() if pa.types.is_date32(kind) else pa.int64()
    written = table([row(participant_id=f"p{n}") for n in range(len(ticks))])
    column = pa.array(ticks, small).cast(kind)
    return written.set_column(written.column_names.index("started_at"), "started_at", column)


@pytest.mark.parametrize(
    ("kind", "ticks"),
    [
        (pa.timestamp("us", "UTC"), [-(2**63) + 1, 2**63 - 1]),
        (pa.timestamp("s"), [-(10**15), 10**15]),
        (pa.timestamp("ms", "UTC"), [-(2**52), 2**52]),
        (pa.timestamp("ms"), [-(2**63) + 1, 2**63 - 1]),
        (pa.timestamp("ms", "UTC"), [-(2**63) + 1, 2**63 - 1]),
        (pa.timestamp("ns", "UTC"), [-(2**63), 2**63 - 1]),
        (pa.timestamp("us"), [-(2**62), 2**62]),
        (pa.timestamp("ns"), [-(2**63), 2**63 - 1]),
        (pa.date32(), [-1_000_000, 10_000_000]),
        (pa.date32(), [-(2**31), 2**31 - 1]),
    ],
    ids=str,
)
def test_times_of_other_ages_are_out_of_range_and_the_nightly_run_goes_on(
    folder: DataFolder, kind: Any, ticks: list[int]
) -> None:
    write(folder.data, of_ticks(kind, ticks), "odd.parquet")
    folder.export([row(hours=1.0)], "good.parquet")

    result = folder.nightly()

    assert (result.refused, ledger(result.ledger)) == (
        {},
        {"counted": 1, "started_at_out_of_range": len(ticks)},
    )
    written = version_files.unplaced_path(folder.data).read_text().splitlines()
    assert [json.loads(line)["reason"] for line in written] == ["started_at_out_of_range"] * 2


FAR = [
    (pa.timestamp("us"), 2**63 - 1),
    (pa.timestamp("us", "UTC"), 2**63 - 1),
    (pa.timestamp("ms", "UTC"), 2**63 - 1),
    (pa.timestamp("ns"), 2**63 - 1),
    (pa.date32(), 2**31 - 1),
]


@pytest.mark.parametrize(("kind", "tick"), FAR, ids=str)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_statement_made_at_the_end_of_time_is_the_latest_and_at_its_beginning_the_oldest(
    engine: str, data: Path, kind: Any, tick: int, sign: int
) -> None:
    small = pa.int32() if pa.types.is_date32(kind) else pa.int64()
    far = pa.array([sign * tick], small).cast(kind)[0]
    export(data, [row(hours=1.0, updated_at=far)], "a.parquet", types={"updated_at": kind})
    export(data, [row(hours=2.0, updated_at=datetime(2024, 12, 1, tzinfo=UTC))], "b.parquet")
    (counted,) = cells(engine, data).values()
    assert counted.total["seconds"] == (3600 if sign == 1 else 7200)


def test_a_row_with_an_infinite_time_is_quarantined_with_its_ticks(folder: DataFolder) -> None:
    kind = pa.timestamp("us", "UTC")
    far = pa.array([2**63 - 1]).cast(kind)[0]
    folder.export([row(hours=None, updated_at=far)], types={"updated_at": kind})
    folder.nightly()
    (written,) = version_files.quarantine_path(folder.data, 1, 1).read_text().splitlines()
    assert json.loads(written)["updated_at"] == str(2**63 - 1)
    assert json.loads(written)["started_at"] == "2024-11-05T17:00:00.000000Z"


def test_another_time_zone_moves_midnight(engine: str, data: Path) -> None:
    export(data, [row(started_at=datetime(2024, 12, 31, 23, 30, tzinfo=UTC))])
    assert list(ledgers(engine, data)) == ["rp-2025-q1"]
    assert list(ledgers(engine, data, settings(timezone="UTC"))) == ["rp-2024-q4"]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("zone", [None, "UTC"])
def test_a_null_time_is_null_in_every_unit(data: Path, unit: str, zone: str | None) -> None:
    kind = pa.timestamp(unit, zone)
    types = {"started_at": kind, "updated_at": kind}
    export(data, [row(started_at=None, updated_at=None)], types=types)
    assert ledger(survey_of(data).ledger) == {"missing_started_at": 1}


def test_the_clock_of_oslo_has_two_steps_a_year() -> None:
    found = clock.wall_clock(OSLO)
    hour = 3_600_000_000
    assert found.first_offset_us == hour
    assert {step.change_us for step in found.steps} == {hour, -hour}
    steps = [EPOCH + timedelta(microseconds=step.wall_us) for step in found.steps]
    spring, autumn = [at for at in steps if at.year == 2024]
    assert (spring.strftime("%m-%dT%H:%M"), autumn.strftime("%m-%dT%H:%M")) == (
        "03-31T03:00",
        "10-27T03:00",
    )
