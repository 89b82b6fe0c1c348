"""Page headers that contradict themselves, the footer or the bounds of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources import page_headers, pages, thrift
from pipeline.sources.page_headers import HeaderCorrupt
from pipeline.sources.pages import PageCorrupt
from tests.given import DataFolder, export, ledger, people, read, row, settings, table, write
from tests.thrift import narrow, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TYPE, UNCOMPRESSED, COMPRESSED, DATA, DICTIONARY, DATA_V2 = 1, 2, 3, 5, 7, 8
VALUES, ENCODING = 1, 2
PLAIN: dict[str, Any] = {"use_dictionary": False, "compression": "none", "write_statistics": False}


def change_header(path: Path, column: int, change: Callable[[Any], None]) -> None:
    """Change the first page header of a column into one of the same size."""
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(0).column(column)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content = bytearray(path.read_bytes())
    header, end = thrift.read_struct(bytes(content), start)
    change(header)
    new = written(narrow(header))
    assert len(new) == end - start
    content[start:end] = new
    path.write_bytes(content)


def refused(data: Path, limits: dict[str, int] | None = None) -> str:
    """Return the reason for which the pages of the one export are refused."""
    (accepted,) = read(data, settings(limits=limits or {})).accepted
    if limits:
        accepted = accepted.__class__(
            **{name: getattr(accepted, name) for name in accepted.__dataclass_fields__}
            | {"limits": settings(limits=limits).limits}
        )
    with pytest.raises(PageCorrupt) as found:
        pages.verify(accepted, 0, accepted.rows)
    return str(found.value)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda h: h[DATA].update({VALUES: -3}), "or with a negative one"),
        (lambda h: h[DATA].update({VALUES: 4}), "they have 4 values of 3"),
        (lambda h: h.update({UNCOMPRESSED: h[UNCOMPRESSED] + 1}), "has two sizes, although"),
        (lambda h: h.update({COMPRESSED: h[COMPRESSED] - 1}), "has two sizes, although"),
        (lambda h: h[DATA].update({ENCODING: 5}), "is encoded as DELTA_BINARY_PACKED, which"),
        (
            lambda h: h[DATA].update({ENCODING: 44}),
            "is encoded as encoding 44, which the footer does not have",
        ),
        (lambda h: h.update({TYPE: 9}), "has a header of an unknown type"),
        (lambda h: h.update({TYPE: 2}), "has a header of an unknown type"),
    ],
)
def test_a_page_header_that_contradicts_the_footer_is_refused(
    data: Path, change: Callable[[Any], None], named: str
) -> None:
    path = export(data, people(3), **PLAIN)
    change_header(path, 5, change)
    problem = refused(data)
    assert "a page of column hours" in problem
    assert named in problem


def test_a_page_that_is_larger_than_its_column_is_refused(data: Path) -> None:
    path = export(data, people(3), **{**PLAIN, "compression": "snappy"})
    change_header(path, 5, lambda h: h.update({COMPRESSED: h[COMPRESSED] + 1}))
    assert "is larger than its column" in refused(data)


def test_a_dictionary_has_room_for_its_entries(data: Path) -> None:
    path = export(data, people(3), **{**PLAIN, "use_dictionary": True})
    change_header(path, 5, lambda h: h[DICTIONARY].update({VALUES: 60}))
    assert "is a dictionary of more entries than it has room for" in refused(data)


def test_a_page_by_dictionary_needs_one(data: Path) -> None:
    path = export(data, people(3), **{**PLAIN, "use_dictionary": ["hours"]})
    with pq.ParquetFile(path) as file:
        chunk = file.metadata.row_group(0).column(5)
    content = path.read_bytes()
    # In the place of the dictionary is a page without values.
    start, end = chunk.dictionary_page_offset, chunk.data_page_offset
    header, at = thrift.read_struct(content, start)
    size = end - start
    index = written(narrow({TYPE: 1, UNCOMPRESSED: size - 9, COMPRESSED: size - 9, 6: {}}))
    index = index.ljust(9, b"\0") if len(index) < 9 else index
    filled = written(
        narrow({TYPE: 1, UNCOMPRESSED: size - len(index), COMPRESSED: size - len(index), 6: {}})
    )
    path.write_bytes(content[:start] + filled + bytes(size - len(filled)) + content[end:])
    assert header[DICTIONARY]
    assert at < end
    assert "needs a dictionary, and there is none before it" in refused(data)


@pytest.mark.parametrize(
    ("header", "named"),
    [
        ({}, "without a size"),
        ({TYPE: 0, UNCOMPRESSED: 1, COMPRESSED: -1}, "a negative one"),
        ({TYPE: 0, UNCOMPRESSED: 2**31, COMPRESSED: 1}, "a negative one"),
        ({TYPE: 0, UNCOMPRESSED: 1, COMPRESSED: 1}, "unknown type"),
        ({TYPE: 0, UNCOMPRESSED: 1, COMPRESSED: 1, DATA: {}}, "without a size or a number"),
        (
            {TYPE: 3, UNCOMPRESSED: 9, COMPRESSED: 9}
            | {DATA_V2: {1: 3, 2: 4, 3: 3, 4: 0, 5: 0, 6: 0}},
            "numbers of nulls or rows contradict",
        ),
        (
            {TYPE: 3, UNCOMPRESSED: 9, COMPRESSED: 9}
            | {DATA_V2: {1: 3, 2: 0, 3: 3, 4: 0, 5: 8, 6: 8}},
            "levels are larger than the page",
        ),
    ],
)
def test_a_header_that_contradicts_itself_is_none(header: dict[int, Any], named: str) -> None:
    with pytest.raises(HeaderCorrupt, match=named):
        page_headers.parse(written(header))


def long_text(size: int, rows: int = 3) -> Any:
    return table([row(org_id="x" * size, participant_id=f"p{n}") for n in range(rows)])


@pytest.mark.parametrize("compression", ["none", "zstd", "snappy", "gzip", "brotli"])
def test_a_text_beyond_the_limit_is_refused(folder: DataFolder, compression: str) -> None:
    folder.export(people(2), "good.parquet")
    write(folder.data, long_text(70_000), "dictionary.parquet", compression=compression)
    write(
        folder.data,
        long_text(70_000),
        "plain.parquet",
        compression=compression,
        use_dictionary=False,
    )
    result = folder.nightly()
    assert set(result.refused) == {"dictionary.parquet", "plain.parquet"}
    for problem in result.refused.values():
        assert "column org_id has a text of about 70,0" in problem
        assert "more than the setting limits.text_kb allows" in problem
    assert ledger(result.ledger) == {"counted": 2}


def test_one_long_text_among_short_ones_of_a_dictionary_is_found(data: Path) -> None:
    texts = [f"o{n}" for n in range(1000)] + ["x" * 100_000]
    rows = table([row() for _ in texts]).set_column(0, "org_id", pa.array(texts))
    write(data, rows)
    assert "has a text of about 100,000 bytes" in refused(data)


def test_a_dictionary_that_expands_beyond_the_limit_is_refused(data: Path) -> None:
    write(data, long_text(60_000, rows=30))
    problem = refused(data, {"row_group_mb": 1})
    assert "is a dictionary that expands to 1,80" in problem
    assert "limits.row_group_mb" in problem
