"""The footer of a Parquet file, read once: the columns of the file, and the types of ours.

Owns every decision about a column's type, unit and zone. Engines use these decisions and never
the types that their readers infer, so they can't differ. Decides as well whether those readers
give every value exactly; where they may not, `batches` reads the file for all engines.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.model.columns import Ticks, Unit

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

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
_WIDEST_DECIMAL: Final = 38
"""The digits of the widest decimal that all engines have."""

_INT96: Final = "INT96"
_FIXED: Final = "FIXED_LEN_BYTE_ARRAY"
_BYTES: Final = "BYTE_ARRAY"
_PHYSICAL: Final = {
    "BOOLEAN": pa.bool_(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    _INT96: pa.timestamp("ns", "UTC"),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    _BYTES: pa.binary(),
    _FIXED: pa.binary(),
}
"""The Arrow types of columns without a logical type."""
_LOGICAL: Final = {
    "String": pa.string(),
    "Enum": pa.string(),
    "UUID": pa.string(),
    "Date": pa.date32(),
    "Float16": pa.float16(),
    "Null": pa.null(),
}
"""The Arrow types of logical types without parameters."""
_UNITS: Final = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
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
class Values:
    """The type of a column's values, independent of how the file encodes them."""

    dtype: pa.DataType | None
    """Their type; None if it is not supported."""
    described: str
    """The name of the type in a refusal."""
    ticks: Ticks | None = None
    """Their unit and zone, if they are instants."""
    is_native: bool = False
    """Whether every engine's own reader gives this type exactly."""


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
    first_page: int | None
    """The place of the first page; None where there is none."""


def read(location: str, wanted: Collection[str]) -> Footer:
    """Read a file's footer, and decide the types of these columns.

    Raises:
        pyarrow.ArrowException, OSError, ValueError: The file is no Parquet, or can't be opened.
    """
    with pq.ParquetFile(location) as parquet:
        metadata = parquet.metadata
    arrow = _arrow_schema((metadata.metadata or {}).get(_ARROW_SCHEMA))
    leaves = [metadata.schema.column(n) for n in range(metadata.num_columns)]
    paths = [leaf.path for leaf in leaves]
    columns: dict[str, StoredColumn] = {}
    for place, (leaf, path) in enumerate(zip(leaves, paths, strict=True)):
        name = path if path in wanted else path.partition(".")[0]
        if name in wanted and name not in columns:
            chunks = (metadata.row_group(n).column(place) for n in range(metadata.num_row_groups))
            columns[name] = _stored(leaf, name, arrow.fields.get(name), chunks)
    return Footer(
        metadata.num_rows,
        _top_level(paths),
        columns,
        arrow.is_known and _is_open_to_all(metadata, leaves),
        _first_page(metadata),
    )


def _first_page(metadata: pq.FileMetaData) -> int | None:
    if not metadata.num_row_groups or not metadata.num_columns:
        return None
    chunk = metadata.row_group(0).column(0)
    first: int = chunk.dictionary_page_offset or chunk.data_page_offset
    return first


def _top_level(paths: Iterable[str]) -> list[str]:
    """List the top-level columns of these leaves; nested columns have several leaves."""
    names: list[str] = []
    for path in paths:
        name, _, inner = path.partition(".")
        if not inner or not names or names[-1] != name:
            names.append(name)
    return names


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
    return _ArrowSchema(fields, all(map(_is_known_field, schema)))


def _stored(
    leaf: pq.ColumnSchema,
    name: str,
    field: pa.Field | None,
    chunks: Iterable[pq.ColumnChunkMetaData],
) -> StoredColumn:
    arrow = None if field is None else field.type
    if leaf.path != name or leaf.max_repetition_level:
        return StoredColumn(name, Values(None, "a nested type" if arrow is None else str(arrow)))
    annotated = leaf.logical_type.to_json()
    values = _values(leaf.physical_type, annotated, arrow)
    is_native = (
        values.is_native
        and not (field is not None and _EXTENSION in (field.metadata or {}))
        and _are_known(chunks, _PLAIN_ENCODINGS if leaf.physical_type == _FIXED else _ENCODINGS)
    )
    written = (leaf.physical_type, leaf.length, annotated)
    return StoredColumn(name, values, is_native, written)


def _are_known(chunks: Iterable[pq.ColumnChunkMetaData], encodings: frozenset[str]) -> bool:
    return all(
        chunk.compression in _CODECS and encodings.issuperset(chunk.encodings) for chunk in chunks
    )


