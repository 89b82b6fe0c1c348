"""An excerpt of a batch of exports: all that any cell needs of it, so that it is read once.

A row that is the only statement about its participation is judged at once, added to the batch's
sums and counted by its ids, whatever other exports say. Rows of a contested participation are kept
as they are: only all of them together tell which stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline.definitions import rules, steps
from pipeline.definitions.aggregates import expression
from pipeline.definitions.steps import IS_LATEST, MONTH, REASON, ROWS
from pipeline.engines.polars import distinct as ids
from pipeline.engines.polars import hashing
from pipeline.engines.polars import rejected as quarantine
from pipeline.engines.polars import scan as files
from pipeline.engines.polars.distinct import CATEGORY_PLACE, ORG_PLACE, name_at
from pipeline.engines.polars.hashing import CONTENT, KEY_HASH
from pipeline.model.columns import CATEGORY, FILE, KEY, ORG_ID, PARTICIPANT_ID, STARTED_AT
from pipeline.model.ledger import LEDGER
from pipeline.model.metrics import METRICS, Aggregation
from pipeline.model.periods import MONTHS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from pipeline.engines import ScanRequest
    from pipeline.engines.polars.distinct import Ids
    from pipeline.engines.polars.scan import Split
    from pipeline.model.clock import Calendar
    from pipeline.sources.parquet import Export

ADDED: Final = tuple(metric for metric in METRICS if metric.over is not Aggregation.COUNT_DISTINCT)
"""Metrics that add up over groups without a row in common."""
SUMMED: Final = (ROWS, *hashing.LANES, *(metric.name for metric in ADDED))
"""All that sums hold of a group."""
_IS_CONTESTED: Final = "is_contested"
_GROUP: Final = "group"


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """What is kept of a batch; `FILE` is a part's place in it."""

    parts: Sequence[Split]
    named: Sequence[Sequence[str]]
    """The organisations that the rows of each part name, in order."""
    digests: Sequence[Sequence[int]]
    """Of each part, what its rows add up to in each lane: the same for the same rows."""
    keys: Callable[[], pl.Series]
    """The hashed keys of all rows that have one, in rising order; read when they are asked for."""
    placed: pl.DataFrame
    """How many rows were laid to each organisation and month before any was judged."""
    sums: pl.DataFrame
    """The `sums` of what is not contested."""
    ids: Ids
    """Of what counts and is not contested."""
    contested: pl.DataFrame
    """The statements whose participation has several, or has had."""
    left_out: pl.DataFrame
    """The other rows that are kept to be looked at."""

    @property
    def rows(self) -> int:
        """How many rows the batch holds."""
        return sum(part.rows for part in self.parts)

    @property
    def contested_keys(self) -> pl.Series:
        """The hashed keys of the statements that are kept."""
        return self.contested.get_column(KEY_HASH)

    def of(self, organisations: Collection[str]) -> Excerpt:
        """The same, of these organisations only; but hashes stay everybody's."""
        wanted = pl.col(ORG_ID).is_in(list(organisations))
        return replace(
            self,
            named=[sorted(set(organisations).intersection(named)) for named in self.named],
            placed=self.placed.filter(wanted),
            sums=self.sums.filter(wanted),
            contested=self.contested.filter(wanted),
            left_out=self.left_out.filter(wanted),
        )


def keys(rows: pl.LazyFrame) -> pl.Series:
    """The hashed keys of all rows that have one, in rising order."""
    named = pl.all_horizontal(pl.col(*KEY).is_not_null())
    # Quicker than a filter.
    found = rows.select(pl.when(named).then(hashing.key()).alias(KEY_HASH))
    return hashing.in_order(found.collect(engine="streaming").get_column(KEY_HASH))


