"""The statements of participations that have several, divided by the hashes of their keys.

Only all statements of a participation together decide which one is the latest. They have one
hash, so all participations are compared a range of hashes at a time, from all batches. What is in
memory at once is bounded, however many statements there are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from pipeline.engines.polars import hashing
from pipeline.engines.polars.hashing import KEY_HASH
from pipeline.model.columns import ORG_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

_BITS: Final = 64
PIECE_ROWS: Final = 2**14
"""The rows of a piece, about."""


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one batch, in pieces: each has the rows of a range of hashed keys.

    There are as many pieces as a power of two, of ranges of one width. In each, rows are sorted by
    `KEY_HASH`.
    """

    rows: int
    """The rows of all pieces, of all organisations."""
    pieces: int
    read: Callable[[range], Sequence[pl.DataFrame]]
    """Read these pieces, at least one."""
    organisations: Collection[str] | None = None
    """Give the rows of these organisations only; None gives all."""

    def of(self, organisations: Collection[str]) -> Self:
        """Select these organisations."""
        return replace(self, organisations=organisations)

    def part(self, number: int, parts: int) -> pl.DataFrame:
        """Read one of so many parts of the hashes, a power of two as well."""
        per_part = self.pieces // parts
        if per_part:
            first = number * per_part
            return self._wanted(range(first, first + per_part))
        piece = number * self.pieces // parts
        rows = self._wanted(range(piece, piece + 1))
        width = 2**_BITS // parts
        bounds = [bound for bound in (number * width, (number + 1) * width) if bound < 2**_BITS]
        (first, length), *_ = hashing.spans(rows.get_column(KEY_HASH), bounds)
        return rows.slice(first, length)

    def columns(self, *names: str) -> Iterator[pl.DataFrame]:
        """Give these columns of all rows, a piece at a time."""
        return (self._wanted(range(one, one + 1)).select(names) for one in range(self.pieces))

    def keys(self) -> pl.Series:
        """Give the hashed keys of all rows, sorted."""
        return pl.concat(self.columns(KEY_HASH)).to_series()

    def _wanted(self, pieces: range) -> pl.DataFrame:
        rows = pl.concat(self.read(pieces))
        if self.organisations is None:
            return rows
        return rows.filter(pl.col(ORG_ID).is_in(list(self.organisations)))


def divide(rows: pl.DataFrame) -> Statements:
    """Divide these statements into pieces, in memory."""
    in_order = hashing.by(KEY_HASH, rows)
    pieces = power_of_two(rows.height, PIECE_ROWS)
    bounds = [number * (2**_BITS // pieces) for number in range(pieces)]
    spans = hashing.spans(in_order.get_column(KEY_HASH), bounds)
    return Statements(
        rows.height, pieces, lambda some: [in_order.slice(*spans[piece]) for piece in some]
    )


def power_of_two(rows: int, most: int) -> int:
    """Give the least power of two by which rows are divided into parts of so many, about."""
    return 1 << max(0, -(-rows // most) - 1).bit_length()
