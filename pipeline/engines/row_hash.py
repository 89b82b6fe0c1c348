"""The row hash: 64 bits computed from all values of a row, the same from every engine.

The sum, modulo 2^64, of the XXH64 of each text (UTF-8) and double (8 bytes, low byte first), and
of each whole number times the odd multiplier of its column. -0.0 is 0.0, every NaN the same,
booleans are 0 and 1, instants microseconds. A column's seed is the XXH64 of its name with seed 42,
its multiplier the upper 59 bits of the seed, made odd. Null adds the seed. A row's checksum is the
XXH64 of the sum with seed 42, so that values of two rows do not cancel out.

XXH64 is specified (https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md) and in Spark as
well. An engine's own hash would change with its release, and with it every digest. To hash whole
numbers too would be simpler, but takes twice the time.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl
import polars_hash as _registers_nchash  # noqa: F401 (a namespace of expressions)

from pipeline.model.columns import COLUMNS, FILE, KEY, UNREADABLE, latest_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipeline.model.columns import Column
    from pipeline.sources.accepted import Export

ROW_HASH: Final = "row_hash"
"""The hash of all values of a row."""
CHECKSUM: Final = "checksum"
"""The summand of a row in its cell's digest: sums are equal for equal rows in any order."""
MODULUS: Final = 2**64
SCHEMA_VERSION: Final = 1
"""Raised whenever the hash of a row changes; every snapshot is then computed once more."""

_SEED: Final = 42
"""The seed of Spark's function, which takes no other."""
_NAN_BITS: Final = 0x7FF8000000000000


def hashed_columns(columns: Iterable[Column] = COLUMNS) -> tuple[str, ...]:
    """Return the columns of the row hash: all values of a row, but not its file and position."""
    return *KEY, *(name for name in latest_by(columns) if name != FILE), UNREADABLE


def row_hash(
    names: Iterable[str], schema: pl.Schema, known: Mapping[str, pl.Expr] | None = None
) -> pl.Expr:
    """Give `ROW_HASH` of these columns of typed rows, as an unsigned number.

    Args:
        names: The columns.
        schema: Their types.
        known: The `text_hash` of columns where it has been computed already.
    """
    ready = known or {}
    summands = [
        ready[name] if name in ready else _summand(name, dtype)
        for name, dtype in schema.items()
        if name in set(names)
    ]
    return pl.sum_horizontal(*summands).alias(ROW_HASH)


def _summand(name: str, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.String:
        return text_hash(name)
    return _double_hash(name) if dtype == pl.Float64 else _product(name)


def text_hash(name: str) -> pl.Expr:
    """Give the hash of a text column, as an unsigned number without nulls."""
    seed = seed_of(name)
    return _xxhash64(pl.col(name), seed).fill_null(pl.lit(seed, pl.UInt64))


def _double_hash(name: str) -> pl.Expr:
    column, seed = pl.col(name), seed_of(name)
    # Polars leaves out an addition of 0.0, which would make -0.0 positive.
    positive = pl.when(column == 0).then(pl.lit(0.0)).otherwise(column)
    bits = positive.reinterpret(dtype=pl.UInt64)
    one_nan = pl.when(column.is_nan()).then(_unsigned(_NAN_BITS)).otherwise(bits)
    return _xxhash64(_little_endian(one_nan), seed).fill_null(_unsigned(seed))


def multiplier_of(name: str) -> int:
    """Give the odd multiplier of a column of whole numbers, below 2^59."""
    return seed_of(name) >> 5 | 1


def _product(name: str) -> pl.Expr:
    """Give a whole number times the multiplier of its column."""
    bits = pl.col(name).cast(pl.Int64).reinterpret(signed=False)
    return (bits * _unsigned(multiplier_of(name))).fill_null(_unsigned(seed_of(name)))


def _unsigned(number: int) -> pl.Expr:
    return pl.lit(number, pl.UInt64)


def checksum(*hashes: pl.Expr) -> pl.Expr:
    """Give `CHECKSUM`: mixed, so that values that change places between rows do not cancel out."""
    total = pl.sum_horizontal(*hashes)
    return _xxhash64(_little_endian(total), _SEED).alias(CHECKSUM)


@cache
def seed_of(name: str) -> int:
    """Give the seed of a column."""
    return int(pl.select(_xxhash64(pl.lit(name), _SEED)).item())


def _little_endian(numbers: pl.Expr) -> pl.Expr:
    """Give 64-bit numbers as 8 bytes, low byte first."""
    content: pl.Expr = numbers.bytes.to_le()  # type: ignore[attr-defined]
    return content


def _xxhash64(values: pl.Expr, seed: int) -> pl.Expr:
    hashed: pl.Expr = values.nchash.xxhash64(seed=seed)  # type: ignore[attr-defined]
    return hashed


def row_digest(rows: int, total: int) -> str:
    """Give the digest of a cell's rows from their number and the sum of their checksums."""
    return f"{SCHEMA_VERSION}-{rows}-{total:016x}"


def content_checksum(export: Export, total: int) -> str:
    """Give the checksum of an export's content; columns that are not read are named in it."""
    return "-".join(map(str, (SCHEMA_VERSION, export.rows, f"{total:016x}", *export.ignored)))


def parse_checksum(checksum: str) -> tuple[int, int]:
    """Give the rows of an export and the sum of their checksums, from its content checksum."""
    _, rows, total, *_ = checksum.split("-", 3)
    return int(rows), int(total, 16)
