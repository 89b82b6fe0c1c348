"""Snapshots are wholly old or wholly new, whenever the power goes; and what a damaged file says."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import Busy, ExportsChanged, SnapshotNotFound, StoreDamaged, StoreUnusable
from pipeline.model import periods, versions
from pipeline.runs import compute, lifecycle, nightly, publish, reindex
from pipeline.storage import run_queue, version_files
from pipeline.storage.catalog import Catalog
from tests.pipeline.given import CELL, NOW, House, became, computed, people, row, sums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model.versions import Version
    from pipeline.runs.context import EventSink, Night

NIGHT = """
import os, signal, sys
from pathlib import Path

from tests.pipeline.given import House

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


house = House(Path(sys.argv[1]))
with house.work() as work:
    work.catalog.connection.set_trace_callback(statement)
    sys.addaudithook(watch)
    from pipeline.runs import nightly

    nightly.run(work)
"""
"""A night that is killed just before the system or the catalog does something for the nth time."""

REBUILDING = """
import os, signal, sqlite3, sys
from functools import partial
from pathlib import Path

from pipeline.runs import reindex
from tests.pipeline.given import NOW

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
"""The catalog rebuilt, by a process that is killed just before a statement, for the nth time."""

CELLS = 6


def killed(house: House, event: str, times: int, program: str = NIGHT) -> bool:
    """Run a program that dies at that point; False where it got to its end."""
    arguments = [sys.executable, "-c", program, str(house.data), event, str(times)]
    ended = subprocess.run(arguments, capture_output=True, check=False, text=True)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


def exported(house: House, hours: float) -> None:
    rows = [
        row(org_id=f"org-{org}", participant_id=f"p{n}", hours=hours)
        for org in range(1, CELLS + 1)
        for n in range(3)
    ]
    # The dirt differs from export to export as well, so that quarantine must keep in step.
    dirt = [
        row(org_id=f"org-{org}", participant_id="dirt", hours=-hours) for org in range(1, CELLS + 1)
    ]
    house.export(rows + dirt)


def seconds_shown(versions: Sequence[Version]) -> set[int]:
    assert sums(versions) == [4] * len(versions)
    return {version.total.seconds for version in versions}


