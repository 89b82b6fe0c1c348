"""The real server as a process of its own, on data of its own, watched from outside."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import settings
from pipeline.model.access import Grant, Role
from pipeline.runs import access, nightly
from pipeline.runs.context import NightlyResult, RunContext
from pipeline.storage.catalog import Catalog
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[2]
BASE: Final = "/api/v1/bufdir-aggregations"
DOUBLED: Final = BASE + BASE
PROBLEM: Final = "application/problem+json"
_PROGRAM: Final = """
import sys
from pathlib import Path
from api.server import serve
from pipeline import settings
data = Path(sys.argv[1])
port, workers, is_public = map(int, sys.argv[2:])
# Whether a server may start without a token, tests of the command line show.
serve(data, settings.load(data), "127.0.0.1", port, workers, is_public=bool(is_public))
"""
_VARIABLES: Final = {
    "BUFDIR_LOG__FORMAT": "json",
    # Tests write more often than callers do.
    "BUFDIR_ACCESS__WRITES_PER_MINUTE": "1000000",
}
Found = TypeVar("Found")


def wait_for(look: Callable[[], Found]) -> Found:
    """Call a function until it returns something true; return that."""
    end, pause = time.monotonic() + PATIENCE_SECONDS, 0.005
    while not (found := look()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(pause)
        pause = min(0.05, pause * 1.5)  # looking takes processor time from what is waited for
    return found


@dataclass(frozen=True)
class Server:
    """A running server: its address, its data and its log."""

    process: subprocess.Popen[bytes]
    data: Path
    log: Path

    @property
    def url(self) -> str:
        return str(self.events("serving")[0]["url"])

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of this name so far; every line of the log must be an event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines()]
        return [line for line in lines if line["event"] == name]

    def client(self, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS, **options)

    def workers(self) -> list[int]:
        return children_of(self.process.pid)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)


@contextmanager
def serving(
    data: Path,
    workers: int = 1,
    port: int = 0,
    under: Sequence[str] = (),
    *,
    is_public: bool = True,
    **variables: object,
) -> Iterator[Server]:
    """Run a server on this data during the block; port 0 means any.

    The program that `under` names starts it.
    """
    server = start(data, workers, port, under, is_public=is_public, **variables)
    try:
        wait_for(lambda: server.process.poll() is not None or server.events("serving"))
        yield server
    finally:
        server.stop()


def start(
    data: Path,
    workers: int = 1,
    port: int = 0,
    under: Sequence[str] = (),
    *,
    is_public: bool = True,
    **variables: object,
) -> Server:
    log = data.parent / f"{data.name}-{time.monotonic_ns()}.log"
    settings_here = {f"BUFDIR_{name}": str(value) for name, value in variables.items()}
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [
                *(*under, sys.executable, "-c", _PROGRAM),
                *(str(data), str(port), str(workers), str(int(is_public))),
            ],
            cwd=ROOT,
            env={**os.environ, **_VARIABLES, **settings_here},
            stderr=stderr,
        )
    return Server(process, data, log)


def children_of(pid: int) -> list[int]:
    """Return the living and the dead children of a process."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def token(
    data: Path,
    name: str,
    *organisations: str,
    can: Role = Role.READ,
    end: datetime | None = None,
) -> dict[str, str]:
    """Make a token, for all organisations where none is named; return the header that shows it."""
    now = datetime.now(UTC)
    grant = Grant(name, organisations or None, can, now, end)
    with Catalog.open(data) as catalog:
        made = access.create_token(catalog, grant)
    return {"Authorization": f"Bearer {made}"}


def audit_lines(data: Path) -> list[dict[str, Any]]:
    """Return the lines of the audit log."""
    return [json.loads(line) for line in (data / "audit.jsonl").read_text().splitlines()]


