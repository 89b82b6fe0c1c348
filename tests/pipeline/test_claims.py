"""At any time at most one process computes a cell, and what a dead one left is taken up."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from multiprocessing import Queue
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import (
    Busy,
    CellMismatch,
    InvalidValue,
    PeriodNotBegun,
    SnapshotExists,
    SnapshotNotFound,
)
from pipeline.model import periods
from pipeline.model.listing import Listing
from pipeline.runs import lifecycle
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from pipeline.storage.run_queue import MOST_ATTEMPTS
from tests.pipeline.given import NOW, House, computed, people, row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from multiprocessing.synchronize import Barrier
    from pathlib import Path

QUARTER = periods.parse("rp-2024-q4")


@pytest.fixture
def catalog(data: Path) -> Iterator[Catalog]:
    with Catalog.open(data) as opened:
        yield opened


def queued(catalog: Catalog, count: int) -> list[int]:
    """So many snapshots, each with a run that waits."""
    entries = [lifecycle.create(catalog, f"org-{n}", QUARTER, NOW) for n in range(count)]
    return [entry.number for entry in entries]


TAKER = """
import sys
from pathlib import Path
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog

with Catalog.open(Path(sys.argv[1])) as catalog, run_queue.owner(Path(sys.argv[1])) as name:
    run = run_queue.acquire_queued(catalog, name, 9)
    print("none" if run is None else run.number, flush=True)
    sys.stdin.read()
