"""The columns of a file: how Spark reads them, and their values as all engines need them.

Reads by the types that `pipeline.sources` decided from the footer, never by those that Spark
infers: instants as whole ticks, unsigned numbers with room, and bytes where Spark's own type would
lose something.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F  # noqa: N812 (Spark's documentation names it so)

from pipeline.model.columns import NANOSECONDS_OF, ColumnMapping, Ticks, Unit
from pipeline.sources.batches import FAR_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import Column

    from pipeline.sources.accepted import Export

_INT96: Final = "INT96"
_TEXTS: Final = frozenset({"String", "Enum"})
"""Parquet's types that are read as texts."""
_WIDEST_DECIMAL: Final = 38
_JULIAN_DAY_OF_1970: Final = 2_440_588
_DAY_SECONDS: Final = 86_400
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
        case kind, _ if kind in _TEXTS:
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
    return found, replace(export.mapping, instants=instants)


def _value(column: StoredColumn, value: Column) -> Column:
    match column.kind:
        case "Float16":
            return _float16(value)
        case "UUID":
            digits = F.lower(F.hex(value))
            return F.concat(*_joined(F.substring(digits, *one) for one in _HYPHENATED))
        case kind if kind in _TEXTS:
            return F.validate_utf8(value)  # an error, as on every other engine
        case _:
            return value


def _joined(groups: Iterable[Column]) -> list[Column]:
    """Put hyphens between groups of digits."""
    first, *others = groups
    return [first, *chain.from_iterable((F.lit("-"), group) for group in others)]


def is_legible(export: Export) -> Column:
    """Find out if all texts of a row, as the file has them, are UTF-8."""
    texts = [one for one in columns(export) if one.kind in _TEXTS]
    legible = ", ".join(f"coalesce(is_valid_utf8({quoted(one.theirs)}), true)" for one in texts)
    return F.expr(f"forall(array({legible}), legible -> legible)")


def _split(column: StoredColumn, value: Column) -> tuple[Column, Column]:
    if column.physical != _INT96:
        return split_nanoseconds(column.ours, value)
    days = _little_endian(value, 9, 4).cast("bigint") - F.lit(_JULIAN_DAY_OF_1970)
    nanoseconds = _little_endian(value, 1, 8)
    seconds = days * F.lit(_DAY_SECONDS) + _quotient(nanoseconds, 10**9)
    is_far = F.abs(seconds) > F.lit(FAR_SECONDS)
    micros = days * F.lit(_DAY_SECONDS * 10**6) + _quotient(nanoseconds, 1000)
    last = F.signum(seconds).cast("bigint") * F.lit(FAR_SECONDS * 10**6)
    beyond = F.pmod(nanoseconds, F.lit(1000)).cast("bigint")
    return (
        F.when(is_far, last).otherwise(micros).alias(column.ours),
        F.when(is_far, F.lit(0)).otherwise(beyond).alias(NANOSECONDS_OF[column.ours]),
    )


def _quotient(number: Column, divisor: int) -> Column:
    """Divide whole numbers that are not negative."""
    quotient: Column = F.call_function("div", number, F.lit(divisor)).cast("bigint")
    return quotient


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
