"""A run's owner lives as long as its process; the lock file of a dead one is swept."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import StoreUnusable
from pipeline.model.states import RunSource, RunState
from pipeline.runs import reindex
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog
from tests.storage import released

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2025, 2, 1, 3, 30, tzinfo=UTC)

OWNER = """
import sys
from pathlib import Path
from pipeline.storage import owners
print(owners.create(Path(sys.argv[1])).name, flush=True)
sys.stdin.read()
"""
NIGHTLY = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
with Catalog.open(Path(sys.argv[1])) as catalog:
    with run_queue.nightly_run(catalog, lambda: datetime(2025, 2, 1, 3, 30, tzinfo=UTC)) as nightly:
        print(nightly.owner, flush=True)
        sys.stdin.read()
"""


@contextmanager
def running(program: str, data: Path) -> Iterator[str]:
    """Run a process until the block ends, then kill it; give the name that it printed."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path) as opened:
        yield opened


def locks(data: Path) -> set[str]:
    return {path.stem for path in (data / owners.FOLDER).glob("*")}


def test_an_owner_is_alive_until_it_is_closed(tmp_path: Path) -> None:
    owner = owners.create(tmp_path)
    assert owners.is_alive(tmp_path, owner.name)
    owners.close(tmp_path, owner)
    assert not owners.is_alive(tmp_path, owner.name)
    assert locks(tmp_path) == set()


def test_an_owner_is_alive_until_its_process_is_killed(tmp_path: Path) -> None:
    with running(OWNER, tmp_path) as name:
        assert owners.is_alive(tmp_path, name)
    assert not owners.is_alive(tmp_path, name)


def test_asking_whether_an_owner_is_alive_writes_nothing(tmp_path: Path) -> None:
    with running(OWNER, tmp_path) as name:
        pass
    before = released.contents(tmp_path)
    assert not owners.is_alive(tmp_path, name)
    assert released.contents(tmp_path) == before


def test_lock_files_of_killed_processes_are_swept_and_those_of_living_ones_stay(
    tmp_path: Path,
) -> None:
    with running(OWNER, tmp_path) as dead:
        pass
    with running(OWNER, tmp_path) as alive, owners.temporary(tmp_path) as own:
        assert locks(tmp_path) == {dead, alive, own}
        owners.sweep(tmp_path)
        assert locks(tmp_path) == {alive, own}
        assert owners.is_alive(tmp_path, alive)


def test_a_sweep_takes_no_lock_from_an_owner_that_is_just_made(tmp_path: Path) -> None:
    stop = Event()

    def sweep_often() -> None:
        while not stop.is_set():
            owners.sweep(tmp_path)

    with ThreadPoolExecutor(2) as pool:
        sweeps = [pool.submit(sweep_often) for _ in range(2)]
        try:
            for _ in range(200):
                owner = owners.create(tmp_path)
                assert owners.is_alive(tmp_path, owner.name)
                owners.close(tmp_path, owner)
        finally:
            stop.set()
    assert [sweep.exception() for sweep in sweeps] == [None, None]
    assert locks(tmp_path) == set()


def test_a_nightly_run_sweeps_what_killed_processes_left(catalog: Catalog) -> None:
    with running(OWNER, catalog.data) as dead:
        pass
    with run_queue.nightly_run(catalog, lambda: NOW) as nightly:
        assert locks(catalog.data) == {nightly.owner}
    assert dead not in locks(catalog.data)


# The last nightly run


def test_before_the_first_there_is_no_last_nightly_run(catalog: Catalog) -> None:
    assert run_queue.last_nightly(catalog) is None
    assert run_queue.last_nightly_success(catalog) is None


def test_a_nightly_run_that_goes_on_is_running_since_it_began(catalog: Catalog) -> None:
    with run_queue.nightly_run(catalog, lambda: NOW) as nightly:
        last = run_queue.last_nightly(catalog)
        assert last is not None
        assert (last.id, last.state, last.queued_at) == (nightly.id, RunState.RUNNING, NOW)
        assert last.ended_at is None
        assert last.source == RunSource.NIGHTLY


def test_a_nightly_run_that_failed_is_the_last_but_not_the_last_success(catalog: Catalog) -> None:
    with run_queue.nightly_run(catalog, lambda: NOW):
        pass
    later = NOW + timedelta(days=1)
    with pytest.raises(OSError, match="no room"), run_queue.nightly_run(catalog, lambda: later):
        raise OSError("no room")
    last = run_queue.last_nightly(catalog)
    assert last is not None
    assert (last.state, last.error, last.ended_at) == (RunState.FAILED, "no room", later)
    assert run_queue.last_nightly_success(catalog) == NOW


def test_a_nightly_run_reports_its_failure_even_if_that_cannot_be_recorded(
    catalog: Catalog,
) -> None:
    instants = iter([NOW])

    def clock() -> datetime:
        """Give one instant, and refuse writes from the second on."""
        found = next(instants, None)
        if found is None:
            catalog.refuse_writes()
        return found or NOW

    with pytest.raises(OSError, match="no room"), run_queue.nightly_run(catalog, clock):
        raise OSError("no room")


def test_an_owner_whose_file_cannot_be_removed_is_given_up_all_the_same(tmp_path: Path) -> None:
    owner = owners.create(tmp_path)
    path = tmp_path / owners.FOLDER / f"{owner.name}.lock"
    path.unlink()
    path.mkdir()

    owners.close(tmp_path, owner)

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(owner.descriptor)


def test_an_owner_whose_file_cannot_be_made_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / owners.FOLDER).write_text("in the way")

    with pytest.raises(StoreUnusable, match=r"\.locks can't be used: File exists"):
        owners.create(tmp_path)


def test_a_nightly_run_whose_process_was_killed_has_failed_even_to_who_only_looks(
    catalog: Catalog,
) -> None:
    with running(NIGHTLY, catalog.data):
        pass
    before = released.contents(catalog.data)
    with Catalog.open_read_only(catalog.data) as looking:
        last = run_queue.last_nightly(looking)
        assert run_queue.open_runs(looking) == []
    assert last is not None
    assert (last.state, last.error) == (RunState.FAILED, "its process was killed")
    assert released.contents(catalog.data) == before


def test_reindexing_is_no_nightly_run(tmp_path: Path) -> None:
    data = released.copy(tmp_path)
    reindex.run(data, NOW)
    with Catalog.open(data) as catalog:
        assert run_queue.last_nightly(catalog) is None


def test_a_run_has_the_instants_at_which_it_was_queued_and_ended(catalog: Catalog) -> None:
    (entry,) = catalog.create([("org-1", "rp-2024-q4")], NOW, above=0)
    queued = run_queue.enqueue(catalog, entry.number, forced=False, now=NOW)
    later = NOW + timedelta(seconds=5)
    run_queue.end(catalog, queued.id, later)
    run = run_queue.find(catalog, queued.id)
    assert (run.queued_at, run.ended_at, run.state) == (NOW, later, RunState.DONE)
