"""The footer of a Parquet file, read once: the columns of the file, and the types of ours.

Decides whether the readers of all engines give every value exactly, by types, encodings and codecs.
Where they may not, `batches` reads the file for all engines.
"""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources import footer_bytes, footer_checks, footer_parts
from pipeline.sources.encryption import open_parquet
from pipeline.sources.footer_bytes import FooterRefused
from pipeline.sources.stored_types import (
    FIXED,
    WIDEST_DECIMAL,
    Values,
    are_texts,
    is_known_field,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pipeline.settings.limits import LimitSettings
    from pipeline.sources.exports import File
    from pipeline.sources.footer_parts import FooterParts

_ARROW_SCHEMA: Final = b"ARROW:schema"
_EXTENSION: Final = b"ARROW:extension:name"

_PLAIN_ENCODINGS: Final = frozenset(
    {"PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED"}
)
_ENCODINGS: Final = _PLAIN_ENCODINGS | {
    "DELTA_BINARY_PACKED",
    "DELTA_LENGTH_BYTE_ARRAY",
    "DELTA_BYTE_ARRAY",
    "BYTE_STREAM_SPLIT",
}
_CODECS: Final = frozenset({"UNCOMPRESSED", "SNAPPY", "GZIP", "BROTLI", "ZSTD"})
"""LZ4 is missing: a footer does not distinguish its two framings, and only Arrow reads both."""
_KNOWN: Final = frozenset(
    {
        "BSON",
        "DATE",
        "DECIMAL",
        "ENUM",
        "FLOAT16",
        "INT",
        "JSON",
        "NONE",
        "STRING",
        "TIME",
        "TIMESTAMP",
        "UNKNOWN",
        "UUID",
    }
)
"""The logical types that other columns may have without disturbing an engine's reader."""


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """One column of a file, at its top level."""

    name: str
    values: Values
    is_native: bool = False
    """Whether every engine's own reader gives its values exactly, by type and encodings."""
    written: tuple[Any, ...] = ()
    """The physical and logical type; readers treat two columns alike only where this is equal."""


@dataclass(frozen=True, slots=True)
class Footer:
    """The parts of a file's footer that decide how it is read."""

    rows: int
    names: Sequence[str]
    """The names of all top-level columns, in their order; two of one name are two entries."""
    columns: Mapping[str, StoredColumn]
    """The columns that were asked for, by name."""
    is_native: bool
    """Whether engines' own readers can open the file in spite of its other columns."""
    notes: Mapping[bytes, bytes]
    """The key-value metadata of the file."""


def read(file: File, wanted: Collection[str], limits: LimitSettings) -> Footer:
    """Read a file's footer, hold it against itself, and decide the types of these columns.

    Opens the file for no longer than that, also where it is refused.

    Args:
        file: The file.
        wanted: The names of the columns.
        limits: The bounds that it must keep.

    Raises:
        FooterRefused: It contradicts itself or exceeds a bound; has what to do.
        pyarrow.ArrowException, OSError, ValueError: The file is no Parquet, or can't be opened.
    """
    size = file.fingerprint.size
    with closing(file.open()) as opened:
        content = footer_bytes.read(opened, size, limits)
    parts = footer_parts.read(content, limits)
    footer_checks.check(parts, size - footer_bytes.size_with(content), limits)
    metadata = pq.read_metadata(pa.BufferReader(footer_bytes.as_file(content)))
    if (metadata.num_rows, metadata.num_columns) != (parts.rows, len(parts.leaves)):
        raise FooterRefused("its footer is read otherwise by libraries; export or copy it again")
    return _footer(metadata, parts.names, partial(_stored_as, parts), wanted)


def read_encrypted(file: File, wanted: Collection[str]) -> Footer:
    """Read the footer of a file that this program has written, with its key.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: It is no such file, or has another key.
    """
    with open_parquet(file) as parquet:
        metadata = parquet.metadata
    names = [metadata.schema.column(n).path for n in range(metadata.num_columns)]
    return _footer(metadata, names, partial(_stored_by_arrow, metadata), wanted)


class _StoredAs(NamedTuple):
    """The compression and the encodings of a column in one row group."""

    codec: str
    encodings: frozenset[str]


def _stored_as(parts: FooterParts, place: int) -> list[_StoredAs]:
    chunks = (group.chunks[place] for group in parts.groups)
    return [_StoredAs(chunk.codec, chunk.encodings) for chunk in chunks]


def _stored_by_arrow(metadata: pq.FileMetaData, place: int) -> list[_StoredAs]:
    chunks = (metadata.row_group(n).column(place) for n in range(metadata.num_row_groups))
    return [_StoredAs(chunk.compression, frozenset(chunk.encodings)) for chunk in chunks]


def _footer(
    metadata: pq.FileMetaData,
    names: Sequence[str],
    stored_as: Callable[[int], Iterable[_StoredAs]],
    wanted: Collection[str],
) -> Footer:
    arrow = _arrow_schema((metadata.metadata or {}).get(_ARROW_SCHEMA))
    leaves = [metadata.schema.column(n) for n in range(metadata.num_columns)]
    columns: dict[str, StoredColumn] = {}
    for place, leaf in enumerate(leaves):
        path = leaf.path
        name = path if path in wanted else path.partition(".")[0]
        if name in wanted and name not in columns:
            columns[name] = _stored(leaf, name, arrow.fields.get(name), stored_as(place))
    return Footer(
        metadata.num_rows,
        names,
        columns,
        arrow.is_known and _is_open_to_all(metadata, leaves),
        metadata.metadata or {},
    )


@dataclass(frozen=True, slots=True)
class _ArrowSchema:
    """The Arrow schema that the writer left in the file."""

    fields: Mapping[str, pa.Field]
    """The fields by name, without names that several have."""
    is_known: bool
    """Whether every engine's reader knows all types in it; true if there is no Arrow schema."""


@lru_cache(maxsize=64)
def _arrow_schema(encoded: bytes | None) -> _ArrowSchema:
    if encoded is None:
        return _ArrowSchema({}, is_known=True)
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(encoded)))
    except (pa.ArrowException, OSError, ValueError, binascii.Error):
        return _ArrowSchema({}, is_known=False)
    counts = Counter(schema.names)
    fields = {field.name: field for field in schema if counts[field.name] == 1}
    return _ArrowSchema(fields, all(map(is_known_field, schema)))


