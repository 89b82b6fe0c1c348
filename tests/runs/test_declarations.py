"""Declarations of operators are in the version that they led to, and in no other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import InvalidValue
from pipeline.model import periods
from pipeline.model.states import Retirement
from pipeline.runs import declare, lifecycle, reindex, status
from pipeline.runs.run import run_cells
from pipeline.storage import blocked_cells, version_files
from pipeline.storage import declarations as stored
from tests.given import CELL, NOW, DataFolder, nightly_with, people, row, settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def written(folder: DataFolder, version: int) -> dict[str, Any]:
    """Read a version file as any other program would."""
    content: dict[str, Any] = json.loads(
        version_files.version_path(folder.data, 1, version).read_bytes()
    )
    return content


def declarations(folder: DataFolder) -> Sequence[tuple[str, str, str, tuple[str, ...], str]]:
    """Give kind, instant, user, exports and note of the declarations of the current version."""
    return [
        (one.kind, one.declared_at.isoformat(), one.declared_by, one.exports, one.note)
        for one in folder.published()[CELL].declarations
    ]


@pytest.fixture
def kari(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("LOGNAME", "kari")
    return "local:kari"


def test_a_version_without_declarations_has_no_field_of_them(folder: DataFolder) -> None:
    folder.export(people(3))
    folder.nightly()
    assert list(written(folder, 1))[-2:] == ["exports", "sha256"]
    assert folder.published()[CELL].declarations == ()


def test_the_version_of_an_accepted_fall_has_who_accepted_it_when_and_why(
    folder: DataFolder, kari: str
) -> None:
    folder.export(people(100))
    folder.nightly()
    folder.export(people(50))
    folder.nightly()
    with folder.context() as context:
        declare.accept(context.catalog, ["agg-001"], NOW, "the club left")
    folder.nightly()
    assert declarations(folder) == [
        ("accepted", NOW.isoformat(), kari, ("a.parquet",), "the club left")
    ]
    assert written(folder, 2)["declarations"] == [
        {
            "kind": "accepted",
            "declared_at": "2025-02-01T03:30:00Z",
            "declared_by": "local:kari",
            "exports": ["a.parquet"],
            "note": "the club left",
        }
    ]
    folder.export(people(51))
    folder.nightly()
    assert folder.versions() == {" ".join(CELL): 3}
    assert declarations(folder) == []


def test_an_accepted_fall_that_is_made_good_leads_to_no_version(folder: DataFolder) -> None:
    folder.export(people(100))
    folder.nightly()
    folder.export(people(50))
    folder.nightly()
    with folder.context() as context:
        declare.accept(context.catalog, ["agg-001"], NOW)
    folder.export(people(101))
    folder.nightly()
    assert folder.versions() == {" ".join(CELL): 2}
    assert declarations(folder) == []


def test_the_version_without_a_retracted_export_names_the_retirement(
    folder: DataFolder, kari: str
) -> None:
    folder.export(people(30), "a.parquet")
    folder.export([row(participant_id=f"q{n}") for n in range(30)], "wrong.parquet")
    folder.nightly()
    (folder.data / "exports" / "wrong.parquet").unlink()
    with folder.context() as context:
        declare.retire(context, ["wrong.parquet"], Retirement.RETRACT, "of another system")
    folder.nightly()
    assert declarations(folder) == [
        ("retired", NOW.isoformat(), kari, ("wrong.parquet",), "of another system")
    ]
    assert written(folder, 2)["declarations"][0]["retirement"] == "retract"
    folder.export(people(31), "a.parquet")
    folder.nightly()
    assert declarations(folder) == []


def test_a_forced_run_of_what_is_blocked_is_logged_and_recorded(
    folder: DataFolder, kari: str
) -> None:
    folder.export(people(30), "a.parquet")
    folder.export([row(participant_id=f"q{n}") for n in range(30)], "b.parquet")
    folder.nightly()
    (folder.data / "exports" / "b.parquet").unlink()
    folder.nightly()
    folder.events.clear()
    with folder.context() as context:
        run_cells(context, [periods.parse(CELL[1])], [CELL[0]], force=True)
    assert declarations(folder) == [("forced", NOW.isoformat(), kari, ("b.parquet",), "")]
    assert written(folder, 2)["declarations"][0]["reason"] == "export_gone"
    assert [event for event in folder.events if event[0] == "block_overridden"] == [
        (
            "block_overridden",
            {
                "snapshot": "agg-001",
                "reason": "export_gone",
                "rows_before": 60,
                "rows_now": 30,
                "by": kari,
            },
        )
    ]


def test_a_forced_run_without_a_block_is_no_declaration(folder: DataFolder) -> None:
    folder.export(people(30))
    folder.nightly()
    folder.events.clear()
    with folder.context() as context:
        run_cells(context, [periods.parse(CELL[1])], [CELL[0]], force=True)
    assert folder.versions() == {" ".join(CELL): 2}
    assert declarations(folder) == []
    assert "block_overridden" not in dict(folder.events)


def test_a_run_that_the_api_forced_names_the_api_and_the_refused_export(
    folder: DataFolder,
) -> None:
    folder.export(people(2), "a.parquet")
    torn = folder.export([row(participant_id="q")], "b.parquet")
    folder.nightly()
    torn.write_bytes(b"torn")
    folder.nightly()
    with folder.context() as context:
        lifecycle.refresh(context.catalog, context.catalog.get("agg-001"), NOW, forced=True)
    folder.nightly()
    assert declarations(folder) == [("forced", NOW.isoformat(), "api", ("b.parquet",), "")]


def test_a_forced_run_of_what_is_retained_names_both_declarations(
    folder: DataFolder, kari: str
) -> None:
    folder.export(people(30), "a.parquet")
    folder.export([row(participant_id=f"q{n}") for n in range(30)], "b.parquet")
    folder.nightly()
    (folder.data / "exports" / "b.parquet").unlink()
    with folder.context() as context:
        declare.retire(context, ["b.parquet"], Retirement.KEEP, "by law")
        run_cells(context, [periods.parse(CELL[1])], [CELL[0]], force=True)
    assert [one[:1] + one[2:] for one in declarations(folder)] == [
        ("retired", kari, ("b.parquet",), "by law"),
        ("forced", kari, ("b.parquet",), ""),
    ]
    assert written(folder, 2)["declarations"][1]["reason"] == "retired"


def test_numbers_of_an_organisation_that_left_stay_until_they_are_counted_by_force(
    data: Path,
) -> None:
    folder = DataFolder(data, settings(sources=[{"name": "register", "mode": "dump"}]))
    left = people(20, org_id="org-2")
    folder.export([*people(20), *left], "20241001.parquet")
    folder.nightly()
    folder.export(people(20), "20241002.parquet")
    assert [one.id for one in folder.nightly().blocked] == ["agg-002"]
    with folder.context() as context:
        declare.accept(context.catalog, ["agg-002"], NOW, "left the system", keep=True)
        assert blocked_cells.read(context.catalog) == []
        (unforced,) = run_cells(context, [periods.parse(CELL[1])], ["org-2"]).outcomes
    assert (unforced.outcome, unforced.reason) == ("retained", "retired")
    folder.export(people(21), "20241003.parquet")
    for _ in range(2):
        assert folder.nightly().blocked == []
    assert folder.versions() == {"org-1 rp-2024-q4": 2, "org-2 rp-2024-q4": 1}
    with folder.context() as context:
        assert status.status(context.catalog).retained == 1
        run_cells(context, [periods.parse(CELL[1])], ["org-2"], force=True)
    version = folder.published()["org-2", CELL[1]]
    assert version.total["participations"] == 0
    assert [(one.kind, one.retirement, one.note) for one in version.declarations] == [
        ("accepted", "keep", "left the system"),
        ("forced", None, ""),
    ]
    assert folder.nightly().blocked == []


def test_numbers_that_stay_stay_although_rows_come_back(folder: DataFolder) -> None:
    folder.export(people(100))
    folder.nightly()
    folder.export(people(50))
    folder.nightly()
    with folder.context() as context:
        declare.accept(context.catalog, ["agg-001"], NOW, keep=True)
    for count in (99, 100, 120):
        folder.export(people(count))
        folder.settings = settings(max_hours=20 + count / 100)
        (one,) = folder.nightly().outcomes
        assert (one.outcome, one.version) == ("retained", 1)


def test_numbers_that_stay_are_blocked_again_once_that_is_taken_back(folder: DataFolder) -> None:
    folder.export(people(100))
    folder.nightly()
    folder.export(people(50))
    folder.nightly()
    with folder.context() as context:
        declare.accept(context.catalog, ["agg-001"], NOW, keep=True)
        declare.unaccept(context.catalog, ["agg-001"])
    assert [one.reason for one in folder.nightly().blocked] == ["rows_fell"]


@pytest.mark.parametrize(("how", "people_left"), [("retract", 20), ("keep", 40)])
def test_an_export_that_went_with_the_catalog_can_be_retired_too(
    folder: DataFolder, how: str, people_left: int
) -> None:
    folder.export(people(20), "a.parquet")
    folder.export([row(participant_id=f"q{n}") for n in range(20)], "b.parquet")
    folder.nightly()
    (folder.data / "exports" / "b.parquet").unlink()
    (folder.data / "catalog.sqlite").unlink()
    reindex.run(folder.data, NOW)
    (cell,) = folder.nightly().blocked
    with folder.context() as context:
        declare.retire(context, cell.exports, Retirement(how))
    for _ in range(2):
        assert folder.nightly().blocked == []
    assert folder.published()[CELL].total["participations"] == people_left


def test_a_declaration_during_a_nightly_run_is_not_lost(folder: DataFolder) -> None:
    folder.export(people(20), "a.parquet")
    folder.export([row(participant_id=f"q{n}") for n in range(20)], "b.parquet")
    folder.export(people(1, org_id="org-2"), "c.parquet")
    folder.nightly()
    (folder.data / "exports" / "b.parquet").unlink()
    folder.export(people(2, org_id="org-2"), "c.parquet")

    def retire(event: str, **_: object) -> None:
        if event == "snapshots_written":  # the plan is made by then
            with folder.context() as context:
                declare.retire(context, ["b.parquet"], Retirement.RETRACT)

    assert [one.id for one in nightly_with(folder, retire).blocked] == ["agg-001"]
    assert folder.nightly().blocked == []
    assert folder.published()[CELL].total["participations"] == 20
    folder.export(people(5), "b.parquet")
    folder.nightly()
    with folder.context() as context:
        assert stored.retired(context.catalog) == {}


def test_what_is_blocked_without_a_version_can_not_be_accepted(folder: DataFolder) -> None:
    folder.export(people(100))
    folder.nightly()
    folder.export(people(50))
    with folder.context() as context:
        run_cells(context, [periods.parse("rp-2024")], [CELL[0]])
        with pytest.raises(InvalidValue, match="count what is left: bufdir run --force"):
            declare.accept(context.catalog, ["agg-002"], NOW)
