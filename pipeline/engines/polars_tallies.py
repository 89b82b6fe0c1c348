"""Counting without rows: what counted rows come to, small enough to keep and to add together.

Sums add up; different ids do not, so a tally holds the ids themselves, hashed and without
repetition, month by month. Each is one 64-bit number, organisation first, category last, so that
one sort tells how many there are in all and in each category. A second hash of each id must give
the same counts; where it does not, two ids have fallen together and the tally refuses to count.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final, Protocol

import narwhals as nw
import polars as pl

from pipeline.breakdown import MONTH, PERIOD
from pipeline.engines import polars_hashing as hashing
from pipeline.metrics import METRICS, Over, over
from pipeline.participations import CATEGORY, ORG_ID
from pipeline.periods import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_IDS: Final = "ids"
_BITS: Final = 64
_ADDED: Final = tuple(metric for metric in METRICS if metric.over is not Over.DIFFERENT)
"""Metrics that add up over groups without a row in common."""


class IdsCollide(Exception):
    """Two ids have the same hash; the counts would be too small."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What some counted rows come to."""

    organisations: Sequence[str]
    """In order; packed ids name an organisation by its place here."""
    sums: pl.DataFrame
    """Per organisation, month and category: the metrics that add up."""
    ids: Ids
    """The packed ids, for each column of hashed ids and each month."""


class Ids(Protocol):
    """Where a tally's packed ids are: in memory, or in a file."""

    def of_months(self, column: str, months: Iterable[int]) -> list[pl.Series]:
        """One array for each of these months in which a row counts, each id once."""


@dataclass(frozen=True, slots=True)
class IdsInMemory:
    """Packed ids by `name_of`."""

    arrays: Mapping[str, pl.Series]

    def of_months(self, column: str, months: Iterable[int]) -> list[pl.Series]:
        """One array for each of these months in which a row counts, each id once."""
        names = (name_of(column, month) for month in months)
        return [self.arrays[name] for name in names if name in self.arrays]


def name_of(column: str, month: int) -> str:
    """The name of an array of ids."""
    return f"{column}-{month}"


def tally(counted: pl.DataFrame, organisations: Sequence[str], categories: Sequence[str]) -> Tally:
    """What these rows come to.

    Args:
        counted: Rows that count; organisations are an `Enum`, ids are hashed already.
        organisations: The values of that `Enum`.
        categories: All that a row may have.
    """
    coded = counted.with_columns(pl.col(CATEGORY).cast(pl.Enum(categories)))
    definitions = [metric.expression.alias(metric.name) for metric in _ADDED]
    groups = nw.from_native(coded).group_by(ORG_ID, MONTH, CATEGORY).agg(*definitions)
    sums = groups.to_native().with_columns(
        pl.col(ORG_ID, CATEGORY).cast(pl.String),
        pl.col(*(metric.name for metric in _ADDED)).cast(pl.Int64),
    )
    layout = _Layout.of(len(organisations), len(categories))
    place = [pl.col(column).to_physical().cast(pl.UInt64) for column in (ORG_ID, CATEGORY)]
    packed = coded.lazy().select(
        MONTH,
        *(layout.pack(pl.col(column), *place).alias(column) for column in hashing.ID_COLUMNS),
    )
    ids = {}
    for month in counted.get_column(MONTH).unique():
        of_month = packed.filter(pl.col(MONTH) == month).collect()
        for column in hashing.ID_COLUMNS:
            ids[name_of(column, month)] = of_month.get_column(column).unique()
    return Tally(organisations, sums, IdsInMemory(ids))


