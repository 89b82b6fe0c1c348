"""Hours as whole seconds: the decimal that is written, times 3600, rounded half up, once.

Hours are the decimal that their double is written as: 0.14125 h are 508.5 s, though 3600 times the
double is less. The product of doubles decides wherever it is not close to half a second; there,
the digits do. Summed as integers, no order changes a digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline.model.columns import HOURS
from pipeline.model.metrics import SECONDS

if TYPE_CHECKING:
    from pipeline.definitions.dialect import Frame

_CLOSE: Final = 1e-7
"""The distance from half a second, in seconds, within which decimal digits decide.

Far more than a product of doubles can be wrong, for any hours that may count.
"""
_PRODUCT: Final = nw.col(HOURS) * 3600
IS_NEAR_HALF: Final = (_PRODUCT - _PRODUCT.floor() - 0.5).abs() < _CLOSE
"""Whether hours are so close to half a second that only their digits decide."""

_NEAR: Final = "near_hours"
_TEXT: Final = "near_text"
_WHOLE: Final = "near_whole"
_BELOW: Final = "near_below"
_SCALE: Final = "near_scale"
_STEPS: Final = (_NEAR, _TEXT, _WHOLE, _BELOW, _SCALE)
"""Columns between the steps: an expression of all steps would be a hundred times as long."""


def add_seconds(rows: Frame, counts: nw.Expr, *, decides_halves: bool = True) -> Frame:
    """Add `SECONDS` to each row: whole seconds where it counts, else null.

    Args:
        rows: Typed rows.
        counts: Whether a row counts; hours of the others may be infinite, which no integer is.
        decides_halves: False takes half the time, and leaves hours near half a second to the
            product of doubles: for rows among which `IS_NEAR_HALF` is true of none, or which the
            engine rounds again.
    """
    rounded = (nw.when(counts).then(nw.col(HOURS)) * 3600 + 0.5).floor().cast(nw.Int64())
    if not decides_halves:
        return rows.with_columns(rounded.alias(SECONDS))
    near = nw.when(counts & IS_NEAR_HALF).then(nw.col(HOURS)).alias(_NEAR)
    exact = nw.col(_BELOW) + _reaches_half().cast(nw.Int64())
    return (
        rows.with_columns(near)
        .with_columns(
            nw.col(_NEAR).cast(nw.String()).alias(_TEXT),
            nw.col(_NEAR).floor().cast(nw.Int64()).alias(_WHOLE),
            (nw.col(_NEAR) * 3600).floor().cast(nw.Int64()).alias(_BELOW),
        )
        .with_columns(_scale().alias(_SCALE))
        .with_columns(
            nw.when(nw.col(_NEAR).is_null()).then(rounded).otherwise(exact).alias(SECONDS)
        )
        .drop(*_STEPS)
    )


def _scale() -> nw.Expr:
    """Give 10^(d - 5) for hours with d decimals; so close to a half, they have five or more."""
    decimals = _length(nw.col(_TEXT)) - _length(nw.col(_WHOLE).cast(nw.String())) - 1
    return (nw.lit(10.0) ** (decimals - 5)).cast(nw.Int64())


def _reaches_half() -> nw.Expr:
    """Compare hours, as they are written, with half a second more than the whole seconds below.

    Exact, in integers: the decimals d of the fraction f / 10^d are compared with a half n / 7200,
    which is n * 125 * 10^(d - 5) / 9.
    """
    whole, scale = nw.col(_WHOLE), nw.col(_SCALE)
    digits = nw.col(_TEXT).str.replace_all(".", "", literal=True).cast(nw.Int64())
    fraction = digits - whole * scale * 100_000
    half = nw.col(_BELOW) * 2 + 1 - whole * 7200
    return fraction * 9 >= half * 125 * scale


def _length(text: nw.Expr) -> nw.Expr:
    return text.str.len_chars().cast(nw.Int64())
