"""The numbers by which Polars groups rows: the positions of their texts in short lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline.definitions import rules, steps
from pipeline.engines import row_hash
from pipeline.engines.polars import scan
from pipeline.engines.polars.distinct import ORG_NUMBER, VALUE_NUMBER
from pipeline.model.breakdowns import BY_CATEGORY
from pipeline.model.columns import ORG_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.engines import ScanRequest
    from pipeline.model.breakdowns import Breakdown


_NAMED_NUMBER: Final = "named_number"
"""The position of the row's organisation among all that are named, valid or not."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """The numbers by which texts are grouped, which is quicker: a text's position in a list."""

    named: pl.Series
    """The organisations that the rows name, the valid ones first, sorted."""
    valid: int
    """How many of them are valid."""
    breakdowns: Sequence[tuple[Breakdown, pl.Series]]
    """Each breakdown with its values."""

    @classmethod
    def of(cls, typed: pl.DataFrame, request: ScanRequest) -> Numbering:
        """Number the organisations and values of these rows."""
        breakdowns = request.terms.breakdowns
        values = [(one, _values(typed, one)) for one in breakdowns]
        valid, invalid = _organisations(typed)
        return cls(pl.concat([valid, invalid]), len(valid), values)

    @property
    def organisations(self) -> pl.Series:
        """The valid organisations, sorted."""
        return self.named.head(self.valid)

    @property
    def categories(self) -> pl.Series:
        """The configured categories."""
        return self.breakdowns[0][1]

    def add_to(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Add the numbers to rows; null where they are in no list."""
        number = pl.col(_NAMED_NUMBER)
        values = {
            value_number(one.name): _with_no_value(one).cast(pl.Enum(values), strict=False)
            for one, values in self.breakdowns
        }
        return rows.with_columns(
            pl.col(ORG_ID).cast(pl.Enum(self.named)).to_physical().alias(_NAMED_NUMBER),
            *(one.to_physical().alias(name) for name, one in values.items()),
        ).with_columns(pl.when(number < self.valid).then(number).alias(ORG_NUMBER))

    @property
    def organisation_hash(self) -> pl.Expr:
        """The `text_hash` of the organisation, for numbered rows: each is hashed once."""
        hashes = self.named.alias(ORG_ID).to_frame().select(row_hash.text_hash(ORG_ID))
        found = pl.lit(hashes.to_series()).gather(pl.col(_NAMED_NUMBER))
        return found.fill_null(pl.lit(row_hash.seed_of(ORG_ID), pl.UInt64))


def value_number(breakdown: str) -> str:
    """Name the column with the number of a breakdown's value."""
    return VALUE_NUMBER if breakdown == BY_CATEGORY else f"{breakdown}_{VALUE_NUMBER}"


def _with_no_value(breakdown: Breakdown) -> pl.Expr:
    """Give the values of a breakdown; where they are not fixed, null is the empty text."""
    column = pl.col(breakdown.column)
    return column.fill_null("") if breakdown.values is None else column


def _values(typed: pl.DataFrame, breakdown: Breakdown) -> pl.Series:
    if breakdown.values is not None:
        return pl.Series(breakdown.values, dtype=pl.String)
    return typed.lazy().select(_with_no_value(breakdown).unique().sort()).collect().to_series()


def _organisations(typed: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Find the valid and the other organisations that the rows name, sorted."""
    named = typed.lazy().select(pl.col(ORG_ID).unique().drop_nulls().sort())
    checked = scan.native(steps.check_organisations(nw.from_native(named))).collect()
    is_valid = checked.get_column(rules.HAS_VALID_ORG)
    organisations = checked.get_column(ORG_ID)
    return organisations.filter(is_valid), organisations.filter(~is_valid)
