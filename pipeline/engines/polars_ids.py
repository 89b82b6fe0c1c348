"""How many different ids there are, without the rows that have them.

Numbers of different ids do not add up, so the ids themselves are kept: hashed, without
repetition, month by month. Each is one 64-bit number, organisation first, category last, so that
one sort tells how many there are in all and in each category. A second hash of each id must give
the same counts; where it does not, two ids have fallen together and counting is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Final, Protocol, Self

import msgspec
import polars as pl

from pipeline.breakdown import MONTH
from pipeline.engines import polars_hashing as hashing
from pipeline.metrics import Over, over
from pipeline.participations import CATEGORY, ORG_ID

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from pipeline.metrics import Metric

ORG_PLACE: Final = "org_place"
"""The place of the row's organisation among those of the batch."""
CATEGORY_PLACE: Final = "category_place"
"""The place of the row's category among all that count."""

_IDS: Final = "ids"
_BITS: Final = 64
_FEW: Final = 8
"""One organisation in so many is picked out of the ids; more are not."""
_MONTH_BITS: Final = 5
"""At least: for batches of few months to be laid alike."""


class IdsCollide(Exception):
    """Two ids have the same hash; the counts would be too small."""


class Layout(msgspec.Struct, frozen=True):
    """How an id is packed into one number: organisation, hash, category, from the top."""

    organisation_bits: int
    hash_bits: int
    category_bits: int

    @classmethod
    def of(cls, organisations: int, categories: int, months: int) -> Self:
        """The widest hashes that leave room for so many months before all else."""
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

    def pack(self, id_hash: pl.Expr) -> pl.Expr:
        """A hash of 64 bits, packed with the places that the row has."""
        organisation, category = (
            pl.col(place).cast(pl.UInt64) for place in (ORG_PLACE, CATEGORY_PLACE)
        )
        return self._laid(id_hash // 2 ** (_BITS - self.hash_bits), organisation, category)

    def _laid(self, id_bits: pl.Expr, organisation: pl.Expr, category: pl.Expr) -> pl.Expr:
        of_organisation = organisation * 2**self.hash_bits + id_bits
        return self.with_category(of_organisation) + category

    def organisation(self, packed: pl.Expr) -> pl.Expr:
        """Its place among the organisations."""
        return packed.floordiv(2 ** (self.hash_bits + self.category_bits))

    def category(self, packed: pl.Expr) -> pl.Expr:
        """Its place among the categories."""
        return packed.mod(2**self.category_bits)

    def without_category(self, packed: pl.Expr) -> pl.Expr:
        """Organisation and hash only."""
        return packed.floordiv(2**self.category_bits)

    def with_category(self, of_organisation: pl.Expr) -> pl.Expr:
        """Packed again, under the first category."""
        return of_organisation.mul(2**self.category_bits)

    def laid_anew(self, packed: pl.Expr, organisation: pl.Expr, other: Layout) -> pl.Expr:
        """The same ids in a layout with no wider hashes, under other organisations' places."""
        id_bits = self.without_category(packed) % 2**self.hash_bits
        narrower = id_bits // 2 ** (self.hash_bits - other.hash_bits)
        return other._laid(narrower, organisation, self.category(packed))

    def cut(self, in_order: pl.Series, runs: Sequence[range]) -> list[pl.Series]:
        """The ids of the organisations at these places."""
        unit = 2 ** (self.hash_bits + self.category_bits)
        edges = [edge * unit for run in runs for edge in (run.start, run.stop)]
        return hashing.slices(in_order, edges)[::2]


class Arrays(Protocol):
    """Where packed ids are: in memory, or in a file."""

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.Series]]:
        """For each column of ids, the arrays of those of these months in which a row counts.

        Each id once, in order.
        """


@dataclass(frozen=True, slots=True)
class ArraysInMemory:
    """Arrays by `name_of`."""

    by_name: Mapping[str, pl.Series]

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.Series]]:
        """For each column of ids, the arrays of those of these months in which a row counts."""
        months = tuple(months)
        return {
            column: [self.by_name[name] for name in names_of(column, months, self.by_name)]
            for column in hashing.ID_COLUMNS
        }


def name_of(column: str, month: int) -> str:
    """The name of an array."""
    return f"{column}-{month}"


def names_of(column: str, months: Iterable[int], there: Container[str]) -> list[str]:
    """The names of the arrays of these months that are there."""
    return [name for month in months if (name := name_of(column, month)) in there]


@dataclass(frozen=True, slots=True)
class PackedIds:
    """The different ids of some rows that count."""

    organisations: Sequence[str]
    """In order; ids name an organisation by its place here."""
    layout: Layout
    arrays: Arrays
    """For each column of hashed ids and each month."""


