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
from pipeline.engines.row_hash import ROW_HASH
from pipeline.model.columns import ORG_ID, PARTICIPANT_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

_BITS: Final = 64
PIECE_ROWS: Final = 2**14
"""The rows of a piece, about."""
HASHES: Final = (KEY_HASH, ROW_HASH, *hashing.id_columns(PARTICIPANT_ID))
"""The columns of hashes, which can be read without the others."""


@dataclass(frozen=True, slots=True)
class Statements:
    """The statements of one batch, in pieces: each has the rows of a range of hashed keys.

    There are as many pieces as a power of two, of ranges of one width. In each, rows are sorted by
    `KEY_HASH`.
    """

    rows_of_pieces: Sequence[int]
    """The rows of each piece, of all organisations."""
    read: Callable[[range], Sequence[pl.DataFrame]]
    """Read these pieces, at least one."""
    read_hashes: Callable[[int], pl.DataFrame]
    """Read `HASHES` of a piece."""
    organisations: Collection[str] | None = None
    """Give the rows of these organisations only; None gives all."""

    @property
    def rows(self) -> int:
        """The rows of all pieces, of all organisations."""
        return sum(self.rows_of_pieces)

    @property
    def pieces(self) -> int:
        """The number of pieces."""
        return len(self.rows_of_pieces)

    def of(self, organisations: Collection[str]) -> Self:
        """Select these organisations."""
        return replace(self, organisations=organisations)

    def most_rows(self, number: int, parts: int) -> int:
        """Give the most rows that a part can have."""
        pieces = self._pieces_of(number, parts)
        return sum(self.rows_of_pieces[pieces.start : pieces.stop])

    def part(self, number: int, parts: int) -> pl.DataFrame:
        """Read one of so many parts of the hashes, a power of two as well."""
        rows = self._wanted(self._pieces_of(number, parts))
        if parts <= self.pieces:
            return rows
        width = 2**_BITS // parts
        bounds = [bound for bound in (number * width, (number + 1) * width) if bound < 2**_BITS]
        (first, length), *_ = hashing.spans(rows.get_column(KEY_HASH), bounds)
        return rows.slice(first, length)

    def _pieces_of(self, number: int, parts: int) -> range:
        """Find the pieces that a part is in."""
        first = number * self.pieces // parts
        return range(first, first + max(1, self.pieces // parts))

    def hashes(self, name: str) -> Iterator[pl.Series]:
        """Give one of `HASHES` of all rows, of all organisations, a piece at a time."""
        return (self.read_hashes(piece).get_column(name) for piece in range(self.pieces))

    def keys(self) -> pl.Series:
        """Give the hashed keys of all rows, of all organisations, sorted."""
        return pl.concat(self.hashes(KEY_HASH))

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
        [length for _, length in spans],
        lambda some: [in_order.slice(*spans[piece]) for piece in some],
        lambda piece: in_order.select(HASHES).slice(*spans[piece]),
    )


def power_of_two(rows: int, most: int) -> int:
    """Give the least power of two by which rows are divided into parts of so many, about."""
    return 1 << max(0, -(-rows // most) - 1).bit_length()
