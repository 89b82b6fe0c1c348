"""The run queue: its order, its limit and its states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.model.states import RunState
from pipeline.storage import owners, run_queue
from pipeline.storage.run_queue import MOST_ATTEMPTS
from tests.given import NOW
from tests.processes import queued

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.storage.catalog import Catalog


def test_the_oldest_queued_run_is_acquired_first(data: Path, catalog: Catalog) -> None:
    numbers = queued(catalog, 3)
    with owners.temporary(data) as name:
        taken = [run_queue.acquire_queued(catalog, name, 9) for _ in range(4)]
    assert [run and run.number for run in taken] == [*numbers, None]


def test_no_more_runs_are_acquired_than_may_run_at_once(data: Path, catalog: Catalog) -> None:
    queued(catalog, 3)
    with owners.temporary(data) as name:
        first, second = (run_queue.acquire_queued(catalog, name, 2) for _ in range(2))
        assert first is not None
        assert second is not None
        assert run_queue.acquire_queued(catalog, name, 2) is None
        run_queue.end(catalog, first.id, NOW)
        assert run_queue.acquire_queued(catalog, name, 2) is not None


def test_no_run_is_acquired_during_a_nightly_run(data: Path, catalog: Catalog) -> None:
    queued(catalog, 1)
    with owners.temporary(data) as name, run_queue.nightly_run(catalog, lambda: NOW):
        assert run_queue.acquire_queued(catalog, name, 9) is None
    with owners.temporary(data) as name:
        assert run_queue.acquire_queued(catalog, name, 9) is not None


def test_queueing_a_cell_twice_is_one_run(catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    first = run_queue.enqueue(catalog, number, forced=False, now=NOW)
    assert run_queue.enqueue(catalog, number, forced=False, now=NOW) == first
    assert run_queue.enqueue(catalog, number, forced=True, now=NOW).id == first.id
    assert run_queue.find(catalog, first.id).forced
    assert run_queue.enqueue(catalog, number, forced=False, now=NOW).forced


def test_a_run_that_ended_is_followed_by_a_new_one(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    with owners.temporary(data) as name:
        run = run_queue.acquire_queued(catalog, name, 1)
        assert run is not None
        run_queue.end(catalog, run.id, NOW)
    again = run_queue.enqueue(catalog, number, forced=False, now=NOW)
    assert again.id > run.id
    assert run_queue.find(catalog, run.id).state == RunState.DONE
    assert not run_queue.find(catalog, run.id).is_open
    assert again.is_open


def test_the_end_of_a_run_is_recorded_once(data: Path, catalog: Catalog) -> None:
    queued(catalog, 1)
    with owners.temporary(data) as name:
        run = run_queue.acquire_queued(catalog, name, 1)
        assert run is not None
        run_queue.end(catalog, run.id, NOW, "first")
        run_queue.end(catalog, run.id, NOW)
    assert run_queue.find(catalog, run.id).error == "first"
    assert catalog.get("agg-001").error == "first"


def test_a_run_that_was_released_counts_no_attempt(data: Path, catalog: Catalog) -> None:
    queued(catalog, 1)
    with owners.temporary(data) as name:
        for _ in range(MOST_ATTEMPTS + 2):
            run = run_queue.acquire_queued(catalog, name, 1)
            assert run is not None
            assert run.attempts == 1
            run_queue.release(catalog, run.id)
    assert catalog.get("agg-001").status == "processing"


def test_a_run_whose_child_died_is_queued_again_by_its_parent(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    with owners.temporary(data) as name:
        for attempt in range(1, MOST_ATTEMPTS + 1):
            run = run_queue.acquire_queued(catalog, name, 1)
            assert run is not None
            assert run.attempts == attempt
            run_queue.requeue(catalog, run.id)
        assert run_queue.acquire_queued(catalog, name, 1) is None
    assert catalog.get("agg-001").status == "failed"
    assert run_queue.enqueue(catalog, number, forced=False, now=NOW).attempts == 0
    assert catalog.get("agg-001").status == "processing"
