"""A soak from its beginning to its end: a served data folder, its callers and its samples."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.measure import BUFDIR
from benchmarks.soak import ending, exports, samples
from benchmarks.soak.callers import Reader, Writer
from benchmarks.soak.calls import Site
from benchmarks.soak.exports import CELLS, ORGANISATIONS, PERIODS, Cell
from benchmarks.soak.record import Record
from benchmarks.soak.samples import Compared, Sample

WORKERS: Final = 2
_READER_PAUSE: Final = 0.1
_PAUSES: Final = {"export": 3.0, "refresh": 1.0, "deletion": 5.0, "token": 5.0, "nightly": 2.0}
"""Seconds between the end of one and the beginning of the next."""
_SAMPLE_SECONDS: Final = 5.0
_LEAST_SAMPLES: Final = 40
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 30
_SETTINGS: Final = "[access]\nwrites_per_minute = 1000000\n"
_VARIABLES: Final = {"BUFDIR_LOG__FORMAT": "json"}


@dataclass(frozen=True, slots=True)
class Soaked:
    """The result of a soak."""

    seconds: float
    readers: int
    compared: list[Compared]
    record: Record
    sizes: tuple[tuple[int, int], tuple[int, int]]
    """Files and bytes of the data folder, at the beginning and at the end."""

    @property
    def breaches(self) -> list[str]:
        """Everything that must not be."""
        grown = [
            f"{one.name} grew from {one.before:,.0f} to {one.after:,.0f}, and may only "
            f"to {one.most:,.0f}"
            for one in self.compared
            if not one.is_due
        ]
        return [*self.record.breaches, *grown]


@dataclass
class Soak:
    """The data folder, what is known of it, and what has been measured."""

    data: Path
    readers: int
    seed: int
    record: Record = field(default_factory=Record)
    found: list[Sample] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def run(self, seconds: float) -> Soaked:
        """Prepare a data folder, serve it, call it for so many seconds, and judge it."""
        site = self._prepared()
        begin = samples.size(self.data)
        log = self.data.parent / "server.log"
        with self._served(log) as (server, port):
            site = Site(port, site.data, site.writer)
            with self._called(site, _ids(site)):
                self._sample(server.pid, seconds)
            self._add(ending.breaches_while_served(site, self.record))
        self._add(ending.breaches_of_log(log))
        self._add(ending.breaches_of_files(self.data))
        sizes = begin, samples.size(self.data)
        return Soaked(seconds, self.readers, samples.compare(self.found), self.record, sizes)

    def _prepared(self) -> Site:
        """Export every organisation, compute all snapshots, and make a token that may write."""
        self.data.mkdir(parents=True)
        (self.data / "bufdir.toml").write_text(_SETTINGS, "utf-8")
        for organisation in range(ORGANISATIONS):
            self._export(organisation)
        site = Site(0, str(self.data), {})
        site.command("nightly").check_returncode()
        made = site.command("token", "create", "writer", "--all", "--can", "write")
        made.check_returncode()
        return Site(0, str(self.data), {"Authorization": f"Bearer {made.stdout.strip()}"})

    def _export(self, organisation: int) -> None:
        generation = self.record.exported[organisation] + 1
        self.record.exported[organisation] = generation
        exports.write(self.data / "exports", organisation, generation)
        self.record.written[organisation] = generation

    @contextmanager
    def _served(self, log: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """Serve the data folder during the block; its end must be orderly."""
        command = [*BUFDIR, "--data", str(self.data), "serve", "--port", "0"]
        command += ["--workers", str(WORKERS)]
        with log.open("wb") as stderr:
            server = subprocess.Popen(command, stderr=stderr, env=os.environ | _VARIABLES)
        try:
            yield server, _port(server, log)
        finally:
            server.send_signal(signal.SIGTERM)
            code = server.wait(_STOP_SECONDS)
        if code:
            self.record.breach(f"the server ended with {code}")

    @contextmanager
    def _called(self, site: Site, ids: dict[Cell, str]) -> Iterator[None]:
        """Let all callers do their work during the block, each in a thread."""
        chances = [random.Random(self.seed + number) for number in range(self.readers)]  # noqa: S311
        readers = [Reader(site, self.record, ids, chance) for chance in chances]
        acts = [*self._changes(site, ids), *((one.read, _READER_PAUSE) for one in readers)]
        threads = [threading.Thread(target=self._repeat, args=act) for act in acts]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()
            for reader in readers:
                reader.close()

    def _changes(self, site: Site, ids: dict[Cell, str]) -> list[tuple[Callable[[], None], float]]:
        """List what changes the data, and the pause after each; each has a seed of its own."""
        seeds = range(self.seed + self.readers, self.seed + self.readers + len(_PAUSES))
        chances = [random.Random(seed) for seed in seeds]  # noqa: S311 (nothing secret)
        writers = [Writer(site, self.record, ids, chance) for chance in chances]
        acts: Mapping[str, Callable[[], None]] = {
            "export": lambda: self._export(chances[0].randrange(ORGANISATIONS)),
            "refresh": writers[1].refresh,
            "deletion": writers[2].delete_and_undelete,
            "token": writers[3].use_a_token,
            "nightly": writers[4].run_nightly,
        }
        return [(act, _PAUSES[name]) for name, act in acts.items()]

    def _repeat(self, act: Callable[[], None], pause: float) -> None:
        """Do something until the end; a failure of any kind is a breach, and ends nothing."""
        while not self._stopping.is_set():
            try:
                act()
            except Exception as error:  # noqa: BLE001 (whatever goes wrong is what is looked for)
                self.record.breach(f"{type(error).__name__}: {error}")
            self._stopping.wait(pause)

    def _sample(self, server: int, seconds: float) -> None:
        """Measure until the time is over; a worker that is gone is a breach."""
        workers = samples.children_of(server)
        named = {"first process": server}
        named |= {f"worker {number}": pid for number, pid in enumerate(_workers(workers), 1)}
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.found.append(samples.of_processes(named) | samples.of_folder(self.data))
            time.sleep(min(_SAMPLE_SECONDS, seconds / _LEAST_SAMPLES))
        if not set(named.values()) <= {server, *samples.children_of(server)}:
            self.record.breach("a worker of the server was replaced")

    def _add(self, breaches: Iterator[str]) -> None:
        for sentence in breaches:
            self.record.breach(sentence)


def _workers(children: list[int]) -> list[int]:
    """Leave out the helper of multiprocessing, which answers no request."""

    def command(pid: int) -> str:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8")

    return [pid for pid in children if "resource_tracker" not in command(pid)]


def _port(server: subprocess.Popen[bytes], log: Path) -> int:
    """Read the port from the server's log, as soon as it serves."""
    end = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < end:
        for line in log.read_text("utf-8").splitlines():
            if line.endswith("}") and json.loads(line)["event"] == "serving":
                return int(json.loads(line)["url"].rpartition(":")[2])
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {log.read_text('utf-8')}")


def _ids(site: Site) -> dict[Cell, str]:
    """Find the id of each cell."""
    listed = site.call("GET", "?limit=200").body["data"]
    found = {Cell.of(item["org_id"], item["reporting_period_id"]): item["id"] for item in listed}
    if set(found) != set(CELLS):
        raise RuntimeError(f"of {len(CELLS)} cells over {PERIODS}, {len(found)} were published")
    return found
