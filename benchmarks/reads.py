"""Reads from the real server, beside a constant reply from the same kind of worker."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

from benchmarks import publishing
from benchmarks.measure import BUFDIR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

CONNECTIONS: Final = 16
SECONDS: Final = 2.0
SNAPSHOTS: Final = 100_000
_BASE: Final = "/api/v1/bufdir-aggregations"
_START_SECONDS: Final = 30
_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Load:
    """What a server answered under load."""

    per_second: float
    median_ms: float
    p99_ms: float


def compare(folder: Path, rounds: int, tell: Callable[[str], None]) -> dict[str, Load]:
    """Each kind of read in turn, several rounds; the medians of the rounds."""
    data = folder / f"reads-{SNAPSHOTS}"
    if not data.exists():
        tell(f"publishing {SNAPSHOTS:,} snapshots")
        publishing.seconds(folder, SNAPSHOTS, data)
    with ExitStack() as stack:
        constant = stack.enter_context(_serving(_CONSTANT, "/constant"))
        ours = stack.enter_context(_serving([*BUFDIR, "serve", "--data", str(data)], "/livez"))
        one, many = _requests(f"{_BASE}/agg-4711"), [f"{_BASE}/agg-{n}" for n in range(1000, 3000)]
        filtered = f"{_BASE}?status=completed&sort=-participant_count&page="
        tag = _tag(ours, f"{_BASE}/agg-4711")
        asked: dict[str, tuple[int, Sequence[bytes]]] = {
            "constant dict": (constant, _requests("/constant")),
            "GET /{id}, one": (ours, one),
            "GET /{id}, 2,000 of them": (ours, _requests(*many)),
            "GET /{id}, 304": (ours, _requests(f"{_BASE}/agg-4711", tag=tag)),
            "GET /{id}/metrics": (ours, _requests(f"{_BASE}/agg-4711/metrics")),
            "list, page 1": (ours, _requests(f"{filtered}1")),
            "list, page 4,000": (ours, _requests(f"{filtered}4000")),
            "list, 200 pages about 4,000": (
                ours,
                _requests(*(f"{filtered}{page}" for page in range(3900, 4100))),
            ),
        }
        found: dict[str, list[Load]] = {name: [] for name in asked}
        for number, (name, (port, requests)) in itertools.product(range(rounds), asked.items()):
            load = asyncio.run(_load(port, requests))
            found[name].append(load)
            tell(f"round {number + 1}: {name}: {load.per_second:,.0f}/s, p99 {load.p99_ms:.1f} ms")
    return {
        name: Load(*(median(getattr(one, f) for one in loads) for f in Load.__slots__))
        for name, loads in found.items()
    }


_CONSTANT: Final = (
    *(sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "asyncio", "--http", "1"),
    *("--no-ws", "--workers", "1", "--no-log", "benchmarks.constant:app"),
)


@contextmanager
def _serving(command: Sequence[str], path: str) -> Iterator[int]:
    """A server with one worker on a free port, while the block lasts."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(port, path)
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(_START_SECONDS)


def _wait_for(port: int, path: str) -> None:
    end = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
        else:
            return


def _tag(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
        json.load(reply)
        return str(reply.headers["ETag"])


def _requests(*paths: str, tag: str | None = None) -> list[bytes]:
    condition = "" if tag is None else f"If-None-Match: {tag}\r\n"
    head = "GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{}\r\n"
    return [head.format(path, condition).encode() for path in paths]


async def _load(port: int, requests: Sequence[bytes]) -> Load:
    """Ask as often as it goes, over some connections; the first second is not counted."""
    taken: list[float] = []
    asking = itertools.cycle(requests)
    warm = time.perf_counter() + 1
    end = warm + SECONDS
    connections = [_ask(port, asking, warm, end, taken) for _ in range(CONNECTIONS)]
    await asyncio.gather(*connections)
    percentiles = quantiles(taken, n=100)
    return Load(len(taken) / SECONDS, median(taken) * 1000, percentiles[98] * 1000)


async def _ask(
    port: int, asking: Iterator[bytes], warm: float, end: float, taken: list[float]
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    now = time.perf_counter()
    while now < end:
        started = now
        writer.write(next(asking))
        head = await reader.readuntil(_END_OF_HEAD)
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")):
            raise RuntimeError(head.decode())
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line[:15] == b"content-length:"), 0
        )
        if length and b" 304" not in head[:13]:
            await reader.readexactly(length)
        now = time.perf_counter()
        if started >= warm:
            taken.append(now - started)
    writer.close()
    await writer.wait_closed()
