"""Run processes: limited, few at once, and no run is lost with its process."""

from __future__ import annotations

import os
import signal
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import httpx
import numpy as np
import pyarrow as pa
import pytest

from tests.api.serving import (
    BASE,
    Server,
    children_of,
    create,
    export,
    is_there,
    pause,
    resume,
    run_beside,
    run_process_of,
    runs,
    serving,
    settled,
    spans,
    start,
    wait_for,
)

if TYPE_CHECKING:
    from pathlib import Path

MANY = 6_000_000


def export_many(data: Path, org_id: str) -> None:
    """Write more rows than fit into the least memory that can be set."""
    counted = np.arange(MANY)
    export(
        data,
        org_id,
        MANY,
        org_id=pa.DictionaryArray.from_arrays(np.zeros(MANY, np.int32), [org_id]),
        activity_id=pa.array(counted // 20),
        participant_id=pa.array(counted),
        bufdir_category=pa.DictionaryArray.from_arrays(np.zeros(MANY, np.int32), ["eldre"]),
        started_at=pa.array(np.full(MANY, np.datetime64("2024-02-01T12:00:00", "us"))),
        hours=pa.array(np.ones(MANY)),
    )


def is_gone(pid: int) -> bool:
    return not is_there(pid)


def open_runs(data: Path) -> int:
    return sum(run["state"] in {"queued", "running"} for run in runs(data))


def answers(client: httpx.Client) -> bool:
    return client.get(BASE).status_code == 200


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_process_costs_no_reader_and_its_run_is_requeued(
    data: Path, workers: int
) -> None:
    export(data, "unlucky", 7)
    with serving(data, workers) as server, server.client() as client:
        snapshot_id = create(client, "unlucky")
        os.kill(run_process_of(server), signal.SIGKILL)

        assert answers(client)
        body = settled(client, snapshot_id)

        assert (body["status"], body["participant_count"]) == ("completed", 7)
        wait_for(lambda: not open_runs(data))
        assert [(run["state"], run["attempts"]) for run in runs(data)] == [("done", 2)]
        assert [event["end"] for event in server.events("run_process_exited")] == ["killed"]


def test_a_run_whose_processes_are_killed_again_and_again_fails(data: Path) -> None:
    export(data, "doomed", 7)
    with serving(data) as server, server.client() as client:
        snapshot_id = create(client, "doomed")
        for _ in range(3):
            process = run_process_of(server)
            os.kill(process, signal.SIGKILL)
            wait_for(partial(is_gone, process))

        body = settled(client, snapshot_id)

        assert body["status"] == "failed"
        assert body["error"] == "its process was killed 3 times"


def test_a_run_whose_export_needs_too_much_memory_fails_and_the_server_goes_on(data: Path) -> None:
    export_many(data, "huge")
    with serving(data, RUNS__MEMORY_MB=512) as server, server.client() as client:
        snapshot_id = create(client, "huge")

        body = settled(client, snapshot_id)

        assert body["status"] == "failed"
        assert body["error"] == (
            "no export names huge, but 1 export is refused and may do so; "
            "bufdir check names what is wrong"
        )
        assert answers(client)
        assert client.put(f"{BASE}/{snapshot_id}").json()["title"] == "Refresh failed"
        assert len(runs(data)) == 2  # it is not tried again by itself


def test_a_run_that_takes_too_long_ends_itself(data: Path) -> None:
    export_many(data, "long")
    with serving(data, RUNS__SECONDS=1) as server, server.client() as client:
        snapshot_id = create(client, "long")
        process = run_process_of(server)
        os.kill(process, signal.SIGALRM)  # as the clock would, on a slow machine

        body = settled(client, snapshot_id)

        assert (body["status"], body["error"]) == ("failed", "it took longer than runs.seconds = 1")
        assert answers(client)


def test_a_run_process_that_does_not_end_itself_is_killed(data: Path) -> None:
    export(data, "stuck", 3)
    with serving(data, RUNS__SECONDS=1) as server, server.client() as client:
        snapshot_id = create(client, "stuck")
        process = run_process_of(server)
        pause(process)  # a stopped process does not hear its alarm

        body = settled(client, snapshot_id)

        assert (body["status"], body["error"]) == ("failed", "it took longer than runs.seconds = 1")
        wait_for(lambda: not is_there(process))


def crowd(data: Path, client: httpx.Client) -> None:
    """Ask for more runs than may go on at once."""
    for number in range(4):
        export(data, f"crowd-{number}", 3)
    for number in range(4):
        create(client, f"crowd-{number}")


def test_no_more_run_processes_live_at_once_than_is_set(data: Path) -> None:
    most = 0
    with serving(data, RUNS__AT_ONCE=2) as server, server.client() as client:
        crowd(data, client)
        while open_runs(data):
            most = max(most, *(len(children_of(worker)) for worker in server.workers()))
        completed = client.get(BASE, params={"status": "completed"}).json()["data"]

    assert most == 2
    assert len(completed) == 4


def test_no_more_runs_go_on_at_once_than_is_set_over_all_workers(data: Path) -> None:
    with serving(data, workers=3, RUNS__AT_ONCE=1) as server, server.client() as client:
        crowd(data, client)
        wait_for(lambda: not open_runs(data))
        computed = sorted(span for times in spans(server).values() for span in times)

    assert len(computed) == 4
    assert all(end <= start for (_, end), (start, _) in pairwise(computed))


def test_a_run_that_cannot_write_its_version_fails_and_names_the_reason(data: Path) -> None:
    export(data, "unwritable", 3)
    with serving(data) as server, server.client() as client:
        (data / "snapshots").mkdir(exist_ok=True)
        (data / "snapshots" / "agg-001").write_text("a file where a folder should be")

        body = settled(client, create(client, "unwritable"))
        problem = client.put(f"{BASE}/agg-001")

    assert body["error"].startswith("snapshots/agg-001 can't be used: ")
    assert (problem.status_code, problem.json()["title"]) == (409, "Refresh failed")
    assert str(data) not in problem.text


@pytest.mark.usefixtures("broken_package")
def test_a_fault_of_the_program_is_logged_and_reported_without_internals(data: Path) -> None:
    export(data, "unlucky", 3)
    with serving(data) as server, server.client() as client:
        body = settled(client, create(client, "unlucky"))
        problem = client.put(f"{BASE}/agg-001")

        assert (
            body["error"]
            == "it crashed by a fault of the program; the log of the server describes it"
        )
        assert problem.status_code == 500
        assert problem.json()["title"] == "Internal Server Error"
        assert "Traceback" not in problem.text
        assert str(data) not in problem.text
        assert "Traceback" in server.events("run_crashed")[0]["exception"]


def test_wrong_settings_fail_the_run_and_name_the_setting(data: Path) -> None:
    export(data, "misled", 3)
    with serving(data) as server, server.client() as client:
        (data / "bufdir.toml").write_text("max_hours = -1\n")

        body = settled(client, create(client, "misled"))

    assert body["status"] == "failed"
    assert "max_hours" in body["error"]
    assert str(data) not in body["error"]


def stopped_mid_run(server: Server) -> int:
    """Stop a server while a run process of it computes; return its process id."""
    with server.client() as client:
        create(client, "interrupted")
    process = run_process_of(server)
    pause(process)
    server.stop()
    return process


def test_a_server_that_stops_ends_its_run_processes_and_gives_their_runs_back(data: Path) -> None:
    export(data, "interrupted", 3)
    with serving(data) as server:
        workers = server.workers()
        process = stopped_mid_run(server)

        assert not any(map(is_there, [process, *workers]))
        assert [(run["state"], run["attempts"]) for run in runs(data)] == [("queued", 0)]
        assert server.process.returncode == 0

    with serving(data) as server, server.client() as client:
        assert settled(client, "agg-001")["participant_count"] == 3
        wait_for(lambda: not open_runs(data))
        assert [(run["state"], run["attempts"]) for run in runs(data)] == [("done", 1)]


def test_a_killed_worker_is_replaced_and_its_run_process_ends_its_run(data: Path) -> None:
    export(data, "orphan", 3)
    with serving(data) as server, server.client() as client:
        snapshot_id = create(client, "orphan")
        process = run_process_of(server)
        (worker,) = server.workers()
        os.kill(worker, signal.SIGKILL)

        wait_for(lambda: set(server.workers()) - {worker})
        with server.client() as another:
            wait_for(lambda: reaches(another))
            assert settled(another, snapshot_id)["participant_count"] == 3
        wait_for(lambda: not is_there(process) and not open_runs(data))
        assert [(run["state"], run["attempts"]) for run in runs(data)] == [("done", 1)]


def test_the_requests_of_a_killed_worker_are_not_in_progress_any_longer(data: Path) -> None:
    export(data, "cut-off", 3)
    with serving(data) as server, server.client() as client, server.client() as other:
        snapshot_id = create(client, "cut-off")
        process = run_process_of(server)
        pause(process)
        (worker,) = server.workers()
        with pytest.raises(httpx.TransportError):
            run_beside(
                lambda: other.put(f"{BASE}/{snapshot_id}"), lambda: os.kill(worker, signal.SIGKILL)
            )
        resume(process)
        with server.client() as another:
            wait_for(lambda: reaches(another))
            lines = another.get("/metrics").text.splitlines()

    going_on = [line for line in lines if line.startswith("bufdir_requests_in_progress{")]
    assert [line for line in going_on if 'method="PUT"' in line and not line.endswith(" 0.0")] == []


def reaches(client: httpx.Client) -> bool:
    try:
        return answers(client)
    except httpx.TransportError:
        return False


def test_workers_end_when_the_first_process_is_killed(data: Path) -> None:
    server = start(data, workers=2)
    try:
        wait_for(lambda: server.events("serving"))
        workers = server.workers()
    finally:
        server.process.kill()
        server.process.wait()

    wait_for(lambda: not any(map(is_there, workers)))


def test_no_dead_run_process_is_left_as_a_zombie(data: Path) -> None:
    export(data, "mortal", 3)
    with serving(data) as server, server.client() as client:
        settled(client, create(client, "mortal"))
        (worker,) = server.workers()

        wait_for(lambda: not children_of(worker))
        assert list((data / ".locks").glob("*.lock")) == list((data / ".locks").glob(f"{worker}-*"))


def test_an_export_that_ends_its_reader_costs_its_own_organisation_only(data: Path) -> None:
    export(data, "fine", 3)
    export_many(data, "huge")
    with serving(data, RUNS__MEMORY_MB=512) as server, server.client() as client:
        first = settled(client, create(client, "fine"))
        began = len(server.events("run_started"))
        export(data, "fine", 4)

        reply = client.put(f"{BASE}/{first['id']}", json={"force_refresh": True})
        second = client.get(f"{BASE}/{first['id']}").json()

        assert reply.status_code == 200, reply.text
        assert (first["participant_count"], second["participant_count"]) == (3, 4)
        assert len(server.events("run_started")) == began + 1  # the huge one was not read again
