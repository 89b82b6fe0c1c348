"""A cache that is missing, corrupt or unwritable costs time and one event, never a number."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING

import pytest

from pipeline.engines.polars import cache
from pipeline.errors import LedgerBroken
from pipeline.runs import gather
from tests.given import CELL, DataFolder, people, row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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
