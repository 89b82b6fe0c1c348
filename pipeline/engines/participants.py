"""The participants of each export, as far as a guard needs them: how many are what.

A sample of the different values decides: those with the least hashes, all of a small export. Hashes
are those of the row hash, so every engine draws the same values, in any order of the rows. Shares
in the sample are those of the whole column: a hash does not depend on what a value is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.engines import row_hash
from pipeline.model.columns import FILE, PARTICIPANT_ID
from pipeline.sources import identity_numbers
from pipeline.sources.identity_numbers import ELEVEN_DIGITS, IDENTITY_NUMBER, OTHER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.sources.accepted import Export

SAMPLED_ROWS: Final = 16_384
"""About so many rows of an export are looked at."""
HASH: Final = "participant_hash"
KIND: Final = "participant_kind"
SCHEMA: Final = {FILE: pl.Int32(), HASH: pl.UInt64(), KIND: pl.Int8()}
"""The columns of a sample: each different value of an export once."""


@dataclass(frozen=True, slots=True)
class Participants:
    """The different values in the sample of an export's participants."""

    values: int = 0
    of_eleven_digits: int = 0
    """Those that are written as identity numbers are, with right control digits or not."""
    identity_numbers: int = 0


def limit(export: Export) -> int:
    """Give the hash below which values of an export are in its sample."""
    return min(2**64 - 1, 2**64 * SAMPLED_ROWS // max(export.rows, 1))


def drawn(
    rows: pl.LazyFrame, exports: Sequence[Export], known: pl.Expr | None = None
) -> pl.LazyFrame:
    """Select the rows whose participants are in the sample, with `HASH`.

    Args:
        rows: Typed rows; `FILE` is the position of their export among these.
        exports: The exports.
        known: The `row_hash.text_hash` of participants where it has been computed already.
    """
    limits = pl.lit(pl.Series(list(map(limit, exports)), dtype=pl.UInt64))
    hashed = (row_hash.text_hash(PARTICIPANT_ID) if known is None else known).alias(HASH)
    return (
        rows.select(FILE, PARTICIPANT_ID, hashed)
        .filter(pl.col(PARTICIPANT_ID).is_not_null())
        .filter(pl.col(HASH) < limits.gather(pl.col(FILE)))
    )


def sample(found: pl.DataFrame, parts: Iterable[int]) -> pl.DataFrame:
    """Give the different values of drawn rows, each with what it is.

    Leaves out exports without an identity number, which the values would not change.

    Args:
        found: Rows as from `drawn`.
        parts: The positions of exports of which there are other rows elsewhere: of these all stay.
    """
    is_part = pl.col(FILE).is_in(list(parts))
    may_be = identity_numbers.may_be(pl.col(PARTICIPANT_ID))
    wanted = found.filter(is_part | may_be.any().over(FILE))
    values = wanted.unique((FILE, HASH))
    of_values = values.with_columns(
        identity_numbers.kinds(values.get_column(PARTICIPANT_ID)).alias(KIND)
    )
    has_any = (pl.col(KIND) == IDENTITY_NUMBER).any().over(FILE)
    return of_values.filter(is_part | has_any).select(pl.col(FILE).cast(pl.Int32), HASH, KIND)


def counted(samples: Iterable[pl.DataFrame], exports: Sequence[Export]) -> list[Participants]:
    """Count the values of each export, in the order of the exports.

    Args:
        samples: Samples of different rows; `FILE` is the position of an export among these.
        exports: The exports.
    """
    values = pl.concat([pl.DataFrame(schema=SCHEMA), *samples]).unique((FILE, HASH))
    groups = values.group_by(FILE).agg(
        pl.len(),
        (pl.col(KIND) > OTHER).sum().alias(str(ELEVEN_DIGITS)),
        (pl.col(KIND) == IDENTITY_NUMBER).sum().alias(str(IDENTITY_NUMBER)),
    )
    found = {file: Participants(*numbers) for file, *numbers in groups.iter_rows()}
    return [found.get(place, Participants()) for place in range(len(exports))]
