"""Reads from the real server, compared with a constant reply from the same kind of worker."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks import publishing
from benchmarks.measure import BUFDIR

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

CONNECTIONS: Final = 16
SNAPSHOTS: Final = 100_000
_BASE: Final = "/api/v1/bufdir-aggregations"
_START_SECONDS: Final = 30
_OLDER_TAG: Final = f'"{"0" * 32}"'
"""A tag that matches no reply, so that the request is answered in full."""
_WARMING, _DURATION = "1s", "2s"


@dataclass(frozen=True, slots=True)
class Load:
    """The throughput and latency of a server under load."""

    per_second: float
    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Compared:
    """A kind of read, and the constant to compare with: medians over the rounds."""

    read: Load
    constant: Load
    ratio: float
    """The ratio of requests a second: the median of the rounds' own ratios."""


def compare(folder: Path, rounds: int, report: Callable[[str], None]) -> dict[str, Compared]:
    """Measure each kind of read in several rounds, and directly before each the constant.

    The load of the machine changes within seconds, so only neighbouring measurements compare.
    """
    data = folder / f"reads-{SNAPSHOTS}"
    if not data.exists():
        report(f"publishing {SNAPSHOTS:,} snapshots")
        publishing.seconds(folder, SNAPSHOTS, data)
    with ExitStack() as stack:
        constant = stack.enter_context(_serving(_CONSTANT, "/constant"))
        ours = stack.enter_context(_serving([*BUFDIR, "serve", "--data", str(data)], "/livez"))
        one = f"{_BASE}/agg-4711"
        filtered = f"{_BASE}?status=completed&sort=-participant_count&page="
        asked: dict[str, tuple[int, Sequence[str], str | None]] = {
            "GET /{id}, one": (ours, [one], None),
            "GET /{id}, 2,000 of them": (
                ours,
                [f"{_BASE}/agg-{number}" for number in range(1000, 3000)],
                None,
            ),
            "GET /{id}, 304": (ours, [one], _tag(ours, one)),
            "GET /{id}, an older tag": (ours, [one], _OLDER_TAG),
            "GET /{id}/metrics": (ours, [f"{one}/metrics"], None),
            "list, page 1": (ours, [f"{filtered}1"], None),
            "list, page 4,000": (ours, [f"{filtered}4000"], None),
            "list, 200 pages about 4,000": (
                ours,
                [f"{filtered}{page}" for page in range(3900, 4100)],
                None,
            ),
        }
        found: dict[str, list[tuple[Load, Load]]] = {name: [] for name in asked}
        for number, (name, what) in itertools.product(range(rounds), asked.items()):
            base, load = _load(constant, ["/constant"], None), _load(*what)
            found[name].append((load, base))
            ratio = load.per_second / base.per_second
            report(f"round {number + 1}: {name}: {load.per_second:,.0f}/s, {ratio:.2f} ×")
    return {name: _compared(pairs) for name, pairs in found.items()}


def _compared(pairs: Sequence[tuple[Load, Load]]) -> Compared:
    read, constant = (
        Load(*(median(getattr(one, field) for one in loads) for field in Load.__slots__))
        for loads in zip(*pairs, strict=True)
    )
    return Compared(read, constant, median(one.per_second / two.per_second for one, two in pairs))


_CONSTANT: Final = (
    *(sys.executable, "-m", "granian", "--interface", "asgi", "--loop", "asyncio", "--http", "1"),
    *("--no-ws", "--workers", "1", "--no-log", "benchmarks.constant:app"),
)


@contextmanager
def _serving(command: Sequence[str], path: str) -> Iterator[int]:
    """Run a server with one worker on a free port during the block."""
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


_SCRIPT: Final = """
local paths, asked = {{{paths}}}, 0
function request()
  asked = asked % #paths + 1
  return wrk.format("GET", paths[asked])
end
function done(summary, latency)
  local wrong = 0
  for _, count in pairs(summary.errors) do wrong = wrong + count end
  local median, p99 = latency:percentile(50), latency:percentile(99)
  print("found", summary.requests, summary.duration, median, p99, wrong)
end
"""


def _load(port: int, paths: Sequence[str], tag: str | None) -> Load:
    """Request these paths one after the other under load, after a warm-up that is not counted.

    Raises:
        RuntimeError: A request failed.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_SCRIPT.format(paths=", ".join(f'"{path}"' for path in paths)))
        script.flush()
        condition = () if tag is None else ("--header", f"If-None-Match: {tag}")
        command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), *condition]
        command += ["--script", script.name, f"http://127.0.0.1:{port}"]
        command.append("--duration")
        subprocess.run([*command, _WARMING], check=True, capture_output=True)
        shown = subprocess.run([*command, _DURATION], check=True, capture_output=True, text=True)
    found = next(line for line in shown.stdout.splitlines() if line.startswith("found"))
    requests, microseconds, middle, p99, wrong = map(float, found.split()[1:])
    if wrong:
        msg = f"{wrong:.0f} of {requests:.0f} requests to {paths[0]} failed"
        raise RuntimeError(msg)
    return Load(requests / microseconds * 10**6, middle / 1000, p99 / 1000)
