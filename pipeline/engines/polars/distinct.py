"""The different ids of counted rows, without the rows, and their exact number.

Numbers of different ids do not add up, so the ids are stored: as 128 bits of hash, each once a
month and value of a breakdown. Each also has a 64-bit number: the organisation, then as much of the
hash as fits, then the value. One sort by these numbers counts the ids in all and of each value.
Where several ids have one number, their whole hashes distinguish them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final, Protocol, Self

import msgspec
import polars as pl

from pipeline.definitions.steps import MONTH
from pipeline.engines.polars import hashing
from pipeline.engines.quarantine import name_at
from pipeline.model.breakdowns import VALUE
from pipeline.model.columns import KEY, ORG_ID
from pipeline.model.metrics import Aggregation, metrics_by

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from pipeline.model.metrics import Metric

ORG_NUMBER: Final = "org_number"
"""The position of the row's organisation among those of the batch."""
VALUE_NUMBER: Final = "value_number"
"""The position of the row's value among all of the breakdown."""

NUMBER: Final = "number"
HASH: Final = ("hash_0", "hash_1")
"""The two halves of an id's hash."""
COLUMNS: Final = (NUMBER, *HASH)
"""The columns of a frame of ids: 64 bits each."""

_HALVES: Final = tuple(map(pl.col, HASH))
_ALL: Final = (pl.col(NUMBER), *_HALVES)
_BITS: Final = 64
_FEW: Final = 8
"""One organisation in so many is picked out of the ids; more are not."""
_MONTH_BITS: Final = 5
"""At least so many, so that batches of few months have the same layout."""


class Layout(msgspec.Struct, frozen=True):
    """The bits of an id's number: organisation, hash, value, from the top."""

    organisation_bits: int
    hash_bits: int
    value_bits: int

    @classmethod
    def of(cls, organisations: int, values: int, months: int) -> Self:
        """Use as much of the hash as leaves room for so many months above everything else."""
        organisation_bits, value_bits = (
            max(1, (count - 1).bit_length()) for count in (organisations, values)
        )
        month_bits = max(_MONTH_BITS, (months - 1).bit_length())
        hash_bits = max(1, _BITS - month_bits - organisation_bits - value_bits)
        return cls(organisation_bits, hash_bits, value_bits)

    @property
    def bits(self) -> int:
        """The bits of the whole number."""
        return self.organisation_bits + self.hash_bits + self.value_bits

    def number(self, organisation: pl.Expr, id_hash: pl.Expr, value: pl.Expr) -> pl.Expr:
        """Give the number of an id with these positions and this first half of its hash."""
        top = id_hash.floordiv(2 ** (_BITS - self.hash_bits))
        of_organisation = organisation.cast(pl.UInt64).mul(2**self.hash_bits) + top
        return of_organisation.mul(2**self.value_bits) + value.cast(pl.UInt64)

    def organisation(self, number: pl.Expr) -> pl.Expr:
        """Give its position among the organisations."""
        return number.floordiv(2 ** (self.hash_bits + self.value_bits))

    def value(self, number: pl.Expr) -> pl.Expr:
        """Give its position among the values."""
        return number.mod(2**self.value_bits)

    def without_value(self, number: pl.Expr) -> pl.Expr:
        """Give organisation and hash only."""
        return number.floordiv(2**self.value_bits)

    def cut(self, in_order: pl.DataFrame, ranges: Sequence[range]) -> list[pl.DataFrame]:
        """Cut out the ids of the organisations at these positions."""
        unit = 2 ** (self.hash_bits + self.value_bits)
        bounds = [bound * unit for run in ranges for bound in (run.start, run.stop)]
        spans = hashing.spans(in_order.get_column(NUMBER), bounds)
        return [in_order.slice(*span) for span in spans[::2]]


class Frames(Protocol):
    """The place of ids: memory, or a file."""

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.DataFrame]]:
        """Give, by the column that the ids are of, a frame for each month in which a row counts.

        Each has `COLUMNS`, each id and value once, sorted by number.
        """


