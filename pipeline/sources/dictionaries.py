"""The longest text of a dictionary page: one text of a dictionary may be that of every row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.sources.page_headers import PageHeader

_FEW: Final = 4096
"""A dictionary with so many entries is looked through in less than a millisecond."""
_LARGE: Final = 2**22
"""A dictionary of so many bytes is looked through, whatever its entries; writers end before."""
_LENGTH: Final = 4
"""The bytes of the length before each text."""
_CODECS: Final = {
    "SNAPPY": "snappy",
    "GZIP": "gzip",
    "BROTLI": "brotli",
    "ZSTD": "zstd",
    "LZ4_RAW": "lz4_raw",
}


def longest_text(header: PageHeader, codec: str, text_kb: int, read: Callable[[], bytes]) -> int:
    """Find the size in bytes of a dictionary's longest text, or its mean where that is enough.

    Only a dictionary with few entries, or a very large one, is decompressed.

    Args:
        header: The header of the page, with at least one entry.
        codec: The codec of the column chunk.
        text_kb: The kibibytes of a text that are allowed.
        read: Reads the page.

    Raises:
        pyarrow.ArrowException, OSError: It can't be decompressed.
    """
    texts = header.uncompressed - _LENGTH * header.values
    mean = texts // header.values
    is_small = texts <= text_kb * 2**10 or (header.values > _FEW and header.uncompressed < _LARGE)
    if is_small or mean > text_kb * 2**10 or (codec != "UNCOMPRESSED" and codec not in _CODECS):
        return mean
    content = read()
    if codec in _CODECS:
        content = pa.decompress(content, header.uncompressed, _CODECS[codec], asbytes=True)
    return _longest(content, header.values)


def _longest(content: bytes, entries: int) -> int:
    """Walk through texts that follow each other, each after its length."""
    longest = at = 0
    for _ in range(entries):
        size = int.from_bytes(content[at : at + _LENGTH], "little")
        longest = max(longest, size)
        at += _LENGTH + size
    return longest
