"""Queued runs and the nightly run."""

from __future__ import annotations

import subprocess
import sys

from pipeline.model import periods
from pipeline.runs import lifecycle
from pipeline.storage import run_queue, version_files
from tests.given import NOW, DataFolder, computed, people
from tests.processes import queued, taker


def test_a_nightly_run_computes_queued_runs_of_every_kind_of_period(populated: DataFolder) -> None:
    with populated.context() as context:
        entry = lifecycle.create(context.catalog, "org-1", periods.parse("rp-2024"), NOW)
        assert entry.status == "processing"
    result = populated.nightly()
    assert result.changed
    assert computed(result) == {"org-1 rp-2024"}
    with populated.context() as context:
        assert context.catalog.get(entry.id).status == "completed"
        assert run_queue.open_runs(context.catalog) == []
    assert not populated.nightly().changed


def test_a_nightly_run_computes_the_run_of_a_process_that_was_killed(folder: DataFolder) -> None:
    folder.export(people(1, org_id="org-0"))
    with folder.context() as context:
        queued(context.catalog, 1)
    with taker(folder.data) as (process, _):
        process.kill()
        process.wait()
        assert computed(folder.nightly()) == {"org-0 rp-2024-q4"}
    with folder.context() as context:
        assert run_queue.open_runs(context.catalog) == []


def test_a_nightly_run_waits_for_running_runs(folder: DataFolder) -> None:
    folder.export(people(1, org_id="org-0"))
    with folder.context() as context:
        queued(context.catalog, 1)
    ender = """
import sys, time
from pathlib import Path
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog
from tests.given import NOW

with Catalog.open(Path(sys.argv[1])) as catalog, owners.temporary(Path(sys.argv[1])) as name:
    run = run_queue.acquire_queued(catalog, name, 9)
    print(run.number, flush=True)
    time.sleep(0.4)
    run_queue.end(catalog, run.id, NOW, "it went wrong")
    time.sleep(0.4)
"""
    with subprocess.Popen(
        [sys.executable, "-c", ender, str(folder.data)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        folder.nightly()
        with folder.context() as context:
            run = run_queue.latest(context.catalog, 1)
        assert run is not None
        assert (run.state, run.error) == ("failed", "it went wrong")
    assert folder.versions() == {"org-0 rp-2024-q4": 1}


def test_an_orphan_of_a_killed_run_is_deleted_by_the_next_nightly_run(
    populated: DataFolder,
) -> None:
    current = version_files.version_path(populated.data, 1, 1)
    with populated.context() as context:
        run_queue.enqueue(context.catalog, 1, forced=False, now=NOW)
        assert run_queue.acquire_queued(context.catalog, "1-dead", 9) is not None
    orphan = version_files.version_path(populated.data, 1, 2)
    orphan.write_bytes(current.read_bytes())
    populated.nightly()
    assert not orphan.exists()
