"""First versions of cells whose months have other snapshots, of which something is missing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipeline.model import periods
from pipeline.model.states import Reason, Retirement
from pipeline.runs import declare, lifecycle
from pipeline.runs.run import run_cells
from tests.given import NOW, SUMMER, DataFolder, people, row, settings

if TYPE_CHECKING:
    from pathlib import Path

YEAR = ("org-1", "rp-2024")
WITH_YEARS = settings(periods=["quarter", "year"])


@pytest.fixture
def folder(data: Path) -> DataFolder:
    """Two quarters of one organisation and one of another, of which one export is gone."""
    folder = DataFolder(data)
    folder.export(people(40), "autumn.parquet")
    folder.export(people(30, started_at=SUMMER, activity_id="a2"), "summer.parquet")
    folder.export(people(5, org_id="org-2"), "other.parquet")
    folder.nightly()
    (data / "exports" / "summer.parquet").unlink()
    return folder


def new_blocked(folder: DataFolder) -> list[tuple[str, Reason, str]]:
    """Run at night; give the period, reason and remedy of each blocked cell without a version."""
    return [
        (one.reporting_period_id, one.reason, one.remedy)
        for one in folder.nightly().blocked
        if one.id is None
    ]


def year(folder: DataFolder, *, force: bool = False) -> str:
    """Run the year by hand; return the outcome."""
    with folder.context() as context:
        (one,) = run_cells(context, [periods.parse(YEAR[1])], [YEAR[0]], force=force).outcomes
    return one.outcome


def people_of_year(folder: DataFolder) -> int | None:
    found = folder.published().get(YEAR)
    return None if found is None else found.total["participations"]


def test_a_kind_that_is_switched_on_waits_for_an_export_that_is_gone(folder: DataFolder) -> None:
    folder.settings = WITH_YEARS
    remedy = "put it back, or declare why: bufdir retire summer.parquet --keep (or --retract)"
    for _ in range(2):  # the second nightly run finds no change
        assert new_blocked(folder) == [("rp-2024", Reason.GONE, remedy)]
    assert people_of_year(folder) is None
    assert ("org-2", "rp-2024") in folder.published()
    folder.export(people(30, started_at=SUMMER, activity_id="a2"), "summer.parquet")
    assert new_blocked(folder) == []
    assert people_of_year(folder) == 70


def test_a_run_by_hand_of_a_new_period_is_blocked_until_it_is_forced(folder: DataFolder) -> None:
    assert year(folder) == "blocked"
    assert people_of_year(folder) is None
    with folder.context() as context:
        entry = context.catalog.of_cell(*YEAR)
        assert entry is not None
        assert entry.status == "failed"
        assert str(entry.error).startswith(
            "export summer.parquet is gone, and published snapshots with the same months rest on "
            "it; put it back, or"
        )
    assert year(folder, force=True) == "computed"
    assert people_of_year(folder) == 40
    (forced,) = folder.published()[YEAR].declarations
    assert (forced.kind, forced.reason, forced.exports) == (
        "forced",
        "export_gone",
        ("summer.parquet",),
    )
    assert new_blocked(folder) == []


def test_a_period_that_the_api_asks_for_is_blocked_too(folder: DataFolder) -> None:
    with folder.context() as context:
        lifecycle.create(context.catalog, YEAR[0], periods.parse(YEAR[1]), NOW)
    assert [one[:2] for one in new_blocked(folder)] == [("rp-2024", Reason.GONE)]


def test_a_period_without_a_month_of_what_is_missing_is_computed(folder: DataFolder) -> None:
    spring = datetime(2024, 4, 3, 12, tzinfo=UTC)
    folder.export([row(started_at=spring)], "spring.parquet")
    assert new_blocked(folder) == []
    assert folder.published()["org-1", "rp-2024-q2"].total["participations"] == 1


def test_a_retracted_export_is_no_part_of_a_new_period(folder: DataFolder) -> None:
    with folder.context() as context:
        declare.retire(context, ["summer.parquet"], Retirement.RETRACT)
    folder.settings = WITH_YEARS
    assert new_blocked(folder) == []
    assert people_of_year(folder) == 40


def test_a_new_period_without_what_was_deleted_by_law_is_counted_only_by_force(
    folder: DataFolder,
) -> None:
    with folder.context() as context:
        declare.retire(context, ["summer.parquet"], Retirement.KEEP)
    folder.settings = WITH_YEARS
    remedy = "count what is left: bufdir run --force --org org-1 --period rp-2024"
    assert new_blocked(folder) == [("rp-2024", Reason.RETIRED, remedy)]
    assert year(folder, force=True) == "computed"
    assert new_blocked(folder) == []
    folder.export([row(participant_id="new")], "new.parquet")
    assert new_blocked(folder) == []
    assert people_of_year(folder) == 41


def test_a_new_period_waits_for_a_fall_of_its_parts_to_be_accepted(folder: DataFolder) -> None:
    folder.export(people(3, started_at=SUMMER, activity_id="a2"), "summer.parquet")
    folder.settings = WITH_YEARS
    remedy = "export it again, or count what is left: bufdir run --force --org org-1 --period "
    assert new_blocked(folder) == [("rp-2024", Reason.SHRUNK, f"{remedy}rp-2024")]
    with folder.context() as context:
        declare.accept(context.catalog, ["agg-003"], NOW)
    assert new_blocked(folder) == []
    assert people_of_year(folder) == 43
