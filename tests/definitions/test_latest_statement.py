"""The latest statement about a participation wins, over all files, periods and categories."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from tests.given import AUTUMN, CELL, SUMMER, cells, export, ledgers, people, row, settings

if TYPE_CHECKING:
    from pathlib import Path

EARLIER = datetime(2024, 12, 1, tzinfo=UTC)
LATER = EARLIER + timedelta(microseconds=1)
HOUR = 3600


def seconds(engine: str, data: Path, **chosen: Any) -> int:
    return cells(engine, data, chosen=settings(**chosen))[CELL].total["seconds"]


def test_the_row_with_the_greatest_updated_at_is_latest_in_whichever_file(
    engine: str, data: Path
) -> None:
    export(data, [row(hours=3.0, updated_at=LATER)], "a.parquet")
    export(data, [row(hours=5.0, updated_at=EARLIER)], "z.parquet")
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1, "superseded": 1}}
    assert seconds(engine, data) == 3 * HOUR


def test_of_three_statements_one_is_latest_and_two_are_superseded(engine: str, data: Path) -> None:
    times = [EARLIER, LATER, None]
    export(data, [row(hours=float(n), updated_at=time) for n, time in enumerate(times, 1)])
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1, "superseded": 2}}
    assert seconds(engine, data) == 2 * HOUR


def test_a_null_updated_at_is_oldest(engine: str, data: Path) -> None:
    long_ago = datetime(1950, 1, 1, tzinfo=UTC)
    export(data, [row(hours=3.0, updated_at=long_ago)], "a.parquet")
    export(data, [row(hours=5.0, updated_at=None)], "z.parquet")
    assert seconds(engine, data) == 3 * HOUR


def test_a_file_without_updated_at_is_oldest(engine: str, data: Path) -> None:
    export(data, [row(hours=3.0, updated_at=datetime(1950, 1, 1, tzinfo=UTC))], "a.parquet")
    export(data, [row(hours=5.0)], "z.parquet")
    assert seconds(engine, data) == 3 * HOUR


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("column", ["null", "absent"])
def test_without_updated_at_the_later_file_wins_whatever_its_units(
    engine: str, data: Path, unit: str, column: str
) -> None:
    values: dict[str, Any] = {"updated_at": None} if column == "null" else {}
    for first, second in (("ns", unit), (unit, "ns")):
        first_type, second_type = ({"updated_at": pa.timestamp(u, "UTC")} for u in (first, second))
        export(data, [row(hours=3.0, **values)], "a.parquet", types=first_type)
        export(data, [row(hours=1.0, updated_at=None)], "z.parquet", types=second_type)
        assert seconds(engine, data) == 1 * HOUR


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Oslo"])
def test_a_nanosecond_decides(engine: str, data: Path, zone: str | None) -> None:
    kind = pa.timestamp("ns", zone)
    ticks = 1_733_011_200_000_000_001
    times = [pa.scalar(ticks + n, pa.int64()).cast(kind) for n in (998, 999, 0)]
    rows = [row(hours=float(n), updated_at=time) for n, time in enumerate(times, 1)]
    export(data, rows, types={"updated_at": kind})
    assert seconds(engine, data) == 2 * HOUR


def test_a_nanosecond_decides_over_a_coarser_file_and_before_1970(engine: str, data: Path) -> None:
    for second in (1_733_011_200, -1):
        coarse, fine = pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")
        whole = pa.scalar(second * 10**6, pa.int64()).cast(coarse)
        beyond = pa.scalar(second * 10**9 + 1, pa.int64()).cast(fine)
        export(data, [row(hours=3.0, updated_at=beyond)], "a.parquet", types={"updated_at": fine})
        export(data, [row(hours=5.0, updated_at=whole)], "z.parquet", types={"updated_at": coarse})
        assert seconds(engine, data) == 3 * HOUR


@pytest.mark.parametrize("names", [("a", "b"), ("A", "a"), ("a/z", "b/a"), ("2024-2", "2024/1")])
def test_a_tie_goes_to_the_later_file_by_its_path(
    engine: str, data: Path, names: tuple[str, str]
) -> None:
    first, second = (f"{name}.parquet" for name in names)
    export(data, [row(hours=5.0, updated_at=EARLIER)], first)
    export(data, [row(hours=3.0, updated_at=EARLIER)], second)
    assert seconds(engine, data) == 3 * HOUR


def test_the_path_counts_by_its_characters_not_by_folders(engine: str, data: Path) -> None:
    """`a-1/x` comes before `a/x`, for `-` comes before `/`."""
    export(data, [row(hours=3.0)], "a/x.parquet")
    export(data, [row(hours=5.0)], "a-1/x.parquet")
    assert seconds(engine, data) == 3 * HOUR


TIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"bufdir_category": "eldre"}, {"bufdir_category": "ungdom"}),
    ({"bufdir_category": None}, {"bufdir_category": "eldre"}),
    ({"bufdir_category": None}, {"bufdir_category": ""}),
    ({"started_at": AUTUMN}, {"started_at": AUTUMN + timedelta(microseconds=1)}),
    ({"hours": 2.0}, {"hours": 2.5}),
    ({"hours": None}, {"hours": -math.inf}),
    ({"hours": 24.0}, {"hours": math.inf}),
    ({"hours": math.inf}, {"hours": math.nan}),
    ({"status": "cancelled"}, {"status": "completed"}),
    ({"status": None}, {"status": "completed"}),
    ({"status": None}, {"status": ""}),
    ({"deleted": False}, {"deleted": True}),
    ({"deleted": None}, {"deleted": False}),
    ({"deleted": None}, {"deleted": True}),
]
STEPS = ("bufdir_category", "started_at", "hours", "status", "deleted")
GREAT: dict[str, Any] = {"started_at": AUTUMN, "hours": 1.0, "status": "completed", "deleted": True}
SMALL: dict[str, Any] = {
    "started_at": SUMMER,
    "hours": 0.5,
    "status": "cancelled",
    "deleted": False,
}


@pytest.mark.parametrize(("lesser", "greater"), TIES)
def test_a_tie_in_one_file_goes_to_the_greater_and_null_is_least(
    engine: str, data: Path, lesser: dict[str, Any], greater: dict[str, Any]
) -> None:
    """Whichever comes first in the file; every later column would decide the other way."""
    (column,) = lesser
    later = STEPS[STEPS.index(column) + 1 :]
    values = {"status": "completed", "deleted": False, "updated_at": EARLIER}
    loser = row(**values | {name: GREAT[name] for name in later} | lesser)
    winner = row(**values | {name: SMALL[name] for name in later} | greater)
    export(data, [winner])
    alone = cells(engine, data)
    for order in ([loser, winner], [winner, loser]):
        export(data, order)
        found = cells(engine, data)
        for cell, counted in alone.items():
            assert found[cell].total == counted.total
            lines = {k: v for k, v in found[cell].ledger.items() if k != "superseded"}
            assert lines == {k: v for k, v in counted.ledger.items() if k != "superseded"}
        assert sum(counted.ledger["superseded"] for counted in found.values()) == 1


def test_a_tie_goes_by_the_category_after_the_mapping(engine: str, data: Path) -> None:
    chosen = {"export": {"categories": {"Aktivitet": "ungdom", "Zumba": "eldre"}}}
    export(
        data,
        [row(bufdir_category="Aktivitet", hours=1.0), row(bufdir_category="Zumba", hours=2.0)],
    )
    assert seconds(engine, data, **chosen) == 1 * HOUR


def test_a_tie_of_started_at_goes_to_the_nanosecond(engine: str, data: Path) -> None:
    kind = pa.timestamp("ns", "UTC")
    ticks = int(AUTUMN.timestamp()) * 10**9
    later, earlier = (pa.scalar(ticks + n, pa.int64()).cast(kind) for n in (1, 0))
    rows = [row(started_at=later, hours=1.0), row(started_at=earlier, hours=2.0)]
    export(data, rows, types={"started_at": kind})
    assert seconds(engine, data) == 1 * HOUR


def test_statements_that_are_equal_in_everything_count_once(engine: str, data: Path) -> None:
    export(data, [row(), row(), row()])
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1, "superseded": 2}}


def test_a_correction_that_moves_a_participation_to_another_quarter_leaves_the_old_one(
    engine: str, data: Path
) -> None:
    export(
        data, [row(updated_at=EARLIER), row(participant_id="p2", updated_at=EARLIER)], "1.parquet"
    )
    export(data, [row(started_at=SUMMER, updated_at=LATER)], "2.parquet")
    assert ledgers(engine, data) == {
        "rp-2024-q3": {"counted": 1},
        "rp-2024-q4": {"counted": 1, "superseded": 1},
    }


def test_a_correction_that_empties_a_quarter_leaves_a_cell_of_zeros(
    engine: str, data: Path
) -> None:
    export(data, [row(updated_at=EARLIER), row(started_at=SUMMER, updated_at=LATER)])
    found = cells(engine, data)
    assert found[CELL].total["participations"] == 0
    assert ledgers(engine, data)["rp-2024-q4"] == {"superseded": 1}


def test_a_correction_that_moves_a_participation_to_another_category_leaves_the_old_one(
    engine: str, data: Path
) -> None:
    export(data, [row(updated_at=EARLIER), row(bufdir_category="eldre", updated_at=LATER)])
    shares = cells(engine, data)[CELL].categories
    assert shares["ungdom"]["participations"] == shares["ungdom"]["people"] == 0
    assert shares["eldre"]["participations"] == shares["eldre"]["people"] == 1


@pytest.mark.parametrize(
    ("reason", "defect"),
    [
        ("deleted", {"deleted": True}),
        ("not_completed", {"status": "no_show"}),
        ("unknown_category", {"bufdir_category": None}),
        ("hours_missing", {"hours": None}),
        ("hours_not_finite", {"hours": math.nan}),
        ("hours_negative", {"hours": -1.0}),
        ("hours_too_long", {"hours": 99.0}),
    ],
)
def test_a_latest_statement_that_fails_is_rejected_and_no_older_one_counts(
    engine: str, data: Path, reason: str, defect: dict[str, Any]
) -> None:
    export(data, [row(updated_at=EARLIER)], "a.parquet")
    export(data, [row(updated_at=LATER, **defect)], "b.parquet")
    assert ledgers(engine, data) == {"rp-2024-q4": {"superseded": 1, reason: 1}}


@pytest.mark.parametrize(
    ("reason", "defect"),
    [
        ("started_at_out_of_range", {"started_at": datetime(2124, 1, 1, tzinfo=UTC)}),
        ("missing_started_at", {"started_at": None}),
    ],
)
def test_a_row_that_is_no_statement_supersedes_nothing(
    engine: str, data: Path, reason: str, defect: dict[str, Any]
) -> None:
    del reason
    export(data, [row(updated_at=EARLIER), row(updated_at=LATER, **defect)])
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}}


def test_a_withdrawal_that_is_itself_corrected_counts_again(engine: str, data: Path) -> None:
    export(
        data,
        [
            row(updated_at=EARLIER, deleted=False),
            row(updated_at=LATER, deleted=True),
            row(updated_at=LATER + timedelta(seconds=1), deleted=False, hours=1.0),
        ],
    )
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1, "superseded": 2}}
    assert seconds(engine, data) == HOUR


@pytest.mark.parametrize("column", ["org_id", "activity_id", "participant_id"])
def test_another_organisation_activity_or_participant_is_another_participation(
    engine: str, data: Path, column: str
) -> None:
    export(data, [row(), row(**{column: "x2"})])
    found = cells(engine, data).values()
    assert sum(counted.ledger["counted"] for counted in found) == 2


def test_the_parts_of_a_key_do_not_run_into_each_other(engine: str, data: Path) -> None:
    export(
        data, [row(activity_id="a", participant_id="bc"), row(activity_id="ab", participant_id="c")]
    )
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 2}}


def test_removing_the_file_of_the_correction_brings_the_older_statement_back(
    engine: str, data: Path
) -> None:
    export(data, people(2, updated_at=EARLIER), "a.parquet")
    correction = export(data, [row(updated_at=LATER, deleted=True)], "b.parquet")
    assert ledgers(engine, data)["rp-2024-q4"] == {"counted": 1, "superseded": 1, "deleted": 1}
    correction.unlink()
    assert ledgers(engine, data)["rp-2024-q4"] == {"counted": 2}
