"""Addresses of exports: folders, and file systems of Arrow in the place of HDFS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from pipeline.errors import ExportsMissing, ExportsUnreachable
from pipeline.model import addresses
from pipeline.model.columns import COLUMNS
from pipeline.sources import locations, opening, pages
from pipeline.sources.arrow_file_systems import FileSystem
from tests.given import (
    CELL,
    DataFolder,
    cells,
    conversions,
    files_of,
    people,
    selected,
    settings,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "hdfs://namenode:8020/exports"


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://{}/", "FILE://{}"])
def test_a_mounted_folder_is_read_as_the_folder_of_the_data_is(
    engine: str, data: Path, tmp_path: Path, form: str
) -> None:
    mounted = tmp_path / "mnt 1" / "exports"
    (mounted / "a").mkdir(parents=True)
    pq.write_table(table(people(3)), mounted / "a" / "b.parquet")
    address = form.format(mounted)
    chosen = settings(exports={"location": address.replace(" ", "%20") if ":" in form else address})
    (file,) = files_of(data, chosen)
    assert (file.name, file.location) == ("a/b.parquet", str(mounted / "a" / "b.parquet"))
    assert not file.is_remote
    assert cells(engine, data, chosen=chosen)[CELL].total["people"] == 3


def test_a_relative_folder_counts_from_the_data_folder(data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    pq.write_table(table(people(2)), tmp_path / "elsewhere" / "a.parquet")
    folder = DataFolder(data, settings(exports={"location": "../elsewhere"}))
    assert folder.nightly().rows == 2
    assert not folder.nightly().changed


def test_another_place_with_the_same_rows_makes_nothing_stale(folder: DataFolder) -> None:
    folder.export(people(2))
    folder.nightly()
    (folder.data / "exports").rename(folder.data / "moved")
    folder.settings = settings(exports={"location": "moved"})
    assert not folder.nightly().changed


def test_a_missing_folder_is_named(data: Path, tmp_path: Path) -> None:
    folder = DataFolder(data, settings(exports={"location": str(tmp_path / "none")}))
    with pytest.raises(ExportsMissing, match=r"no folder .*/none: put the exports there"):
        folder.nightly()


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("exports", ("file", "", "exports")),
        ("a:b/c", ("file", "", "a:b/c")),
        ("file:///mnt/a%20b", ("file", "", "/mnt/a b")),
        ("s3a://bucket/a%20b//", ("s3a", "bucket", "a%20b")),
        ("S3://bucket", ("s3a", "bucket", "")),
        ("gs://bucket/a/b", ("gs", "bucket", "a/b")),
        ("hdfs://namenode:8020/", ("hdfs", "namenode:8020", "")),
        (
            "abfss://c@account.dfs.core.windows.net/a",
            ("abfss", "c@account.dfs.core.windows.net", "a"),
        ),
    ],
)
def test_an_address_has_three_parts(text: str, parsed: tuple[str, str, str]) -> None:
    address = addresses.parse(text)
    assert (address.scheme, address.authority, address.path) == parsed
    assert addresses.parse(str(address)) == address


@pytest.fixture
def arrow(tmp_path: Path) -> FileSystem:
    """A folder as Arrow sees it, below a root of its own, as HDFS has one."""
    (tmp_path / "root" / "exports").mkdir(parents=True)
    root = fs.SubTreeFileSystem(str(tmp_path / "root"), fs.LocalFileSystem())
    return FileSystem(ADDRESS, root, "/exports")


def write(tmp_path: Path, name: str, count: int = 2, **options: Any) -> None:
    path = tmp_path / "root" / "exports" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table(people(count)), path, **options)


def test_a_file_system_of_arrow_lists_by_the_same_rules(arrow: FileSystem, tmp_path: Path) -> None:
    for name in ("b.parquet", "a/z.PARQUET", "_a.parquet", "a/.x/c.parquet", "a/two\nl.parquet"):
        write(tmp_path, name)
    (tmp_path / "root" / "exports" / "a" / "x.csv").write_text("x")
    (tmp_path / "root" / "exports" / "folder.parquet").mkdir()
    found = selected(arrow.list_files())
    assert [file.name for file in found.files] == ["a/two\\nl.parquet", "a/z.PARQUET", "b.parquet"]
    assert found.others == ("a/x.csv",)
    assert found.files[-1].location == f"{ADDRESS}/b.parquet"
    assert all(file.is_remote for file in found.files)


def test_a_file_system_of_arrow_opens_files_for_footers_and_checksums(
    arrow: FileSystem, tmp_path: Path
) -> None:
    write(tmp_path, "a.parquet", 3, write_page_checksum=True)
    write(tmp_path, "two\nlines.parquet")
    (tmp_path / "root" / "exports" / "torn.parquet").write_bytes(b"torn")
    found = opening.read(selected(arrow.list_files()), COLUMNS, conversions(tmp_path))
    assert {file.name for file in found.refused} == {"torn.parquet", "two\\nlines.parquet"}
    (accepted,) = found.accepted
    assert (accepted.rows, accepted.is_exact, accepted.is_native) == (3, True, False)
    pages.verify(accepted, 0, 3)


def test_a_file_system_of_arrow_reports_changed_files(arrow: FileSystem, tmp_path: Path) -> None:
    for name in ("a.parquet", "b.parquet", "c.parquet", "d.parquet"):
        write(tmp_path, name)
    before = arrow.list_files()
    assert arrow.changed(before) == ()
    write(tmp_path, "a.parquet", 500)
    os.utime(tmp_path / "root" / "exports" / "b.parquet", (1, 1))
    (tmp_path / "root" / "exports" / "c.parquet").unlink()
    assert arrow.changed(before) == ("a.parquet", "b.parquet", "c.parquet")


def test_a_missing_folder_of_a_file_system_is_named(tmp_path: Path) -> None:
    missing = FileSystem(ADDRESS, fs.LocalFileSystem(), str(tmp_path / "none"))
    with pytest.raises(ExportsUnreachable) as failure:
        missing.list_files()
    assert str(failure.value) == (
        f"the exports in {ADDRESS} can't be read: No such file or directory; nothing was "
        "published, see that the setting exports.location is right and that this user may read it"
    )


def test_without_a_hadoop_client_one_sentence_names_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HADOOP_HOME", "JAVA_HOME", "ARROW_LIBHDFS_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        ExportsUnreachable, match="see that a Hadoop client is installed"
    ) as failure:
        locations.of(data, "hdfs://127.0.0.1:1/exports").check()
    assert str(failure.value).isprintable()
