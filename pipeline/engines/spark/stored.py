"""The columns of a file: how Spark reads them, and their values as all engines need them.

Reads by the types that `pipeline.sources` decided from the footer, never by those that Spark
infers: instants as whole ticks, unsigned numbers with room, and bytes where Spark's own type would
lose something.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F  # noqa: N812 (Spark's documentation names it so)

from pipeline.model.columns import NANOSECONDS_OF, ColumnMapping, Ticks, Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import Column

    from pipeline.sources.accepted import Export

_INT96: Final = "INT96"
_WIDEST_DECIMAL: Final = 38
_JULIAN_DAY_OF_1970: Final = 2_440_588
_DAY_US: Final = 86_400_000_000
_HYPHENATED: Final = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
"""The groups of digits of a UUID: first digit and length."""


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """One of our columns as a file has it."""

    ours: str
    theirs: str
    physical: str
    length: int
    logical: Mapping[str, object]

    @property
    def kind(self) -> object:
        """The logical type, by Parquet's name."""
        return self.logical["Type"]


def columns(export: Export) -> list[StoredColumn]:
    """List our columns in the file."""
    return [
        StoredColumn(ours, theirs, physical, length, json.loads(annotated))
        for ours, theirs, physical, length, annotated in export.layout
    ]


def is_readable(export: Export) -> bool:
    """Return whether Spark can read all types exactly; decimals over 38 digits it can't."""
    return all(
        one.kind != "Decimal" or int(str(one.logical["precision"])) <= _WIDEST_DECIMAL
        for one in columns(export)
    )


def has_int96(export: Export) -> bool:
    """Return whether a column has the old type of timestamps."""
    return any(one.physical == _INT96 for one in columns(export))


def schema(export: Export) -> str:
    """Write the schema by which Spark reads the file, in its language for tables."""
    fields = {one.theirs: _read_as(one) for one in columns(export)}
    return ", ".join(f"{quoted(theirs)} {dtype}" for theirs, dtype in fields.items())


def quoted(name: str) -> str:
    """Quote the name of a column."""
    return "`" + name.replace("`", "``") + "`"


def _read_as(column: StoredColumn) -> str:
    match column.kind, column.physical:
        case "Int", _:
            return _integer(column)
        case "Decimal", _:
            return f"DECIMAL({column.logical['precision']}, {column.logical['scale']})"
        case "Timestamp", _:
            return "BIGINT"
        case (("Date" | "Null"), "INT32"):
            return "INT"
        case (("String" | "Enum"), _):
            return "STRING"
        case _, physical:
            return _PHYSICAL.get(physical, "BINARY")


_PHYSICAL: Final = {
    "BOOLEAN": "BOOLEAN",
    "INT32": "INT",
    "INT64": "BIGINT",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
}
"""Spark's type by Parquet's physical one; all others are read as bytes."""


def _integer(column: StoredColumn) -> str:
    """Give the smallest type that has room for all values."""
    width, is_signed = column.logical["bitWidth"], column.logical["isSigned"]
    if column.physical == "INT64":
        return "BIGINT" if is_signed else "DECIMAL(20, 0)"
    return "BIGINT" if width == 32 and not is_signed else "INT"  # noqa: PLR2004 (bits)


def raw(export: Export) -> tuple[list[Column], ColumnMapping]:
    """Give the raw columns under our names, and what they are then.

    Instants with a finer unit than microseconds are split natively, because a division through
    Narwhals is one of doubles.
    """
    instants = dict(export.mapping.instants)
    found: list[Column] = []
    for one in columns(export):
        value = F.col(quoted(one.theirs))
        ticks = instants.get(one.ours)
        if ticks is not None and ticks.unit in {Unit.NANOSECONDS, Unit.SPLIT}:
            instants[one.ours] = Ticks(Unit.SPLIT, zoned=ticks.zoned)
            found.extend(_split(one, value))
        else:
            found.append(_value(one, value).alias(one.ours))
    return found, ColumnMapping(export.mapping.sources, instants)


def _value(column: StoredColumn, value: Column) -> Column:
    match column.kind:
        case "Float16":
            return _float16(value)
        case "UUID":
            digits = F.lower(F.hex(value))
            return F.concat_ws("-", *(F.substring(digits, *one) for one in _HYPHENATED))
        case _:
            return value


def _split(column: StoredColumn, value: Column) -> tuple[Column, Column]:
    if column.physical != _INT96:
        return split_nanoseconds(column.ours, value)
    days = _little_endian(value, 9, 4).cast("bigint") - F.lit(_JULIAN_DAY_OF_1970)
    micros, beyond = split_nanoseconds(column.ours, _little_endian(value, 1, 8).cast("bigint"))
    return (days * F.lit(_DAY_US) + micros).alias(column.ours), beyond


def split_nanoseconds(ours: str, value: Column) -> tuple[Column, Column]:
    """Split nanoseconds into whole microseconds, and the nanoseconds beyond, under our names."""
    thousand = F.lit(1000).cast("bigint")
    beyond = F.pmod(value, thousand)
    is_below = ((value < 0) & (beyond > 0)).cast("bigint")
    micros = F.call_function("div", value, thousand) - is_below
    return micros.alias(ours), beyond.alias(NANOSECONDS_OF[ours])


def _little_endian(content: Column, first: int, size: int) -> Column:
    """Read a whole number from bytes, low byte first."""
    places = range(first + size - 1, first - 1, -1)
    swapped = F.concat(*(F.substring(content, place, 1) for place in places))
    return F.conv(F.hex(swapped), 16, 10).cast("decimal(20, 0)")


def _float16(content: Column) -> Column:
    """Read the IEEE 754 number with sign, 5 bits of exponent and 10 of fraction."""
    bits = _little_endian(content, 1, 2).cast("int")
    sign = F.when(bits >= F.lit(2**15), F.lit(-1.0)).otherwise(F.lit(1.0))
    exponent = F.shiftright(bits, 10).bitwiseAND(F.lit(31))
    fraction = bits.bitwiseAND(F.lit(2**10 - 1)).cast("double")
    normal = (F.lit(1.0) + fraction / F.lit(2.0**10)) * F.pow(F.lit(2.0), exponent - F.lit(15))
    special = F.when(fraction == 0, F.lit(float("inf"))).otherwise(F.lit(float("nan")))
    size = (
        F.when(exponent == F.lit(31), special)
        .when(exponent == F.lit(0), fraction * F.lit(2.0**-24))
        .otherwise(normal)
    )
    return sign * size
