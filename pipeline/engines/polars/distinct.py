"""How many different ids there are, without the rows that have them.

Numbers of different ids do not add up, so the ids themselves are kept: as 128 bits of hash, without
repetition, month by month. Beside its hash each has a 64-bit number: organisation first, then what
there is room for of the hash, category last; so that one sort tells how many there are in all and
in each category. Where several ids have one number, their whole hashes tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final, Protocol, Self

import msgspec
import polars as pl

from pipeline.definitions.steps import MONTH
from pipeline.engines.polars import hashing
from pipeline.model.columns import CATEGORY, ORG_ID
from pipeline.model.metrics import Aggregation, over

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from pipeline.model.metrics import Metric

ORG_PLACE: Final = "org_place"
"""The place of the row's organisation among those of the batch."""
CATEGORY_PLACE: Final = "category_place"
"""The place of the row's category among all that count."""

NUMBER: Final = "number"
HASH: Final = ("hash_0", "hash_1")
"""The two halves of an id's hash."""
COLUMNS: Final = (NUMBER, *HASH)
"""Of a frame of ids: 64 bits each."""

_HALVES: Final = tuple(map(pl.col, HASH))
_ALL: Final = (pl.col(NUMBER), *_HALVES)
_BITS: Final = 64
_FEW: Final = 8
"""One organisation in so many is picked out of the ids; more are not."""
_MONTH_BITS: Final = 5
"""At least: for batches of few months to be laid alike."""


class Layout(msgspec.Struct, frozen=True):
    """What an id's number is made of: organisation, hash, category, from the top."""

    organisation_bits: int
    hash_bits: int
    category_bits: int

    @classmethod
    def of(cls, organisations: int, categories: int, months: int) -> Self:
        """As much of the hash as leaves room for so many months before all else."""
        organisation_bits, category_bits = (
            max(1, (count - 1).bit_length()) for count in (organisations, categories)
        )
        month_bits = max(_MONTH_BITS, (months - 1).bit_length())
        hash_bits = _BITS - month_bits - organisation_bits - category_bits
        return cls(organisation_bits, hash_bits, category_bits)

    @property
    def bits(self) -> int:
        """Of the whole number."""
        return self.organisation_bits + self.hash_bits + self.category_bits

    def number(self, organisation: pl.Expr, id_hash: pl.Expr, category: pl.Expr) -> pl.Expr:
        """The number of an id with these places and this first half of its hash."""
        top = id_hash.floordiv(2 ** (_BITS - self.hash_bits))
        of_organisation = organisation.cast(pl.UInt64).mul(2**self.hash_bits) + top
        return of_organisation.mul(2**self.category_bits) + category.cast(pl.UInt64)

    def organisation(self, number: pl.Expr) -> pl.Expr:
        """Its place among the organisations."""
        return number.floordiv(2 ** (self.hash_bits + self.category_bits))

    def category(self, number: pl.Expr) -> pl.Expr:
        """Its place among the categories."""
        return number.mod(2**self.category_bits)

    def without_category(self, number: pl.Expr) -> pl.Expr:
        """Organisation and hash only."""
        return number.floordiv(2**self.category_bits)

    def cut(self, in_order: pl.DataFrame, runs: Sequence[range]) -> list[pl.DataFrame]:
        """The ids of the organisations at these places."""
        unit = 2 ** (self.hash_bits + self.category_bits)
        edges = [edge * unit for run in runs for edge in (run.start, run.stop)]
        spans = hashing.spans(in_order.get_column(NUMBER), edges)
        return [in_order.slice(*span) for span in spans[::2]]


class Frames(Protocol):
    """Where ids are: in memory, or in a file."""

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.DataFrame]]:
        """By the column that the ids are of, those of these months in which a row counts.

        For each month a frame with `COLUMNS`, each id and category once, by their numbers.
        """


