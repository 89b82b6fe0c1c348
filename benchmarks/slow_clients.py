"""`python -m benchmarks.slow_clients`: how much slower others read while 500 clients are slow.

The slow clients are in a process of their own. Reads without them come directly before and after,
because the load of the machine changes.
"""

from __future__ import annotations

import http.client
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import mean, median
from typing import Final

from benchmarks import results_page
from benchmarks.served import Served, serving
from benchmarks.slow_connections import KINDS, allow_descriptors, connected, trickle

SLOW: Final = 500
_ROUNDS: Final = 3
_SECONDS: Final = 2.0
_SETTLING_SECONDS: Final = 3.0
_ENDED_SECONDS: Final = 2
"""The time in which the server has noticed that slow clients are gone."""
_READ: Final = 100
"""The number of snapshots that are read, of those that there are."""
_BASE: Final = "/api/v1/bufdir-aggregations"
_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Reads:
    """The median and the mean seconds of a read."""

    median: float
    mean: float


def main() -> None:
    """Measure, print, and write the section of `RESULTS.md`."""
    allow_descriptors(2 * SLOW)
    with serving(40_000, 225, 2, ACCESS__WRITES_PER_MINUTE="1000000") as server:
        found = {
            kind: [_compared(server, kind, sent) for _ in range(_ROUNDS)]
            for kind, sent in KINDS.items()
        }
    rows = [f"| {kind} | {_shown(rounds)} |" for kind, rounds in found.items()]
    section = "\n".join(
        (
            f"## Reads while {SLOW} clients are slow",
            "",
            f"Two workers, hundreds of snapshots; the medians of {_ROUNDS} rounds.",
            "`python -m benchmarks.slow_clients` writes this.",
            "",
            "| slow | ms a read without them | ms a read with them | ratio | ratio of means |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
            "",
        )
    )
    print(section)
    results_page.write_section("slow_clients", section)


def _shown(rounds: list[tuple[_Reads, _Reads]]) -> str:
    quiet = median(without.median for without, _ in rounds) * _MILLISECONDS
    slow = median(with_them.median for _, with_them in rounds) * _MILLISECONDS
    ratio = median(with_them.median / without.median for without, with_them in rounds)
    means = median(with_them.mean / without.mean for without, with_them in rounds)
    return f"{quiet:.2f} | {slow:.2f} | {ratio:.2f} × | {means:.2f} ×"


def _compared(server: Served, kind: str, sent: bytes) -> tuple[_Reads, _Reads]:
    """Read without slow clients, with them, and without them again."""
    before = _read(server.port)
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    clients = spawn.Process(target=_be_slow, args=(server.url, kind, sent, there))
    clients.start()
    here.recv()
    time.sleep(_SETTLING_SECONDS)
    during = _read(server.port)
    here.send("end")
    clients.join()
    time.sleep(_ENDED_SECONDS)
    after = _read(server.port)
    quiet = _Reads(mean((before.median, after.median)), mean((before.mean, after.mean)))
    return quiet, during


def _be_slow(url: str, kind: str, sent: bytes, other: Connection) -> None:
    """Hold the connections until the other process asks for the end; send a byte now and then."""
    allow_descriptors(2 * SLOW)
    with connected(url, sent, SLOW) as connections:
        other.send("ready")
        while not other.poll(1):
            if kind != "readers":
                trickle(connections)


def _read(port: int) -> _Reads:
    """Read snapshots and lists in turn for some seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    spent: list[float] = []
    end = time.monotonic() + _SECONDS
    while time.monotonic() < end:
        number = len(spent)
        started = time.perf_counter()
        for path in (f"/agg-{number % _READ + 1:03d}", f"?limit=20&page={number % 10 + 1}"):
            connection.request("GET", f"{_BASE}{path}")
            reply = connection.getresponse()
            reply.read()
            if reply.status != http.HTTPStatus.OK:
                msg = f"a read ended with {reply.status}"
                raise RuntimeError(msg)
        spent.append((time.perf_counter() - started) / 2)
    return _Reads(median(spent), mean(spent))


if __name__ == "__main__":
    main()