"""


@contextmanager
def taker(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that takes a queued run and holds it until it is ended."""
    with subprocess.Popen(
        [sys.executable, "-c", TAKER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def test_the_oldest_queued_run_is_taken_first(data: Path, catalog: Catalog) -> None:
    numbers = queued(catalog, 3)
    with run_queue.owner(data) as name:
        taken = [run_queue.acquire_queued(catalog, name, 9) for _ in range(4)]
    assert [run and run.number for run in taken] == [*numbers, None]


def test_no_more_runs_are_taken_than_may_run_at_once(data: Path, catalog: Catalog) -> None:
    queued(catalog, 3)
    with run_queue.owner(data) as name:
        first, second = (run_queue.acquire_queued(catalog, name, 2) for _ in range(2))
        assert first is not None
        assert second is not None
        assert run_queue.acquire_queued(catalog, name, 2) is None
        run_queue.end(catalog, first.id, NOW)
        assert run_queue.acquire_queued(catalog, name, 2) is not None


def test_nothing_is_taken_while_a_night_goes_on(data: Path, catalog: Catalog) -> None:
    queued(catalog, 1)
    with run_queue.owner(data) as name, run_queue.night(catalog, NOW):
        assert run_queue.acquire_queued(catalog, name, 9) is None
    with run_queue.owner(data) as name:
        assert run_queue.acquire_queued(catalog, name, 9) is not None


def test_a_run_that_a_living_process_holds_is_nobody_elses(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    with taker(data) as (process, taken), run_queue.owner(data) as name:
        assert taken == str(number)
        assert run_queue.acquire_queued(catalog, name, 9) is None
        with pytest.raises(Busy, match=rf"a run of agg-001 is already .*process {process.pid}"):
            run_queue.claim(catalog, [number], name, NOW)


def test_a_run_whose_process_was_killed_is_taken_up_by_the_next_that_looks(
    data: Path, catalog: Catalog
) -> None:
    (number,) = queued(catalog, 1)
    with taker(data) as (process, _):
        process.kill()
        process.wait()
        with run_queue.owner(data) as name:
            run = run_queue.acquire_queued(catalog, name, 9)
    assert run is not None
    assert (run.number, run.attempts, run.state) == (number, 2, run_queue.RUNNING)


def test_a_run_whose_processes_keep_dying_fails_in_the_end(data: Path, catalog: Catalog) -> None:
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


def test_a_night_takes_up_the_run_of_a_process_that_was_killed(house: House) -> None:
    house.export(people(1, org_id="org-0"))
    with house.work() as work:
        queued(work.catalog, 1)
    with taker(house.data) as (process, _):
        process.kill()
        process.wait()
        assert computed(house.night()) == {"org-0 rp-2024-q4"}
    with house.work() as work:
        assert run_queue.open_runs(work.catalog) == []


def test_a_night_waits_for_the_runs_that_go_on(house: House) -> None:
    house.export(people(1, org_id="org-0"))
    with house.work() as work:
        queued(work.catalog, 1)
    ender = """
import sys, time
from pathlib import Path
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from tests.pipeline.given import NOW

with Catalog.open(Path(sys.argv[1])) as catalog, run_queue.owner(Path(sys.argv[1])) as name:
    run = run_queue.acquire_queued(catalog, name, 9)
    print(run.number, flush=True)
    time.sleep(0.4)
    run_queue.end(catalog, run.id, NOW, "it went wrong")
    time.sleep(0.4)
"""
    with subprocess.Popen(
        [sys.executable, "-c", ender, str(house.data)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        house.night()
        with house.work() as work:
            run = run_queue.latest(work.catalog, 1)
        assert run is not None
        assert (run.state, run.error) == ("failed", "it went wrong")
    assert house.versions() == {"org-0 rp-2024-q4": 1}


def race(data: Path, everybody: Barrier, taken: Queue[Any]) -> None:
    """Take whatever waits, as one of many, and hold it until all have taken."""
    mine = []
    with Catalog.open(data) as catalog, run_queue.owner(data) as name:
        everybody.wait(60)
        while (run := run_queue.acquire_queued(catalog, name, 99)) is not None:
            mine.append(run.number)
        everybody.wait(60)
    taken.put(mine)


def test_processes_that_race_never_take_one_run_twice(data: Path, catalog: Catalog) -> None:
    numbers = queued(catalog, 40)
    context = multiprocessing.get_context("spawn")
    taken: Queue[Any] = context.Queue()
    everybody = context.Barrier(4)
    racers = [context.Process(target=race, args=(data, everybody, taken)) for _ in range(4)]
    for racer in racers:
        racer.start()
    found = Counter(number for _ in racers for number in taken.get(timeout=60))
    for racer in racers:
        racer.join()
    assert found == Counter(numbers)


def claim_all(data: Path, numbers: list[int], entered: Queue[Any]) -> None:
    """Claim the same cells again and again, and note who is inside."""
    inside = 0
    with Catalog.open(data) as catalog, run_queue.owner(data) as name:
        for _ in range(25):
            try:
                runs = run_queue.claim(catalog, numbers, name, NOW)
            except Busy:
                continue
            mark = data / "inside"
            mark.touch(exist_ok=False)  # fails if anybody else is inside
            inside += 1
            mark.unlink()
            for run in runs:
                run_queue.end(catalog, run.id, NOW)
    entered.put(inside)


def test_of_processes_that_claim_the_same_cells_one_at_a_time_has_them(
    data: Path, catalog: Catalog
) -> None:
    numbers = queued(catalog, 3)
    context = multiprocessing.get_context("spawn")
    entered: Queue[Any] = context.Queue()
    racers = [context.Process(target=claim_all, args=(data, numbers, entered)) for _ in range(3)]
    for racer in racers:
        racer.start()
    times = [entered.get(timeout=60) for _ in racers]
    for racer in racers:
        racer.join()
    assert [racer.exitcode for racer in racers] == [0, 0, 0]
    assert sum(times) > 0


def test_claiming_several_cells_claims_all_or_none(data: Path, catalog: Catalog) -> None:
    first, second = queued(catalog, 2)
    with run_queue.owner(data) as one, run_queue.owner(data) as other:
        run_queue.claim(catalog, [second], one, NOW)
        with pytest.raises(Busy):
            run_queue.claim(catalog, [first, second], other, NOW)
        assert [run.number for run in run_queue.claim(catalog, [first], other, NOW)] == [first]


def test_a_claim_serves_the_run_that_waits(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    waiting = run_queue.latest(catalog, number)
    assert waiting is not None
    with run_queue.owner(data) as name:
        (run,) = run_queue.claim(catalog, [number], name, NOW)
    assert (run.id, run.state, run.source) == (waiting.id, run_queue.RUNNING, run_queue.COMMAND)


def test_nothing_is_claimed_while_a_night_goes_on(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    with (
        run_queue.owner(data) as name,
        run_queue.night(catalog, NOW),
        pytest.raises(Busy, match="night"),
    ):
        run_queue.claim(catalog, [number], name, NOW)


def test_asking_twice_is_one_run(catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    first = run_queue.queue(catalog, number, forced=False, now=NOW)
    assert run_queue.queue(catalog, number, forced=False, now=NOW) == first
    assert run_queue.queue(catalog, number, forced=True, now=NOW).id == first.id
    assert run_queue.find(catalog, first.id).forced
    assert run_queue.queue(catalog, number, forced=False, now=NOW).forced


def test_a_run_that_ended_is_followed_by_a_new_one(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    with run_queue.owner(data) as name:
        run = run_queue.acquire_queued(catalog, name, 1)
        assert run is not None
        run_queue.end(catalog, run.id, NOW)
    again = run_queue.queue(catalog, number, forced=False, now=NOW)
    assert again.id > run.id
    assert run_queue.find(catalog, run.id).state == run_queue.DONE
    assert not run_queue.find(catalog, run.id).is_open
    assert again.is_open


def test_a_run_that_ended_stays_as_it_ended(data: Path, catalog: Catalog) -> None:
    queued(catalog, 1)
    with run_queue.owner(data) as name:
        run = run_queue.acquire_queued(catalog, name, 1)
        assert run is not None
        run_queue.end(catalog, run.id, NOW, "first")
        run_queue.end(catalog, run.id, NOW)
    assert run_queue.find(catalog, run.id).error == "first"
    assert catalog.get("agg-001").error == "first"


PARENT = """
import subprocess, sys
from pathlib import Path
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog

data = Path(sys.argv[1])
with Catalog.open(data) as catalog:
    holder = run_queue.hold(data)
    run_queue.acquire_queued(catalog, holder.name, 9)
    fds = [holder.descriptor]
    child = subprocess.Popen(["sleep", "60"], pass_fds=fds, stdout=subprocess.DEVNULL)
    print(child.pid, flush=True)
    sys.stdin.read()
"""
"""A process that claims a run for its child, as a server does."""


def test_a_claim_lives_as_long_as_the_child_that_computes_it(data: Path, catalog: Catalog) -> None:
    queued(catalog, 1)
    with (
        run_queue.owner(data) as name,
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


def test_a_run_that_was_given_back_counts_no_attempt(data: Path, catalog: Catalog) -> None:
    queued(catalog, 1)
    with run_queue.owner(data) as name:
        for _ in range(MOST_ATTEMPTS + 2):
            run = run_queue.acquire_queued(catalog, name, 1)
            assert run is not None
            assert run.attempts == 1
            run_queue.give_back(catalog, run.id)
    assert catalog.get("agg-001").status == "processing"


def test_a_run_whose_child_died_is_queued_again_by_its_parent(data: Path, catalog: Catalog) -> None:
    (number,) = queued(catalog, 1)
    with run_queue.owner(data) as name:
        for attempt in range(1, MOST_ATTEMPTS + 1):
            run = run_queue.acquire_queued(catalog, name, 1)
            assert run is not None
            assert run.attempts == attempt
            run_queue.requeue(catalog, run.id)
        assert run_queue.acquire_queued(catalog, name, 1) is None
    assert catalog.get("agg-001").status == "failed"
    assert run_queue.queue(catalog, number, forced=False, now=NOW).attempts == 0
    assert catalog.get("agg-001").status == "processing"


def test_an_owner_leaves_no_lock_behind(data: Path) -> None:
    with run_queue.owner(data):
        assert list((data / run_queue.FOLDER).iterdir())
    assert not list((data / run_queue.FOLDER).iterdir())


# What may be asked of a cell


def test_a_cell_that_has_a_version_is_refreshed_and_not_created(house: House) -> None:
    house.export(people(1))
    house.night()
    with house.work() as work, pytest.raises(SnapshotExists) as exists:
        lifecycle.create(work.catalog, "org-1", QUARTER, NOW)
    assert str(exists.value) == (
        "org-1 in rp-2024-q4 is already agg-001; refresh it with PUT agg-001"
    )


def test_a_cell_that_is_processing_is_the_same_snapshot_again(catalog: Catalog) -> None:
    first = lifecycle.create(catalog, "org-1", QUARTER, NOW)
    again = lifecycle.create(catalog, "org-1", QUARTER, NOW)
    assert (again.id, again.status) == (first.id, "processing")
    assert len(run_queue.open_runs(catalog)) == 1


def test_a_refresh_of_another_cell_is_a_mismatch(house: House) -> None:
    house.export(people(1))
    house.night()
    with house.work() as work:
        entry = work.catalog.get("agg-001")
    lifecycle.check_same(entry, None, None)
    lifecycle.check_same(entry, "org-1", "rp-2024-q4")
    with pytest.raises(CellMismatch, match="has org_id org-1, not org-2"):
        lifecycle.check_same(entry, "org-2", None)
    with pytest.raises(CellMismatch, match="has reporting_period_id rp-2024-q4, not rp-2024-q3"):
        lifecycle.check_same(entry, "org-1", "rp-2024-q3")


def test_what_may_be_asked_is_checked(house: House) -> None:
    zone = house.settings.zone
    assert lifecycle.check("org-1", "rp-2024-q4", zone, NOW) == QUARTER
    with pytest.raises(InvalidValue, match="organisations are written"):
        lifecycle.check("org 1", "rp-2024-q4", zone, NOW)
    with pytest.raises(InvalidValue, match="periods are written"):
        lifecycle.check("org-1", "2024", zone, NOW)
    with pytest.raises(PeriodNotBegun):
        lifecycle.check("org-1", "rp-2025-q2", zone, NOW)


@pytest.mark.parametrize(
    "wrong",
    ["", "agg-1", "agg-01", "AGG-001", "agg-001\n", "agg-1234567890123", "agg-\u0660\u0660\u0661"],
)
def test_what_is_no_id_is_refused(catalog: Catalog, wrong: str) -> None:
    with pytest.raises(InvalidValue, match="ids are written agg-001"):
        catalog.get(wrong)


def test_deleting_what_is_not_there_is_told(catalog: Catalog) -> None:
    with pytest.raises(SnapshotNotFound, match="no snapshot agg-001; list the snapshots"):
        lifecycle.delete(catalog, "agg-001")


def test_deleting_ends_the_run_that_waits(catalog: Catalog) -> None:
    queued(catalog, 1)
    lifecycle.delete(catalog, "agg-001")
    assert run_queue.open_runs(catalog) == []
    run = run_queue.latest(catalog, 1)
    assert run is not None
    assert run.error == "its snapshot was deleted"


# Lists


def test_lists_are_filtered_sorted_and_paged(house: House) -> None:
    house.export(
        [
            *people(3, org_id="org-b"),
            *people(1, org_id="org-a"),
            *people(2, org_id="org-c"),
            row(org_id="org-a", started_at=NOW),
        ]
    )
    house.night()
    with house.work() as work:
        lifecycle.create(work.catalog, "org-d", QUARTER, NOW)

        def ids(**listing: Any) -> list[str]:
            entries, _ = work.catalog.list(Listing(**listing))
            return [f"{entry.org_id} {entry.reporting_period_id}"[4:] for entry in entries]

        assert ids() == [
            "a rp-2025-q1",
            "a rp-2024-q4",
            "b rp-2024-q4",
            "c rp-2024-q4",
            "d rp-2024-q4",
        ]
        assert ids(sort="-created_at") == ids()  # all of one moment: ties go by id all the same
        assert ids(sort="-org_id")[0] == "d rp-2024-q4"
        assert ids(org_id="org-a") == ["a rp-2025-q1", "a rp-2024-q4"]
        assert ids(reporting_period_id="rp-2025-q1") == ["a rp-2025-q1"]
        assert ids(status="processing") == ["d rp-2024-q4"]
        assert ids(org_id="org-a", status="processing") == []
        assert ids(sort="-participant_count", limit=2) == [
            "b rp-2024-q4",
            "c rp-2024-q4",
        ]
        assert ids(sort="org_id", offset=2, limit=1) == ["b rp-2024-q4"]
        assert ids(sort="reporting_period_id")[-1] == "a rp-2025-q1"
        assert work.catalog.list(Listing(limit=1))[1] == 5
        assert work.catalog.list(Listing(org_id="org-a", limit=1))[1] == 2