@dataclass(frozen=True, slots=True)
class FramesInMemory:
    """Frames by `name_of`."""

    by_name: Mapping[str, pl.DataFrame]

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.DataFrame]]:
        """By the column that the ids are of, those of these months in which a row counts."""
        months = tuple(months)
        return {
            column: [self.by_name[name] for name in names_of(column, months, self.by_name)]
            for column in hashing.COUNTED
        }


def name_of(column: str, month: int) -> str:
    """The name of a frame."""
    return f"{column}-{month}"


def names_of(column: str, months: Iterable[int], there: Container[str]) -> list[str]:
    """The names of the frames of these months that are there."""
    return [name for month in months if (name := name_of(column, month)) in there]


@dataclass(frozen=True, slots=True)
class Ids:
    """The different ids of some rows that count."""

    organisations: Sequence[str]
    """In order; numbers name an organisation by its place here."""
    layout: Layout
    frames: Frames


def collect(counted: pl.LazyFrame, organisations: Sequence[str], categories: int) -> Ids:
    """The ids of these rows.

    Args:
        counted: Rows that count, with `MONTH`, both places and hashed ids.
        organisations: Those that the places are among.
        categories: How many there are.
    """
    rows = counted.select(MONTH, ORG_PLACE, CATEGORY_PLACE, *hashing.ID_COLUMNS).collect()
    months = rows.get_column(MONTH).unique().sort().to_list()
    layout = Layout.of(len(organisations), categories, len(months))
    edges = [n * 2**layout.bits for n in range(len(months))]
    frames: dict[str, pl.DataFrame] = {}
    for column in hashing.COUNTED:
        halves = [pl.col(name) for name in hashing.id_columns(column)]
        number = layout.number(pl.col(ORG_PLACE), halves[0], pl.col(CATEGORY_PLACE))
        of_month = _nth(months) * 2**layout.bits + number
        named = (half.alias(name) for half, name in zip(halves, HASH, strict=True))
        ids = rows.select(of_month.alias(NUMBER), *named)
        # Exports list an activity's people one after the other: many repeats stand together.
        in_order = _each_once(hashing.by(NUMBER, _each_once(ids)))
        spans = hashing.spans(in_order.get_column(NUMBER), edges)
        within = in_order.with_columns(pl.col(NUMBER) % 2**layout.bits)
        for month_, span in zip(months, spans, strict=True):
            frames[name_of(column, month_)] = within.slice(*span)
    return Ids(organisations, layout, FramesInMemory(frames))


