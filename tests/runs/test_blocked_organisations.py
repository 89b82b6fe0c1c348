"""Organisations whose exports are refused."""

from __future__ import annotations

import pytest

from pipeline.model import periods
from pipeline.runs import reindex
from pipeline.runs.run import run_cells
from tests.given import (
    CELL,
    NOW,
    OTHER,
    Q2,
    Q3,
    Q4,
    DataFolder,
    blocking,
    computed,
    nightly_with,
    outcomes_by_cell,
    people,
    row,
)


def test_the_organisations_of_a_newly_refused_file_are_blocked(
    populated: DataFolder,
) -> None:
    populated.export(
        [row(participant_id="p9"), row(org_id="org-2", participant_id="p9")], "new.parquet"
    )
    populated.nightly()
    before = populated.published()
    path = populated.data / "exports" / "autumn.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    populated.export(people(5, org_id="org-2"), "other.parquet")
    result = populated.nightly()
    assert blocking(result) == {"org-1": "autumn.parquet"}
    assert set(result.refused) == {"autumn.parquet"}
    assert computed(result) == {OTHER}
    assert {cell: v for cell, v in populated.published().items() if cell[0] == "org-1"} == {
        cell: v for cell, v in before.items() if cell[0] == "org-1"
    }
    assert not populated.nightly().changed


@pytest.mark.parametrize("before", ["rebuilding", "a run alone"])
def test_organisations_are_blocked_by_all_that_was_known_of_their_files(
    folder: DataFolder, before: str
) -> None:
    folder.export(people(3), "a.parquet")
    path = folder.export([row(participant_id="p4")], "b.parquet")
    if before == "rebuilding":
        folder.nightly()
        reindex.run(folder.data, NOW)
    else:
        with folder.context() as context:
            run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"])
    path.write_bytes(b"")
    assert blocking(folder.nightly()) == {"org-1": "b.parquet"}
    assert folder.published()[CELL].total["participations"] == 4


def test_blocked_organisations_are_counted_again_once_the_file_is_repaired(
    populated: DataFolder,
) -> None:
    path = populated.data / "exports" / "autumn.parquet"
    path.write_bytes(b"")
    populated.nightly()
    populated.export(people(1, org_id="org-3"), "more.parquet")
    assert blocking(populated.nightly()) == {
        "org-1": "autumn.parquet"
    }  # recorded from one nightly run to the next
    populated.export(people(4), "autumn.parquet")
    result = populated.nightly()
    assert result.blocked == []
    assert computed(result) == {Q4}
    assert populated.published()[CELL].total["participations"] == 4


def test_blocked_organisations_are_counted_again_once_the_file_is_removed(
    populated: DataFolder,
) -> None:
    path = populated.data / "exports" / "autumn.parquet"
    path.write_bytes(b"")
    populated.nightly()
    path.unlink()
    result = populated.nightly()
    assert blocking(result) == {"org-1": "autumn.parquet"}
    assert outcomes_by_cell(result)[Q4] == "blocked"


def test_a_blocked_organisation_is_blocked_in_a_full_nightly_run_too(populated: DataFolder) -> None:
    (populated.data / "exports" / "other.parquet").write_bytes(b"")
    assert computed(populated.nightly(full=True)) == {Q2, Q3, Q4}
    assert populated.versions()[OTHER] == 1


def test_a_blocked_organisation_fails_in_a_run_unless_it_is_forced(populated: DataFolder) -> None:
    populated.export([row(org_id="org-2", participant_id="p9")], "new.parquet")
    (populated.data / "exports" / "other.parquet").write_bytes(b"")
    populated.nightly()
    with populated.context() as context:
        period = [periods.parse("rp-2024-q4")]
        (blocked_one,) = run_cells(context, period, ["org-2"]).outcomes
        assert blocked_one.outcome == "blocked"
        assert "export other.parquet, which names org-2, is refused now" in str(blocked_one.problem)
        assert context.catalog.get(blocked_one.id).status == "completed"
        (forced,) = run_cells(context, period, ["org-2"], force=True).outcomes
    assert (forced.outcome, forced.version) == ("computed", 2)
    assert populated.published()["org-2", "rp-2024-q4"].total["participations"] == 1


def test_a_file_that_was_always_refused_blocks_no_organisation(folder: DataFolder) -> None:
    folder.export(people(1), "good.parquet")
    (folder.data / "exports" / "bad.parquet").write_bytes(b"")
    result = folder.nightly()
    assert (result.blocked, computed(result)) == ([], {Q4})
    assert set(folder.nightly().refused) == {"bad.parquet"}


def test_a_torn_successor_blocks_while_another_one_is_repaired(folder: DataFolder) -> None:
    old = folder.export(people(5, activity_id="old"), "x.parquet")
    folder.export(people(2), "c.parquet")
    folder.nightly()
    old.unlink()
    for name in ("y1.parquet", "y2.parquet"):
        (folder.data / "exports" / name).write_bytes(b"torn")
    assert set(blocking(folder.nightly())) == {"org-1"}
    folder.export(people(1, org_id="org-2"), "y2.parquet")
    assert blocking(folder.nightly()) == {"org-1": "y1.parquet"}
    assert folder.published()[CELL].total["participations"] == 7


def test_a_nightly_run_that_fails_knows_the_organisations_that_it_read(
    folder: DataFolder,
) -> None:
    folder.export(people(2), "c.parquet")
    folder.nightly()
    path = folder.export(people(5, activity_id="more"), "x.parquet")

    def fail(event: str, **_: object) -> None:
        if event == "snapshots_published":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nightly_with(folder, fail)
    assert folder.published()[CELL].total["participations"] == 7
    path.write_bytes(b"torn")
    assert blocking(folder.nightly()) == {"org-1": "x.parquet"}
    assert folder.published()[CELL].total["participations"] == 7
