"""A cache that is missing, corrupt or unwritable costs time and one event, never a number."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.engines.polars import batch_files, cache, room, scan
from pipeline.errors import LedgerBroken
from pipeline.runs import gather
from tests.given import CELL, DataFolder, people, row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.engines.polars.batch_files import BatchFile


def cache_folder(folder: DataFolder) -> Path:
    return folder.data / "cache"


def complaints(folder: DataFolder) -> list[str]:
    return [str(fields["problem"]) for event, fields in folder.events if event == "cache_unusable"]


def changed(folder: DataFolder) -> None:
    """Let the next nightly run find another row."""
    folder.export([*people(3), row(participant_id="new")])


@pytest.fixture
def computed_once(folder: DataFolder) -> DataFolder:
    folder.export(people(3))
    folder.nightly()
    return folder


def test_a_nightly_run_marks_its_cache_for_backup_programs(computed_once: DataFolder) -> None:
    tag = (cache_folder(computed_once) / "CACHEDIR.TAG").read_text(encoding="ascii")
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]\n0", bytes(range(200))],
    ids=["empty", "cut", "a wrong checksum", "bytes"],
)
def test_a_corrupt_manifest_is_reported_and_everything_is_read(
    computed_once: DataFolder, content: bytes
) -> None:
    (cache_folder(computed_once) / "polars" / "manifest.json").write_bytes(content)
    changed(computed_once)
    computed_once.nightly()
    assert computed_once.published()[CELL].total["people"] == 4
    assert len(complaints(computed_once)) == 1


def replaced_by_a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.write_bytes(b"no folder")


def linked_to_nowhere(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to("/dev/null/nowhere")


@pytest.mark.parametrize("spoil", [replaced_by_a_file, linked_to_nowhere])
@pytest.mark.parametrize("which", ["cache", "cache/polars"])
def test_a_cache_that_cannot_be_written_ends_no_nightly_run(
    computed_once: DataFolder, spoil: Callable[[Path], None], which: str
) -> None:
    spoil(computed_once.data / which)
    changed(computed_once)
    computed_once.nightly()
    assert computed_once.published()[CELL].total["people"] == 4
    assert complaints(computed_once)
    assert not computed_once.nightly().changed


def test_a_disk_that_fills_up_while_the_cache_is_written_ends_no_nightly_run(
    computed_once: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "write_members", full)
    changed(computed_once)
    computed_once.nightly()
    assert computed_once.published()[CELL].total["people"] == 4
    (complaint,) = complaints(computed_once)
    assert "No space left on device" in complaint
    assert {path.suffix for path in (cache_folder(computed_once) / "polars").iterdir()} <= {
        ".zip",
        ".json",
    }


def six_batches(folder: DataFolder, patch: pytest.MonkeyPatch) -> list[str]:
    """Export six batches, and return the names of the files of the cache as they are now."""
    patch.setattr(scan, "BATCH_ROWS", 3)
    for number in range(6):
        folder.export(people(3, org_id=f"org-{number}"), f"{number}.parquet")
    return cached_names(folder)


def cached_names(folder: DataFolder) -> list[str]:
    return sorted(path.name for path in (cache_folder(folder) / "polars").iterdir())


def test_a_disk_that_fills_up_later_has_no_batch_of_that_nightly_run_afterwards(
    computed_once: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, done = six_batches(computed_once, monkeypatch), list[None]()

    def full(*given: Any) -> None:
        batch_files.write_members(*given)
        done.append(None)
        if len(done) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache, "write_members", full)
    computed_once.nightly()
    assert len(computed_once.published()) == 6
    assert len(complaints(computed_once)) == 1
    assert len(done) > 2
    assert cached_names(computed_once) == before


def test_a_disk_with_little_room_is_left_to_what_is_published(
    computed_once: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = six_batches(computed_once, monkeypatch)
    free = shutil.disk_usage(computed_once.data).free
    monkeypatch.setattr(room, "MOST_BYTES", 2 * free)
    monkeypatch.setattr(room, "SHARE", 1)
    computed_once.nightly()
    assert len(computed_once.published()) == 6
    assert "is left to version files" in complaints(computed_once)[0]
    assert cached_names(computed_once) == before


def test_what_a_killed_nightly_run_left_goes_before_anything_is_written(
    computed_once: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = cache_folder(computed_once) / "polars" / "left.zip"
    left.write_bytes(b"partial aggregates")
    changed(computed_once)
    seen = []

    def watched(*given: Any) -> None:
        seen.append(left.exists())
        batch_files.write_members(*given)

    monkeypatch.setattr(cache, "write_members", watched)
    computed_once.nightly()
    assert seen
    assert not any(seen)


def test_a_cache_that_is_deleted_again_and_again_ends_no_nightly_run(
    computed_once: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    six_batches(computed_once, monkeypatch)

    def deleted(file: BatchFile, splits: Any) -> Any:
        found = batch_files.load(file, splits)
        file.path.unlink()
        return found

    monkeypatch.setattr(cache, "load", deleted)
    computed_once.nightly()
    assert len(computed_once.published()) == 6
    assert len(complaints(computed_once)) == 1


def test_a_cache_of_another_schema_version_is_ignored(
    computed_once: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SCHEMA_VERSION", cache.SCHEMA_VERSION + 1)
    changed(computed_once)
    computed_once.nightly()
    assert computed_once.published()[CELL].total["people"] == 4
    assert complaints(computed_once) == []


def test_the_cache_of_the_release_before_is_deleted(computed_once: DataFolder) -> None:
    old = computed_once.data / "excerpts"
    old.mkdir()
    (old / "facts.zip").write_bytes(b"hashed participants")
    changed(computed_once)
    computed_once.nightly()
    assert not old.exists()


def test_a_survey_that_only_looks_leaves_the_cache_as_it_is(computed_once: DataFolder) -> None:
    def state() -> dict[str, tuple[int, int]]:
        paths = cache_folder(computed_once).rglob("*")
        return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in paths}

    before = state()
    changed(computed_once)
    with computed_once.gathered() as inputs:
        assert inputs.exports.rows == 4
    assert state() == before


def test_what_was_read_is_not_kept_where_the_ledger_is_broken(
    computed_once: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = cache_folder(computed_once) / "polars" / "manifest.json"
    before = manifest.read_bytes()
    changed(computed_once)

    def broken(*_: object, **__: object) -> None:
        raise LedgerBroken("the exports", 4, 3)

    monkeypatch.setattr(gather, "check_ledger", broken)
    with pytest.raises(LedgerBroken):
        computed_once.nightly()
    assert manifest.read_bytes() == before
