"""Snapshots of cells whose exports are gone."""

from __future__ import annotations

from pipeline.model import periods
from pipeline.runs.run import run_cells
from tests.given import OTHER, Q2, Q3, Q4, DataFolder, outcomes_by_cell


def test_a_cell_without_rows_in_any_export_is_blocked_and_reported(
    populated: DataFolder,
) -> None:
    before = populated.published()
    (populated.data / "exports" / "summer.parquet").unlink()
    result = populated.nightly()
    assert outcomes_by_cell(result) == {
        Q2: "blocked",
        Q3: "blocked",
        Q4: "unchanged",
        OTHER: "unchanged",
    }
    assert populated.published() == before


def test_an_organisation_whose_exports_are_all_gone_is_blocked(
    populated: DataFolder,
) -> None:
    (populated.data / "exports" / "other.parquet").unlink()
    assert outcomes_by_cell(populated.nightly())[OTHER] == "blocked"
    assert populated.versions()[OTHER] == 1
    assert outcomes_by_cell(populated.nightly(full=True))[OTHER] == "blocked"


def test_only_a_forced_run_recomputes_a_cell_without_rows(populated: DataFolder) -> None:
    (populated.data / "exports" / "summer.parquet").unlink()
    period = periods.parse("rp-2024-q3")
    with populated.context() as context:
        (unforced,) = run_cells(context, [period], ["org-1"]).outcomes
        (forced,) = run_cells(context, [period], ["org-1"], force=True).outcomes
    assert (unforced.outcome, forced.outcome) == ("blocked", "computed")
    assert populated.published()["org-1", "rp-2024-q3"].total["participations"] == 0


def test_without_any_export_every_snapshot_is_blocked(populated: DataFolder) -> None:
    before = populated.published()
    for path in (populated.data / "exports").iterdir():
        path.unlink()
    result = populated.nightly()
    assert set(outcomes_by_cell(result).values()) == {"blocked"}
    assert populated.published() == before
