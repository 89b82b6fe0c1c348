"""Participants who look alike: their ids differ only in how they are written.

One person with two ids counts twice, and two people whose ids look alike must not become one. So
such ids are counted for a person to look at, and never merged. Ids look alike if they are equal
after Unicode's compatibility composition (NFKC), without spaces and signs that no one sees, and,
where only digits are left, without leading zeros. Case counts: Base64 distinguishes it.

Only an id with a sign beyond ASCII, a space or a leading zero can differ from what it looks like.
The others are compared by hash alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.engines import row_hash
from pipeline.model.columns import FILE, PARTICIPANT_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.sources.accepted import Export

OWN: Final = "own_hash"
"""The hash of an id as it is written."""
PLAIN: Final = "plain_hash"
"""The hash of what it looks like: ids that look alike have the same."""
SCHEMA: Final = {FILE: pl.Int32(), OWN: pl.UInt64(), PLAIN: pl.UInt64()}
"""The columns of found ids: each id of an export once."""

_UNSEEN: Final = r"[\s\p{Cf}\p{Cc}]+"
_LEADING_ZEROS: Final = r"^0+([0-9]+)$"
_ID: Final = pl.col(PARTICIPANT_ID)


def may_look_alike(ids: pl.Expr) -> pl.Expr:
    """Return whether ids can differ from what they look like: cheap, and false for most."""
    is_beyond_ascii = ids.str.len_bytes() != ids.str.len_chars()
    has_space = ids.str.contains(" ", literal=True) | ids.str.contains("\t", literal=True)
    return is_beyond_ascii | has_space | ids.str.starts_with("0")


def find(rows: pl.LazyFrame) -> pl.DataFrame:
    """Find the ids that can differ from what they look like, each with both hashes.

    Args:
        rows: Typed rows.
    """
    some = rows.select(FILE, PARTICIPANT_ID).filter(may_look_alike(_ID)).collect()
    ids = some.unique().lazy().with_columns(row_hash.text_hash(PARTICIPANT_ID).alias(OWN))
    plain = _ID.str.normalize("NFKC").str.replace_all(_UNSEEN, "")
    plain = plain.str.replace(_LEADING_ZEROS, "$1").alias(PARTICIPANT_ID)
    hashed = ids.with_columns(plain).select(
        pl.col(FILE).cast(pl.Int32), OWN, row_hash.text_hash(PARTICIPANT_ID).alias(PLAIN)
    )
    return hashed.collect()


def count(
    found: pl.DataFrame, others: Iterable[pl.Series], exports: Sequence[Export]
) -> Mapping[str, int]:
    """Count, by export, the ids that look like another one of any export; none are left out.

    Args:
        found: Ids as from `find`; `FILE` is the position of the export.
        others: The hashes of ids that are written as they look, as far as `found` looks like them.
        exports: The exports.
    """
    written = found.select(OWN, PLAIN)
    plain = (one.alias(OWN).to_frame().select(OWN, pl.col(OWN).alias(PLAIN)) for one in others)
    ids = pl.concat([written, *plain]).unique()
    alike = ids.group_by(PLAIN).len().filter(pl.col("len") > 1)
    odd = found.filter(pl.col(OWN) != pl.col(PLAIN)).unique((FILE, OWN))
    numbers = odd.join(alike, on=PLAIN, how="semi").group_by(FILE).len().sort(FILE)
    return {exports[file].file.name: number for file, number in numbers.iter_rows()}
