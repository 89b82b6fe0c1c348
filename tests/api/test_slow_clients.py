"""Slow clients by hundreds: others are served meanwhile, and each slow one is ended in time."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from benchmarks.slow_connections import HEAD, KINDS, allow_descriptors, connected, trickle
from tests.api.serving import BASE, Server, export, nightly_run, serving, wait_for

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

SLOW = 500


@pytest.fixture
def served(data: Path) -> Iterator[Server]:
    allow_descriptors(4 * SLOW)
    export(data, "slow", 3)
    nightly_run(data)
    with serving(data, workers=2) as server:
        yield server


def goes_on(slow: list[socket.socket], kind: str) -> bool:
    """Send a little more after a while; a reader goes on by reading nothing."""
    time.sleep(0.5)
    return kind == "readers" or trickle(slow) >= 0


def descriptors(server: Server) -> int:
    """Count what the workers have open."""
    folders = [Path(f"/proc/{worker}/fd") for worker in server.workers()]
    return sum(len(list(folder.iterdir())) for folder in folders)


def read(server: Server, times: int) -> None:
    """Read a snapshot on new connections and on one that stays; every reply must be right."""
    with server.client() as client:
        expected = client.get(f"{BASE}/agg-001").json()
        assert expected["participant_count"] == 3
        for number in range(times):
            assert client.get(f"{BASE}?limit={number + 1}").json()["pagination"]["total"] == 1
            assert httpx.get(f"{server.url}{BASE}/agg-001").json() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_500_slow_clients_keep_nothing_from_others_and_are_ended(served: Server, kind: str) -> None:
    read(served, 1)
    before = descriptors(served)
    with connected(served.url, KINDS[kind], SLOW) as slow:
        wait_for(lambda: descriptors(served) >= before + SLOW / 2)
        read(served, 20)
        wait_for(lambda: goes_on(slow, kind) and descriptors(served) < before + SLOW / 10)
        read(served, 1)
    assert served.events("unhandled_exception") == []


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_connections_beyond_the_descriptors_of_a_worker_wait_and_are_then_served(
    data: Path,
) -> None:
    """A worker that runs out of descriptors could open neither a connection nor the catalog."""
    allow_descriptors(4 * SLOW)
    export(data, "slow", 3)
    nightly_run(data)
    with serving(data, under=("prlimit", "--nofile=400:400")) as server:
        read(server, 1)
        with connected(server.url, HEAD, 200):
            read(server, 5)
    assert server.events("unhandled_exception") == []
