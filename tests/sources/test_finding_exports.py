"""The files that are exports, and those that are not."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from pipeline.errors import ExportsMissing, ExportsUnreadable
from pipeline.sources.folders import Folder
from tests.given import DataFolder, export, files_of, ledger, ledgers, people, row, selected, table

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_named_like_an_export_and_a_dangling_link_are_distinguished(
    folder: DataFolder,
) -> None:
    (folder.data / "exports" / "folder.parquet").mkdir()
    (folder.data / "exports" / "gone.parquet").symlink_to(folder.data / "nowhere")
    folder.export(people(1), "folder.parquet/inside.parquet")
    problems = refusals_of(folder)
    assert set(problems) == {"gone.parquet"}
    assert "it can't be opened (No such file or directory)" in problems["gone.parquet"]


def refusals_of(folder: DataFolder) -> dict[str, str]:
    return dict(folder.nightly().refused)


def test_links_are_followed_once_however_they_lead(folder: DataFolder) -> None:
    versions = folder.data / "exports" / ".versions"
    versions.mkdir()
    (folder.data / "exports" / "linked").symlink_to(versions)
    (versions / "back").symlink_to(folder.data / "exports")
    pq.write_table(table(people(2)), versions / "a.parquet")
    result = folder.nightly()
    assert result.rows == 2
    assert ledger(result.ledger) == {"counted": 2}


def test_a_file_in_a_linked_folder_has_the_name_of_the_folder_itself(data: Path) -> None:
    export(data, people(1), "z/a.parquet")
    (data / "exports" / "a").symlink_to(data / "exports" / "z")
    assert [file.name for file in files_of(data)] == ["z/a.parquet"]


def test_a_link_out_of_the_exports_folder_is_refused_by_its_name(
    folder: DataFolder, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    pq.write_table(table(people(9)), elsewhere / "a.parquet")
    folder.export(people(2))
    (folder.data / "exports" / "folder").symlink_to(elsewhere)
    (folder.data / "exports" / "file.parquet").symlink_to(elsewhere / "a.parquet")
    result = folder.nightly()
    assert set(result.refused) == {"folder", "file.parquet"}
    for problem in result.refused.values():
        assert "a link out of the exports folder" in problem
    assert ledger(result.ledger) == {"counted": 2}


def test_the_exports_folder_itself_may_be_a_link(folder: DataFolder, tmp_path: Path) -> None:
    folder.export(people(2))
    (folder.data / "exports").rename(tmp_path / "mounted")
    (folder.data / "exports").symlink_to(tmp_path / "mounted")
    (tmp_path / "mounted" / "again.parquet").symlink_to(tmp_path / "mounted" / "a.parquet")
    result = folder.nightly()
    assert (result.refused, ledger(result.ledger)) == ({}, {"counted": 2, "superseded": 2})


@pytest.mark.parametrize("name", [b"\xff.parquet", b"two\nlines.parquet"])
def test_a_file_whose_name_can_not_be_shown_is_refused_and_the_others_go_on(
    folder: DataFolder, name: bytes
) -> None:
    path = folder.export(people(2))
    shutil.copy(path, path.parent / os.fsdecode(name))
    result = folder.nightly()
    (problem,) = result.refused.values()
    assert problem.isprintable()
    assert "its path has signs that can't be shown; rename it" in problem
    assert ledger(result.ledger) == {"counted": 2}
    assert not folder.nightly().changed


def test_a_pipe_among_the_exports_is_refused_and_blocks_no_run(folder: DataFolder) -> None:
    folder.export(people(2))
    os.mkfifo(folder.data / "exports" / "pipe.parquet")
    assert "it is no regular file" in folder.nightly().refused["pipe.parquet"]


def test_what_begins_with_a_dot_or_an_underscore_is_no_export_at_any_depth(data: Path) -> None:
    good = export(data, people(1), "org_id=org-9/a.parquet")
    skipped = (".a.parquet", ".hidden/a.parquet", "_a.parquet", "_SUCCESS", "_delta_log/0.parquet")
    for name in (*skipped, "org_id=org-9/_temporary/0/part.parquet"):
        path = data / "exports" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(good.read_bytes())
    found = selected(Folder(data / "exports").list_files())
    assert [file.name for file in found.files] == ["org_id=org-9/a.parquet"]
    assert found.others == ()


def test_the_file_that_excel_writes_next_to_an_open_workbook_is_no_export(data: Path) -> None:
    name = data / "exports" / "grupper" / "~$klubb-nord.xlsx"
    name.parent.mkdir()
    name.write_bytes(b"\x0dKari Nordmann")
    found = selected(Folder(data / "exports").list_files())
    assert (found.files, found.others) == ((), ())


def test_files_with_another_ending_are_named_and_not_read(data: Path) -> None:
    for name in ("a.parquet.tmp", "a.csv", "2024/README.md"):
        path = data / "exports" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("org_id")
    found = selected(Folder(data / "exports").list_files())
    assert (found.files, found.others) == ((), ("2024/README.md", "a.csv", "a.parquet.tmp"))


def test_a_folder_named_like_a_column_decides_nothing(engine: str, data: Path) -> None:
    export(data, people(2), "org_id=org-9/hours=7/a.parquet")
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 2}}


def test_exports_are_found_at_any_depth_in_the_order_of_their_paths(data: Path) -> None:
    names = ["b.parquet", "a/z.parquet", "a/b/c/d.parquet", "Å.parquet", "A.PARQUET", "a-1.parquet"]
    for name in names:
        export(data, people(1), name)
    assert [file.name for file in files_of(data)] == sorted(names)


def test_names_that_look_like_patterns_are_names(engine: str, data: Path) -> None:
    for number, name in enumerate(
        ["[a].parquet", "a.parquet", "*.parquet", "??.parquet", "{b}.parquet"]
    ):
        export(data, [row(participant_id=f"p{number}")], f"100% #1/{name}")
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 5}}


def test_a_missing_exports_folder_is_named(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    with pytest.raises(ExportsMissing, match=r"no folder .*exports: put the exports there"):
        folder.nightly()
    assert folder.published() == {}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_stops_the_nightly_run(folder: DataFolder) -> None:
    folder.export(people(1), "closed/a.parquet")
    closed = folder.data / "exports" / "closed"
    closed.chmod(0)
    try:
        with pytest.raises(ExportsUnreadable, match="closed"):
            folder.nightly()
    finally:
        closed.chmod(0o755)