def _stored(
    leaf: pq.ColumnSchema,
    name: str,
    field: pa.Field | None,
    chunks: Iterable[_StoredAs],
) -> StoredColumn:
    arrow = None if field is None else field.type
    if leaf.path != name or leaf.max_repetition_level:
        return StoredColumn(name, Values(None, "a nested type" if arrow is None else str(arrow)))
    annotated = leaf.logical_type.to_json()
    values = values_of(leaf.physical_type, annotated, arrow)
    is_native = (
        values.is_native
        and not (field is not None and _EXTENSION in (field.metadata or {}))
        and _are_known(chunks, _PLAIN_ENCODINGS if leaf.physical_type == FIXED else _ENCODINGS)
    )
    written = (leaf.physical_type, leaf.length, annotated)
    return StoredColumn(name, values, is_native, written)


def _are_known(chunks: Iterable[_StoredAs], encodings: frozenset[str]) -> bool:
    return all(chunk.codec in _CODECS and chunk.encodings <= encodings for chunk in chunks)


def _is_open_to_all(metadata: pq.FileMetaData, leaves: Iterable[pq.ColumnSchema]) -> bool:
    """Return whether every engine's reader can read the footer with all its columns."""
    notes = metadata.metadata or {}
    return are_texts([*notes, *notes.values()]) and all(
        leaf.logical_type.type in _KNOWN and leaf.precision <= WIDEST_DECIMAL for leaf in leaves
    )
