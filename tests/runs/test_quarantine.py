"""Quarantine: the rejected rows of each snapshot, with the reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.runs import lifecycle
from tests.given import AUTUMN, NOW, SUMMER, DataFolder, row, settings


def lines(folder: DataFolder, name: str) -> list[dict[str, Any]]:
    path = folder.data / "quarantine" / name
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_rejected_rows_are_quarantined_with_their_file_and_the_reason(folder: DataFolder) -> None:
    secret = "person-of-flesh-and-blood"  # noqa: S105 (no password)
    bad = {"participant_id": secret, "bufdir_category": "Åpen", "updated_at": AUTUMN}
    folder.export(
        [row(), row(**bad), row(participant_id=secret, activity_id=None)], "deep/a.parquet"
    )
    folder.export(
        [row(participant_id=secret, activity_id="a2", hours=-1.5, started_at=SUMMER)], "b.parquet"
    )
    folder.export(
        [
            row(participant_id=secret, org_id=None),
            row(participant_id=secret, started_at=None, org_id="org 1"),
        ],
        "c.parquet",
    )
    folder.nightly()
    autumn = lines(folder, "agg-001/v1.jsonl")
    assert [(line["reason"], line["file"], line["row"]) for line in autumn] == [
        ("unknown_category", "deep/a.parquet", 1),
        ("missing_activity_id", "deep/a.parquet", 2),
    ]
    assert autumn[0]["bufdir_category"] == "Åpen"
    assert autumn[0]["started_at"] == "2024-11-05T17:00:00.000000Z"
    assert autumn[0]["activity_id"] == "a1"
    (summer,) = lines(folder, "agg-002/v1.jsonl")
    assert (summer["reason"], summer["file"], summer["hours"]) == (
        "hours_negative",
        "b.parquet",
        "-1.5",
    )
    unplaced = lines(folder, "unplaced.jsonl")
    assert [line["reason"] for line in unplaced] == ["missing_org_id", "missing_started_at"]
    for name in folder.files():
        assert secret not in (folder.data / name).read_text(encoding="utf-8")


def test_rejected_rows_of_similar_files_are_named_by_their_place_in_each(
    folder: DataFolder,
) -> None:
    for name, hours in (("a", [2.0, -1.0, -1.0]), ("b", [-1.0]), ("c", []), ("d", [2.0, -1.0])):
        rows = [row(activity_id=name, participant_id=f"p{n}", hours=h) for n, h in enumerate(hours)]
        folder.export(rows, f"{name}.parquet")
    folder.nightly()
    assert [(line["file"], line["row"]) for line in lines(folder, "agg-001/v1.jsonl")] == [
        ("a.parquet", 1),
        ("a.parquet", 2),
        ("b.parquet", 0),
        ("d.parquet", 1),
    ]


@pytest.mark.parametrize("line", ["superseded", "deleted", "not_completed"])
def test_rows_that_are_rejected_on_purpose_are_not_quarantined(
    folder: DataFolder, line: str
) -> None:
    rows = {
        "superseded": [row(), row(hours=3.0)],
        "deleted": [row(deleted=True)],
        "not_completed": [row(status="cancelled")],
    }[line]
    folder.export(rows)
    result = folder.nightly()
    assert result.ledger[line] == 1
    assert folder.files() >= {"snapshots/agg-001/v1.json"}
    assert not [name for name in folder.files() if name.startswith("quarantine/agg")]


def test_quarantine_shows_hours_that_are_no_number(folder: DataFolder) -> None:
    folder.export(
        [row(participant_id=f"p{n}", hours=float(h)) for n, h in enumerate(("nan", "inf"))]
    )
    folder.nightly()
    hours = [line["hours"] for line in lines(folder, "agg-001/v1.jsonl")]
    assert [float(hour) for hour in hours][1] == float("inf")
    assert hours[0].lower() == "nan"


def test_quarantine_is_of_the_current_version_only(folder: DataFolder) -> None:
    folder.export([row(), row(participant_id="p2", hours=None)])
    folder.nightly()
    assert "quarantine/agg-001/v1.jsonl" in folder.files()
    folder.export([row(), row(participant_id="p2", hours=None), row(participant_id="p3")])
    folder.nightly()
    assert "quarantine/agg-001/v2.jsonl" in folder.files()
    assert "quarantine/agg-001/v1.jsonl" not in folder.files()
    folder.export([row()])
    folder.nightly()
    assert not [name for name in folder.files() if name.startswith("quarantine/agg")]
    versions = {name for name in folder.files() if name.startswith("snapshots/agg-001/")}
    assert versions == {f"snapshots/agg-001/v{n}.json" for n in (1, 2, 3)}


def test_the_quarantine_of_a_year_has_the_rows_of_all_its_months(folder: DataFolder) -> None:
    folder.settings = settings(periods=("year",))
    days = [datetime(2024, month, 3, tzinfo=UTC) for month in (1, 6, 12)]
    folder.export([row(participant_id=str(day), hours=None, started_at=day) for day in days])
    folder.nightly()
    assert len(lines(folder, "agg-001/v1.jsonl")) == 3


def test_a_deleted_snapshot_has_its_quarantine_until_its_files_are_removed(
    folder: DataFolder,
) -> None:
    folder.export([row(hours=None)])
    folder.nightly()
    with folder.context() as context:
        lifecycle.delete(context.catalog, "agg-001", NOW, "local:kari")
    assert "quarantine/agg-001/v1.jsonl" in folder.files()
    folder.now += timedelta(days=30)
    folder.nightly()
    assert {name for name in folder.files() if "agg-001" in name} == {
        "snapshots/agg-001/deleted.json"
    }
