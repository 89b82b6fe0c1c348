"""The pages of our columns, held against the footer by their headers, before any is decoded.

Decoders of engines trust the sizes and counts in page headers. So the pages of a column chunk must
fill its bytes, and have its values in one of its encodings. Checksums are compared with the bytes,
where a writer gave any; engines' own readers ignore them.
"""

from __future__ import annotations

import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Final

from pipeline.sources import dictionaries, footer_bytes, footer_parts, page_headers, thrift

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipeline.settings.limits import LimitSettings
    from pipeline.sources.accepted import Export
    from pipeline.sources.exports import Opened
    from pipeline.sources.footer_parts import Chunk, RowGroup
    from pipeline.sources.page_headers import PageHeader

_HEADER: Final = 1024
"""A size in bytes that is enough for nearly every page header."""
_LARGE_HEADER: Final = 2**20
"""A size in bytes for page headers with long statistics."""
_SMALL: Final = 2**17
"""A column chunk of fewer bytes is read at once."""
_BY_DICTIONARY: Final = frozenset({"PLAIN_DICTIONARY", "RLE_DICTIONARY"})
_UNCOMPRESSED: Final = "UNCOMPRESSED"
_TEXTS: Final = 6
"""The physical type of texts, as parquet.thrift numbers it."""
_WIDTHS: Final = {1: 4, 2: 8, 3: 12, 4: 4, 5: 8, _TEXTS: 4}
"""The least bytes of a value in a dictionary by physical type; a text has its length before it."""


class PageCorrupt(OSError):
    """A page that contradicts its footer, whose bytes have changed, or that exceeds a bound."""


def verify(export: Export, first: int, rows: int) -> None:
    """Check the pages of our columns that have these rows, by their headers and checksums.

    Raises:
        PageCorrupt: A page contradicts the footer, exceeds a bound or differs from its checksum.
        pyarrow.ArrowException, OSError: The file can't be read.
    """
    if export.parquet.key is not None:
        return  # decryption finds every changed byte
    with closing(export.parquet.open()) as file:
        for chunk in _chunks(export, _groups_of(export, file), first, rows):
            try:
                _Pages(file, chunk, export.limits).verify()
            except (page_headers.HeaderCorrupt, thrift.ThriftCorrupt) as error:
                raise PageCorrupt(f"a page of column {chunk.name} {_words(error)}") from error


def _groups_of(export: Export, file: Opened) -> Sequence[RowGroup]:
    try:
        content = footer_bytes.read(file, export.parquet.fingerprint.size, export.limits)
        return footer_parts.read(content, export.limits).groups
    except (footer_bytes.FooterRefused, thrift.ThriftCorrupt) as error:
        raise PageCorrupt(f"it has changed: {error}") from error


def _words(error: ValueError) -> str:
    is_ours = isinstance(error, page_headers.HeaderCorrupt)
    return str(error) if is_ours else f"has a header that can't be read: {error}"


def _chunks(export: Export, groups: Iterable[RowGroup], first: int, rows: int) -> Iterator[Chunk]:
    """Select our columns' chunks with any of these rows."""
    ours = {(name.encode(),) for name in export.mapping.sources.values()}
    begin = 0
    for group in groups:
        end = begin + group.rows
        if begin < first + rows and first < end:
            yield from (chunk for chunk in group.chunks if chunk.path in ours)
        begin = end


class _Pages:
    """The pages of one column chunk, in their order."""

    def __init__(self, file: Opened, chunk: Chunk, limits: LimitSettings) -> None:
        self._file, self._chunk, self._limits = file, chunk, limits
        is_small = chunk.compressed <= _SMALL
        self._content = _read(file, chunk.start, chunk.compressed) if is_small else None

    def verify(self) -> None:
        """Check each page, then their sums.

        Raises:
            PageCorrupt: As the module's `verify`.
            HeaderCorrupt, ThriftCorrupt: A header can't be read.
        """
        chunk, at, end = self._chunk, self._chunk.start, self._chunk.end
        values = uncompressed = 0
        has_dictionary = False
        while at < end:
            header = self._header(at)
            at += header.size
            if at + header.compressed > end:
                raise self._corrupt("is larger than its column")
            self._verify_page(at, header, has_dictionary=has_dictionary)
            if header.is_dictionary:
                if has_dictionary or values:
                    raise self._corrupt("is a dictionary that is not the first page")
                has_dictionary = True
            at += header.compressed
            uncompressed += header.uncompressed
            values += header.values if header.is_data else 0
        if values != chunk.values or uncompressed > chunk.uncompressed:
            raise self._corrupt(
                f"is missing or too many: they have {values:,} values of {chunk.values:,} and "
                f"{uncompressed:,} bytes of {chunk.uncompressed:,}"
            )

    def _verify_page(self, at: int, header: PageHeader, *, has_dictionary: bool) -> None:
        chunk = self._chunk
        if header.is_data and not self._is_known(header.encoding):
            raise self._corrupt(f"is encoded as {header.encoding}, which the footer does not have")
        if header.is_data and header.encoding in _BY_DICTIONARY and not has_dictionary:
            raise self._corrupt("needs a dictionary, and there is none before it")
        if chunk.codec == _UNCOMPRESSED and header.compressed != header.uncompressed:
            raise self._corrupt("has two sizes, although it is not compressed")
        is_spoilt = header.checksum is not None and (
            zlib.crc32(self._bytes(at, header.compressed)) != header.checksum
        )
        if is_spoilt:
            page = f"a page of column {chunk.name}"
            raise PageCorrupt(f"the checksum of {page} is not that of its bytes")
        if (
            header.is_dictionary
            and header.values * _WIDTHS.get(chunk.type, 0) > header.uncompressed
        ):
            raise self._corrupt("is a dictionary of more entries than it has room for")
        if chunk.type == _TEXTS and header.values:
            self._refuse_long_texts(at, header)

    def _is_known(self, encoding: str) -> bool:
        """Return whether the footer has this encoding, by its old or its new name."""
        known = self._chunk.encodings
        return encoding in known or (encoding in _BY_DICTIONARY and bool(_BY_DICTIONARY & known))

    def _refuse_long_texts(self, at: int, header: PageHeader) -> None:
        limits, chunk = self._limits, self._chunk
        if header.is_dictionary:
            longest = dictionaries.longest_text(
                header, chunk.codec, limits.text_kb, lambda: self._bytes(at, header.compressed)
            )
            expanded = header.uncompressed * chunk.values // header.values
            if expanded > limits.row_group_mb * 2**20:
                raise self._corrupt(
                    f"is a dictionary that expands to {expanded:,} bytes, more than the setting "
                    "limits.row_group_mb allows"
                )
        else:
            longest = header.uncompressed // header.values
        if longest > limits.text_kb * 2**10:
            raise self._corrupt(
                f"has a text of about {longest:,} bytes, more than the setting limits.text_kb "
                "allows"
            )

    def _header(self, at: int) -> PageHeader:
        if self._content is not None:
            return page_headers.parse(self._content, at - self._chunk.start)
        try:
            return page_headers.parse(_read(self._file, at, _HEADER))
        except thrift.ThriftCut:
            return page_headers.parse(_read(self._file, at, _LARGE_HEADER))

    def _bytes(self, at: int, size: int) -> bytes:
        if self._content is None:
            return _read(self._file, at, size)
        start = at - self._chunk.start
        return self._content[start : start + size]

    def _corrupt(self, problem: str) -> PageCorrupt:
        return PageCorrupt(f"a page of column {self._chunk.name} {problem}")


def _read(file: Opened, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size)
