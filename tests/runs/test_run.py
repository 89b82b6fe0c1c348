"""A run of chosen cells."""

from __future__ import annotations

from pipeline.model import periods
from pipeline.runs.run import run_cells
from tests.given import CELL, DataFolder, computed, people, replace_fields, row


def test_an_unknown_organisation_that_failed_completes_once_it_is_known(
    folder: DataFolder,
) -> None:
    folder.export([row()])
    with folder.context() as context:
        run_cells(context, [periods.parse("rp-2024-q3")], ["org-2"])
    folder.export([row(org_id="org-2")], "b.parquet")
    assert computed(folder.nightly()) >= {"org-2 rp-2024-q3"}
    assert folder.published()["org-2", "rp-2024-q3"].total["participations"] == 0


def test_an_organisation_that_no_export_names_fails(populated: DataFolder) -> None:
    with populated.context() as context:
        (failed,) = run_cells(context, [periods.parse("rp-2024-q4")], ["org-9"]).outcomes
        assert (failed.outcome, failed.problem) == ("failed", "no export names org-9")
        entry = context.catalog.get(failed.id)
    assert (entry.status, entry.error) == ("failed", "no export names org-9")
    assert entry.version == 0


def test_a_failed_first_run_can_be_run_again_with_the_same_id(populated: DataFolder) -> None:
    period = [periods.parse("rp-2024-q4")]
    with populated.context() as context:
        (failed,) = run_cells(context, period, ["org-9"]).outcomes
    populated.export(people(1, org_id="org-9"), "nine.parquet")
    with populated.context() as context:
        (done,) = run_cells(context, period, ["org-9"]).outcomes
        entry = context.catalog.get(done.id)
    assert (done.id, done.outcome, done.version) == (failed.id, "computed", 1)
    assert (entry.status, entry.error) == ("completed", None)


def test_a_known_organisation_without_rows_completes_with_zeros(populated: DataFolder) -> None:
    with populated.context() as context:
        (done,) = run_cells(context, [periods.parse("rp-2020-m2")], ["org-1"]).outcomes
    assert done.outcome == "computed"
    version = populated.published()["org-1", "rp-2020-m2"]
    assert (version.total["participations"], sum(version.ledger.values())) == (0, 0)


def test_a_run_of_all_organisations_computes_each_that_exports_name(populated: DataFolder) -> None:
    populated.export([row(org_id="org 3"), row(org_id=None), row(org_id="org-4")], "x.parquet")
    with populated.context() as context:
        done = run_cells(context, periods.parse_range("rp-2024-m11..rp-2024-m12"), None).outcomes
    assert {(one.org_id, one.reporting_period_id) for one in done} == {
        (f"org-{n}", f"rp-2024-m{month}") for n in (1, 2, 4) for month in (11, 12)
    }


def test_over_unchanged_exports_a_run_makes_no_version_and_a_forced_one_does(
    populated: DataFolder,
) -> None:
    period = [periods.parse("rp-2024-q4")]
    with populated.context() as context:
        (unforced,) = run_cells(context, period, ["org-1"]).outcomes
        (forced,) = run_cells(context, period, ["org-1"], force=True).outcomes
    assert (unforced.outcome, unforced.version) == ("unchanged", 1)
    assert (forced.outcome, forced.version) == ("computed", 2)


def test_a_run_and_a_nightly_run_give_one_digest(populated: DataFolder) -> None:
    before = populated.published()
    with populated.context() as context:
        run_cells(context, [periods.parse("rp-2024-q4")], None, force=True)
    after = populated.published()
    for cell in (CELL, ("org-2", "rp-2024-q4")):
        assert after[cell] == replace_fields(before[cell], {"version": 2, "cause": "forced"})
