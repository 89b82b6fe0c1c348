"""The latest statement of each participation, found by a few columns of numbers.

To sort whole rows would take three times as long. Where these columns do not decide, the definition
does, for the participations concerned.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

import narwhals as nw
import numpy as np
import polars as pl

from pipeline.definitions import steps
from pipeline.definitions.steps import IS_LATEST
from pipeline.engines.polars import hashing, scan
from pipeline.engines.polars.hashing import KEY_HASH
from pipeline.engines.row_hash import ROW_HASH
from pipeline.model.columns import (
    ACTIVITY_ID,
    FILE,
    ORG_ID,
    PARTICIPANT_ID,
    ROW,
    UPDATED_AT,
    UPDATED_AT_NS,
    latest_by,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from pipeline.model.columns import Column

LATEST_HASH: Final = "latest_hash"
"""The row hash of the latest statement of the row's participation."""
PARTICIPATION: Final = (ORG_ID, ACTIVITY_ID, *hashing.id_columns(PARTICIPANT_ID))
"""The key of a participation; who took part is known by 128 bits of hash."""
_FIRST_BY: Final = (UPDATED_AT, UPDATED_AT_NS, FILE)
"""The first of the columns by which a statement is the latest; nearly always they decide."""
_LEAST: Final = int(np.iinfo(np.int64).min)
_SEED: Final = secrets.randbits(64)
"""The seed of hashes that distinguish participations; who invents ids does not know it."""
_NTH: Final = "nth"
_LIKE_NULL: Final = "like_null"
"""Whether a number of the row is the one that means null."""


def mark_latest(rows: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    """Add `IS_LATEST` and `LATEST_HASH`; of equal rows in one file, the last is the latest.

    Args:
        rows: All statements of some participations, in any order.
        columns: The columns that are read.
    """
    narrow = _narrow(rows)
    is_first = _is_first(narrow)
    group, starts = np.cumsum(is_first) - 1, np.flatnonzero(is_first)
    tied = np.ones(rows.height, np.bool_)
    for name in _FIRST_BY:
        tied = _greatest(narrow.get_column(name), tied, group, starts)
    is_latest = _greatest(narrow.get_column(ROW), tied, group, starts)
    hashes = narrow.get_column(ROW_HASH).to_numpy()
    latest = hashes[is_latest][group]
    nth = narrow.get_column(_NTH).to_numpy()
    marked = rows.with_columns(
        _in_place(IS_LATEST, is_latest, nth), _in_place(LATEST_HASH, latest, nth)
    )
    is_open = (tied & (hashes != latest)) | (_is_other(narrow) & ~is_first)
    is_open |= narrow.get_column(_LIKE_NULL).to_numpy()
    if not is_open.any():
        return marked
    is_undecided = _in_place("", np.isin(group, group[is_open]), nth)
    others = _mark_by_definition(rows.filter(is_undecided), columns)
    return pl.concat([marked.filter(~is_undecided), others.select(marked.columns)])


def _narrow(rows: pl.DataFrame) -> pl.DataFrame:
    """Select numbers only, sorted by hashed key; null is the least."""
    return (
        rows.lazy()
        .select(
            pl.int_range(pl.len()).alias(_NTH),
            KEY_HASH,
            ROW_HASH,
            pl.col(ORG_ID, ACTIVITY_ID).hash(_SEED),
            *hashing.id_columns(PARTICIPANT_ID),
            pl.any_horizontal(pl.col(*_FIRST_BY) == _LEAST)
            .fill_null(value=False)
            .alias(_LIKE_NULL),
            pl.col(*_FIRST_BY, ROW).cast(pl.Int64).fill_null(_LEAST),
        )
        .collect()
        .sort(KEY_HASH, multithreaded=False)
    )


def _is_first(narrow: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Return whether a row is the first with its hashed key."""
    is_first = pl.col(KEY_HASH) != pl.col(KEY_HASH).shift(1)
    return narrow.select(is_first.fill_null(value=True)).to_series().to_numpy()


def _is_other(narrow: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """Return whether a row's participation is another than that of the row before."""
    differs = pl.any_horizontal(pl.col(name) != pl.col(name).shift(1) for name in PARTICIPATION)
    return narrow.select(differs.fill_null(value=True)).to_series().to_numpy()


def _greatest(
    values: pl.Series,
    among: npt.NDArray[np.bool_],
    group: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
) -> npt.NDArray[np.bool_]:
    """Return which of these rows have the greatest value of their group.

    Args:
        values: One number a row.
        among: The rows that are compared, at least one of each group.
        group: The position of each row's group.
        starts: The position of the first row of each group.
    """
    if values.is_empty():
        return among
    numbers = values.to_numpy()
    greatest = np.maximum.reduceat(np.where(among, numbers, _LEAST), starts)
    is_greatest: npt.NDArray[np.bool_] = among & (numbers == greatest[group])
    return is_greatest


def _in_place(
    name: str, sorted_values: npt.NDArray[np.generic], nth: npt.NDArray[np.int64]
) -> pl.Series:
    """Put the values of sorted rows in the order in which the rows were given."""
    values = np.empty_like(sorted_values)
    values[nth] = sorted_values
    return pl.Series(name, values)


def _mark_by_definition(rows: pl.DataFrame, columns: Sequence[Column]) -> pl.DataFrame:
    order = latest_by(columns)
    latest = nw.col(ROW_HASH).last().over(*PARTICIPATION, order_by=order).alias(LATEST_HASH)
    hashed = nw.from_native(rows.lazy()).with_columns(latest)
    return scan.native(steps.mark_latest(hashed, columns, PARTICIPATION)).collect()