def _nth(months: Sequence[int]) -> pl.Expr:
    """The place of the row's month among these, by a table: a search takes five times as long."""
    first = min(months, default=0)
    table = [0] * (max(months, default=0) - first + 1)
    for place, month in enumerate(months):
        table[month - first] = place
    return pl.lit(pl.Series(table, dtype=pl.UInt64)).gather(pl.col(MONTH) - first)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which ids are merged: of which months, organisations and categories, and how numbered."""

    months: range
    organisations: Sequence[str]
    categories: Sequence[str]
    layout: Layout


def count(
    parts: Sequence[Ids],
    months: range,
    organisations: Sequence[str],
    categories: Sequence[str],
) -> list[tuple[pl.DataFrame, pl.DataFrame]]:
    """For each metric, how many different ids: per organisation, and per category as well.

    Args:
        parts: The ids of all rows that count.
        months: The period, as months one after the other.
        organisations: Of these; there may be others in what comes back.
        categories: All that count.
    """
    organisations = _widened(organisations, parts)
    layout = Layout.of(len(organisations), len(categories), len(months))
    asked = _Asked(months, organisations, categories, layout)
    numbered = [_numbered(part, asked) for part in parts]
    return [_different(numbered, metric, asked) for metric in over(Aggregation.COUNT_DISTINCT)]


def _widened(organisations: Sequence[str], parts: Sequence[Ids]) -> Sequence[str]:
    """Everybody, where many are asked for: to pick them out takes longer than to count all."""
    everybody = max((part.organisations for part in parts), key=len)
    is_many = len(organisations) * _FEW > len(everybody)
    return everybody if is_many and set(organisations) <= set(everybody) else organisations


def _numbered(part: Ids, asked: _Asked) -> Mapping[str, Sequence[pl.DataFrame]]:
    """The ids of one part that are asked for, numbered as it is asked, by column."""
    if part.layout == asked.layout and part.organisations == asked.organisations:
        return part.frames.of_months(asked.months)
    wanted = {org_id: place for place, org_id in enumerate(asked.organisations)}
    places = [wanted.get(org_id) for org_id in part.organisations]
    runs = _runs(places)
    if not runs:
        return dict.fromkeys(hashing.COUNTED, ())
    number, layout = pl.col(NUMBER), part.layout
    place = pl.lit(pl.Series(places, dtype=pl.UInt64)).gather(layout.organisation(number))
    anew = asked.layout.number(place, pl.col(HASH[0]), layout.category(number))
    return {
        column: [
            piece.with_columns(anew.alias(NUMBER))
            for frame in frames
            for piece in layout.cut(frame, runs)
        ]
        for column, frames in part.frames.of_months(asked.months).items()
    }


def _different(
    numbered: Sequence[Mapping[str, Sequence[pl.DataFrame]]], metric: Metric, asked: _Asked
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How many different ids, per organisation, and per organisation and category."""
    layout, number = asked.layout, pl.col(NUMBER)
    nothing = pl.DataFrame(schema=dict.fromkeys(COLUMNS, pl.UInt64))
    of_parts = chain.from_iterable(of_part[metric.column] for of_part in numbered)
    in_order = _side_by_side(pl.concat([nothing, *of_parts]), layout)
    of_organisation = layout.organisation(number).alias(ORG_ID)
    of_category = layout.category(number).alias(CATEGORY)
    how_many = pl.len().cast(pl.Int64).alias(metric.name)
    different = in_order.select(number.filter(_is_new(layout.without_category(number), *_HALVES)))
    totals = different.group_by(of_organisation).agg(how_many)
    by_category = in_order.select(number.filter(_is_new(*_ALL)))
    shares = by_category.group_by(of_organisation, of_category).agg(how_many)
    organisation = name_at(ORG_ID, asked.organisations).alias(ORG_ID)
    category = name_at(CATEGORY, asked.categories).alias(CATEGORY)
    return totals.with_columns(organisation), shares.with_columns(organisation, category)


def _side_by_side(ids: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """These ids so ordered that equal ones stand side by side, whatever their categories."""
    in_order = hashing.by(NUMBER, ids)
    of_id = layout.without_category(pl.col(NUMBER))
    several_have_it = in_order.select((_is_new(*_HALVES) & ~_is_new(of_id)).any()).item()
    # Ids that share a number may take turns.
    return ids.sort(of_id, *HASH, NUMBER) if several_have_it else in_order


def _each_once(ids: pl.DataFrame) -> pl.DataFrame:
    """These ids without those that repeat the row before."""
    return ids.filter(_is_new(*_ALL))


def _is_new(*parts: pl.Expr) -> pl.Expr:
    """Whether any of this is another than in the row before."""
    return pl.any_horizontal(part.ne_missing(part.shift(1)) for part in parts)


def name_at(place: str, names: Sequence[str] | pl.Series) -> pl.Expr:
    """A column of places among these names, as the names."""
    return pl.lit(pl.Series(names, dtype=pl.String)).gather(pl.col(place))


def _runs(places: Sequence[int | None]) -> list[range]:
    """Where, among these, places stand without a gap."""
    runs = []
    for is_there, run in groupby(range(len(places)), key=lambda n: places[n] is not None):
        if is_there:
            first, *rest = run
            runs.append(range(first, first + len(rest) + 1))
    return runs