@dataclass(frozen=True, slots=True)
class FramesInMemory:
    """Frames by `name_of`."""

    by_name: Mapping[str, pl.DataFrame]

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.DataFrame]]:
        """Give, by the column that the ids are of, the frames of these months."""
        months = tuple(months)
        return {
            column: [self.by_name[name] for name in names_of(column, months, self.by_name)]
            for column in hashing.COUNTED
        }


def name_of(column: str, month: int) -> str:
    """Name a frame."""
    return f"{column}-{month}"


def names_of(column: str, months: Iterable[int], existing: Container[str]) -> list[str]:
    """Name the existing frames of these months."""
    return [name for month in months if (name := name_of(column, month)) in existing]


@dataclass(frozen=True, slots=True)
class DistinctIds:
    """The different ids of some counted rows, by organisation, month and value of a breakdown."""

    organisations: Sequence[str]
    """Sorted; a number has an organisation's position here."""
    values: Sequence[str]
    """A number has a value's position here."""
    layout: Layout
    frames: Frames


def collect(
    counted: pl.LazyFrame, organisations: Sequence[str], values: Sequence[str], value_number: str
) -> DistinctIds:
    """Collect the ids of these rows.

    Args:
        counted: Rows that count, with `MONTH`, both numbers and hashed ids.
        organisations: The list that `ORG_NUMBER` is a position in.
        values: The list that the column `value_number` is a position in.
        value_number: The column with the position of the row's value.
    """
    has_null = [column for column in hashing.COUNTED if column not in KEY]
    rows = counted.select(MONTH, ORG_NUMBER, value_number, *hashing.ID_COLUMNS, *has_null).collect()
    months = rows.get_column(MONTH).unique().sort().to_list()
    layout = Layout.of(len(organisations), len(values), len(months))
    bounds = [n * 2**layout.bits for n in range(len(months))]
    frames: dict[str, pl.DataFrame] = {}
    for column in hashing.COUNTED:
        named = rows.filter(pl.col(column).is_not_null()) if column in has_null else rows
        halves = [pl.col(name) for name in hashing.id_columns(column)]
        number = layout.number(pl.col(ORG_NUMBER), halves[0], pl.col(value_number))
        of_month = _nth(months) * 2**layout.bits + number
        ids = named.select(
            of_month.alias(NUMBER),
            *(half.alias(name) for half, name in zip(halves, HASH, strict=True)),
        )
        # Exports list an activity's people one after the other: many repeats are neighbours.
        in_order = _each_once(hashing.by(NUMBER, _each_once(ids)))
        spans = hashing.spans(in_order.get_column(NUMBER), bounds)
        within = in_order.with_columns(pl.col(NUMBER) % 2**layout.bits)
        for month_, span in zip(months, spans, strict=True):
            frames[name_of(column, month_)] = within.slice(*span)
    return DistinctIds(organisations, values, layout, FramesInMemory(frames))


def _nth(months: Sequence[int]) -> pl.Expr:
    """Find the position of the row's month by a table: a search takes five times as long."""
    first = min(months, default=0)
    table = [0] * (max(months, default=0) - first + 1)
    for position, month in enumerate(months):
        table[month - first] = position
    return pl.lit(pl.Series(table, dtype=pl.UInt64)).gather(pl.col(MONTH) - first)


@dataclass(frozen=True, slots=True)
class _Merge:
    """The months, organisations and values whose ids are merged, and their common layout."""

    months: range
    organisations: Sequence[str]
    values: Sequence[str]
    layout: Layout


def count(
    parts: Sequence[DistinctIds], months: range, organisations: Sequence[str]
) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """Count different ids, for each metric: per organisation, and per organisation and `VALUE`.

    Args:
        parts: The ids of all rows that count, of one breakdown.
        months: The period, as months one after the other.
        organisations: The organisations to count; the result may have others too.
    """
    organisations = _widened(organisations, parts)
    values = list(dict.fromkeys(chain.from_iterable(part.values for part in parts)))
    layout = Layout.of(len(organisations), len(values), len(months))
    merge = _Merge(months, organisations, values, layout)
    numbered = [_numbered(part, merge) for part in parts]
    return [
        _different(numbered, metric, merge) for metric in metrics_by(Aggregation.COUNT_DISTINCT)
    ]


