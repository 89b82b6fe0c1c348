"""Lists of checksums next to exports, as `sha256sum` writes them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.given import DataFolder, ledger, people

if TYPE_CHECKING:
    from pathlib import Path

LIST = "SHA256SUMS"


def listed(folder: DataFolder, *names: str, at: str = "", options: tuple[str, ...] = ()) -> Path:
    """Write the list of a folder with the program of coreutils."""
    place = folder.data / "exports" / at
    written = subprocess.run(
        ["sha256sum", *options, "--", *names], cwd=place, capture_output=True, check=True
    )
    (place / LIST).write_bytes(written.stdout)
    return place / LIST


def two_exports(folder: DataFolder) -> tuple[Path, Path]:
    return (
        folder.export(people(2), "a.parquet"),
        folder.export(people(3, org_id="org-2"), "b.parquet"),
    )


@pytest.mark.parametrize("options", [(), ("--binary",), ("--tag",), ("--text",)])
def test_exports_that_are_as_listed_are_counted(
    folder: DataFolder, options: tuple[str, ...]
) -> None:
    two_exports(folder)
    listed(folder, "a.parquet", "./b.parquet", options=options)
    result = folder.nightly()
    assert (result.refused, ledger(result.ledger)) == ({}, {"counted": 5})
    assert list(result.unread.others) == []
    assert not folder.nightly().changed


def test_an_export_with_other_bytes_is_refused_and_the_others_go_on(folder: DataFolder) -> None:
    two_exports(folder)
    listed(folder, "a.parquet", "b.parquet")
    folder.export(people(4), "a.parquet")
    result = folder.nightly()
    assert result.refused == {
        "a.parquet": "export a.parquet is refused: its SHA-256 is not the one in SHA256SUMS; copy "
        "it again, with its list"
    }
    assert ledger(result.ledger) == {"counted": 3}
    again = folder.nightly()
    assert (again.changed, again.refused) == (False, result.refused)


def test_an_export_that_is_written_again_with_the_same_rows_must_be_listed_again(
    folder: DataFolder,
) -> None:
    first, _ = two_exports(folder)
    listed(folder, "a.parquet")
    assert folder.nightly().refused == {}
    folder.export(people(2), "a.parquet", compression="none")
    assert "its SHA-256 is not the one in SHA256SUMS" in folder.nightly().refused["a.parquet"]
    listed(folder, "a.parquet")
    assert folder.nightly().refused == {}
    assert first.exists()


def test_a_file_that_is_listed_and_missing_is_named_by_every_run_until_it_is_there(
    folder: DataFolder, tmp_path: Path
) -> None:
    _, second = two_exports(folder)
    listed(folder, "a.parquet", "b.parquet")
    shutil.move(second, tmp_path / "b.parquet")
    expected = {
        "b.parquet": "export b.parquet is refused: it is listed in SHA256SUMS and missing; copy "
        "it, or take its line out of the list"
    }
    result = folder.nightly()
    assert (result.refused, ledger(result.ledger), result.files) == (expected, {"counted": 2}, 2)
    quiet = folder.nightly()
    assert (quiet.changed, quiet.refused, quiet.files) == (False, expected, 2)
    shutil.move(tmp_path / "b.parquet", second)
    found = folder.nightly()
    assert (found.refused, found.blocked, ledger(found.ledger)) == ({}, [], {"counted": 5})


def test_an_export_that_went_missing_from_its_list_is_missed_as_any_other(
    folder: DataFolder, tmp_path: Path
) -> None:
    _, second = two_exports(folder)
    listed(folder, "a.parquet", "b.parquet")
    assert folder.nightly().refused == {}
    shutil.move(second, tmp_path / "b.parquet")
    for _ in range(2):
        result = folder.nightly()
        assert [one.org_id for one in result.blocked] == ["org-2"]
        assert set(result.refused) == {"b.parquet"}
    shutil.move(tmp_path / "b.parquet", second)
    result = folder.nightly()
    assert (result.refused, result.blocked) == ({}, [])


def test_a_list_in_a_folder_is_about_that_folder_and_those_below(folder: DataFolder) -> None:
    folder.export(people(2), "one/a.parquet")
    folder.export(people(2, org_id="org-2"), "one/two/b.parquet")
    folder.export(people(2, org_id="org-3"), "a.parquet")
    listed(folder, "a.parquet", "two/b.parquet", at="one")
    folder.export(people(3, org_id="org-3"), "a.parquet")
    assert folder.nightly().refused == {}
    folder.export(people(3, org_id="org-2"), "one/two/b.parquet")
    assert set(folder.nightly().refused) == {"one/two/b.parquet"}


def test_names_with_signs_that_are_escaped_are_found(folder: DataFolder) -> None:
    names = ("a\nb.parquet", "a\\b.parquet")
    for name in names:
        folder.export(people(2), name)
    listed(folder, *names)
    assert set(folder.nightly().refused) == {r"a\nb.parquet"}  # its path can't be shown
    folder.export(people(3), "a\\b.parquet")
    assert "its SHA-256 is not" in folder.nightly().refused["a\\b.parquet"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"nonsense\n", "line 2 is not a digest and a name; write it with sha256sum"),
        (b"0123  a.parquet\n\n\nx", "line 2 and 1 more are not a digest and a name"),
        (b"0" * 64 + b"  ../b.parquet\n", "line 2 is not a digest and a name"),
        (b"0" * 64 + b"  /etc/passwd\n", "line 2 is not a digest and a name"),
        (b"0" * 40, "line 2 is not a digest and a name"),
    ],
)
def test_a_list_with_a_line_that_is_none_is_named_and_its_other_lines_count(
    folder: DataFolder, line: bytes, problem: str
) -> None:
    first, _ = two_exports(folder)
    path = listed(folder, "a.parquet")
    path.write_bytes(path.read_bytes() + line)
    result = folder.nightly()
    assert set(result.refused) == {LIST}
    assert problem in result.refused[LIST]
    assert ledger(result.ledger) == {"counted": 5}
    assert folder.nightly().refused == result.refused
    first.write_bytes(first.read_bytes()[:-1])
    assert set(folder.nightly().refused) == {LIST, "a.parquet"}


def test_comments_empty_lines_and_line_ends_of_windows_are_passed_over(folder: DataFolder) -> None:
    first, _ = two_exports(folder)
    digest = hashlib.sha256(first.read_bytes()).hexdigest().upper()
    content = f"# by the registry\r\n\r\n{digest} *a.parquet\r\n"
    (folder.data / "exports" / LIST).write_bytes(content.encode())
    assert folder.nightly().refused == {}


def test_files_that_are_no_exports_may_be_listed(folder: DataFolder) -> None:
    two_exports(folder)
    exports = folder.data / "exports"
    (exports / "readme.txt").write_text("x")
    (exports / "_done").write_text("x")
    listed(folder, "a.parquet", "readme.txt", "_done")
    assert folder.nightly().refused == {}
    assert list(folder.nightly().unread.others) == []


def test_a_list_that_is_a_link_out_of_the_exports_is_refused(
    folder: DataFolder, tmp_path: Path
) -> None:
    two_exports(folder)
    outside = shutil.move(listed(folder, "a.parquet"), tmp_path / LIST)
    (folder.data / "exports" / LIST).symlink_to(outside)
    assert "it is a link out of the exports folder" in folder.nightly().refused[LIST]


def test_a_file_is_read_once_for_its_digest(folder: DataFolder) -> None:
    two_exports(folder)
    listed(folder, "a.parquet", "b.parquet")
    folder.nightly()
    cache = folder.data / "cache" / "sha256.json"
    content = cache.read_bytes()
    # A digest in the cache that is not the file's shows that the file is not read again.
    digest = hashlib.sha256((folder.data / "exports" / "a.parquet").read_bytes()).hexdigest()
    cache.write_bytes(content.replace(digest.encode(), b"0" * 64))
    assert set(folder.nightly(full=True).refused) == {"a.parquet"}
    cache.write_bytes(b"torn")
    assert folder.nightly(full=True).refused == {}
    assert cache.read_bytes() == content
