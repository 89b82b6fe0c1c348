"""What Polars hashes, and how wide: keys for finding, ids for counting, rows for digests.

Digests and excerpts outlive the process. They hold Polars' own hashes, which may change with its
edition; `edition` says so, and is part of both.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import polars as pl
import polars_hash as plh

from pipeline.model.columns import FILE, KEY, LATEST_BY
from pipeline.model.metrics import Aggregation, over

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_HASH: Final = "key"
"""The participation that a row speaks of: equal keys are equal, others may be.

For finding candidates only; what they are is settled by the ids themselves.
"""
CONTENT: Final = "content"
"""All that a row says."""
LANES: Final = ("lane_0", "lane_1")
"""Two 64-bit sums over the hashes of a group's rows: equal for equal rows in any order."""
SEEDS: Final = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
"""Of two hashes that fall together by chance only."""

_EDITION: Final = 2
"""Raised whenever we hash something else than before."""
_SAID: Final = tuple(name for name in LATEST_BY if name != FILE)
"""What a row says apart from whose participation it is."""


def wide(name: str) -> pl.Expr:
    """An id as 128 bits (XXH3): wide enough to tell ids apart by, where they need not be read."""
    hashed: pl.Expr = plh.col(name).nchash.xxh3_128()
    return hashed.alias(name)


def id_columns(column: str) -> tuple[str, ...]:
    """The columns of a column's ids, hashed with each seed."""
    return tuple(f"{column}_{place}" for place in range(len(SEEDS)))


COUNTED: Final = tuple(metric.column for metric in over(Aggregation.COUNT_DISTINCT))
"""The columns whose different values are counted."""
ID_COLUMNS: Final = tuple(name for column in COUNTED for name in id_columns(column))
"""Their hashes."""


def ids(place: int) -> list[pl.Expr]:
    """The columns of the key, each hashed to a 64-bit number with the seed at this place."""
    return [
        pl.col(name).hash(SEEDS[place] + n).alias(id_columns(name)[place])
        for n, name in enumerate(KEY)
    ]


def key() -> pl.Expr:
    """`KEY_HASH`, of rows that have no hash yet."""
    return pl.sum_horizontal(ids(0)).alias(KEY_HASH)


def hashed(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The same rows with `ID_COLUMNS`, `KEY_HASH` and `CONTENT`; each string hashed twice."""
    first, second = zip(*map(id_columns, KEY), strict=True)
    said = (pl.col(name).hash(SEEDS[1] + len(KEY) + n) for n, name in enumerate(_SAID))
    return (
        rows.with_columns(*ids(0), *ids(1))
        .with_columns(
            pl.sum_horizontal(first).alias(KEY_HASH),
            pl.sum_horizontal(*second, *said).alias(CONTENT),
        )
        .drop({*first, *second}.difference(ID_COLUMNS))
    )


def lanes(*parts: pl.Expr) -> list[pl.Expr]:
    """The two summands of a row, from the numbers that its digest depends on."""
    total = pl.sum_horizontal(*parts)
    return [total.hash(seed).alias(lane) for lane, seed in zip(LANES, SEEDS, strict=True)]


def in_order(hashes: pl.Series) -> pl.Series:
    """These hashes in rising order, without nulls; on one thread, for batches are two at a time.

    Polars needs nearly twice the processor time to sort on both.
    """
    return hashes.drop_nulls().sort(multithreaded=False)


def by(column: str, rows: pl.DataFrame) -> pl.DataFrame:
    """The same rows by a column of hashes, in rising order; on one thread as well."""
    return rows.sort(column, multithreaded=False)


def spans(hashes: pl.Series, edges: Sequence[int]) -> list[tuple[int, int]]:
    """Where, in hashes in order, those lie from each of these edges to the next or the end.

    Each as its first place and how many they are.
    """
    cuts = hashes.search_sorted(pl.Series(edges, dtype=pl.UInt64), side="left")
    return [(first, end - first) for first, end in pairwise([*cuts, len(hashes)])]


@cache
def edition() -> str:
    """Another text as soon as anything hashes otherwise; digests compare only under the same."""
    probe: dict[str, Any] = {"text": ["bufdir"], "number": [1], "real": [0.5], "flag": [True]}
    hashes = pl.DataFrame(probe).select(pl.all().hash(SEEDS[0])).row(0)
    return "-".join([str(_EDITION), *(f"{value:016x}" for value in hashes)])