def nightly_run(data: Path, now: datetime | None = None, *, full: bool = False) -> NightlyResult:
    """Bring this data up to date, as `bufdir nightly` does."""
    with Catalog.open(data) as catalog:
        clock = (lambda: datetime.now(UTC)) if now is None else (lambda: now)
        work = RunContext(data, settings.load(data), catalog, clock, lambda *_, **__: None)
        return nightly.run(work, full=full)


def export(data: Path, org_id: str, rows: int, /, **columns: Any) -> None:
    """Write so many participations of two hours each in rp-2024-q1, one activity and person each.

    The file appears whole, in place of the one before; each column may be given otherwise.
    """
    table = pa.table(
        {
            "org_id": pa.array([org_id] * rows, pa.string()),
            "activity_id": pa.array(range(rows), pa.int64()),
            "participant_id": pa.array(range(rows), pa.int64()),
            "bufdir_category": pa.array(["ungdom"] * rows, pa.string()),
            "started_at": pa.array([datetime(2024, 2, 1, tzinfo=UTC)] * rows),
            "hours": pa.array([2.0] * rows, pa.float64()),
        }
        | columns
    )
    folder = data / "exports"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / f".{org_id}.tmp")
    (folder / f".{org_id}.tmp").replace(folder / f"{org_id}.parquet")


def runs(data: Path) -> list[Mapping[str, Any]]:
    """Return every run in the catalog, as it is at this moment."""
    with closing(sqlite3.connect(data / "catalog.sqlite", timeout=PATIENCE_SECONDS)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute("SELECT * FROM runs ORDER BY id")]


def run_process_of(server: Server) -> int:
    """Return the id of a run process, as soon as there is one."""
    return wait_for(lambda: [pid for pid in map(_computing, server.workers()) if pid])[0]


def pause(process: int) -> None:
    """Stop a run process, and then its child, which it can no longer fork."""
    os.kill(process, signal.SIGSTOP)
    for child in children_of(process):
        os.kill(child, signal.SIGSTOP)


def resume(process: int) -> None:
    """Let a run process and its child continue."""
    for pid in (process, *children_of(process)):
        os.kill(pid, signal.SIGCONT)


def _computing(worker: int) -> int | None:
    """Return a worker's run process, once it executes its program.

    Until then it is a copy of its parent, which waits for it.
    """
    for pid in children_of(worker):
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"api.jobs.run_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
    return None


def spans(*servers: Server) -> dict[int, list[tuple[str, str]]]:
    """Return when each run was computed, by its id: from its exports read to its end."""

    def times(name: str) -> list[tuple[int, str]]:
        found = [event for server in servers for event in server.events(name)]
        return [(event["run"], event["timestamp"]) for event in found]

    wait_for(lambda: len(times("run_ended")) >= len(times("run_started")))
    ended = dict(times("run_ended"))
    found: dict[int, list[tuple[str, str]]] = {}
    for run, begun in times("exports_read"):
        found.setdefault(run, []).append((begun, ended[run]))
    return found


def create(client: httpx.Client, org_id: str, period_id: str = "rp-2024-q1") -> str:
    """Ask for the snapshot of a cell; return its id."""
    body = {"org_id": org_id, "reporting_period_id": period_id}
    reply = client.post(BASE, json=body)
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


def settled(client: httpx.Client, snapshot_id: str) -> dict[str, Any]:
    """Return a snapshot once its first run has ended."""

    def look() -> dict[str, Any] | None:
        body: dict[str, Any] = client.get(f"{BASE}/{snapshot_id}").json()
        return None if body["status"] == "processing" else body

    return wait_for(look) or {}


def run_beside(call: Callable[[], Found], meanwhile: Callable[[], object]) -> Found:
    """Return the result of a call that waits, and do something else meanwhile."""
    with ThreadPoolExecutor(1) as threads:
        given = threads.submit(call)
        time.sleep(0.3)
        assert not given.done()
        meanwhile()
        return given.result(PATIENCE_SECONDS)
