"""Several runs, deletions and readers at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from pipeline.errors import Busy, SnapshotNotFound
from pipeline.runs import lifecycle
from pipeline.runs.run import refresh
from pipeline.storage import owners, run_queue
from tests.given import CELL, NOW, DataFolder, computed, nightly_with, outcomes_by_cell, people, row
from tests.patience import PATIENCE_SECONDS
from tests.processes import NIGHTLY_RUN, exported


def test_a_second_nightly_run_at_the_same_time_is_refused_with_the_process_of_the_first(
    folder: DataFolder,
) -> None:
    folder.export(people(1))
    message = rf"a nightly run is already going on \(process {os.getpid()}\)"
    with (
        folder.context() as context,
        run_queue.nightly_run(context.catalog, lambda: NOW),
        pytest.raises(Busy, match=message),
    ):
        folder.nightly()
    assert computed(folder.nightly()) == {"org-1 rp-2024-q4"}


def test_a_nightly_run_after_one_that_was_killed_is_not_refused(folder: DataFolder) -> None:
    folder.export(people(1))
    sleeper = """
import sys, time
from pathlib import Path
from pipeline.runs.run import refresh
from pipeline.storage import owners, run_queue
from pipeline.storage.catalog import Catalog
from tests.given import NOW

with Catalog.open(Path(sys.argv[1])) as catalog, run_queue.nightly_run(catalog, lambda: NOW):
    print("claimed", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", sleeper, str(folder.data)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"claimed\n"
        with pytest.raises(Busy, match=f"process {process.pid}"):
            folder.nightly()
        process.kill()
    assert computed(folder.nightly()) == {"org-1 rp-2024-q4"}


def test_many_nightly_runs_at_once_compute_nothing_twice(folder: DataFolder) -> None:
    exported(folder, 1.0)
    arguments = [sys.executable, "-c", NIGHTLY_RUN, str(folder.data), "never", "0"]
    processes = [
        subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [process.communicate()[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert codes.count(0) >= 1
    for code, error in zip(codes, errors, strict=True):
        assert code == 0 or "Busy: a nightly run is already going on" in error
    assert set(folder.versions().values()) == {1}


def test_a_snapshot_that_is_deleted_while_it_is_computed_is_not_recreated(
    folder: DataFolder,
) -> None:
    folder.export([row(), row(org_id="org-2")])
    folder.nightly()
    folder.export([row(hours=1.0), row(org_id="org-2", hours=1.0)])
    other = DataFolder(folder.data)

    def delete(event: str, **_: object) -> None:
        if event == "exports_read":
            with other.context() as context:
                lifecycle.delete(context.catalog, "agg-001", NOW, "local:kari")

    # Deleted after it was planned: the catalog is asked for its entry before exports are counted.
    outcomes = outcomes_by_cell(nightly_with(folder, delete))
    assert outcomes["org-2 rp-2024-q4"] == "computed"
    with folder.context() as context, pytest.raises(SnapshotNotFound, match="no snapshot agg-001"):
        context.catalog.get("agg-001")
    kept = {name for name in folder.files() if "agg-001" in name}
    assert kept == {"snapshots/agg-001/v1.json", "snapshots/agg-001/deleted.json"}


def test_a_snapshot_deleted_during_a_nightly_run_is_not_recreated_by_the_next(
    folder: DataFolder,
) -> None:
    folder.export([row()])

    def delete(event: str, **_: object) -> None:
        if event == "snapshots_published":
            with DataFolder(folder.data).context() as context:
                lifecycle.delete(context.catalog, "agg-001", NOW, "local:kari")

    nightly_with(folder, delete)
    assert folder.published() == {}
    folder.nightly()
    assert folder.published() == {}


def test_readers_never_see_a_partial_snapshot_while_nightly_runs_publish(
    folder: DataFolder,
) -> None:
    """The reader is a process of its own, over twelve nightly runs."""
    reader = """
import sys
from dataclasses import replace
from pathlib import Path
from pipeline.storage import version_files
from pipeline.storage.catalog import Catalog

data, seen, last = Path(sys.argv[1]), 0, {}
with Catalog.open(data) as catalog:
    while not (data / "stop").exists():
        for entry in catalog.entries().values():
            if entry.version:
                version = version_files.read(data, entry.number, entry.version)
                assert sum(version.ledger.values()) == 4
                assert version.total["seconds"] == entry.seconds
                assert version.version >= last.get(entry.number, 0)
                last[entry.number] = version.version
                seen += 1
print(seen)
"""
    exported(folder, 0.25)
    folder.nightly()
    with subprocess.Popen(
        [sys.executable, "-c", reader, str(folder.data)], stdout=subprocess.PIPE, text=True
    ) as process:
        for n in range(2, 14):
            exported(folder, n / 4)
            folder.nightly()
        (folder.data / "stop").touch()
        output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert int(output) > 0


def test_a_forced_run_that_dies_once_its_version_is_current_gives_no_second_one(
    folder: DataFolder,
) -> None:
    folder.export([row()])
    folder.nightly()

    def die(event: str, **_: object) -> None:
        if event == "snapshots_published":
            raise KeyboardInterrupt

    with folder.context() as context, owners.temporary(folder.data) as owner:
        lifecycle.refresh(context.catalog, context.catalog.get("agg-001"), NOW, forced=True)
        run = run_queue.acquire_queued(context.catalog, owner, 1)
        assert run is not None
        with pytest.raises(KeyboardInterrupt):
            refresh(replace(context, events=die), [run])
    folder.nightly()
    assert folder.published()[CELL].version == 2
