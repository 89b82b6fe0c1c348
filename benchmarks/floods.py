"""`python -m benchmarks.floods`: how long strangers' floods of writes delay a refresh.

A process with several connections posts, and another caller refreshes meanwhile. The refreshes are
forced, so each is a run process of its own.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.measure import BUFDIR
from benchmarks.served import serving

_BASE: Final = "/api/v1/bufdir-aggregations"
_STRANGER, _FRIEND = "127.0.0.2", "127.0.0.3"
"""The addresses of two callers; all of 127.0.0.0/8 is this computer."""
_CONNECTIONS: Final = 8
_DELETED: Final = 548
_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class _Server:
    port: int
    header: dict[str, str]
    """The header that shows the friend's token; empty without one."""


def main() -> None:
    """Measure, and print."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.floods", description=__doc__)
    asked.add_argument("--posts", type=int, default=10_000)
    posts = asked.parse_args().posts
    for has_token in (False, True):
        with _serving(has_token=has_token) as server:
            name = "with a token made" if has_token else "without any token"
            quiet = median(_refresh(server) for _ in range(5))
            counts, seconds, delayed = _flooded(server, posts)
            print(f"{name}: a refresh takes {quiet:.2f} s")
            print(f"  {posts:,} POSTs in {seconds:.1f} s: {_shown(counts)}")
            print(f"  {len(delayed)} refreshes meanwhile: at most {max(delayed):.2f} s")
            print(f"  {_DELETED} DELETEs: {_shown(_deletions(server))}")
            print(f"  snapshots: {_total(server)}")


def _shown(counts: Counter[int]) -> str:
    return ", ".join(f"{count:,} × {status}" for status, count in sorted(counts.items()))


@contextmanager
def _serving(*, has_token: bool) -> Iterator[_Server]:
    """Serve 900 snapshots with two workers."""
    with serving(40_000, 225, 2) as server:
        header = {}
        if has_token:
            program = [*BUFDIR, "--data", str(server.data)]
            create = [*program, "token", "create", "friend", "--all", "--can", "write"]
            made = subprocess.run(create, check=True, capture_output=True, text=True)
            header = {"Authorization": f"Bearer {made.stdout.strip()}"}
        yield _Server(server.port, header)


def _flooded(server: _Server, posts: int) -> tuple[Counter[int], float, list[float]]:
    """Refresh while another process posts; return its replies, its time, and the refreshes'."""
    spawn = multiprocessing.get_context("spawn")
    results = spawn.SimpleQueue()
    flood = spawn.Process(target=_flood, args=(server.port, posts, results))
    flood.start()
    delayed = [_refresh(server)]
    while flood.is_alive() and results.empty():
        delayed.append(_refresh(server))
    counts, seconds = results.get()
    flood.join()
    return counts, seconds, delayed


def _flood(port: int, posts: int, results: multiprocessing.SimpleQueue[object]) -> None:
    counts: Counter[int] = Counter()
    started = time.perf_counter()

    def post(first: int) -> None:
        stranger = http.client.HTTPConnection("127.0.0.1", port, source_address=(_STRANGER, 0))
        for number in range(first, posts, _CONNECTIONS):
            cell = {"org_id": f"invented-{number}", "reporting_period_id": "rp-2024-q1"}
            stranger.request("POST", _BASE, json.dumps(cell), _JSON)
            reply = stranger.getresponse()
            reply.read()
            counts[reply.status] += 1

    threads = [threading.Thread(target=post, args=(first,)) for first in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results.put((counts, time.perf_counter() - started))


def _refresh(server: _Server) -> float:
    """Refresh the first snapshot, and return how long that took."""
    friend = http.client.HTTPConnection("127.0.0.1", server.port, source_address=(_FRIEND, 0))
    started = time.perf_counter()
    body = json.dumps({"force_refresh": True})
    friend.request("PUT", f"{_BASE}/agg-001", body, _JSON | server.header)
    reply = friend.getresponse()
    reply.read()
    if reply.status != http.HTTPStatus.OK:
        msg = f"the refresh ended with {reply.status}"
        raise RuntimeError(msg)
    return time.perf_counter() - started


def _deletions(server: _Server) -> Counter[int]:
    counts: Counter[int] = Counter()
    stranger = http.client.HTTPConnection("127.0.0.1", server.port, source_address=("127.0.0.4", 0))
    for number in range(2, 2 + _DELETED):
        stranger.request("DELETE", f"{_BASE}/agg-{number:03d}")
        reply = stranger.getresponse()
        reply.read()
        counts[reply.status] += 1
    return counts


def _total(server: _Server) -> int:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{_BASE}") as reply:
        return int(json.load(reply)["pagination"]["total"])


if __name__ == "__main__":
    main()
