"""The parts of a footer that readers trust: the tree of columns, row groups and column chunks.

Read from the bytes. Arrow ends the whole process where a column chunk has an unknown codec or sizes
that do not fit its type, so it must never be asked about one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pipeline.sources import thrift
from pipeline.sources.footer_bytes import FooterRefused, refuse_above

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.settings.limits import LimitSettings

_SCHEMA: Final = 2
_ROWS: Final = 3
_ROW_GROUPS: Final = 4
_NOTES: Final = 5
"""Fields of a footer, as parquet.thrift numbers them."""
_TYPE, _REPETITION, _NAME, _CHILDREN, _CONVERTED = 1, 3, 4, 5, 6
"""Fields of a schema element."""
_MOST_OF: Final = {_TYPE: 7, _REPETITION: 2, _CHILDREN: 2**31 - 1, _CONVERTED: 21}
"""The greatest number that each of these fields may have."""
_REPEATED: Final = 2
_KIBIBYTE: Final = 2**10
_TOP_LEVEL: Final = 2
"""The groups that are open where a top-level column is read: the root, and the one around it."""
_CHUNKS, _GROUP_ROWS = 1, 3
"""Fields of a row group."""
_FILE, _ABOUT = 1, 3
"""Fields of a column chunk."""
_ENCODINGS, _PATH, _CODEC, _VALUES, _UNCOMPRESSED, _COMPRESSED, _DATA, _DICTIONARY = (
    *(2, 3, 4, 5, 6, 7),
    *(9, 11),
)
"""Fields of the metadata of a column chunk; its type is field 1, as in a schema element."""
_ENCODING_NAMES: Final = {
    0: "PLAIN",
    2: "PLAIN_DICTIONARY",
    3: "RLE",
    4: "BIT_PACKED",
    5: "DELTA_BINARY_PACKED",
    6: "DELTA_LENGTH_BYTE_ARRAY",
    7: "DELTA_BYTE_ARRAY",
    8: "RLE_DICTIONARY",
    9: "BYTE_STREAM_SPLIT",
}
_CODECS: Final = ("UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW")


class Leaf(NamedTuple):
    """A column with values: one of the top level, or a field within a nested one."""

    path: tuple[bytes, ...]
    type: int
    """The physical type, as parquet.thrift numbers it."""
    is_flat: bool
    """Whether it has one value a row, null or not."""


class Chunk(NamedTuple):
    """A column in one row group, as the footer describes it."""

    path: tuple[bytes, ...]
    type: int
    encodings: frozenset[str]
    codec: str
    values: int
    uncompressed: int
    compressed: int
    start: int
    """The position of its first page: its dictionary, where it has one."""
    is_elsewhere: bool
    """Whether its pages are in another file."""

    @property
    def end(self) -> int:
        """The position after its last page."""
        return self.start + self.compressed

    @property
    def name(self) -> str:
        """The name of the column in messages."""
        return b".".join(self.path).decode(errors="replace")


class RowGroup(NamedTuple):
    """A row group, as the footer describes it."""

    rows: int
    chunks: Sequence[Chunk]


class FooterParts(NamedTuple):
    """The parts of a footer."""

    names: Sequence[str]
    """The names of the top-level columns, in their order."""
    leaves: Sequence[Leaf]
    rows: int
    groups: Sequence[RowGroup]


def read(footer: bytes, limits: LimitSettings) -> FooterParts:
    """Read the parts of a footer; a bound is compared before what it is about is read.

    Raises:
        FooterRefused: It exceeds a bound, or lacks a part.
        ThriftCorrupt: It is no footer.
    """
    found: dict[int, Any] = {}
    field, kind, at = thrift.read_field_head(footer, 0, 0)
    while field:
        if field in found:
            raise FooterRefused(_WRONG.format("it has a part twice"))
        if field == _SCHEMA:
            refuse_above("columns", _count(footer, at) - 1, limits.columns, 1, "{} columns")
        elif field == _ROW_GROUPS:
            groups = _count(footer, at)
            refuse_above("row_groups", groups, limits.row_groups, 1, "{} row groups")
        found[field], at = thrift.read_value(footer, at, kind)
        field, kind, at = thrift.read_field_head(footer, at, field)
    notes = sum(map(_size, _of_structs(found, _NOTES))) if _NOTES in found else 0
    refuse_above("metadata_kb", notes, limits.metadata_kb, _KIBIBYTE, "{} bytes of metadata")
    names, leaves = _schema(_of_structs(found, _SCHEMA), limits)
    groups_of = [_group(group) for group in _of_structs(found, _ROW_GROUPS)]
    return FooterParts(names, leaves, _integer(found, _ROWS), groups_of)


_WRONG: Final = "its footer is wrong ({}); export or copy it again"


def _size(note: Mapping[int, Any]) -> int:
    """Give the bytes of a key and its value."""
    return sum(len(one) for one in note.values() if isinstance(one, bytes))


def _count(footer: bytes, at: int) -> int:
    return thrift.read_list_head(footer, at)[0]


def _schema(elements: Sequence[Any], limits: LimitSettings) -> tuple[list[str], list[Leaf]]:
    """Read the tree of columns, whose elements follow each other depth first."""
    names: list[str] = []
    leaves: list[Leaf] = []
    path: list[bytes] = []
    open_, flat = [1], [True]
    for element in elements:
        while open_ and not open_[-1]:
            open_.pop(), flat.pop(), path and path.pop()
        if not open_:
            raise FooterRefused(_WRONG.format("its schema has columns of no parent"))
        open_[-1] -= 1
        _check_element(element, is_root=len(open_) < _TOP_LEVEL)
        name, children = element[_NAME], element.get(_CHILDREN, 0)
        is_flat = flat[-1] and element.get(_REPETITION) != _REPEATED
        if len(open_) == _TOP_LEVEL:
            names.append(name.decode(errors="replace"))
        if children:
            refuse_above("nesting", len(open_) - 1, limits.nesting, 1, "{} levels of nesting")
            open_.append(children)
            flat.append(is_flat)
            path += [name] if len(open_) > _TOP_LEVEL else []
        elif len(open_) > 1:
            leaves.append(Leaf((*path, name), _integer(element, _TYPE), is_flat))
    if any(open_):
        raise FooterRefused(_WRONG.format("its schema lacks columns that it counts"))
    return names, leaves


def _check_element(element: Mapping[int, Any], *, is_root: bool) -> None:
    """Check the fields of a schema element; libraries end the process at some unknown numbers."""
    for field, most in _MOST_OF.items():
        value = element.get(field, 0)
        if type(value) is not int or not 0 <= value <= most:
            raise FooterRefused(_WRONG.format("a column has an unknown type"))
    if not isinstance(element.get(_NAME), bytes) or (not is_root and _REPETITION not in element):
        raise FooterRefused(_WRONG.format("a column has no name, or none of the kinds of value"))


def _group(group: Mapping[int, Any]) -> RowGroup:
    return RowGroup(_integer(group, _GROUP_ROWS), list(map(_chunk, _of_structs(group, _CHUNKS))))


def _chunk(chunk: Mapping[int, Any]) -> Chunk:
    about = chunk.get(_ABOUT)
    if not isinstance(about, dict):
        raise FooterRefused(_WRONG.format("a column has no metadata"))
    encodings, path = about.get(_ENCODINGS), about.get(_PATH)
    if not (isinstance(encodings, list) and isinstance(path, list) and _are_names(path)):
        raise FooterRefused(_WRONG.format("a column has no encodings, or no name"))
    codec, data = _integer(about, _CODEC), _integer(about, _DATA)
    # Some writers give a dictionary the position 0, or one after the data, where there is none.
    dictionary = about.get(_DICTIONARY, 0)
    is_first = isinstance(dictionary, int) and 0 < dictionary < data
    return Chunk(
        tuple(path),
        _integer(about, _TYPE),
        frozenset([encoding_name(one) for one in encodings]),
        _CODECS[codec] if 0 <= codec < len(_CODECS) else f"codec {codec}",
        _integer(about, _VALUES),
        _integer(about, _UNCOMPRESSED),
        _integer(about, _COMPRESSED),
        dictionary if is_first else data,
        bool(chunk.get(_FILE)),
    )


def _are_names(path: Sequence[Any]) -> bool:
    return {*map(type, path)} <= {bytes}


def encoding_name(encoding: Any) -> str:  # noqa: ANN401 (of any field)
    """Give the name of an encoding by its number; that of an unknown one is its number."""
    known = _ENCODING_NAMES.get(encoding) if type(encoding) is int else None
    return known or f"encoding {encoding}"


def _of_structs(fields: Mapping[int, Any], field: int) -> Sequence[Any]:
    value = fields.get(field)
    if not isinstance(value, list) or {*map(type, value)} - {dict}:
        raise FooterRefused(_WRONG.format("it has no columns or no row groups"))
    return value


def _integer(fields: Mapping[int, Any], field: int) -> int:
    value = fields.get(field)
    if type(value) is not int:
        raise FooterRefused(_WRONG.format("it lacks a size or a number"))
    return value