def packed(counted: pl.LazyFrame, organisations: Sequence[str], categories: int) -> PackedIds:
    """The ids of these rows.

    Args:
        counted: Rows that count, with `MONTH`, both places and hashed ids.
        organisations: Those that the places are among.
        categories: How many there are.
    """
    rows = counted.select(MONTH, ORG_PLACE, CATEGORY_PLACE, *hashing.ID_COLUMNS).collect()
    months = rows.get_column(MONTH).unique().sort().to_list()
    layout = Layout.of(len(organisations), categories, len(months))
    ids = rows.lazy().select(
        (_nth(months) * 2**layout.bits + layout.pack(pl.col(column))).alias(column)
        for column in hashing.ID_COLUMNS
    )
    edges = [n * 2**layout.bits for n in range(len(months))]
    arrays: dict[str, pl.Series] = {}
    for found in ids.collect():
        # Exports list an activity's people one after the other: many repeats stand together.
        in_order = hashing.in_order(found.filter(found.ne_missing(found.shift(1)))).unique()
        for month, of_month in zip(months, hashing.slices(in_order, edges), strict=True):
            arrays[name_of(found.name, month)] = of_month % 2**layout.bits
    return PackedIds(organisations, layout, ArraysInMemory(arrays))


def _nth(months: Sequence[int]) -> pl.Expr:
    """The place of the row's month among these, by a table: a search takes five times as long."""
    first = min(months, default=0)
    table = [0] * (max(months, default=0) - first + 1)
    for place, month in enumerate(months):
        table[month - first] = place
    return pl.lit(pl.Series(table, dtype=pl.UInt64)).gather(pl.col(MONTH) - first)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which ids are merged: of which months, organisations and categories, and how laid."""

    months: range
    organisations: Sequence[str]
    categories: Sequence[str]
    layout: Layout


def count(
    parts: Sequence[PackedIds],
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

    Raises:
        IdsCollide: The hashes can't tell all ids apart.
    """
    organisations = _widened(organisations, parts)
    layout = Layout.of(len(organisations), len(categories), len(months))
    narrowest = min([layout.hash_bits, *(part.layout.hash_bits for part in parts)])
    layout = msgspec.structs.replace(layout, hash_bits=narrowest)
    asked = _Asked(months, organisations, categories, layout)
    laid = [_laid(part, asked) for part in parts]
    return [_different(laid, metric, asked) for metric in over(Over.DIFFERENT)]


def _widened(organisations: Sequence[str], parts: Sequence[PackedIds]) -> Sequence[str]:
    """Everybody, where many are asked for: to pick them out takes longer than to count all."""
    everybody = max((part.organisations for part in parts), key=len)
    is_many = len(organisations) * _FEW > len(everybody)
    return everybody if is_many and set(organisations) <= set(everybody) else organisations


def _different(
    laid: Sequence[Mapping[str, Sequence[pl.Series]]], metric: Metric, asked: _Asked
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How many different ids, per organisation, and per organisation and category."""
    layout, ids = asked.layout, pl.col(_IDS)
    of_organisation = layout.with_category(layout.without_category(ids).unique())
    groups = layout.organisation(ids).alias(ORG_ID), layout.category(ids).alias(CATEGORY)
    how_many = pl.len().cast(pl.Int64).alias(metric.name)
    merged, *others = (
        _merged(chain.from_iterable(of_part[column] for of_part in laid))
        for column in hashing.id_columns(metric.column)
    )
    totals, *proofs = (
        found.select(of_organisation).group_by(groups[0]).agg(how_many).sort(ORG_ID)
        for found in (merged, *others)
    )
    if not all(proof.equals(totals) for proof in proofs):
        raise IdsCollide
    shares = merged.group_by(groups).agg(how_many)
    organisation = name_at(ORG_ID, asked.organisations).alias(ORG_ID)
    category = name_at(CATEGORY, asked.categories).alias(CATEGORY)
    return totals.with_columns(organisation), shares.with_columns(organisation, category)


def name_at(place: str, names: Sequence[str] | pl.Series) -> pl.Expr:
    """A column of places among these names, as the names."""
    return pl.lit(pl.Series(names, dtype=pl.String)).gather(pl.col(place))


def _merged(laid: Iterable[pl.Series]) -> pl.DataFrame:
    """All these ids, each once, in order."""
    nothing = pl.Series(dtype=pl.UInt64)
    together = pl.concat([nothing, *(ids.alias("") for ids in laid)])
    return hashing.in_order(together).unique().to_frame(_IDS)


def _laid(part: PackedIds, asked: _Asked) -> Mapping[str, Sequence[pl.Series]]:
    """The ids of one part that are asked for, laid as it is asked, by column."""
    if part.layout == asked.layout and part.organisations == asked.organisations:
        return part.arrays.of_months(asked.months)
    wanted = {org_id: place for place, org_id in enumerate(asked.organisations)}
    places = [wanted.get(org_id) for org_id in part.organisations]
    runs = _runs(places)
    if not runs:
        return dict.fromkeys(hashing.ID_COLUMNS, ())
    ids = pl.col(_IDS)
    place = pl.lit(pl.Series(places, dtype=pl.UInt64)).gather(part.layout.organisation(ids))
    laid = part.layout.laid_anew(ids, place, asked.layout)
    return {
        column: [
            piece.to_frame(_IDS).select(laid).to_series()
            for array in arrays
            for piece in part.layout.cut(array, runs)
        ]
        for column, arrays in part.arrays.of_months(asked.months).items()
    }


def _runs(places: Sequence[int | None]) -> list[range]:
    """Where, among these, places stand without a gap."""
    runs = []
    for is_there, run in groupby(range(len(places)), key=lambda n: places[n] is not None):
        if is_there:
            first, *rest = run
            runs.append(range(first, first + len(rest) + 1))
    return runs
