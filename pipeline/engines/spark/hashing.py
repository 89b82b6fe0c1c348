"""The row hash of `pipeline.engines.row_hash` as expressions of Spark.

Spark's `xxhash64` is XXH64 with seed 42. Over several values, each hash is the seed of the next,
and null leaves the seed as it is. It takes -0.0 for 0.0 and all NaN for one, as the row hash does.
Other arithmetic modulo 2^64 is made of pieces that can't overflow: Spark's would be an error.

Expressions are SQL texts: one call to Spark's driver each, where objects would take hundreds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Final

import polars as pl
from pyspark.sql import functions as F  # noqa: N812 (Spark's documentation names it so)

from pipeline.engines.row_hash import multiplier_of, seed_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import Column

_LOW: Final = 2**32 - 1
_HIGH_SUM: Final = "high_sum"
_LOW_SUM: Final = "low_sum"
_PIECE: Final = 31
"""The bits of a piece of a multiplier, so that its product with 32 bits fits into 63."""


@dataclass(frozen=True, slots=True)
class _Halves:
    """A number modulo 2^64 as two parts of 32 bits, in SQL; each may have carries above."""

    high: str
    low: str

    def __add__(self, other: _Halves) -> _Halves:
        return _Halves(f"{self.high} + {other.high}", f"{self.low} + {other.low}")

    @property
    def total(self) -> str:
        """The number with its carries, as 64 bits."""
        return f"(shiftleft({self.high} + {_high(self.low)}, 32) | {_low(self.low)})"


def _low(number: str) -> str:
    return f"(({number}) & {_LOW}L)"


def _high(number: str) -> str:
    return f"shiftrightunsigned({number}, 32)"


def _halves(number: str) -> _Halves:
    return _Halves(_high(number), _low(number))


def row_hash(names: Iterable[str], dtypes: Mapping[str, str]) -> Column:
    """Give `ROW_HASH` of these columns of typed rows, as the 64 bits of a signed number.

    Args:
        names: The columns, by our names.
        dtypes: Their types in Spark's words.
    """
    return F.expr(reduce(_Halves.__add__, (_summand(one, dtypes[one]) for one in names)).total)


def _summand(name: str, dtype: str) -> _Halves:
    if dtype in {"string", "double"}:
        return _halves(f"xxhash64('{name}', {name})")
    product, seed = _product(f"bigint({name})", multiplier_of(name)), seed_of(name)
    return _Halves(
        f"coalesce({product.high}, {seed >> 32}L)", f"coalesce({product.low}, {seed & _LOW}L)"
    )


def _product(number: str, multiplier: int) -> _Halves:
    """Multiply by a multiplier below 2^59, modulo 2^64."""
    lower, upper = f"{multiplier & (2**_PIECE - 1)}L", f"{multiplier >> _PIECE}L"
    lowest, middle = f"{_low(number)} * {lower}", f"{_low(number)} * {upper}"
    shifted = _halves(f"shiftleft({middle}, {_PIECE})")
    # The upper half of the number is worth 2^32 times as much: only its lowest bits remain.
    above = f"{_high(number)} * {lower}", f"shiftleft({_high(number)} * {upper}, {_PIECE})"
    return _Halves(
        f"{_high(lowest)} + {shifted.high} + {_low(above[0])} + {_low(above[1])}",
        f"{_low(lowest)} + {shifted.low}",
    )


def checksum(first: str, second: str) -> Column:
    """Give `CHECKSUM` of two columns of hashes, as the 64 bits of a signed number."""
    return F.expr(f"xxhash64({(_halves(first) + _halves(second)).total})")


def sums(checksums: str) -> list[Column]:
    """Give the sums of the halves of a column of checksums, which 64 bits have room for."""
    return [
        F.expr(f"sum({_high(checksums)})").alias(_HIGH_SUM),
        F.expr(f"sum({_low(checksums)})").alias(_LOW_SUM),
    ]


def total() -> pl.Expr:
    """Give the sum modulo 2^64 from the collected columns of `sums`, as an unsigned number."""
    high, low = (pl.col(name).cast(pl.UInt64) for name in (_HIGH_SUM, _LOW_SUM))
    return high * pl.lit(2**32, pl.UInt64) + low