def excerpt(
    parts: Sequence[Split],
    rows: pl.LazyFrame,
    own_keys: pl.Series,
    question: ScanRequest,
    contested: pl.Series,
) -> Excerpt:
    """Read a batch to its end.

    Args:
        parts: What it is made of.
        rows: A scan of them.
        own_keys: The `keys` of the rows.
        question: By which rules.
        contested: The hashed keys of which there may be several statements anywhere.
    """
    typed = rows.collect(engine="streaming")
    organisations = _organisations(typed)
    judged = _judged(typed, organisations, question, contested)
    is_contested = pl.col(_IS_CONTESTED)
    mine, alone = judged.lazy().filter(is_contested), judged.lazy().filter(~is_contested)
    every_sum = sums(judged, organisations, question, CONTENT, {FILE: len(parts), _IS_CONTESTED: 2})
    placed = every_sum.filter(pl.col(MONTH).is_not_null()).group_by(ORG_ID, MONTH)
    of_alone = every_sum.filter(~is_contested).group_by(ORG_ID, MONTH, REASON, CATEGORY)
    statement = (*typed.columns, MONTH, KEY_HASH, CONTENT, *hashing.ID_COLUMNS)
    return Excerpt(
        parts,
        *_of_parts(every_sum, len(parts)),
        own_keys.clone,
        placed.agg(pl.col(ROWS).sum()),
        of_alone.agg(pl.col(SUMMED).sum()),
        counted_ids(alone, organisations, question),
        # Nobody needs to know who took part, only who is somebody else.
        mine.select(statement).with_columns(hashing.wide(PARTICIPANT_ID)).collect(),
        quarantine.kept(alone).collect(),
    )


def _organisations(typed: pl.DataFrame) -> pl.Series:
    """The organisations that the rows name and that can be one, in order."""
    named = typed.lazy().select(pl.col(ORG_ID).unique().drop_nulls().sort())
    vetted = files.native(steps.vet(nw.from_native(named)))
    return vetted.filter(rules.HAS_VALID_ORG).collect().get_column(ORG_ID)


def numbered(rows: pl.LazyFrame, organisations: pl.Series, question: ScanRequest) -> pl.LazyFrame:
    """The same rows with their places among these organisations and the rules' categories.

    Null where they are none of them. Groups are found quicker by numbers.
    """
    names = {
        ORG_PLACE: pl.col(ORG_ID).cast(pl.Enum(organisations), strict=False),
        CATEGORY_PLACE: pl.col(CATEGORY).cast(pl.Enum(question.rules.categories), strict=False),
    }
    return rows.with_columns(name.to_physical().alias(place) for place, name in names.items())


def _judged(
    typed: pl.DataFrame, organisations: pl.Series, question: ScanRequest, contested: pl.Series
) -> pl.DataFrame:
    """The same rows, numbered and hashed, each with its cell and the verdict on it if it stands."""
    # As `breakdown.vet`, to which every organisation has been put once.
    is_valid = pl.when(pl.col(ORG_ID).is_not_null()).then(pl.col(ORG_PLACE).is_not_null())
    vetted = numbered(typed.lazy(), organisations, question).with_columns(
        is_valid.alias(rules.HAS_VALID_ORG)
    )
    calendar = _calendar(typed, question.calendar)
    laid = steps.place(nw.from_native(vetted), calendar, question.calendar)
    is_contested = pl.col(REASON).is_null() & pl.col(KEY_HASH).is_in(contested.implode())
    marked = hashing.hashed(files.native(laid)).with_columns(
        is_contested.alias(_IS_CONTESTED), pl.lit(value=True).alias(IS_LATEST)
    )
    judged = files.native(steps.validate(nw.from_native(marked), question.rules))
    return judged.collect(engine="streaming")


def _calendar(typed: pl.DataFrame, everything: Calendar) -> Calendar:
    """The months that the rows lie in: a few, where all that there are would cost more."""
    started = typed.get_column(STARTED_AT)
    inside = started.filter(started.is_between(everything.starts[0], everything.starts[-1] - 1))
    ends = inside.to_frame().select(low=pl.col(STARTED_AT).min(), high=pl.col(STARTED_AT).max())
    return everything.around(*ends.fill_null(0).row(0))


def _of_parts(
    every_sum: pl.DataFrame, parts: int
) -> tuple[Sequence[Sequence[str]], Sequence[Sequence[int]]]:
    """Of each part, which organisations it names, in order, and what its lanes add up to."""
    groups = every_sum.group_by(FILE).agg(
        pl.col(ORG_ID).drop_nulls().unique().sort(), pl.col(hashing.LANES).sum()
    )
    found = {place: (named, lanes) for place, named, *lanes in groups.iter_rows()}
    nothing: tuple[list[str], list[int]] = ([], [0] * len(hashing.LANES))
    of_parts = [found.get(place, nothing) for place in range(parts)]
    return [named for named, _ in of_parts], [lanes for _, lanes in of_parts]


