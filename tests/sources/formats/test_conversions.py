"""Conversions: each file is converted once for its content, and the cache can cost no number."""

from __future__ import annotations

import fcntl
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import ExportRefused
from pipeline.sources import conversion
from pipeline.sources.conversion import Conversions
from pipeline.sources.folders import look_at
from tests.formats import HEADER, csv_settings
from tests.given import settings

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Settings
    from pipeline.sources.accepted import Export
    from pipeline.sources.exports import File, Opened

ROW = "org-1,a1,p1,ungdom,2024-11-05T18:00:00,1.5\n"
TEXT = ",".join(HEADER) + "\n" + ROW


class Folder:
    """A folder with one CSV file, and the folder of its converted files."""

    def __init__(self, path: Path) -> None:
        self.path = path / "a.csv"
        self.path.write_text(TEXT, encoding="utf-8")
        self.cache = path / "cache"
        self.events: list[str] = []

    @property
    def file(self) -> File:
        return look_at(self.path, "a.csv")

    def accept(
        self, chosen: Settings | None = None, file: File | None = None, **options: Any
    ) -> Export:
        of = chosen or csv_settings()
        (source,) = of.every_source
        return self.conversions(of, **options).accept(file or self.file, source, of.terms.columns)

    def conversions(self, chosen: Settings | None = None, **options: Any) -> Conversions:
        of = chosen or csv_settings()
        return Conversions(
            self.cache, self.cache.parent / "cache.key", of.zone, self.record, **options
        )

    def record(self, event: str, **_: object) -> None:
        self.events.append(event)

    def converted(self) -> dict[str, int]:
        """Return the converted files, and when each was written."""
        files = [path for path in self.cache.iterdir() if not path.is_symlink()]
        return {path.name: path.stat().st_mtime_ns for path in files}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def may_not_be_opened() -> Opened:
    raise AssertionError


def test_an_unchanged_file_is_not_read_again(folder: Folder) -> None:
    first = folder.accept()
    again = folder.accept(file=replace(folder.file, opener=may_not_be_opened))
    assert again.converted == first.converted


def test_a_file_with_the_same_content_is_not_converted_again(folder: Folder) -> None:
    folder.accept()
    written = folder.converted()
    folder.path.rename(folder.path.with_name("old.csv"))
    folder.path.write_text(TEXT, encoding="utf-8")
    folder.accept()
    assert folder.converted() == written
    folder.accept(file=replace(folder.file, opener=may_not_be_opened))


def test_a_changed_file_is_converted(folder: Folder) -> None:
    folder.accept()
    folder.path.write_text(TEXT + ROW, encoding="utf-8")
    assert folder.accept().rows == 2


@pytest.mark.parametrize(
    "chosen",
    [
        csv_settings(decimal=","),
        csv_settings(null=["", "-"]),
        settings(timezone="UTC", sources=({"name": "system", "format": "csv"},)),
        settings(breakdowns={"county": "Fylke"}, sources=({"name": "system", "format": "csv"},)),
    ],
)
def test_other_settings_read_a_file_once_more(folder: Folder, chosen: Settings) -> None:
    folder.accept()
    folder.accept(chosen)
    assert len(folder.converted()) == 2


def test_settings_that_read_no_value_otherwise_convert_nothing(folder: Folder) -> None:
    folder.accept()
    source = {"name": "other", "format": "csv", "categories": {"Klubb": "ungdom"}, "mode": "dump"}
    folder.accept(settings(max_hours=12, sources=(source,)))
    assert len(folder.converted()) == 1


def test_a_command_that_writes_nothing_converts_a_file_elsewhere_and_once(folder: Folder) -> None:
    first = folder.accept(writes=False)
    assert not folder.cache.exists()
    file = replace(folder.file, opener=may_not_be_opened)
    assert folder.accept(file=file, writes=False).converted == first.converted


def test_a_command_that_writes_nothing_uses_converted_files(folder: Folder) -> None:
    folder.accept()
    before = sorted(folder.cache.iterdir())
    file = replace(folder.file, opener=may_not_be_opened)
    used = folder.accept(file=file, writes=False).converted
    assert used is not None
    assert used.location.startswith(str(folder.cache))
    assert sorted(folder.cache.iterdir()) == before


def test_a_cache_that_cannot_be_written_costs_an_event(folder: Folder) -> None:
    folder.cache.write_text("no folder", encoding="utf-8")
    assert folder.accept().rows == 1
    assert folder.events == ["conversion_not_cached"]


@pytest.mark.parametrize("content", [b"", b"torn", None])
def test_a_damaged_converted_file_is_made_once_more(folder: Folder, content: bytes | None) -> None:
    folder.accept()
    (name,) = folder.converted()
    path = folder.cache / name
    path.write_bytes(path.read_bytes()[:-9] if content is None else content)
    assert folder.accept().rows == 1


def test_a_refused_file_leaves_nothing_behind(folder: Folder) -> None:
    folder.path.write_text(TEXT + 'org-1,"a1,p1\nx,y,z,a,b,c\n', encoding="utf-8")
    with pytest.raises(ExportRefused):
        folder.accept()
    assert list(folder.cache.iterdir()) == []


def test_a_file_that_cannot_be_opened_is_refused(folder: Folder) -> None:
    folder.path.unlink()
    with pytest.raises(ExportRefused, match="it can't be opened"):
        folder.accept()


def test_converted_files_that_no_export_needs_are_deleted(folder: Folder) -> None:
    folder.accept()
    folder.path.write_text(TEXT + ROW, encoding="utf-8")
    current = folder.accept()
    conversions = folder.conversions()
    conversions.prune([current])
    assert list(folder.converted()) == [getattr(current.converted, "name", None)]
    folder.accept(file=replace(folder.file, opener=may_not_be_opened))
    conversions.prune([])
    assert list(folder.cache.iterdir()) == []


def test_a_file_that_is_being_written_is_deleted_only_when_its_process_has_died(
    folder: Folder,
) -> None:
    folder.accept()
    written, left = folder.cache / ".written", folder.cache / ".left"
    left.write_bytes(b"")
    with written.open("xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        folder.conversions().prune([])
    assert list(folder.cache.iterdir()) == [written]


def test_a_file_that_has_changed_since_it_was_listed_is_known_by_what_was_read(
    folder: Folder,
) -> None:
    listed = folder.file
    folder.path.write_text(TEXT + ROW, encoding="utf-8")
    assert folder.accept(file=listed).rows == 2
    folder.path.write_text(TEXT, encoding="utf-8")
    assert folder.accept().rows == 1


def test_the_schema_version_of_converted_files_is_a_part_of_their_names(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.accept()
    monkeypatch.setattr(conversion, "SCHEMA_VERSION", 99)
    folder.accept()
    assert len(folder.converted()) == 2
