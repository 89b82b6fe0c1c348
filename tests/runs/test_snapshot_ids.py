"""Ids of snapshots: their order, and that none is given out twice."""

from __future__ import annotations

from datetime import UTC, datetime

from pipeline.model import periods
from pipeline.runs import lifecycle, reindex
from pipeline.runs.run import run_cells
from pipeline.storage import highest_number
from tests.given import NOW, OTHER, Q2, Q3, Q4, SUMMER, DataFolder, computed, row, settings


def test_ids_go_to_the_newest_period_first_then_by_organisation(populated: DataFolder) -> None:
    ids = {version.id: " ".join(cell) for cell, version in populated.published().items()}
    assert ids == {"agg-001": Q4, "agg-002": OTHER, "agg-003": Q3, "agg-004": Q2}


def test_of_several_kinds_the_longer_period_has_the_lower_id(folder: DataFolder) -> None:
    folder.settings = settings(periods=("month", "year", "quarter"))
    folder.export([row(started_at=datetime(2024, 1, 5, tzinfo=UTC))])
    folder.nightly()
    with folder.context() as context:
        ids = {period: entry.id for (_, period), entry in context.catalog.entries().items()}
    assert ids == {"rp-2024": "agg-001", "rp-2024-q1": "agg-002", "rp-2024-m1": "agg-003"}


def test_a_deleted_cell_that_is_asked_for_gets_a_new_id(populated: DataFolder) -> None:
    with populated.context() as context:
        deleted = lifecycle.delete(context.catalog, "agg-004", NOW, "local:kari")
    assert deleted.org_id == "org-1"
    assert Q2 not in populated.versions()
    assert computed(populated.nightly()) == set()
    with populated.context() as context:
        run_cells(context, [periods.parse("rp-2024-q2")], ["org-1"])
    assert populated.published()["org-1", "rp-2024-q2"].id == "agg-005"
    assert populated.versions()[Q2] == 1


def test_no_id_is_given_out_twice_even_if_the_catalog_is_lost(populated: DataFolder) -> None:
    with populated.context() as context:
        lifecycle.delete(context.catalog, "agg-004", NOW, "local:kari")
        lifecycle.delete(context.catalog, "agg-003", NOW, "local:kari")
    (populated.data / "catalog.sqlite").unlink()
    reindex.run(populated.data, NOW)
    with populated.context() as context:
        run_cells(context, [periods.parse(f"rp-2024-q{n}") for n in (2, 3)], ["org-1"])
    ids = {version.id for version in populated.published().values()}
    assert ids == {"agg-001", "agg-002", "agg-005", "agg-006"}


def test_ids_have_three_digits_and_then_more(folder: DataFolder) -> None:
    with folder.context() as context:
        highest_number.write(context.data, 998)
    folder.export([row(), row(started_at=SUMMER)])
    folder.nightly()
    assert {version.id for version in folder.published().values()} == {"agg-999", "agg-1000"}
