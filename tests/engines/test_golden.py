"""Numbers that stay: of one small export, and of the sample that ships."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipeline.model import versions
from pipeline.model.ledger import LEDGER
from pipeline.model.periods import KINDS
from pipeline.model.terms import DEFINITIONS
from tests import given, reference
from tests.contract_sample.exports import LATE
from tests.given import (
    AUTUMN,
    SUMMER,
    DataFolder,
    cells,
    computed,
    export,
    ledger,
    outcomes_by_cell,
    row,
)

GOLDEN = Path(__file__).with_name("golden.json")
SHIPPED = Path(__file__).parents[2] / "data"
ORG_42, QUARTER = "org-bufdir-42", "rp-2024-q4"


def small_export(data: Path) -> None:
    """Return the rows of two files, with one row of each kind."""
    values = {
        "updated_at": datetime(2024, 12, 1, tzinfo=UTC),
        "status": "completed",
        "deleted": False,
    }
    later = values["updated_at"] + timedelta(days=1)  # type: ignore[operator]
    first = [
        row(**values),
        row(participant_id="p2", hours=0.1, **values),
        row(participant_id="p2", activity_id="a2", bufdir_category="eldre", hours=1 / 3, **values),
        row(participant_id="p3", bufdir_category="foreldre_barn", hours=0.14125, **values),
        row(participant_id="p4", **values),
        row(participant_id="p5", **values),
        row(participant_id="p6", **values),
        row(participant_id="p7", **{**values, "status": None}),
        row(participant_id="p8", **{**values, "deleted": True}),
        row(participant_id="p9", bufdir_category="sport", **values),
        row(participant_id="d1", hours=None, **values),
        row(participant_id="d2", hours=float("nan"), **values),
        row(participant_id="d3", hours=-1.0, **values),
        row(participant_id="d4", hours=24.5, **values),
        row(participant_id=None, **values),
        row(activity_id="", **values),
        row(org_id=None, **values),
        row(org_id="org 1", **values),
        row(started_at=None, **values),
        row(started_at=datetime(2101, 1, 1, tzinfo=UTC), **values),
        row(org_id="org-2", started_at=SUMMER, **values),
    ]
    second = [
        row(participant_id="p4", **{**values, "updated_at": later, "started_at": SUMMER}),
        row(participant_id="p5", **{**values, "updated_at": later, "bufdir_category": "eldre"}),
        row(participant_id="p6", **{**values, "hours": 3.0}),
        row(participant_id="p1", started_at=AUTUMN, updated_at=None, status="completed"),
    ]
    export(data, first, "2024-12.parquet")
    export(data, second, "2025-01.parquet")


def numbers(engine: str, data: Path) -> dict[str, Any]:
    return {
        f"{org_id} {period_id}": {
            "total": counted.total,
            "categories": counted.categories,
            "ledger": ledger(counted.ledger),
        }
        for kind in KINDS
        for (org_id, period_id), counted in cells(engine, data, kind).items()
    }


def test_the_numbers_of_a_small_export_do_not_change(engine: str, data: Path) -> None:
    """A deliberate change raises `DEFINITIONS`."""
    small_export(data)
    golden = msgspec.json.decode(GOLDEN.read_bytes())
    assert numbers(engine, data) == golden["cells"]
    assert golden["definitions"] == DEFINITIONS
    assert {reason for cell in golden["cells"].values() for reason in cell["ledger"]} == set(
        LEDGER
    ) - {
        "unreadable_value",
        "missing_org_id",
        "missing_started_at",
        "invalid_org_id",
        "started_at_out_of_range",
    }


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    """The sample that ships, after a nightly run."""
    data = tmp_path_factory.mktemp("shipped")
    shutil.copytree(SHIPPED / "exports", data / "exports")
    folder = DataFolder(data)
    folder.nightly()
    return folder


def test_the_sample_gives_the_numbers_of_the_contract(shipped: DataFolder) -> None:
    version = shipped.published()[ORG_42, QUARTER]
    assert (version.id, version.version) == ("agg-001", 1)
    total = version.total
    assert (total["participations"], total["people"], total["activities"]) == (1842, 1601, 274)
    assert versions.hours(total["seconds"]) == 9310.5
    assert {name: share["participations"] for name, share in version.categories.items()} == {
        "foreldre_barn": 312,
        "ungdom": 580,
        "eldre": 210,
        "funksjonsnedsettelse": 740,
    }
    assert versions.hours(version.categories["foreldre_barn"]["seconds"]) == 1560
    assert versions.hours(version.categories["ungdom"]["seconds"]) == 3100


@pytest.mark.parametrize("kind", ["quarter", "month", "year"])
def test_both_engines_count_the_sample_as_plain_python_does(engine: str, kind: str) -> None:
    expected = reference.outcome(SHIPPED / "exports", kind).cells
    found = cells(engine, SHIPPED, kind)
    assert set(found) == set(expected)
    for cell, counted in found.items():
        assert counted.total == msgspec.to_builtins(expected[cell].total)
        assert ledger(counted.ledger) == dict(expected[cell].ledger)
        assert {name: msgspec.to_builtins(share) for name, share in counted.categories.items()} == {
            name: msgspec.to_builtins(share) for name, share in expected[cell].categories.items()
        }


def test_the_late_export_computes_the_two_cells_that_it_touches(
    shipped: DataFolder, tmp_path: Path
) -> None:
    shutil.copytree(shipped.data, tmp_path / "data")
    folder = DataFolder(tmp_path / "data")
    for path in (folder.data / "exports").rglob("*.parquet"):
        shutil.copystat(shipped.data / "exports" / path.relative_to(folder.data / "exports"), path)
    shutil.copy(SHIPPED / "late" / LATE, folder.data / "exports")
    result = folder.nightly()
    assert computed(result) == {f"{ORG_42} {QUARTER}", f"{ORG_42} rp-2024-q3"}
    assert set(outcomes_by_cell(result).values()) == {"computed", "unchanged"}
    total = folder.published()[ORG_42, QUARTER].total
    assert total["participations"] == 1855
    assert versions.hours(total["seconds"]) == 9402


def test_every_file_of_the_sample_is_accepted(shipped: DataFolder) -> None:
    reading = given.read(shipped.data)
    assert reading.refused == {}
    assert len(reading.accepted) == len(list((SHIPPED / "exports").rglob("*.parquet")))