def quarantined(house: House) -> dict[str, list[str]]:
    """The hours of the rows that are kept beside each snapshot."""
    found: dict[str, list[str]] = {}
    for path in sorted((house.data / "quarantine").glob("agg-*/v*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found.setdefault(path.parent.name, []).extend(line["hours"] for line in lines)
    return found


# A rename puts a file in its place, and a commit makes versions current.
MOMENTS = [
    ("os.rename", 1),
    ("os.rename", 2),
    ("os.rename", CELLS),
    ("os.rename", 2 * CELLS + 1),
    ("BEGIN", 4),
    ("COMMIT", 1),
    ("COMMIT", 2),
    ("COMMIT", 3),
    ("COMMIT", 4),
    ("UPDATE snapshots SET status", 3),
    ("os.remove", 1),
]


@pytest.mark.parametrize(("event", "times"), MOMENTS)
def test_a_killed_night_leaves_every_snapshot_wholly_old_or_wholly_new(
    house: House, event: str, times: int
) -> None:
    exported(house, 1.0)
    house.night()
    before = house.published()
    exported(house, 2.0)
    assert killed(house, event, times)

    shown = house.published()
    assert set(shown) == set(before)
    assert seconds_shown(list(shown.values())) in ({3 * 3600}, {3 * 7200})  # one transaction
    for cell, version in shown.items():
        if version.version == 1:
            assert version == before[cell]
    with house.work() as work:
        assert {entry.status for entry in work.catalog.entries().values()} == {"completed"}

    house.night()
    after = house.published()
    assert seconds_shown(list(after.values())) == {3 * 7200}
    assert {version.version for version in after.values()} == {2}
    assert house.files() == {
        "snapshots/highest-id",
        "quarantine/unplaced.jsonl",
        *(f"snapshots/agg-{n:03d}/v{v}.json" for n in range(1, CELLS + 1) for v in (1, 2)),
        *(f"quarantine/agg-{n:03d}/v2.jsonl" for n in range(1, CELLS + 1)),
    }
    assert quarantined(house) == {f"agg-{n:03d}": ["-2.0"] for n in range(1, CELLS + 1)}
    assert not house.night().changed


@pytest.mark.parametrize(
    ("event", "times"), [("os.rename", 1), ("os.rename", 3), ("COMMIT", 3), ("COMMIT", 4)]
)
def test_a_first_night_that_is_killed_is_made_good_by_the_next(
    house: House, event: str, times: int
) -> None:
    exported(house, 1.0)
    assert killed(house, event, times)
    assert house.published() == {}
    with house.work() as work:
        assert run_queue.open_runs(work.catalog) == []
        for entry in work.catalog.entries().values():
            assert (entry.status, entry.error) == ("failed", "its process was killed")
    house.night()
    shown = house.published()
    assert seconds_shown(list(shown.values())) == {3 * 3600}
    assert len({version.id for version in shown.values()}) == CELLS


def test_orphans_are_swept_and_the_night_says_how_many(house: House) -> None:
    house.export(people(1))
    house.night()
    orphans = [
        version_files.version_path(house.data, 1, 7),
        version_files.version_path(house.data, 9, 1),
        version_files.quarantine_path(house.data, 1, 3),
        version_files.version_path(house.data, 1, 1).with_name(".tmp-123-v2.json"),
        version_files.unplaced_path(house.data).with_name(".tmp-123-unplaced.jsonl"),
    ]
    kept = house.files()
    for orphan in orphans:
        orphan.parent.mkdir(parents=True, exist_ok=True)
        orphan.write_bytes(b"half")
    house.told.clear()
    house.export(people(2))
    house.night()
    assert ("orphans_swept", {"files": 5}) in house.told
    assert house.files() == {*kept, "snapshots/agg-001/v2.json"}
    assert not (house.data / "snapshots" / "agg-009").exists()


def test_a_version_that_is_not_newer_is_not_made_current(house: House) -> None:
    house.export([row()])
    house.night()
    with house.work() as work:
        assert not work.catalog.publish(house.published()[CELL])


def test_older_versions_stay_on_disk(house: House) -> None:
    for count in (1, 2, 3):
        house.export(people(count))
        house.night()
    assert [version_files.read(house.data, 1, n).total.people for n in (1, 2, 3)] == [1, 2, 3]


def test_a_version_file_is_readable_by_people_and_by_us(house: House) -> None:
    house.export([row(), row(participant_id="p2", bufdir_category="eldre")])
    house.night()
    content = version_files.version_path(house.data, 1, 1).read_bytes()
    version = versions.decode(content)
    assert version == house.published()[CELL]
    assert versions.encode(version) == content
    assert content.startswith(b'{\n  "id": "agg-001",\n  "version": 1,\n')
    assert content.endswith(b"}\n")


# Damage


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"[]", b"null", b"\xff\xfe", b'{"id": "agg-001", "version": "one"}'],
)
def test_a_damaged_version_file_is_named_with_what_to_do(house: House, content: bytes) -> None:
    house.export(people(1))
    house.night()
    path = version_files.version_path(house.data, 1, 1)
    path.write_bytes(content)
    with pytest.raises(StoreDamaged) as damaged:
        version_files.read(house.data, 1, 1)
    assert damaged.value.file == str(path)
    assert "restore it from a backup, or compute it anew with run --force" in str(damaged.value)


def test_a_version_with_an_unknown_field_is_damaged(house: House) -> None:
    house.export(people(1))
    house.night()
    path = version_files.version_path(house.data, 1, 1)
    path.write_bytes(path.read_bytes().replace(b'"digest"', b'"digestion"'))
    with pytest.raises(StoreDamaged, match=r"unknown field `digestion`|missing required"):
        version_files.read(house.data, 1, 1)


def test_a_missing_version_file_is_damage_too(house: House) -> None:
    with pytest.raises(StoreDamaged, match="No such file or directory"):
        version_files.read(house.data, 1, 1)


