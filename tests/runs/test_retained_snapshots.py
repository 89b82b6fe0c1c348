"""Snapshots of cells that no export has rows of any longer."""

from __future__ import annotations

from pipeline.model import periods
from pipeline.runs.run import run_cells
from tests.given import OTHER, Q2, Q3, Q4, DataFolder, outcomes_by_cell


def test_a_cell_without_rows_in_any_export_retains_its_version_and_is_reported(
    populated: DataFolder,
) -> None:
    before = populated.published()
    (populated.data / "exports" / "summer.parquet").unlink()
    result = populated.nightly()
    assert outcomes_by_cell(result) == {
        Q2: "retained",
        Q3: "retained",
        Q4: "unchanged",
        OTHER: "unchanged",
    }
    assert populated.published() == before


def test_an_organisation_whose_exports_are_all_gone_retains_its_versions(
    populated: DataFolder,
) -> None:
    (populated.data / "exports" / "other.parquet").unlink()
    assert outcomes_by_cell(populated.nightly())[OTHER] == "retained"
    assert populated.versions()[OTHER] == 1
    assert outcomes_by_cell(populated.nightly(full=True))[OTHER] == "retained"


def test_only_a_forced_run_recomputes_a_cell_without_rows(populated: DataFolder) -> None:
    (populated.data / "exports" / "summer.parquet").unlink()
    period = periods.parse("rp-2024-q3")
    with populated.context() as context:
        (unforced,) = run_cells(context, [period], ["org-1"]).outcomes
        (forced,) = run_cells(context, [period], ["org-1"], force=True).outcomes
    assert (unforced.outcome, forced.outcome) == ("retained", "computed")
    assert populated.published()["org-1", "rp-2024-q3"].total["participations"] == 0


def test_without_any_export_every_snapshot_is_retained(populated: DataFolder) -> None:
    before = populated.published()
    for path in (populated.data / "exports").iterdir():
        path.unlink()
    result = populated.nightly()
    assert set(outcomes_by_cell(result).values()) == {"retained"}
    assert populated.published() == before