def _widened(organisations: Sequence[str], parts: Sequence[DistinctIds]) -> Sequence[str]:
    """Count all organisations where many are asked for: to select them takes longer."""
    most = max((part.organisations for part in parts), key=len)
    is_many = len(organisations) * _FEW > len(most)
    return most if is_many and set(organisations) <= set(most) else organisations


def _numbered(part: DistinctIds, merge: _Merge) -> Mapping[str, Sequence[pl.DataFrame]]:
    """Give the ids of one part that are merged, numbered by the common layout, by column."""
    has_layout = part.layout == merge.layout and list(part.values) == list(merge.values)
    if has_layout and part.organisations == merge.organisations:
        return part.frames.of_months(merge.months)
    wanted = {org_id: position for position, org_id in enumerate(merge.organisations)}
    positions = [wanted.get(org_id) for org_id in part.organisations]
    ranges = _ranges(positions)
    if not ranges:
        return dict.fromkeys(hashing.COUNTED, ())
    number, layout = pl.col(NUMBER), part.layout
    organisation = _translated(positions, layout.organisation(number))
    values = {value: position for position, value in enumerate(merge.values)}
    value = _translated([values[value] for value in part.values], layout.value(number))
    renumbered = merge.layout.number(organisation, pl.col(HASH[0]), value)
    return {
        column: [
            piece.with_columns(renumbered.alias(NUMBER))
            for frame in frames
            for piece in layout.cut(frame, ranges)
        ]
        for column, frames in part.frames.of_months(merge.months).items()
    }


def _translated(positions: Sequence[int | None], number: pl.Expr) -> pl.Expr:
    return pl.lit(pl.Series(positions, dtype=pl.UInt64)).gather(number)


def _different(
    numbered: Sequence[Mapping[str, Sequence[pl.DataFrame]]], metric: Metric, merge: _Merge
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Count different ids, per organisation, and per organisation and value."""
    layout, number = merge.layout, pl.col(NUMBER)
    nothing = pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.UInt64))
    of_parts = chain.from_iterable(of_part[metric.column] for of_part in numbered)
    in_order = _neighbours(pl.concat([nothing, *of_parts]), layout)
    of_organisation = layout.organisation(number).alias(ORG_ID)
    of_value = layout.value(number).alias(VALUE)
    how_many = pl.len().cast(pl.Int64).alias(metric.name)
    different = in_order.select(number.filter(_is_new(layout.without_value(number), *_HALVES)))
    totals = different.group_by(of_organisation).agg(how_many)
    by_value = in_order.select(number.filter(_is_new(*_ALL)))
    shares = by_value.group_by(of_organisation, of_value).agg(how_many)
    organisation = name_at(ORG_ID, merge.organisations).alias(ORG_ID)
    value = name_at(VALUE, merge.values).alias(VALUE)
    return totals.with_columns(organisation), shares.with_columns(organisation, value)


def _neighbours(ids: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Sort these ids so that equal ones are neighbours, of any value."""
    in_order = hashing.by(NUMBER, ids)
    of_id = layout.without_value(pl.col(NUMBER))
    is_shared = in_order.select((_is_new(*_HALVES) & ~_is_new(of_id)).any()).item()
    # Ids that share a number may alternate.
    return ids.sort(of_id, *HASH, NUMBER) if is_shared else in_order


def _each_once(ids: pl.DataFrame) -> pl.DataFrame:
    """Leave out ids that repeat the row before."""
    return ids.filter(_is_new(*_ALL))


def _is_new(*parts: pl.Expr) -> pl.Expr:
    """Return whether any of this differs from the row before."""
    return pl.any_horizontal(part.ne_missing(part.shift(1)) for part in parts)


def _ranges(positions: Sequence[int | None]) -> list[range]:
    """Find where, among these, positions follow each other without a gap."""
    ranges = []
    for exists, run in groupby(range(len(positions)), key=lambda n: positions[n] is not None):
        if exists:
            first, *rest = run
            ranges.append(range(first, first + len(rest) + 1))
    return ranges