@pytest.mark.parametrize("content", [b"no catalog at all, but long enough to be one" * 99, b"SQL"])
def test_a_damaged_catalog_is_named_with_what_to_do(house: House, content: bytes) -> None:
    house.export(people(1))
    house.night()
    (house.data / "catalog.sqlite").write_bytes(content)
    with pytest.raises(StoreDamaged) as damaged:
        house.night()
    assert damaged.value.file.endswith("catalog.sqlite")
    assert "rebuild it with bufdir reindex" in str(damaged.value)


def test_a_catalog_whose_middle_is_spoilt_is_rebuilt(house: House) -> None:
    house.export([row(org_id=f"org-{n}") for n in range(60)])
    house.night()
    before = house.published()
    path = house.data / "catalog.sqlite"
    content = bytearray(path.read_bytes())
    content[:4096] = b"\x00" * 4096
    path.write_bytes(content)
    rebuilt = reindex.run(house.data, NOW)
    assert (rebuilt.snapshots, list(rebuilt.damaged)) == (60, [])
    assert rebuilt.set_aside == "catalog.sqlite.20250201T033000Z"
    assert house.published() == before


def test_a_catalog_of_another_edition_is_refused(house: House) -> None:
    house.night()
    with sqlite3.connect(house.data / "catalog.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreDamaged, match="it is of edition 99, this program reads 1"):
        house.night()


def test_a_folder_in_the_catalogs_place_is_told(house: House) -> None:
    (house.data / "catalog.sqlite").mkdir()
    with pytest.raises(StoreUnusable, match="can't be used: unable to open database file"):
        house.night()


# The catalog rebuilt from the files


def test_the_catalog_is_rebuilt_from_the_files(house: House) -> None:
    for count in (1, 2):
        house.export([*people(count), row(org_id="org-2", hours=float(count))])
        house.night()
    with house.work() as work:
        before = work.catalog.entries()
    versions = house.published()
    (house.data / "catalog.sqlite").unlink()
    rebuilt = reindex.run(house.data, NOW)
    assert (rebuilt.snapshots, rebuilt.set_aside) == (2, None)
    with house.work() as work:
        after = work.catalog.entries()
    assert {cell: entry.id for cell, entry in after.items()} == {
        cell: entry.id for cell, entry in before.items()
    }
    assert house.published() == versions
    assert set(became(house.night()).values()) == {"unchanged"}


def test_rebuilding_takes_the_newest_version_that_can_be_read(house: House) -> None:
    for count in (1, 2):
        house.export(people(count))
        house.night()
    path = version_files.version_path(house.data, 1, 2)
    path.write_bytes(b"{")
    rebuilt = reindex.run(house.data, NOW)
    assert [str(path) in problem for problem in rebuilt.damaged] == [True]
    assert house.versions() == {"org-1 rp-2024-q4": 1}


@pytest.mark.parametrize(
    ("event", "times"), [("CREATE", 3), ("COMMIT", 1), ("COMMIT", 2), ("INSERT INTO snapshots", 2)]
)
def test_a_rebuilding_that_is_killed_loses_no_version_in_the_nights_after_it(
    house: House, event: str, times: int
) -> None:
    exported(house, 1.0)
    house.night()
    before = house.published()
    (house.data / "catalog.sqlite").unlink()
    assert killed(house, event, times, REBUILDING)

    with pytest.raises(StoreDamaged, match="rebuild it with bufdir reindex"):
        house.night()
    reindex.run(house.data, NOW)
    assert house.published() == before


def test_a_folder_that_was_copied_is_no_other_snapshot(house: House) -> None:
    house.export(people(1))
    house.night()
    copy = house.data / "snapshots" / "agg-050"
    shutil.copytree(house.data / "snapshots" / "agg-001", copy)
    rebuilt = reindex.run(house.data, NOW)
    (problem,) = rebuilt.damaged
    assert problem.startswith(f"{copy}/v1.json is damaged: it is version 1 of agg-001;")
    assert house.published()[CELL].id == "agg-001"


def test_of_two_snapshots_of_one_cell_the_newer_stands_and_the_other_is_named(house: House) -> None:
    house.export(people(1))
    house.night()
    shutil.copytree(house.data / "snapshots", house.data / "backup")
    with house.work() as work:
        lifecycle.delete(work.catalog, "agg-001")
    house.night()
    shutil.copytree(house.data / "backup", house.data / "snapshots", dirs_exist_ok=True)
    rebuilt = reindex.run(house.data, NOW)
    (problem,) = rebuilt.damaged
    assert problem.startswith("agg-001 is of org-1 in rp-2024-q4 as agg-002 is, which is newer")
    assert house.published()[CELL].id == "agg-002"
    house.night()
    assert "snapshots/agg-001/v1.json" not in house.files()


def test_a_run_sweeps_what_an_earlier_one_left_unpublished(house: House) -> None:
    house.export(people(1))
    house.night()
    orphan = version_files.version_path(house.data, 1, 2)
    orphan.write_bytes(version_files.version_path(house.data, 1, 1).read_bytes())
    with house.work() as work:
        compute.run_cells(work, [periods.parse("rp-2024-q4")], ["org-1"])
    assert not orphan.exists()


def test_rebuilding_remembers_the_ids_that_were_given_out(house: House) -> None:
    house.export([row(), row(org_id="org-2")])
    house.night()
    with house.work() as work:
        lifecycle.delete(work.catalog, "agg-002")
    reindex.run(house.data, NOW)
    house.night()
    assert house.published()["org-2", "rp-2024-q4"].id == "agg-003"


def test_rebuilding_waits_for_no_night(house: House) -> None:
    house.export(people(1))
    house.night()
    with house.work() as work, run_queue.night(work.catalog, NOW), pytest.raises(Busy):
        reindex.run(house.data, NOW)


# Two at once


def test_two_nights_at_once_and_one_is_told_who_is_at_it(house: House) -> None:
    house.export(people(1))
    told = rf"a night is already going on \(process {os.getpid()}\)"
    with (
        house.work() as work,
        run_queue.night(work.catalog, NOW),
        pytest.raises(Busy, match=told),
    ):
        house.night()
    assert computed(house.night()) == {"org-1 rp-2024-q4"}


def test_a_night_after_one_that_was_killed_finds_nobody_at_it(house: House) -> None:
    house.export(people(1))
    sleeper = """
import sys, time
from pathlib import Path
from pipeline.storage import run_queue
from pipeline.storage.catalog import Catalog
from tests.pipeline.given import NOW

with Catalog.open(Path(sys.argv[1])) as catalog, run_queue.night(catalog, NOW):
    print("claimed", flush=True)
    time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", sleeper, str(house.data)], stdout=subprocess.PIPE
    ) as night:
        assert night.stdout is not None
        assert night.stdout.readline() == b"claimed\n"
        with pytest.raises(Busy, match=f"process {night.pid}"):
            house.night()
        night.kill()
    assert computed(house.night()) == {"org-1 rp-2024-q4"}


def test_many_nights_at_once_compute_nothing_twice(house: House) -> None:
    exported(house, 1.0)
    arguments = [sys.executable, "-c", NIGHT, str(house.data), "never", "0"]
    nights = [
        subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    errors = [night.communicate()[1] for night in nights]
    codes = [night.returncode for night in nights]
    assert codes.count(0) >= 1
    for code, error in zip(codes, errors, strict=True):
        assert code == 0 or "Busy: a night is already going on" in error
    assert set(house.versions().values()) == {1}


# Deleting


def test_a_snapshot_that_is_deleted_while_it_is_computed_stays_deleted(house: House) -> None:
    house.export([row(), row(org_id="org-2")])
    house.night()
    house.export([row(hours=1.0), row(org_id="org-2", hours=1.0)])
    other = House(house.data)

    def delete(event: str, **_: object) -> None:
        if event == "exports_read":
            with other.work() as work:
                lifecycle.delete(work.catalog, "agg-001")

    # Deleted after it was planned: the catalog is asked for its entry before exports are counted.
    outcomes = became(night_with(house, delete))
    assert outcomes["org-2 rp-2024-q4"] == "computed"
    with house.work() as work, pytest.raises(SnapshotNotFound, match="no snapshot agg-001"):
        work.catalog.get("agg-001")
    assert not [name for name in house.files() if "agg-001" in name]


def night_with(house: House, tell: EventSink) -> Night:
    with house.work() as work:
        return nightly.run(replace(work, tell=tell))


def test_a_snapshot_that_is_deleted_while_a_night_goes_on_is_made_anew_by_the_next(
    house: House,
) -> None:
    house.export([row()])

    def delete(event: str, **_: object) -> None:
        if event == "snapshots_published":
            with House(house.data).work() as work:
                lifecycle.delete(work.catalog, "agg-001")

    night_with(house, delete)
    assert house.published() == {}
    house.night()
    assert house.published()[CELL].id == "agg-002"


def test_what_a_failed_night_had_begun_has_failed_and_says_why(house: House) -> None:
    house.export([row()])

    def change(event: str, **_: object) -> None:
        if event == "exports_read":
            house.export([row(hours=1.0)])

    with pytest.raises(ExportsChanged):
        night_with(house, change)
    with house.work() as work:
        entry = work.catalog.get("agg-001")
    assert entry.status == "failed"
    assert "exports changed while they were read: a.parquet" in str(entry.error)
    assert computed(house.night()) == {"org-1 rp-2024-q4"}


ORGANISATIONS = [f"org-{number}" for number in range(1, 6)]


@pytest.fixture
def five(house: House, monkeypatch: pytest.MonkeyPatch) -> House:
    """Five snapshots that are stale, and written one after the other."""
    monkeypatch.setattr(publish, "_GROUP", 1)
    for hours in (1.0, 2.0):
        house.export([row(org_id=org_id, hours=hours) for org_id in ORGANISATIONS])
        if hours == 1.0:
            house.night()
    return house


def test_a_night_whose_exports_change_after_versions_were_written_leaves_none_of_them(
    five: House,
) -> None:
    """Whoever rebuilds the catalog from the files would take them for published."""
    before, files = five.published(), five.files()

    def change(event: str, **_: object) -> None:
        if event == "snapshots_written":
            assert len(five.files()) > len(files)
            five.export([row(org_id=org_id, hours=3.0) for org_id in ORGANISATIONS])

    with pytest.raises(ExportsChanged):
        night_with(five, change)
    assert five.files() == files
    assert five.published() == before
    assert len(computed(five.night())) == len(ORGANISATIONS)


def test_a_night_that_cannot_write_stops_counting_and_leaves_nothing_of_it(five: House) -> None:
    in_the_way = version_files.version_path(five.data, 3, 2) / "in the way"
    in_the_way.mkdir(parents=True)
    before, files = five.published(), five.files()
    threads = set(threading.enumerate())
    with pytest.raises(OSError, match=r"tmp-\d+-v2\.json' -> .*/agg-003/v2\.json'"):
        five.night()
    assert set(threading.enumerate()) == threads
    assert five.files() == files
    assert five.published() == before
    in_the_way.rmdir()
    in_the_way.parent.rmdir()
    assert len(computed(five.night())) == len(ORGANISATIONS)


def test_the_catalog_is_flushed_to_disk_and_keeps_no_write_ahead_log(house: House) -> None:
    with house.work() as work:
        ask = work.catalog.connection.execute
        assert ask("PRAGMA journal_mode").fetchone()[0] == "delete"
        assert ask("PRAGMA synchronous").fetchone()[0] == 3  # EXTRA: the folder is flushed, too


def test_a_version_file_that_was_damaged_is_computed_anew_by_the_next_night_that_reads(
    house: House,
) -> None:
    house.export([row()])
    house.night()
    version_files.version_path(house.data, 1, 1).write_bytes(b"{")
    house.export([row(org_id="org-2")], "b.parquet")
    assert computed(house.night()) == {"org-1 rp-2024-q4", "org-2 rp-2024-q4"}
    assert house.published()[CELL].version == 2


def test_the_clock_of_a_version_is_the_clock_it_was_given(house: House) -> None:
    house.now = datetime(2025, 2, 1, 3, 30, 0, 999_999, tzinfo=UTC)
    house.export(people(1))
    house.night()
    version = house.published()[CELL]
    assert version.refreshed_at == house.now.replace(microsecond=0)
    house.now += timedelta(days=1)
    house.export(people(2))
    house.night()
    later = house.published()[CELL]
    assert (later.created_at, later.refreshed_at) == (
        version.created_at,
        house.now.replace(microsecond=0),
    )


def test_a_version_is_flushed_before_it_is_named(house: House) -> None:
    """Everything that is renamed into place was synced before, and its folder is after."""
    traced = """
import os, sys
from pathlib import Path
from tests.pipeline.given import House

log = []
real = os.fsync
house = House(Path(sys.argv[1]))
fsync, replace = os.fsync, Path.replace
os.fsync = lambda fd: (log.append(("sync", os.readlink(f"/proc/self/fd/{fd}"))), fsync(fd))[1]
Path.replace = lambda self, to: (log.append(("name", str(self))), replace(self, to))[1]
house.night()
for what, path in log:
    print(what, path)
"""
    house.export(people(1))
    ended = subprocess.run(
        [sys.executable, "-c", traced, str(house.data)], capture_output=True, check=True, text=True
    )
    events = ended.stdout.splitlines()
    named = [line.removeprefix("name ") for line in events if line.startswith("name ")]
    assert any("v1.json" in path for path in named)
    derived = str(house.data / "excerpts")  # follows from the exports, so it may be lost
    for path in (path for path in named if not path.startswith(derived)):
        folder = f"sync {Path(path).parent}"
        assert events.index(f"sync {path}") < events.index(f"name {path}")
        assert folder in events[events.index(f"name {path}") :]


def test_a_writer_that_fails_leaves_no_half_file(house: House) -> None:
    path = house.data / "snapshots" / "agg-001" / "v1.json"
    path.mkdir(parents=True)
    (path / "in the way").write_bytes(b"")
    with pytest.raises(OSError, match="v1"):
        version_files.write({path: b"{}"})
    assert [entry.name for entry in path.parent.iterdir()] == ["v1.json"]


def test_readers_never_see_a_torn_snapshot_while_nights_publish(house: House) -> None:
    """A reader in a process of its own, over twenty nights."""
    reader = """
import sys
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
                assert version.total.seconds == entry.seconds
                assert version.version >= last.get(entry.number, 0)
                last[entry.number] = version.version
                seen += 1
print(seen)
"""
    exported(house, 0.25)
    house.night()
    with subprocess.Popen(
        [sys.executable, "-c", reader, str(house.data)], stdout=subprocess.PIPE, text=True
    ) as process:
        for n in range(2, 14):
            exported(house, n / 4)
            house.night()
        (house.data / "stop").touch()
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert int(output) > 0


def test_a_catalog_opens_for_many_at_once(house: House) -> None:
    opener = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.storage.catalog import Catalog\n"
        "Catalog.open(Path(sys.argv[1])).close()"
    )
    openers = [subprocess.Popen([sys.executable, "-c", opener, str(house.data)]) for _ in range(6)]
    assert [process.wait() for process in openers] == [0] * 6
    with Catalog.open(house.data) as catalog:
        assert catalog.entries() == {}


def test_what_others_put_among_the_snapshots_is_left_alone(house: House) -> None:
    house.export(people(1))
    house.night()
    strays = [
        house.data / folder / name
        for folder in ("snapshots", "quarantine")
        for name in ("agg-old/v1.json", "agg-0001/v9.jsonl", "agg-001/v1 (copy).json", "notes.txt")
    ]
    for stray in strays:
        stray.parent.mkdir(parents=True, exist_ok=True)
        stray.write_bytes(b"a copy that somebody made")
    house.export(people(2))
    assert computed(house.night()) == {"org-1 rp-2024-q4"}
    assert all(stray.exists() for stray in strays)
