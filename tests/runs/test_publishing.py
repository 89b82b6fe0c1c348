"""Versions are published in one transaction, and orphans are removed."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.errors import ExportsChanged, StoreUnusable
from pipeline.model import periods
from pipeline.runs import writing
from pipeline.runs.run import run_cells
from pipeline.storage import version_files
from tests.given import CELL, DataFolder, computed, nightly_with, people, row


def test_the_nightly_run_sweeps_orphans_and_reports_their_number(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    orphans = [
        version_files.version_path(folder.data, 1, 7),
        version_files.version_path(folder.data, 9, 1),
        version_files.quarantine_path(folder.data, 1, 3),
        version_files.version_path(folder.data, 1, 1).with_name(".tmp-123-v2.json"),
        version_files.unplaced_path(folder.data).with_name(".tmp-123-unplaced.jsonl"),
    ]
    before = folder.files()
    for orphan in orphans:
        orphan.parent.mkdir(parents=True, exist_ok=True)
        orphan.write_bytes(b"half")
    folder.events.clear()
    folder.export(people(2))
    folder.nightly()
    assert ("orphans_swept", {"files": 5}) in folder.events
    assert folder.files() == {*before, "snapshots/agg-001/v2.json"}
    assert not (folder.data / "snapshots" / "agg-009").exists()


def test_a_version_that_is_not_newer_is_not_made_current(folder: DataFolder) -> None:
    folder.export([row()])
    folder.nightly()
    with folder.context() as context:
        assert not context.catalog.publish(folder.published()[CELL])


def test_older_versions_remain_on_disk(folder: DataFolder) -> None:
    for count in (1, 2, 3):
        folder.export(people(count))
        folder.nightly()
    assert [version_files.read(folder.data, 1, n).total["people"] for n in (1, 2, 3)] == [1, 2, 3]


def test_a_run_sweeps_the_unpublished_files_of_an_earlier_one(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    orphan = version_files.version_path(folder.data, 1, 2)
    orphan.write_bytes(version_files.version_path(folder.data, 1, 1).read_bytes())
    with folder.context() as context:
        run_cells(context, [periods.parse("rp-2024-q4")], ["org-1"])
    assert not orphan.exists()


def test_runs_of_a_failed_nightly_run_have_failed_with_its_reason(folder: DataFolder) -> None:
    folder.export([row()])

    def change(event: str, **_: object) -> None:
        if event == "exports_read":
            folder.export([row(hours=1.0)])

    with pytest.raises(ExportsChanged):
        nightly_with(folder, change)
    with folder.context() as context:
        entry = context.catalog.get("agg-001")
    assert entry.status == "failed"
    assert "exports changed while they were read: a.parquet" in str(entry.error)
    assert computed(folder.nightly()) == {"org-1 rp-2024-q4"}


ORGANISATIONS = [f"org-{number}" for number in range(1, 6)]


@pytest.fixture
def five(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    """Five snapshots that are stale, and written one after the other."""
    monkeypatch.setattr(writing, "_GROUP", 1)
    for hours in (1.0, 2.0):
        folder.export([row(org_id=org_id, hours=hours) for org_id in ORGANISATIONS])
        if hours == 1.0:
            folder.nightly()
    return folder


def test_a_nightly_run_whose_exports_change_after_it_wrote_versions_removes_them(
    five: DataFolder,
) -> None:
    """A rebuilt catalog would list them as published."""
    before, files = five.published(), five.files()

    def change(event: str, **_: object) -> None:
        if event == "snapshots_written":
            assert len(five.files()) > len(files)
            five.export([row(org_id=org_id, hours=3.0) for org_id in ORGANISATIONS])

    with pytest.raises(ExportsChanged):
        nightly_with(five, change)
    assert five.files() == files
    assert five.published() == before
    assert len(computed(five.nightly())) == len(ORGANISATIONS)


def test_a_nightly_run_that_cannot_write_stops_and_removes_its_files(
    five: DataFolder,
) -> None:
    in_the_way = version_files.version_path(five.data, 3, 2) / "in the way"
    in_the_way.mkdir(parents=True)
    before, files = five.published(), five.files()
    threads = set(threading.enumerate())
    with pytest.raises(StoreUnusable, match=r"/agg-003/v2\.json can't be used: "):
        five.nightly()
    assert set(threading.enumerate()) == threads
    assert five.files() == files
    assert five.published() == before
    in_the_way.rmdir()
    in_the_way.parent.rmdir()
    assert len(computed(five.nightly())) == len(ORGANISATIONS)


def test_a_damaged_version_file_is_recomputed_by_the_next_nightly_run_that_reads(
    folder: DataFolder,
) -> None:
    folder.export([row()])
    folder.nightly()
    version_files.version_path(folder.data, 1, 1).write_bytes(b"{")
    folder.export([row(org_id="org-2")], "b.parquet")
    assert computed(folder.nightly()) == {"org-1 rp-2024-q4", "org-2 rp-2024-q4"}
    assert folder.published()[CELL].version == 2


def test_the_times_of_a_version_are_those_of_the_given_clock(folder: DataFolder) -> None:
    folder.now = datetime(2025, 2, 1, 3, 30, 0, 999_999, tzinfo=UTC)
    folder.export(people(1))
    folder.nightly()
    version = folder.published()[CELL]
    assert version.refreshed_at == folder.now.replace(microsecond=0)
    folder.now += timedelta(days=1)
    folder.export(people(2))
    folder.nightly()
    later = folder.published()[CELL]
    assert (later.created_at, later.refreshed_at) == (
        version.created_at,
        folder.now.replace(microsecond=0),
    )


def test_a_version_is_flushed_before_it_is_renamed_into_place(folder: DataFolder) -> None:
    """Everything that is renamed into place was synced before, and its folder is after."""
    traced = """
