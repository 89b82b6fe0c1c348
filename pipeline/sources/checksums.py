"""The checksums of pages that a Parquet file may have, compared with its bytes.

Engines' own readers ignore them. Writers give checksums to all pages of a file or to none, so of a
file without any only one page header is read.
"""

from __future__ import annotations

import zlib
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final

from pipeline.sources.encryption import open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.sources.accepted import Export
    from pipeline.sources.exports import Opened

_HEADER: Final = 1024
"""A size in bytes that is enough for nearly every page header."""
_LARGE_HEADER: Final = 2**20
"""A size in bytes for page headers with long statistics."""
_COMPRESSED_SIZE: Final = 3
_CHECKSUM: Final = 4
"""Fields of a page header, as parquet.thrift numbers them."""

_STOP: Final = 0
_BOOLEANS: Final = (1, 2)
_BYTE: Final = 3
_INTEGERS: Final = (4, 5, 6)
_DOUBLE: Final = 7
_BINARY: Final = 8
_LISTS: Final = (9, 10)
_STRUCT: Final = 12
"""Types of Thrift's compact protocol."""
_LONG_LIST: Final = 15


class PageCorrupt(OSError):
    """A page whose bytes differ from its checksum."""


def verify(export: Export, first: int, rows: int) -> None:
    """Compare the pages of our columns that have these rows with their checksums, if any.

    Raises:
        PageCorrupt: The bytes of a page have changed since they were written.
        pyarrow.ArrowException, OSError: The file can't be read.
    """
    if export.first_page is None or export.parquet.key is not None:
        return  # decryption finds every changed byte
    with closing(export.parquet.open()) as file, suppress(IndexError, RecursionError):
        # If this is no page header, the reader of the rows raises an error that is clearer.
        if _header(file, export.first_page)[2] is not None:
            for column, start, size in _chunks(export, first, rows):
                _verify_chunk(file, column, start, start + size)


def _chunks(export: Export, first: int, rows: int) -> Iterator[tuple[str, int, int]]:
    """List name, position and size in bytes of our columns' chunks with any of these rows."""
    with open_parquet(export.parquet) as parquet:
        metadata = parquet.metadata
    ours = set(export.mapping.sources.values())
    places = [n for n in range(metadata.num_columns) if metadata.schema.column(n).path in ours]
    begin = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        end = begin + group.num_rows
        if begin < first + rows and first < end:
            for chunk in map(group.column, places):
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                yield chunk.path_in_schema, start, chunk.total_compressed_size
        begin = end


def _verify_chunk(file: Opened, column: str, start: int, end: int) -> None:
    """Compare the pages of a column chunk with their checksums.

    Raises:
        PageCorrupt: The bytes of a page differ from its checksum.
    """
    while start < end:
        size, content_size, checksum = _header(file, start)
        content = _read(file, content_size, start + size)
        if checksum is not None and zlib.crc32(content) != checksum:
            problem = f"the checksum of a page of column {column} is not that of its bytes"
            raise PageCorrupt(problem)
        start += size + content_size


def _header(file: Opened, start: int) -> tuple[int, int, int | None]:
    """Read the size of a page's header and of its content, and the checksum of the content."""
    try:
        return _parsed(_read(file, _HEADER, start))
    except IndexError:
        return _parsed(_read(file, _LARGE_HEADER, start))


def _read(file: Opened, size: int, start: int) -> bytes:
    file.seek(start)
    return file.read(size)


def _parsed(content: bytes) -> tuple[int, int, int | None]:
    numbers: dict[int, int] = {}
    size = _skip_struct(content, 0, numbers)
    checksum = numbers.get(_CHECKSUM)
    unsigned = None if checksum is None else checksum % 2**32
    return size, max(0, numbers.get(_COMPRESSED_SIZE, 0)), unsigned


def _skip_struct(content: bytes, at: int, numbers: dict[int, int] | None = None) -> int:
    """Return the end of a struct, and collect the integers among its fields."""
    field = 0
    while (head := content[at]) != _STOP:
        at += 1
        kind = head & 15
        if head >> 4:
            field += head >> 4
        else:
            value, at = _varint(content, at)
            field = _signed(value)
        if numbers is not None and kind in _INTEGERS:
            numbers[field] = _signed(_varint(content, at)[0])
        at = at if kind in _BOOLEANS else _skip(content, at, kind)
    return at + 1


def _skip(content: bytes, at: int, kind: int) -> int:
    """Return the end of a value."""
    if kind in _INTEGERS:
        return _varint(content, at)[1]
    if kind == _BINARY:
        size, at = _varint(content, at)
        return at + size
    if kind == _STRUCT:
        return _skip_struct(content, at)
    if kind in _LISTS:
        return _skip_list(content, at)
    if kind in (*_BOOLEANS, _BYTE):
        return at + 1
    if kind == _DOUBLE:
        return at + 8
    raise IndexError(kind)


def _skip_list(content: bytes, at: int) -> int:
    count, kind = content[at] >> 4, content[at] & 15
    at += 1
    if count == _LONG_LIST:
        count, at = _varint(content, at)
    for _ in range(count):
        at = _skip(content, at, kind)
    return at


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Read an unsigned number, seven bits a byte, and return it with the position after it."""
    value = shift = 0
    while content[at] & 128:
        value |= (content[at] & 127) << shift
        shift += 7
        at += 1
    return value | content[at] << shift, at + 1


def _signed(value: int) -> int:
    return (value >> 1) ^ -(value & 1)
