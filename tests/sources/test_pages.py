"""The checksums of pages, and files without any."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources import pages
from pipeline.sources.pages import PageCorrupt
from tests.given import DataFolder, export, ledger, people, read, row, table, write

if TYPE_CHECKING:
    from pathlib import Path

PLAIN: dict[str, Any] = {"use_dictionary": False, "compression": "none", "write_statistics": False}


def spoilt(path: Path, before: float, after: float) -> None:
    """Change a number in a file, as a bad disk or cable does."""
    content = path.read_bytes()
    assert content.count(struct.pack("<d", before)) == 1
    path.write_bytes(content.replace(struct.pack("<d", before), struct.pack("<d", after)))


def test_a_file_whose_bytes_are_not_those_of_its_checksums_is_refused(folder: DataFolder) -> None:
    folder.export(people(2), "good.parquet", write_page_checksum=True)
    path = folder.export([row(hours=4.5)], "bad.parquet", write_page_checksum=True, **PLAIN)
    spoilt(path, 4.5, 23.5)
    result = folder.nightly()
    assert "the checksum of a page of column hours" in result.refused["bad.parquet"]
    assert ledger(result.ledger) == {"counted": 2}


def test_a_spoilt_column_of_no_account_refuses_nothing(folder: DataFolder) -> None:
    with_price = table(people(2)).append_column("price", [[77.25, 1.0]])
    path = write(folder.data, with_price, write_page_checksum=True, **PLAIN)
    spoilt(path, 77.25, 1.5)
    assert folder.nightly().refused == {}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("use_dictionary", [True, False])
@pytest.mark.parametrize("index", [True, False])
def test_sound_files_pass_however_they_are_written(
    data: Path, version: str, compression: str, *, use_dictionary: bool, index: bool
) -> None:
    rows = [row(participant_id=f"p{n}" * 50, status=None if n % 3 else "x") for n in range(3000)]
    export(
        data,
        rows,
        write_page_checksum=True,
        data_page_version=version,
        compression=compression,
        use_dictionary=use_dictionary,
        write_page_index=index,
        data_page_size=1000,
        row_group_size=1100,
    )
    (accepted,) = read(data).accepted
    pages.verify(accepted, 0, accepted.rows)


def test_only_the_row_groups_in_question_are_looked_at(data: Path) -> None:
    hours = [n / 8 for n in range(100)]
    rows = [row(participant_id=f"p{n}", hours=value) for n, value in enumerate(hours)]
    path = export(data, rows, write_page_checksum=True, row_group_size=10, **PLAIN)
    spoilt(path, 55 / 8, 1000.5)
    (accepted,) = read(data).accepted
    pages.verify(accepted, 0, 50)
    pages.verify(accepted, 60, 40)
    for first, count in ((50, 10), (59, 1), (0, 51), (0, 100)):
        with pytest.raises(PageCorrupt):
            pages.verify(accepted, first, count)


def test_a_file_without_checksums_says_nothing(data: Path) -> None:
    path = export(data, [row(hours=4.5)], **PLAIN)
    spoilt(path, 4.5, 23.5)
    (accepted,) = read(data).accepted
    pages.verify(accepted, 0, 1)


def test_long_statistics_in_the_header_of_a_page_are_passed_over(data: Path) -> None:
    rows = [row(activity_id="a" * 4000), row(activity_id="b" * 4000)]
    export(data, rows, write_page_checksum=True, use_dictionary=False)
    (accepted,) = read(data).accepted
    pages.verify(accepted, 0, 2)


def test_an_empty_file_has_no_pages(data: Path) -> None:
    pq.write_table(table([row()]).slice(0, 0), data / "exports" / "a.parquet")
    (accepted,) = read(data).accepted
    pages.verify(accepted, 0, 0)
    assert isinstance(accepted.types["hours"], pa.DataType)
