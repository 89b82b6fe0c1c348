"""The type of a stored column: decided from Parquet's types and the writer's Arrow type.

One place decides type, unit and zone, and whether the readers of all engines give every value
exactly. Engines use these decisions and never the types that their readers infer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from pipeline.model.columns import Ticks, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

WIDEST_DECIMAL: Final = 38
"""The digits of the widest decimal that all engines have."""

_INT96: Final = "INT96"
FIXED: Final = "FIXED_LEN_BYTE_ARRAY"
_BYTES: Final = "BYTE_ARRAY"
_PHYSICAL: Final = {
    "BOOLEAN": pa.bool_(),
    "INT32": pa.int32(),
    "INT64": pa.int64(),
    _INT96: pa.timestamp("ns", "UTC"),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    _BYTES: pa.binary(),
    FIXED: pa.binary(),
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


@lru_cache(maxsize=512)
def values_of(physical: str, annotated: str, arrow: pa.DataType | None) -> Values:
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
            width = pa.decimal128 if digits <= WIDEST_DECIMAL else pa.decimal256
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


def are_texts(values: Iterable[bytes]) -> bool:
    """Return whether these bytes, such as notes of a writer, are UTF-8 as readers expect."""
    try:
        return all(value.decode() is not None for value in values)
    except UnicodeDecodeError:
        return False


def is_known_field(field: pa.Field) -> bool:
    """Return whether every engine knows the Arrow type of this field, and can read its notes."""
    notes = field.metadata or {}
    return are_texts([*notes, *notes.values()]) and _is_known(field.type)


def _is_known(dtype: pa.DataType) -> bool:
    """Return whether every engine knows this Arrow type; list views, for example, are too new."""
    if isinstance(dtype, pa.BaseExtensionType):
        return _is_known(dtype.storage_type)
    if pa.types.is_dictionary(dtype):
        return _is_known(dtype.value_type)
    if pa.types.is_nested(dtype):
        if not (pa.types.is_struct(dtype) or pa.types.is_map(dtype) or _is_list(dtype)):
            return False
        return all(is_known_field(dtype.field(n)) for n in range(dtype.num_fields))
    return bool(not pa.types.is_interval(dtype))


def _is_list(dtype: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(dtype)
        or pa.types.is_large_list(dtype)
        or pa.types.is_fixed_size_list(dtype)
    )
