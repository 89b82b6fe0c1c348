"""The hashes of Polars: keys for finding candidates, ids for counting different values.

Keys use Polars' own hash, which may change with its release, so they are stored in the cache and in
no digest. Digests are made of `pipeline.engines.row_hash`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.engines import row_hash
from pipeline.model.columns import KEY
from pipeline.model.metrics import Aggregation, metrics_by

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.model.columns import Column

KEY_HASH: Final = "key_hash"
"""The hash of a participation: equal keys have equal hashes, others may.

For finding candidates only; the ids themselves decide.
"""
_SEED: Final = 0x9E3779B97F4A7C15

COUNTED: Final = tuple(
    dict.fromkeys(metric.column for metric in metrics_by(Aggregation.COUNT_DISTINCT))
)
"""The columns whose different values are counted."""


def id_columns(column: str) -> tuple[str, str]:
    """Name the columns of the two halves of an id's hash, 128 bits in all."""
    return f"{column}_hash_0", f"{column}_hash_1"


ID_COLUMNS: Final = tuple(name for column in COUNTED for name in id_columns(column))
"""The hashes of all columns whose different values are counted."""
_HASHED: Final = tuple(dict.fromkeys((*KEY, *COUNTED)))


def first_halves() -> list[pl.Expr]:
    """Give the first half of the hash of each hashed column."""
    return [
        pl.col(name).hash(_SEED + number).alias(id_columns(name)[0])
        for number, name in enumerate(_HASHED)
    ]


def of_texts(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add those of `ID_COLUMNS` that rows lack, but have the text of."""
    have = rows.collect_schema().names()
    halves = [*first_halves(), *(row_hash.text_hash(n).alias(id_columns(n)[1]) for n in COUNTED)]
    wanted = {name for column in COUNTED if column in have for name in id_columns(column)}
    return rows.with_columns(one for one in halves if one.meta.output_name() in wanted)


def key() -> pl.Expr:
    """Give `KEY_HASH` of rows that have no hash yet."""
    of_key = (half for half, name in zip(first_halves(), _HASHED, strict=True) if name in KEY)
    return pl.sum_horizontal(of_key).alias(KEY_HASH)


def hashed(
    rows: pl.LazyFrame,
    schema: pl.Schema,
    columns: Iterable[Column],
    known: Mapping[str, pl.Expr],
) -> pl.LazyFrame:
    """Add `ID_COLUMNS`, `KEY_HASH` and `ROW_HASH` to typed rows.

    Args:
        rows: Typed rows.
        schema: Their types.
        columns: The columns that are read.
        known: By column, its `row_hash.text_hash` where that has been computed already.
    """
    first, second = zip(*map(id_columns, _HASHED), strict=True)
    halves = dict(zip(_HASHED, map(pl.col, second), strict=True))
    names = row_hash.hashed_columns(columns)
    return (
        rows.with_columns(
            *first_halves(),
            *(
                known.get(name, row_hash.text_hash(name)).alias(id_columns(name)[1])
                for name in halves
            ),
        )
        .with_columns(
            pl.sum_horizontal(id_columns(name)[0] for name in KEY).alias(KEY_HASH),
            row_hash.row_hash(names, schema, {**known, **halves}),
        )
        .drop({*first, *second}.difference(ID_COLUMNS))
    )


def in_order(hashes: pl.Series) -> pl.Series:
    """Sort hashes, without nulls; on one thread, for two batches are sorted at a time.

    Polars needs nearly twice the processor time to sort on both.
    """
    return hashes.drop_nulls().sort(multithreaded=False)


def by(column: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Sort rows by a column of hashes; on one thread as well."""
    return rows.sort(column, multithreaded=False)


def spans(hashes: pl.Series, bounds: Sequence[int]) -> list[tuple[int, int]]:
    """Find the sorted hashes from each bound to the next or the end: first position and number."""
    cuts = hashes.search_sorted(pl.Series(bounds, dtype=pl.UInt64), side="left")
    return [(first, end - first) for first, end in pairwise([*cuts, len(hashes)])]


def distinct(in_order: pl.Series) -> pl.Series:
    """Leave out sorted hashes that repeat the one before."""
    return in_order.filter(in_order.ne_missing(in_order.shift(1)))


def common(hashes: pl.Series, others: pl.Series) -> pl.Series:
    """Find the different ones of these sorted hashes that are among other sorted ones.

    Args:
        hashes: Sorted; each may occur several times.
        others: Sorted; each occurs once.
    """
    if hashes.is_empty() or others.is_empty():
        return others.clear()
    # To search the fewer among the more takes less time.
    fewer, more = (others, hashes) if len(others) < len(hashes) else (distinct(hashes), others)
    places = more.search_sorted(fewer, side="left")
    return fewer.filter(more.gather(places.clip(upper_bound=len(more) - 1)) == fewer)
