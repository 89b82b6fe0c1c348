"""Create, refresh and delete: the checks before a run is queued."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.errors import (
    CellMismatch,
    InvalidValue,
    PeriodNotBegun,
    SnapshotExists,
    SnapshotNotFound,
)
from pipeline.runs import lifecycle
from pipeline.storage import run_queue
from tests.given import NOW, QUARTER, DataFolder, people
from tests.processes import queued

if TYPE_CHECKING:
    from pipeline.storage.catalog import Catalog


def test_a_cell_that_has_a_version_is_refreshed_and_not_created(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    with folder.context() as context, pytest.raises(SnapshotExists) as exists:
        lifecycle.create(context.catalog, "org-1", QUARTER, NOW)
    assert str(exists.value) == (
        "org-1 in rp-2024-q4 is already agg-001; refresh it with PUT agg-001"
    )


def test_a_cell_that_is_processing_is_the_same_snapshot_again(catalog: Catalog) -> None:
    first = lifecycle.create(catalog, "org-1", QUARTER, NOW)
    again = lifecycle.create(catalog, "org-1", QUARTER, NOW)
    assert (again.id, again.status) == (first.id, "processing")
    assert len(run_queue.open_runs(catalog)) == 1


def test_a_refresh_of_another_cell_is_a_mismatch(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    with folder.context() as context:
        entry = context.catalog.get("agg-001")
    lifecycle.check_same(entry, None, None)
    lifecycle.check_same(entry, "org-1", "rp-2024-q4")
    with pytest.raises(CellMismatch, match="has org_id org-1, not org-2"):
        lifecycle.check_same(entry, "org-2", None)
    with pytest.raises(CellMismatch, match="has reporting_period_id rp-2024-q4, not rp-2024-q3"):
        lifecycle.check_same(entry, "org-1", "rp-2024-q3")


def test_an_organisation_and_a_period_are_checked(folder: DataFolder) -> None:
    zone = folder.settings.zone
    assert lifecycle.check("org-1", "rp-2024-q4", zone, NOW) == QUARTER
    with pytest.raises(InvalidValue, match="organisations are written"):
        lifecycle.check("org 1", "rp-2024-q4", zone, NOW)
    with pytest.raises(InvalidValue, match="periods are written"):
        lifecycle.check("org-1", "2024", zone, NOW)
    with pytest.raises(PeriodNotBegun):
        lifecycle.check("org-1", "rp-2025-q2", zone, NOW)


def test_deleting_an_unknown_snapshot_is_refused(catalog: Catalog) -> None:
    with pytest.raises(SnapshotNotFound, match="no snapshot agg-001; list the snapshots"):
        lifecycle.delete(catalog, "agg-001", NOW, "local:kari")


def test_deleting_ends_the_queued_run(catalog: Catalog) -> None:
    queued(catalog, 1)
    lifecycle.delete(catalog, "agg-001", NOW, "local:kari")
    assert run_queue.open_runs(catalog) == []
    run = run_queue.latest(catalog, 1)
    assert run is not None
    assert run.error == "its snapshot was deleted"
