"""After the catalog was lost, no record names the organisations of a torn export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.model import periods
from pipeline.runs import reindex
from pipeline.runs.run import run_cells
from tests.given import CELL, NOW, DataFolder, blocking, people, row

if TYPE_CHECKING:
    from pathlib import Path

THIRD = ("org-3", "rp-2024-q4")


@pytest.fixture
def torn(folder: DataFolder) -> Path:
    """An export of org-1 and org-2 that is torn later; org-3 has no row in it."""
    folder.export(people(3), "a.parquet")
    path = folder.export([*people(3, org_id="org-2"), *people(3, activity_id="a2")], "b.parquet")
    folder.export(people(4, org_id="org-3"), "c.parquet")
    folder.nightly()
    (folder.data / "catalog.sqlite").unlink()
    reindex.run(folder.data, NOW)
    return path


def test_organisations_with_other_rows_than_published_are_blocked_until_it_is_repaired(
    folder: DataFolder, torn: Path
) -> None:
    before, content = folder.published(), torn.read_bytes()
    torn.write_bytes(content[: len(content) // 2])
    assert blocking(folder.nightly()) == {"org-1": "b.parquet", "org-2": "b.parquet"}
    folder.export(people(5, org_id="org-3"), "c.parquet")
    assert set(blocking(folder.nightly())) == {"org-1", "org-2"}
    after = folder.published()
    assert after[THIRD].total["participations"] == 5
    assert {cell: after[cell] for cell in after if cell != THIRD} == {
        cell: before[cell] for cell in before if cell != THIRD
    }
    torn.write_bytes(content)
    assert folder.nightly().blocked == []
    assert folder.published()[CELL] == before[CELL]


def test_rows_that_another_export_gained_do_not_hide_those_that_are_lost(
    folder: DataFolder, torn: Path
) -> None:
    torn.write_bytes(b"torn")
    folder.export(people(6), "a.parquet")
    assert set(blocking(folder.nightly())) == {"org-1", "org-2"}
    assert folder.published()[CELL].total["participations"] == 6
    assert folder.versions()["org-1 rp-2024-q4"] == 1


def test_a_run_of_one_organisation_does_not_unblock_the_others(
    folder: DataFolder, torn: Path
) -> None:
    with folder.context() as context:
        run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"], force=True)
    torn.write_bytes(b"torn")
    assert set(blocking(folder.nightly())) == {"org-1", "org-2"}


def test_a_run_of_another_period_is_blocked_too(folder: DataFolder, torn: Path) -> None:
    torn.write_bytes(b"torn")
    with folder.context() as context:
        (year,) = run_cells(context, [periods.parse("rp-2024")], ["org-1"]).outcomes
        assert (year.outcome, year.version) == ("blocked", 0)
    assert ("org-1", "rp-2024") not in folder.published()


def test_a_run_between_does_not_narrow_whom_a_torn_successor_blocks(folder: DataFolder) -> None:
    both = [row(), row(org_id="org-2")]
    old = folder.export(both, "b-1.parquet")
    folder.nightly()
    new = folder.export(both, "b-2.parquet")
    old.unlink()
    with folder.context() as context:
        run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"])
    new.write_bytes(b"torn")
    assert set(blocking(folder.nightly())) == {"org-1", "org-2"}
