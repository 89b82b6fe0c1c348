"""Many clients, several servers and a nightly run at once: no torn, old or repeated work."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx

from tests.api.serving import (
    BASE,
    ROOT,
    Server,
    create,
    export,
    is_there,
    nightly_run,
    pause,
    run_beside,
    run_process_of,
    runs,
    serving,
    settled,
    spans,
    wait_for,
)
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

CLIENTS = 16
_THINKING_SECONDS = 0.05
"""Pause between the reads of one client, so that the machine computes runs as well."""
_NIGHTLY_RUN = """
import sys
from pathlib import Path
from tests.api.serving import nightly_run
print(len([one for one in nightly_run(Path(sys.argv[1])).outcomes if one.outcome == "computed"]))
"""


def counted(body: dict[str, Any]) -> set[int]:
    """Return the counts that a reply implies, by each of its numbers: one if it is whole."""
    if "pagination" in body:
        (body,) = body["data"]
        return {body["participant_count"], body["hours_delivered"] // 2, body["activity_count"]}
    if "bufdir_category_breakdown" in body:
        numbers = {body["participant_count"], body["hours_delivered"] // 2, body["activity_count"]}
        return numbers | {sum(body["bufdir_category_breakdown"].values())}
    shares = body["category_distribution"].values()
    return {
        body["total_participants"],
        body["unique_participants"],
        body["total_hours"] // 2,
        body["total_activities"],
        sum(share["participants"] for share in shares),
        sum(share["hours"] for share in shares) // 2,
    }


def read_on(server: Server, snapshot_id: str, stop: Event) -> list[int]:
    """Return the counts that one client sees, over a new connection for each request."""
    paths = (f"{BASE}/{snapshot_id}", f"{BASE}/{snapshot_id}/metrics", f"{BASE}?org_id=busy")
    seen: list[int] = []
    with server.client(limits=httpx.Limits(max_keepalive_connections=0)) as client:
        while not stop.is_set():
            for path in paths:
                reply = client.get(path)
                assert reply.status_code == 200, reply.text
                (number,) = counted(reply.json())
                seen.append(number)
            time.sleep(_THINKING_SECONDS)
    return seen


def test_no_reply_is_torn_and_none_older_than_one_already_seen(data: Path) -> None:
    export(data, "busy", 1)
    stop = Event()
    with (
        serving(data, workers=2) as server,
        server.client() as client,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        snapshot_id = create(client, "busy")
        settled(client, snapshot_id)
        readers = [threads.submit(read_on, server, snapshot_id, stop) for _ in range(CLIENTS)]
        try:
            for rows in range(2, 7):
                export(data, "busy", rows)
                reply = client.put(f"{BASE}/{snapshot_id}")
                assert reply.json()["participant_count"] == rows
        finally:
            stop.set()
        seen = [reader.result() for reader in readers]

    for numbers in seen:
        assert numbers == sorted(numbers)
    assert {number for numbers in seen for number in numbers} == {1, 2, 3, 4, 5, 6}


def test_two_servers_share_the_work_and_compute_nothing_twice(data: Path) -> None:
    names = [f"shared-{number}" for number in range(5)]
    for name in names:
        export(data, name, 3)
    with (
        serving(data) as one,
        serving(data) as other,
        one.client() as client,
        other.client() as another,
        ThreadPoolExecutor(10) as threads,
    ):
        asked = [
            threads.submit(create, caller, name) for name in names for caller in (client, another)
        ]
        ids = {call.result() for call in asked}
        for snapshot_id in ids:
            assert settled(another, snapshot_id)["status"] == "completed"
        wait_for(lambda: all(run["state"] == "done" for run in runs(data)))
        computed = spans(one, other)

    assert len(ids) == len(names)
    assert all(len(times) == 1 for times in computed.values())
    assert {run["number"] for run in runs(data)} == set(range(1, 6))
    assert not list((data / "snapshots").glob("*/v2.json"))
    # Never more at once, over both servers, than the setting allows: two.
    (times,) = zip(*computed.values(), strict=True)
    for start, _ in times:
        assert sum(begin <= start < end for begin, end in times) <= 2


def test_refreshes_of_one_cell_follow_each_other(data: Path) -> None:
    export(data, "popular", 3)
    with (
        serving(data, workers=2) as server,
        server.client() as client,
        ThreadPoolExecutor(8) as threads,
    ):
        snapshot_id = create(client, "popular")
        settled(client, snapshot_id)
        export(data, "popular", 4)
        calls = [threads.submit(client.put, f"{BASE}/{snapshot_id}") for _ in range(8)]
        replies = [call.result().json() for call in calls]
        computed = sorted(span for times in spans(server).values() for span in times)

    assert {reply["participant_count"] for reply in replies} == {4}
    assert sorted(path.name for path in (data / "snapshots" / snapshot_id).iterdir()) == [
        "v1.json",
        "v2.json",
    ]
    for (_, end), (start, _) in pairwise(computed):
        assert end <= start


def test_a_nightly_run_and_a_server_at_once_compute_nothing_twice(data: Path) -> None:
    for number in range(4):
        export(data, f"nightly-{number}", 3)
    with serving(data) as server, server.client() as client:
        nightly = subprocess.Popen(
            [sys.executable, "-c", _NIGHTLY_RUN, str(data)], cwd=ROOT, stdout=subprocess.PIPE
        )
        for name in ("nightly-0", "nightly-1"):
            body = {"org_id": name, "reporting_period_id": "rp-2024-q1"}
            assert client.post(BASE, json=body).status_code in {202, 409}
        output, _ = nightly.communicate(timeout=PATIENCE_SECONDS)
        wait_for(lambda: all(run["state"] == "done" for run in runs(data)))
        listed = client.get(BASE).json()

    assert nightly.returncode == 0
    assert int(output) <= 4
    assert listed["pagination"]["total"] == 4
    assert {row["status"] for row in listed["data"]} == {"completed"}
    assert len(list((data / "snapshots").glob("*/v1.json"))) == 4
    assert not list((data / "snapshots").glob("*/v2.json"))


def test_a_refresh_during_a_nightly_run_waits_for_its_end(data: Path) -> None:
    export(data, "owl", 3)
    nightly_run(data)
    with serving(data) as server, server.client() as client, server.client() as other:
        paused = subprocess.Popen(
            [sys.executable, "-c", _PAUSED_NIGHTLY_RUN, str(data)], cwd=ROOT, stdin=subprocess.PIPE
        )
        wait_for(
            lambda: any(
                run["source"] == "night" and run["state"] == "running" for run in runs(data)
            )
        )
        export(data, "owl", 5)

        reply = run_beside(lambda: other.put(f"{BASE}/agg-001"), lambda: paused.communicate(b"\n"))

        assert client.get(BASE).status_code == 200
        assert reply.json()["participant_count"] == 5


_PAUSED_NIGHTLY_RUN = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
clock = lambda: datetime.now(UTC)
with Catalog.open(Path(sys.argv[1])) as catalog, run_queue.nightly_run(catalog, clock):
    sys.stdin.readline()
"""


def test_a_refresh_that_is_waited_for_does_not_hold_up_the_end_of_the_server(data: Path) -> None:
    export(data, "patient", 3)
    with serving(data) as server, server.client() as client, server.client() as other:
        snapshot_id = create(client, "patient")
        process = run_process_of(server)
        pause(process)

        reply = run_beside(lambda: other.put(f"{BASE}/{snapshot_id}"), server.stop)

        assert reply.status_code == 202
        assert not is_there(process)
        assert [event["end"] for event in server.events("run_process_exited")] == []