@lru_cache(maxsize=512)
def _values(physical: str, annotated: str, arrow: pa.DataType | None) -> Values:
    """Decide the type of values, from Parquet's types and the writer's Arrow type if any."""
    logical = json.loads(annotated)
    dtype = _dtype(physical, logical)
    if physical == _INT96 and arrow is not None and _is_wall_clock(arrow):
        dtype = pa.timestamp("ns")
    if dtype is None or (arrow is not None and pa.types.is_duration(arrow)):
        return Values(None, str(arrow) if arrow is not None else logical["Type"].lower())
    is_native = _is_native(physical, logical["Type"], dtype) and (
        arrow is None or _agrees(arrow, dtype)
    )
    return Values(dtype, str(dtype), _ticks(physical, dtype), is_native)


def _dtype(physical: str, logical: Mapping[str, Any]) -> pa.DataType | None:
    """Return the Arrow type for Parquet's own types; None where it is not supported."""
    match logical["Type"]:
        case "None":
            return _PHYSICAL.get(physical)
        case "Int":
            sign = "" if logical["isSigned"] else "u"
            return getattr(pa, f"{sign}int{logical['bitWidth']}")()
        case "Decimal":
            digits, scale = logical["precision"], logical["scale"]
            width = pa.decimal128 if digits <= _WIDEST_DECIMAL else pa.decimal256
            return width(digits, scale)
        case "Timestamp":
            # Old converted types do not define whether these are instants; Arrow decides alike.
            is_instant = logical["isAdjustedToUTC"] and not logical["is_from_converted_type"]
            return pa.timestamp(_UNITS[logical["timeUnit"]], "UTC" if is_instant else None)
        case kind:
            return _LOGICAL.get(kind)


def _is_wall_clock(dtype: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(dtype) and dtype.tz is None)


def _ticks(physical: str, dtype: pa.DataType) -> Ticks | None:
    if pa.types.is_date(dtype):
        return Ticks(Unit.DAYS, zoned=False)
    if not pa.types.is_timestamp(dtype):
        return None
    unit = Unit.SPLIT if physical == _INT96 else Unit(dtype.unit)
    return Ticks(unit, zoned=dtype.tz is not None)


def _is_native(physical: str, logical: str, dtype: pa.DataType) -> bool:
    """Return whether all engines' readers know this type, in its usual encodings."""
    if physical == _INT96 or logical in {"Enum", "UUID"}:
        return False
    if physical == _BYTES:
        return bool(pa.types.is_string(dtype))
    return not pa.types.is_decimal256(dtype)


def _agrees(arrow: pa.DataType, dtype: pa.DataType) -> bool:
    """Return whether a reader which uses the Arrow schema gives the same values."""
    if isinstance(arrow, pa.BaseExtensionType):
        return False
    if pa.types.is_string(dtype):
        return _is_text(arrow.value_type if pa.types.is_dictionary(arrow) else arrow)
    if pa.types.is_timestamp(dtype):
        # Parquet has no seconds: writers store them as milliseconds.
        units = ("s", "ms") if dtype.unit == "ms" else (dtype.unit,)
        return bool(pa.types.is_timestamp(arrow) and arrow.unit in units)
    if pa.types.is_decimal(dtype):
        same = (dtype.precision, dtype.scale)
        return bool(pa.types.is_decimal(arrow) and (arrow.precision, arrow.scale) == same)
    return bool(arrow == dtype)


def _is_text(dtype: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(dtype)
        or pa.types.is_large_string(dtype)
        or pa.types.is_string_view(dtype)
    )


def _is_open_to_all(metadata: pq.FileMetaData, leaves: Iterable[pq.ColumnSchema]) -> bool:
    """Return whether every engine's reader can read the footer with all its columns."""
    notes = metadata.metadata or {}
    return _are_texts([*notes, *notes.values()]) and all(
        leaf.logical_type.type in _KNOWN and leaf.precision <= _WIDEST_DECIMAL for leaf in leaves
    )


def _are_texts(values: Iterable[bytes]) -> bool:
    try:
        return all(value.decode() is not None for value in values)
    except UnicodeDecodeError:
        return False


def _is_known_field(field: pa.Field) -> bool:
    notes = field.metadata or {}
    return _are_texts([*notes, *notes.values()]) and _is_known(field.type)


def _is_known(dtype: pa.DataType) -> bool:
    """Return whether every engine knows this Arrow type; list views, for example, are too new."""
    if isinstance(dtype, pa.BaseExtensionType):
        return _is_known(dtype.storage_type)
    if pa.types.is_dictionary(dtype):
        return _is_known(dtype.value_type)
    if pa.types.is_nested(dtype):
        if not (pa.types.is_struct(dtype) or pa.types.is_map(dtype) or _is_list(dtype)):
            return False
        return all(_is_known_field(dtype.field(n)) for n in range(dtype.num_fields))
    return bool(not pa.types.is_interval(dtype))


def _is_list(dtype: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(dtype)
        or pa.types.is_large_list(dtype)
        or pa.types.is_fixed_size_list(dtype)
    )
