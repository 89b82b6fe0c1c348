"""What Polars hashes, and how wide: keys for finding, ids for counting, rows for digests.

Digests and excerpts outlive the process. They hold Polars' own hashes, which may change with its
edition; `edition` says so, and is part of both.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import polars as pl
import polars_hash as plh

from pipeline.metrics import Over, over
from pipeline.participations import ACTIVITY_ID, AGE, FILE, KEY, PARTICIPANT_ID

LANES: Final = ("lane_0", "lane_1")
"""Two 64-bit sums over the hashes of a group's rows: equal for equal rows in any order."""
SEEDS: Final = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)

_CONTENT: Final = (ACTIVITY_ID, PARTICIPANT_ID, *(name for name in AGE if name != FILE))
"""What a row says, apart from its organisation, which every group is of."""


def wide(name: str) -> pl.Expr:
    """An id as 128 bits (XXH3): wide enough to tell ids apart by, where they need not be read."""
    hashed: pl.Expr = plh.col(name).nchash.xxh3_128()
    return hashed.alias(name)


def id_column(metric: str, seed: int) -> str:
    """The column of a metric's ids, hashed with one of the seeds, by its place."""
    return f"{metric}_{seed}"


ID_COLUMNS: Final = tuple(
    id_column(metric.name, seed) for metric in over(Over.DIFFERENT) for seed in range(len(SEEDS))
)


def ids() -> list[pl.Expr]:
    """Each id whose different values are counted, as one 64-bit number for each seed."""
    return [
        pl.col(metric.column).hash(seed).alias(id_column(metric.name, place))
        for metric in over(Over.DIFFERENT)
        for place, seed in enumerate(SEEDS)
    ]


def key() -> pl.Expr:
    """The participation that a row speaks of, as 64 bits: equal keys are equal, others may be.

    For finding candidates only; what they are is settled by the ids themselves.
    """
    return pl.sum_horizontal(*(pl.col(name).hash(n) for n, name in enumerate(KEY)))


def content() -> pl.Expr:
    """One number for all that a row says; the sum of independent hashes of its columns."""
    hashes = (pl.col(name).hash(SEEDS[0] + n) for n, name in enumerate(_CONTENT))
    return pl.sum_horizontal(*hashes)


def lanes(*parts: pl.Expr) -> list[pl.Expr]:
    """The two summands of a row, from the numbers that its digest depends on."""
    total = pl.sum_horizontal(*parts)
    return [total.hash(seed).alias(lane) for lane, seed in zip(LANES, SEEDS, strict=True)]


@cache
def edition() -> str:
    """Another text as soon as Polars hashes otherwise; digests compare only under the same one."""
    probe: dict[str, Any] = {"text": ["bufdir"], "number": [1], "real": [0.5], "flag": [True]}
    hashes = pl.DataFrame(probe).select(pl.all().hash(SEEDS[0])).row(0)
    return "-".join(f"{value:016x}" for value in hashes)
