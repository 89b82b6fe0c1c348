"""Headers of pages: their sizes, counts and encodings, read before any value is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.sources import thrift
from pipeline.sources.footer_parts import encoding_name

if TYPE_CHECKING:
    from collections.abc import Mapping

_TYPE: Final = 1
_UNCOMPRESSED_SIZE: Final = 2
_COMPRESSED_SIZE: Final = 3
_CHECKSUM: Final = 4
_DATA: Final = 5
_DICTIONARY: Final = 7
_DATA_V2: Final = 8
"""Fields of a page header, as parquet.thrift numbers them."""
_VALUES: Final = 1
_ENCODING: Final = 2
_NULLS_V2: Final = 2
_ROWS_V2: Final = 3
_ENCODING_V2: Final = 4
_LEVELS_V2: Final = (5, 6)
"""Fields of the header's part for one type of page."""
_PART_OF: Final = {0: _DATA, 2: _DICTIONARY, 3: _DATA_V2}
"""The part of a header by the type of its page."""
_INDEX: Final = 1
"""The type of a page that has no values."""
_WIDEST: Final = 2**31 - 1
"""The greatest size or count, which have 32 bits."""


class HeaderCorrupt(ValueError):
    """A page header that contradicts itself; the message is the middle of a sentence."""


class PageHeader(NamedTuple):
    """The header of one page."""

    size: int
    """The bytes of the header itself."""
    compressed: int
    """The bytes of the page after it."""
    uncompressed: int
    values: int
    """The values, nulls included; of a dictionary its entries."""
    encoding: str
    is_dictionary: bool
    is_data: bool
    checksum: int | None
    """The CRC-32 of the bytes, where the writer gave one."""


def parse(content: bytes, at: int = 0) -> PageHeader:
    """Read the header that begins at this position.

    Raises:
        ThriftCut: The bytes end before the header does.
        ThriftCorrupt, HeaderCorrupt: It is no page header.
    """
    fields, end = thrift.read_struct(content, at)
    compressed, uncompressed = _count(fields, _COMPRESSED_SIZE), _count(fields, _UNCOMPRESSED_SIZE)
    kind, checksum = fields.get(_TYPE), fields.get(_CHECKSUM)
    values, encoding = (0, "") if kind == _INDEX else _part(fields, uncompressed)
    return PageHeader(
        end - at,
        compressed,
        uncompressed,
        values,
        encoding,
        kind == 2,  # noqa: PLR2004 (as parquet.thrift numbers types)
        kind in {0, 3},
        None if checksum is None else checksum % 2**32,
    )


def _part(fields: Mapping[int, Any], uncompressed: int) -> tuple[int, str]:
    """Give the number of values and their encoding from the part for the page's type."""
    place = _PART_OF.get(fields.get(_TYPE, -1), 0)
    part = fields.get(place)
    if not isinstance(part, dict):
        raise HeaderCorrupt("has a header of an unknown type")
    values = _count(part, _VALUES)
    if place == _DATA_V2:
        if max(_count(part, _NULLS_V2), _count(part, _ROWS_V2)) > values:
            raise HeaderCorrupt("has a header whose numbers of nulls or rows contradict its values")
        if sum(_count(part, field) for field in _LEVELS_V2) > uncompressed:
            raise HeaderCorrupt("has a header whose levels are larger than the page")
    encoding = _count(part, _ENCODING_V2 if place == _DATA_V2 else _ENCODING)
    return values, encoding_name(encoding)


def _count(fields: Mapping[int, Any], field: int) -> int:
    """Give a field that is a size or a number."""
    value = fields.get(field)
    if type(value) is not int or not 0 <= value <= _WIDEST:
        raise HeaderCorrupt("has a header without a size or a number, or with a negative one")
    return value