def digest(rows: pl.LazyFrame) -> Sequence[int]:
    """What these rows add up to in each lane, as an excerpt of them would say."""
    lanes = hashing.lanes(pl.col(CONTENT), pl.col(CONTENT))
    return hashing.hashed(rows).select(lanes).sum().collect(engine="streaming").row(0)


def said(export: Export, lanes: Sequence[int]) -> str:
    """What an export says whose rows add up to this; columns that mean nothing to us are told."""
    return "-".join(map(str, (export.rows, *lanes, *export.ignored)))


def said_by_name(excerpts: Iterable[Excerpt]) -> dict[str, str]:
    """What each export says: the lanes of its parts added up, as they are made, modulo 2^64."""
    lanes: dict[Export, list[int]] = {}
    for excerpt_ in excerpts:
        for part, own in zip(excerpt_.parts, excerpt_.digests, strict=True):
            known = lanes.setdefault(part.export, [0] * len(own))
            lanes[part.export] = [(a + b) % 2**64 for a, b in zip(known, own, strict=True)]
    return {export.file.name: said(export, found) for export, found in lanes.items()}


def sums(
    judged: pl.DataFrame,
    organisations: pl.Series,
    question: ScanRequest,
    newest: str,
    more: Mapping[str, int] | None = None,
) -> pl.DataFrame:
    """What rows add up to, per organisation, month, reason and category: all of `SUMMED`.

    Args:
        judged: Rows with a verdict, numbered.
        organisations: Those that their places are among.
        question: By which rules.
        newest: The column with the content of the statement that stands for the row's
            participation: it belongs to the cell that it takes a row from, too.
        more: Columns by which they are told apart as well, and how many values each may have.
    """
    categories, more = question.rules.categories, more or {}
    sizes = {
        ORG_PLACE: len(organisations),
        MONTH: MONTHS,
        REASON: len(LEDGER),
        CATEGORY_PLACE: len(categories),
        **more,
    }
    lanes = hashing.lanes(pl.col(CONTENT), pl.col(newest))
    rows = judged.lazy().with_columns(_group(sizes).alias(_GROUP), *lanes)
    groups = nw.from_native(rows).group_by(_GROUP)
    added = [metric.name for metric in ADDED]
    found = groups.agg(
        nw.len().alias(ROWS),
        nw.col(*hashing.LANES).sum(),
        *(expression(metric).alias(metric.name) for metric in ADDED),
    )
    return (
        files.native(found)
        .select(*_ungrouped(sizes, judged.schema), *SUMMED)
        .with_columns(
            name_at(ORG_PLACE, organisations).alias(ORG_ID),
            name_at(CATEGORY_PLACE, categories).alias(CATEGORY),
            pl.col(ROWS, *added).cast(pl.Int64),
        )
        .select(ORG_ID, MONTH, REASON, CATEGORY, *more, *SUMMED)
        .collect()
    )


def _group(sizes: Mapping[str, int]) -> pl.Expr:
    """These columns as one number, by which groups are found in half the time.

    Args:
        sizes: How many values each may have, from 0; null is one more.
    """
    fits = math.prod(size + 1 for size in sizes.values()) < 2**63
    group = pl.lit(0, pl.Int64 if fits else pl.Int128)
    for column, size in sizes.items():
        group = group * (size + 1) + pl.col(column).cast(pl.Int64).fill_null(size)
    return group


def _ungrouped(sizes: Mapping[str, int], schema: pl.Schema) -> list[pl.Expr]:
    """The columns that `_group` made one number of."""
    columns, rest = [], pl.col(_GROUP)
    for column, size in reversed(list(sizes.items())):
        value = rest.mod(size + 1)
        columns.append(pl.when(value < size).then(value).cast(schema[column]).alias(column))
        rest = rest.floordiv(size + 1)
    return columns


def counted_ids(judged: pl.LazyFrame, organisations: pl.Series, question: ScanRequest) -> Ids:
    """The ids of those of these rows that count."""
    counted = judged.filter(pl.col(REASON).is_null())
    return ids.collect(counted, organisations.to_list(), len(question.rules.categories))