@dataclass(frozen=True, slots=True)
class _Layout:
    """How an id is packed into one number: organisation, hash, category, from the top."""

    hash_bits: int
    category_bits: int

    @classmethod
    def of(cls, organisations: int, categories: int) -> _Layout:
        organisation_bits = max(1, (organisations - 1).bit_length())
        category_bits = max(1, (categories - 1).bit_length())
        return cls(_BITS - organisation_bits - category_bits, category_bits)

    def pack(self, id_hash: pl.Expr, organisation: pl.Expr, category: pl.Expr) -> pl.Expr:
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

    def laid_anew(self, packed: pl.Expr, organisation: pl.Expr, other: _Layout) -> pl.Expr:
        """The same ids in another layout with no more bits, under other organisations' places."""
        id_bits = self.without_category(packed) % 2**self.hash_bits
        narrower = id_bits // 2 ** (self.hash_bits - other.hash_bits)
        return other._laid(narrower, organisation, self.category(packed))


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which ids are merged: of which months, organisations and categories, and how laid."""

    months: range
    organisations: Sequence[str]
    categories: Sequence[str]
    layout: _Layout


def count(
    tallies: Sequence[Tally],
    kind: str,
    ordinal: int,
    organisations: Collection[str],
    categories: Sequence[str],
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The metrics of one period: per organisation, and per organisation and category.

    Raises:
        IdsCollide: The hashes can't tell all ids apart.
    """
    first = ordinal * KINDS[kind]
    wanted = sorted(organisations)
    most = max(len(wanted), *(len(tally.organisations) for tally in tallies))
    asked = _Asked(
        range(first, first + KINDS[kind]), wanted, categories, _Layout.of(most, len(categories))
    )
    here = pl.col(MONTH).is_between(first, asked.months.stop - 1) & pl.col(ORG_ID).is_in(wanted)
    sums = pl.concat(tally.sums.filter(here) for tally in tallies)
    added = pl.col(*(metric.name for metric in _ADDED)).sum()
    totals = sums.group_by(ORG_ID).agg(added)
    shares = sums.group_by(ORG_ID, CATEGORY).agg(added)
    for metric in over(Over.DIFFERENT):
        total, share = _different(tallies, metric.name, asked)
        totals = totals.join(total, on=ORG_ID)
        shares = shares.join(share, on=(ORG_ID, CATEGORY))
    period = pl.lit(ordinal, pl.Int32).alias(PERIOD)
    return totals.with_columns(period), shares.with_columns(period)


def _different(
    tallies: Sequence[Tally], metric: str, asked: _Asked
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """How many different ids, per organisation, and per organisation and category."""
    layout, ids = asked.layout, pl.col(_IDS)
    of_organisation = layout.with_category(layout.without_category(ids).unique())
    groups = layout.organisation(ids).alias(ORG_ID), layout.category(ids).alias(CATEGORY)
    how_many = pl.len().cast(pl.Int64).alias(metric)
    totals, shares = [], []
    for seed in range(len(hashing.SEEDS)):
        found = _merged(tallies, hashing.id_column(metric, seed), asked)
        by_organisation = found.select(of_organisation).group_by(groups[0])
        totals.append(by_organisation.agg(how_many).sort(ORG_ID))
        shares.append(found.group_by(groups).agg(how_many))
    if not all(total.equals(totals[0]) for total in totals):
        raise IdsCollide
    name = name_at(ORG_ID, asked.organisations)
    return (
        totals[0].with_columns(name),
        shares[0].with_columns(name, name_at(CATEGORY, asked.categories)),
    )


def name_at(place: str, names: Sequence[str]) -> pl.Expr:
    """A column of places among these names, as the names."""
    return pl.lit(pl.Series(names, dtype=pl.String)).gather(pl.col(place)).alias(place)


def _merged(tallies: Sequence[Tally], column: str, asked: _Asked) -> pl.DataFrame:
    """The different ids of all tallies that are asked for, each once, in order."""
    parts = chain.from_iterable(_laid(tally, column, asked) for tally in tallies)
    nothing = pl.DataFrame(schema={_IDS: pl.UInt64})
    return pl.concat([nothing, *parts]).select(pl.col(_IDS).sort().unique())


def _laid(tally: Tally, column: str, asked: _Asked) -> list[pl.DataFrame]:
    """The ids of one tally that are asked for, laid as it is asked; month by month."""
    wanted = {org_id: place for place, org_id in enumerate(asked.organisations)}
    places = [wanted.get(org_id) for org_id in tally.organisations]
    if not any(place is not None for place in places):
        return []
    own = _Layout.of(len(places), 2**asked.layout.category_bits)
    ids = pl.col(_IDS)
    place = pl.lit(pl.Series(places, dtype=pl.UInt64)).gather(own.organisation(ids))
    laid = own.laid_anew(ids, place, asked.layout).drop_nulls().alias(_IDS)
    arrays = tally.ids.of_months(column, asked.months)
    return [array.to_frame(_IDS).select(laid) for array in arrays]
