"""The catalog rebuilt from version files."""

from __future__ import annotations

import shutil

import pytest

from pipeline.errors import Busy, StoreDamaged, StoreTooNew
from pipeline.runs import lifecycle, reindex
from pipeline.runs.run import run_cells
from pipeline.storage import run_queue, version_files
from tests.given import (
    CELL,
    NOW,
    QUARTER,
    DataFolder,
    as_newer_release,
    outcomes_by_cell,
    people,
    row,
)
from tests.processes import exported, killed

REBUILDING = """
import os, signal, sqlite3, sys
from functools import partial
from pathlib import Path

from pipeline.runs import reindex
from tests.given import NOW

event, countdown = sys.argv[2], [int(sys.argv[3])]


def statement(sql):
    countdown[0] -= sql.startswith(event)
    if countdown[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Watched(sqlite3.Connection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.set_trace_callback(statement)


sqlite3.connect = partial(sqlite3.connect, factory=Watched)
reindex.run(Path(sys.argv[1]), NOW)
"""
"""A process that rebuilds the catalog and is killed just before the nth statement of a kind."""


def test_a_damaged_catalog_is_rebuilt(folder: DataFolder) -> None:
    folder.export([row(org_id=f"org-{n}") for n in range(60)])
    folder.nightly()
    before = folder.published()
    path = folder.data / "catalog.sqlite"
    content = bytearray(path.read_bytes())
    content[:4096] = b"\x00" * 4096
    path.write_bytes(content)
    rebuilt = reindex.run(folder.data, NOW)
    assert (rebuilt.snapshots, list(rebuilt.damaged)) == (60, [])
    assert rebuilt.set_aside == "catalog.sqlite.20250201T033000Z"
    assert folder.published() == before


def test_the_catalog_is_rebuilt_from_the_files(folder: DataFolder) -> None:
    for count in (1, 2):
        folder.export([*people(count), row(org_id="org-2", hours=float(count))])
        folder.nightly()
    with folder.context() as context:
        before = context.catalog.entries()
    versions = folder.published()
    (folder.data / "catalog.sqlite").unlink()
    rebuilt = reindex.run(folder.data, NOW)
    assert (rebuilt.snapshots, rebuilt.set_aside) == (2, None)
    with folder.context() as context:
        after = context.catalog.entries()
    assert {cell: entry.id for cell, entry in after.items()} == {
        cell: entry.id for cell, entry in before.items()
    }
    assert folder.published() == versions
    assert set(outcomes_by_cell(folder.nightly()).values()) == {"unchanged"}


def test_rebuilding_uses_the_newest_version_that_can_be_read(folder: DataFolder) -> None:
    for count in (1, 2):
        folder.export(people(count))
        folder.nightly()
    path = version_files.version_path(folder.data, 1, 2)
    path.write_bytes(b"{")
    rebuilt = reindex.run(folder.data, NOW)
    assert [str(path) in problem for problem in rebuilt.damaged] == [True]
    assert folder.versions() == {"org-1 rp-2024-q4": 1}


@pytest.mark.parametrize(
    ("event", "times"), [("CREATE", 3), ("COMMIT", 1), ("COMMIT", 2), ("INSERT INTO snapshots", 2)]
)
def test_a_killed_rebuilding_loses_no_version_in_later_nightly_runs(
    folder: DataFolder, event: str, times: int
) -> None:
    exported(folder, 1.0)
    folder.nightly()
    before = folder.published()
    (folder.data / "catalog.sqlite").unlink()
    assert killed(folder, event, times, REBUILDING)

    with pytest.raises(StoreDamaged, match="rebuild it with bufdir reindex"):
        folder.nightly()
    reindex.run(folder.data, NOW)
    assert folder.published() == before


def test_rebuilding_refuses_a_version_file_of_a_newer_release_and_changes_nothing(
    folder: DataFolder,
) -> None:
    folder.export(people(1))
    folder.nightly()
    as_newer_release(version_files.version_path(folder.data, 1, 1))
    before = folder.files()
    with pytest.raises(StoreTooNew, match=r"v1\.json has schema version"):
        reindex.run(folder.data, NOW)
    assert folder.files() == before
    with folder.context() as context:
        assert context.catalog.get("agg-001").version == 1


def test_a_copied_folder_is_no_other_snapshot(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    copy = folder.data / "snapshots" / "agg-050"
    shutil.copytree(folder.data / "snapshots" / "agg-001", copy)
    rebuilt = reindex.run(folder.data, NOW)
    (problem,) = rebuilt.damaged
    assert problem.startswith(f"{copy}/v1.json is damaged: it is version 1 of agg-001;")
    assert folder.published()[CELL].id == "agg-001"


def test_of_two_snapshots_of_one_cell_the_newer_is_listed_and_the_other_reported(
    folder: DataFolder,
) -> None:
    folder.export(people(1))
    folder.nightly()
    shutil.copytree(folder.data / "snapshots", folder.data / "backup")
    with folder.context() as context:
        lifecycle.delete(context.catalog, "agg-001", NOW, "local:kari")
        run_cells(context, [QUARTER], ["org-1"])
    (folder.data / "snapshots" / "agg-001" / "deleted.json").unlink()
    shutil.copytree(folder.data / "backup", folder.data / "snapshots", dirs_exist_ok=True)
    rebuilt = reindex.run(folder.data, NOW)
    (problem,) = rebuilt.damaged
    assert problem.startswith("agg-001 is of org-1 in rp-2024-q4 as agg-002 is, which is newer")
    assert folder.published()[CELL].id == "agg-002"
    folder.nightly()
    assert "snapshots/agg-001/v1.json" not in folder.files()


def test_rebuilding_gives_out_no_id_twice(folder: DataFolder) -> None:
    folder.export([row(), row(org_id="org-2")])
    folder.nightly()
    with folder.context() as context:
        lifecycle.delete(context.catalog, "agg-002", NOW, "local:kari")
    reindex.run(folder.data, NOW)
    with folder.context() as context:
        run_cells(context, [QUARTER], ["org-2"])
    assert folder.published()["org-2", "rp-2024-q4"].id == "agg-003"


def test_rebuilding_is_refused_during_a_nightly_run(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    with (
        folder.context() as context,
        run_queue.nightly_run(context.catalog, lambda: NOW),
        pytest.raises(Busy),
    ):
        reindex.run(folder.data, NOW)