import os, sys
from pathlib import Path
from tests.given import DataFolder

log = []
real = os.fsync
folder = DataFolder(Path(sys.argv[1]))
fsync, replace = os.fsync, os.replace
os.fsync = lambda fd: (log.append(("sync", os.readlink(f"/proc/self/fd/{fd}"))), fsync(fd))[1]
os.replace = lambda old, new: (log.append(("name", os.fspath(old))), replace(old, new))[1]
folder.nightly()
for what, path in log:
    print(what, path)
"""
    folder.export(people(1))
    ended = subprocess.run(
        [sys.executable, "-c", traced, str(folder.data)], capture_output=True, check=True, text=True
    )
    events = ended.stdout.splitlines()
    named = [line.removeprefix("name ") for line in events if line.startswith("name ")]
    assert any("v1.json" in path for path in named)
    derived = str(folder.data / "cache")  # follows from the exports, so it may be lost
    for path in (path for path in named if not path.startswith(derived)):
        synced = f"sync {Path(path).parent}"
        assert events.index(f"sync {path}") < events.index(f"name {path}")
        assert synced in events[events.index(f"name {path}") :]


def test_many_version_files_are_flushed_together_before_and_after_they_are_renamed(
    folder: DataFolder,
) -> None:
    traced = """
import os, sys
from pathlib import Path
from pipeline.storage import durable_files
from tests.given import DataFolder

log = []
flush, replace = durable_files._flush_file_system, os.replace
durable_files._flush_file_system = lambda fd: (log.append("flush"), flush(fd))[1]
os.replace = lambda old, new: (log.append(os.path.basename(new)), replace(old, new))[1]
DataFolder(Path(sys.argv[1])).nightly()
print(*log)
"""
    folder.export([row(org_id=f"org-{number}") for number in range(20)])
    ended = subprocess.run(
        [sys.executable, "-c", traced, str(folder.data)], capture_output=True, check=True, text=True
    )
    events = ended.stdout.split()
    first, last = events.index("v1.json"), len(events) - events[::-1].index("v1.json")
    assert events[first:last] == ["v1.json"] * 20
    assert "flush" in events[:first]
    assert "flush" in events[last:]


def test_foreign_files_among_the_snapshots_are_left_alone(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    strays = [
        folder.data / kind / name
        for kind in ("snapshots", "quarantine")
        for name in ("agg-old/v1.json", "agg-0001/v9.jsonl", "agg-001/v1 (copy).json", "notes.txt")
    ]
    for stray in strays:
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"a copy that a user made")
    folder.export(people(2))
    assert computed(folder.nightly()) == {"org-1 rp-2024-q4"}
    assert all(stray.exists() for stray in strays)
