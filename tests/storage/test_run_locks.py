"""At most one process computes a cell; runs of dead processes are requeued."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from multiprocessing import Queue
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import Busy
from pipeline.model.states import RunSource, RunState
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog
from pipeline.storage.run_queue import MOST_ATTEMPTS
from tests.given import NOW
from tests.patience import PATIENCE_SECONDS
from tests.processes import queued, taker

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier
    from pathlib import Path


def test_a_run_of_a_living_process_is_acquired_by_no_other(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    with taker(data) as (process, taken), owners.temporary(data) as name:
        assert taken == str(number)
        assert run_queue.acquire_queued(catalog, name, 9) is None
        with pytest.raises(Busy, match=rf"a run of agg-001 is already .*process {process.pid}"):
            run_queue.acquire(catalog, [number], name, NOW)


def test_a_run_whose_process_was_killed_is_acquired_by_the_next(
    data: Path, catalog: Catalog
) -> None:
    (number,) = queued(catalog, 1)
    with taker(data) as (process, _):
        process.kill()
        process.wait()
        with owners.temporary(data) as name:
            run = run_queue.acquire_queued(catalog, name, 9)
    assert run is not None
    assert (run.number, run.attempts, run.state) == (number, 2, RunState.RUNNING)


def test_a_run_whose_processes_die_three_times_fails(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    for _ in range(MOST_ATTEMPTS):
        with taker(data) as (process, taken):
            assert taken == str(number)
            process.kill()
            process.wait()
    with taker(data) as (_, taken):
        assert taken == "none"
    entry = catalog.get("agg-001")
    assert entry.status == "failed"
    assert "its process was killed 3 times" in str(entry.error)


def race(data: Path, racers_ready: Barrier, taken: Queue[Any]) -> None:
    """Acquire queued runs, as one of many, until all are acquired."""
    mine = []
    with Catalog.open(data) as catalog, owners.temporary(data) as name:
        racers_ready.wait(60)
        while (run := run_queue.acquire_queued(catalog, name, 99)) is not None:
            mine.append(run.number)
        racers_ready.wait(60)
    taken.put(mine)


def test_processes_that_race_never_acquire_one_run_twice(data: Path, catalog: Catalog) -> None:
    numbers = queued(catalog, 40)
    context = multiprocessing.get_context("spawn")
    taken: Queue[Any] = context.Queue()
    racers_ready = context.Barrier(4)
    racers = [context.Process(target=race, args=(data, racers_ready, taken)) for _ in range(4)]
    for racer in racers:
        racer.start()
    found = Counter(number for _ in racers for number in taken.get(timeout=PATIENCE_SECONDS))
    for racer in racers:
        racer.join()
    assert found == Counter(numbers)


def claim_all(data: Path, numbers: list[int], entered: Queue[Any]) -> None:
    """Acquire the same cells repeatedly, and count the times that it succeeds."""
    inside = 0
    with Catalog.open(data) as catalog, owners.temporary(data) as name:
        for _ in range(25):
            try:
                runs = run_queue.acquire(catalog, numbers, name, NOW)
            except Busy:
                continue
            mark = data / "inside"
            mark.touch(exist_ok=False)  # fails if anybody else is inside
            inside += 1
            mark.unlink()
            for run in runs:
                run_queue.end(catalog, run.id, NOW)
    entered.put(inside)


def test_of_processes_that_acquire_the_same_cells_one_at_a_time_has_them(
    data: Path, catalog: Catalog
) -> None:
    numbers = queued(catalog, 3)
    context = multiprocessing.get_context("spawn")
    entered: Queue[Any] = context.Queue()
    racers = [context.Process(target=claim_all, args=(data, numbers, entered)) for _ in range(3)]
    for racer in racers:
        racer.start()
    times = [entered.get(timeout=PATIENCE_SECONDS) for _ in racers]
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0, 0, 0]
    assert sum(times) > 0


def test_acquiring_several_cells_acquires_all_or_none(data: Path, catalog: Catalog) -> None:
    first, second = queued(catalog, 2)
    with owners.temporary(data) as one, owners.temporary(data) as other:
        run_queue.acquire(catalog, [second], one, NOW)
        with pytest.raises(Busy):
            run_queue.acquire(catalog, [first, second], other, NOW)
        assert [run.number for run in run_queue.acquire(catalog, [first], other, NOW)] == [first]


def test_acquiring_a_cell_acquires_its_queued_run(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    waiting = run_queue.latest(catalog, number)
    assert waiting is not None
    with owners.temporary(data) as name:
        (run,) = run_queue.acquire(catalog, [number], name, NOW)
    assert (run.id, run.state, run.source) == (waiting.id, RunState.RUNNING, RunSource.COMMAND)


def test_no_cell_is_acquired_during_a_nightly_run(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    with (
        owners.temporary(data) as name,
        run_queue.nightly_run(catalog, lambda: NOW),
        pytest.raises(Busy, match="night"),
    ):
        run_queue.acquire(catalog, [number], name, NOW)


PARENT = """
import subprocess, sys
from pathlib import Path
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog

data = Path(sys.argv[1])
with Catalog.open(data) as catalog:
    holder = owners.create(data)
    run_queue.acquire_queued(catalog, holder.name, 9)
    fds = [holder.descriptor]
    child = subprocess.Popen(["sleep", "60"], pass_fds=fds, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
"""
"""A process that acquires a run for its child, as a server does."""


def test_a_run_is_locked_as_long_as_the_child_that_computes_it_lives(
    data: Path, catalog: Catalog
) -> None:
    queued(catalog, 1)
    with (
        owners.temporary(data) as name,
        subprocess.Popen(
            [sys.executable, "-c", PARENT, str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as parent,
    ):
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        assert run_queue.acquire_queued(catalog, name, 9) is None
        os.kill(child, signal.SIGKILL)
        while (run := run_queue.acquire_queued(catalog, name, 9)) is None:
            sleep(0.01)
        assert run.attempts == 2


def test_an_owner_leaves_no_lock_behind(data: Path) -> None:
    with owners.temporary(data):
        assert list((data / owners.FOLDER).iterdir())
    assert not list((data / owners.FOLDER).iterdir())
