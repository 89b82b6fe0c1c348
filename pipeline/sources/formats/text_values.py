"""Texts read as the declared types of columns; nothing is guessed from values.

A text that is no value of its column's type is unreadable. Spaces around instants, numbers and
flags do not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

import polars as pl

from pipeline.model.columns import UNREADABLE, Kind
from pipeline.sources.formats.cells import TORN, is_unreadable, value_of
from pipeline.sources.formats.converted_file import SOURCE_COLUMNS, SOURCE_ROW, SOURCE_SHEET

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline.model.clock import WallClock
    from pipeline.model.columns import Column
    from pipeline.settings.formats import TextValues
    from pipeline.sources.formats.cells import Block

_ISO_8601: Final = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d",
)
"""The forms of ISO 8601 that are read where the settings name no format, as Polars writes them."""
_ZONE: Final = "%#z"
_AS_THEY_ARE: Final = (Kind.ID, Kind.TEXT)
"""The kinds of column whose texts are values already; spaces are a part of them."""
_NO: Final = pl.lit(value=False)
_TYPES: Final = {
    Kind.ID: pl.String(),
    Kind.TEXT: pl.String(),
    Kind.INSTANT: pl.Datetime("us", "UTC"),
    Kind.NUMBER: pl.Float64(),
    Kind.FLAG: pl.Boolean(),
}


def typed(
    block: Block,
    columns: Sequence[Column],
    names: Mapping[str, str],
    options: TextValues,
    clock: WallClock,
) -> pl.DataFrame:
    """Give the rows of a block as the converted file has them: one row per row, in no order.

    Args:
        block: The cells.
        columns: Our columns; those that the file does not have are null.
        names: The name that the file has for each, by ours.
        options: The meaning of texts.
        clock: The wall clock of times without a zone.
    """
    reading = _Reading(columns, names, options, clock)
    rows = reading.typed(block.cells, in_all_ways=False)
    left = rows.get_column(UNREADABLE)
    if left.any():  # few rows are read in all ways, because that takes several times as long
        rest = reading.typed(block.cells.filter(left), in_all_ways=True)
        rows = pl.concat([rows.filter(~left), rest])
    sheet = pl.lit(block.sheet, pl.String).alias(SOURCE_SHEET)
    return rows.select(pl.exclude(SOURCE_COLUMNS), sheet, SOURCE_COLUMNS)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The way in which the cells of a file are typed."""

    columns: Sequence[Column]
    names: Mapping[str, str]
    options: TextValues
    clock: WallClock

    def typed(self, cells: pl.DataFrame, *, in_all_ways: bool) -> pl.DataFrame:
        """Type cells, in one query: each return to Python would wait for its lock.

        Args:
            cells: The cells as a block has them.
            in_all_ways: Read texts in every way that is allowed; otherwise in the first one.
        """
        found = [one for one in self.columns if one.name in cells.columns]
        flags = [pl.col(TORN)] if TORN in cells.columns else []
        marks = [self._mark(one, cells.columns).alias(_mark(one.name)) for one in found]
        lost = {one.name: self._is_lost(one) for one in found}
        named = self._names(lost) if in_all_ways else pl.lit(None, pl.String)
        return (
            cells.lazy()
            .select(
                *(self._value(one, cells.columns, in_all_ways=in_all_ways) for one in self.columns),
                *marks,
                *flags,
                SOURCE_ROW,
            )
            .select(
                *(column.name for column in self.columns),
                pl.any_horizontal(*lost.values(), *flags).alias(UNREADABLE),
                SOURCE_ROW,
                named.alias(SOURCE_COLUMNS),
            )
            .collect()
        )

    def _names(self, lost: Mapping[str, pl.Expr]) -> pl.Expr:
        """Name the columns that could not be read, with commas; null where there are none."""
        nothing = pl.lit(None, pl.String)
        names = [pl.when(one).then(pl.lit(self.names[ours])) for ours, one in lost.items()]
        named = pl.concat_str([*names, nothing], separator=", ", ignore_nulls=True)
        return pl.when(named != "").then(named)

    def _mark(self, column: Column, there: Collection[str]) -> pl.Expr:
        """Mark rows that have something in a column; of texts, those that can't be read."""
        ours = column.name
        of_other_type = pl.col(is_unreadable(ours)) if is_unreadable(ours) in there else _NO
        if column.kind in _AS_THEY_ARE:
            return of_other_type
        has_value = pl.col(value_of(ours)).is_not_null() if value_of(ours) in there else _NO
        return self._is_given(ours) | has_value | of_other_type

    def _is_lost(self, column: Column) -> pl.Expr:
        """Return whether a row has something in a column that could not be read."""
        mark = pl.col(_mark(column.name))
        return mark if column.kind in _AS_THEY_ARE else mark & pl.col(column.name).is_null()

    def _is_given(self, ours: str) -> pl.Expr:
        """Return whether a row has a text in a column that means something."""
        text = pl.col(ours)
        is_other = [text != word for word in self.options.null]  # quicker than to look up a few
        return pl.all_horizontal(text.is_not_null(), *is_other).fill_null(value=False)

    def _value(self, column: Column, there: Collection[str], *, in_all_ways: bool) -> pl.Expr:
        """Read the cells of a column; those that can't be read are null."""
        ours, kind = column.name, column.kind
        if ours not in there:
            return pl.lit(None, _TYPES[kind]).alias(ours)
        text, is_read = pl.col(ours), self._is_given(ours)
        if is_unreadable(ours) in there:
            is_read &= ~pl.col(is_unreadable(ours))
        ways = [text]
        if kind not in _AS_THEY_ARE:
            ways = [*self._ways(kind, text), *self._ways(kind, text.str.strip_chars())]
        read = pl.when(is_read).then(pl.coalesce(ways if in_all_ways else ways[:1]))
        known = [self._known(ours, kind)] if value_of(ours) in there else []
        return pl.coalesce(*known, read).alias(ours)

    def _ways(self, kind: Kind, text: pl.Expr) -> list[pl.Expr]:
        """List the ways to read texts as values of a kind, the most likely first."""
        match kind:
            case Kind.INSTANT:
                return [self._instant(text, one) for one in self._formats]
            case Kind.NUMBER:
                return [self._number(text)]
            case Kind.FLAG:
                return [self._flag(text)]
            case _:
                return []

    @property
    def _formats(self) -> Sequence[str]:
        """The formats of instants, as Polars has them."""
        own = [one.replace(".%f", "%.f").replace("%z", "%#z") for one in self.options.dates]
        return own or _ISO_8601

    def _known(self, ours: str, kind: Kind) -> pl.Expr:
        value = pl.col(value_of(ours))
        return self._utc(value) if kind is Kind.INSTANT else value

    def _instant(self, text: pl.Expr, format_: str) -> pl.Expr:
        # Its cache takes longer than reading texts that are mostly different.
        read = text.str.to_datetime(format_, time_unit="us", strict=False, cache=False)
        return read if _ZONE in format_ else self._utc(read.to_physical())

    def _utc(self, wall_us: pl.Expr) -> pl.Expr:
        """Convert readings of the wall clock, as the definitions do."""
        steps = self.clock.steps
        changes = (step.change_us for step in steps)
        offsets = list(accumulate(changes, initial=self.clock.first_offset_us))
        begins = pl.lit(pl.Series([step.wall_us for step in steps], dtype=pl.Int64))
        nth = begins.search_sorted(wall_us.fill_null(0), side="right")
        offset = pl.lit(pl.Series(offsets, dtype=pl.Int64)).gather(nth)
        return (wall_us - offset).cast(_TYPES[Kind.INSTANT])

    def _number(self, text: pl.Expr) -> pl.Expr:
        decimal = self.options.decimal
        if decimal != ".":
            # A point is then no decimal sign, and what it separates is not known.
            whole = pl.when(~text.str.contains(".", literal=True)).then(text)
            text = whole.str.replace(decimal, ".", literal=True)
        return text.cast(pl.Float64, strict=False)

    def _flag(self, text: pl.Expr) -> pl.Expr:
        word = text.str.to_lowercase()
        is_true = word.is_in([one.lower() for one in self.options.true])
        is_false = word.is_in([one.lower() for one in self.options.false])
        return pl.when(is_true).then(True).when(is_false).then(False)  # noqa: FBT003


def _mark(ours: str) -> str:
    return f"{ours}\0mark"
