"""Programs that tests start in processes of their own, and kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.runs import lifecycle
from tests.given import NOW, QUARTER, DataFolder, row

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.storage.catalog import Catalog

NIGHTLY_RUN = """
import os, signal, sys
from pathlib import Path

from tests.given import DataFolder

event, countdown = sys.argv[2], [int(sys.argv[3])]


def step():
    countdown[0] -= 1
    if countdown[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def watch(what, _):
    if what == event:
        step()


def statement(sql):
    if sql.startswith(event):
        step()


folder = DataFolder(Path(sys.argv[1]))
with folder.context() as context:
    context.catalog.connection.set_trace_callback(statement)
    sys.addaudithook(watch)
    from pipeline.runs import nightly

    nightly.run(context)
"""
"""A nightly run that is killed just before the nth system event or statement of a kind."""
CELLS = 6


def killed(folder: DataFolder, event: str, times: int, program: str = NIGHTLY_RUN) -> bool:
    """Run a program that dies at that point; return whether it died."""
    arguments = [sys.executable, "-c", program, str(folder.data), event, str(times)]
    ended = subprocess.run(arguments, capture_output=True, check=False, text=True)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


def exported(folder: DataFolder, hours: float) -> None:
    rows = [
        row(org_id=f"org-{org}", participant_id=f"p{n}", hours=hours)
        for org in range(1, CELLS + 1)
        for n in range(3)
    ]
    # The dirt differs between exports, so that quarantine must change with the snapshot.
    dirt = [
        row(org_id=f"org-{org}", participant_id="dirt", hours=-hours) for org in range(1, CELLS + 1)
    ]
    folder.export(rows + dirt)


def queued(catalog: Catalog, count: int) -> list[int]:
    """Create this number of snapshots, each with a queued run."""
    entries = [lifecycle.create(catalog, f"org-{n}", QUARTER, NOW) for n in range(count)]
    return [entry.number for entry in entries]


TAKER = """
import sys
from pathlib import Path
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog

with Catalog.open(Path(sys.argv[1])) as catalog, owners.temporary(Path(sys.argv[1])) as name:
    run = run_queue.acquire_queued(catalog, name, 9)
    print("none" if run is None else run.number, flush=True)
    sys.stdin.read()
"""


@contextmanager
def taker(data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process that acquires a queued run until it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", TAKER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()
