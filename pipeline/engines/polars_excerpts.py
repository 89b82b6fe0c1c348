"""An excerpt of a batch of exports: all that any cell needs of it, so that it is read once.

A row that is the only statement about its participation is judged at once and counted in a tally,
whatever other exports say. Rows of a contested participation are kept as they are: only
all of them together tell which stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl

from pipeline import breakdown, reasons
from pipeline.breakdown import MONTH, REASON, ROWS, STANDS
from pipeline.engines import polars_files as files
from pipeline.engines import polars_hashing as hashing
from pipeline.engines import polars_tallies as tallies
from pipeline.metrics import SECONDS
from pipeline.participations import (
    CATEGORY,
    COLUMNS,
    FILE,
    KEY,
    ORG_ID,
    PARTICIPANT_ID,
    ROW,
    STARTED_AT,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from pipeline.breakdown import Calendar
    from pipeline.engines import Question
    from pipeline.engines.polars_files import Part
    from pipeline.engines.polars_tallies import Tally

KEY_HASH: Final = "key"
CONTENT: Final = "content"
"""All that a row says, hashed."""
_IS_CONTESTED: Final = "is_contested"


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """What is kept of a batch; `FILE` is a part's place in it."""

    parts: Sequence[Part]
    named: Sequence[Sequence[str]]
    """The organisations that the rows of each part name, in order."""
    keys: Callable[[], pl.Series]
    """The hashed keys of all rows that have one, in rising order; read when they are asked for."""
    placed: pl.DataFrame
    """How many rows were laid to each organisation and month before any was judged."""
    summary: pl.DataFrame
    """Per organisation, month and reason: rows and lanes of what is not contested."""
    tally: Tally
    """What counts and is not contested."""
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
        """The same of these organisations only."""
        wanted = pl.col(ORG_ID).is_in(list(organisations))
        return replace(
            self,
            named=[sorted(set(organisations).intersection(named)) for named in self.named],
            placed=self.placed.filter(wanted),
            summary=self.summary.filter(wanted),
            contested=self.contested.filter(wanted),
            left_out=self.left_out.filter(wanted),
        )


def keys(rows: pl.LazyFrame) -> pl.Series:
    """The hashed keys of all rows that have one, in rising order."""
    named = pl.all_horizontal(pl.col(*KEY).is_not_null())
    # Quicker than a filter.
    found = rows.select(pl.when(named).then(hashing.key()).alias(KEY_HASH))
    return found.collect(engine="streaming").get_column(KEY_HASH).drop_nulls().sort()


def excerpt(
    parts: Sequence[Part],
    rows: pl.LazyFrame,
    own_keys: pl.Series,
    question: Question,
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
    organisations = typed.get_column(ORG_ID).drop_nulls().unique().sort()
    judged = _judged(typed, question, contested).with_columns(
        pl.col(ORG_ID).cast(pl.Enum(organisations))  # groups are found quicker by numbers
    )
    mine, alone = pl.col(_IS_CONTESTED), ~pl.col(_IS_CONTESTED)
    statement = (*typed.columns, MONTH, KEY_HASH, CONTENT, *hashing.ID_COLUMNS)
    return Excerpt(
        parts,
        _named(judged, len(parts)),
        own_keys.clone,
        _placed(judged),
        summary(judged.lazy().filter(alone), pl.col(CONTENT)),
        _tally(judged.lazy().filter(alone), organisations, question),
        # Nobody needs to know who took part, only who is somebody else.
        _kept(
            judged.lazy().filter(mine).select(statement).with_columns(hashing.wide(PARTICIPANT_ID))
        ),
        _kept(left_out(judged.lazy().filter(alone))),
    )


def _judged(typed: pl.DataFrame, question: Question, contested: pl.Series) -> pl.DataFrame:
    """The same rows, hashed, each with its cell and the verdict on it if it stands."""
    calendar = _calendar(typed, question.calendar)
    laid = breakdown.place(nw.from_native(typed.lazy()), calendar, question.calendar)
    hashed = files.native(laid).with_columns(
        hashing.key().alias(KEY_HASH),
        hashing.content().alias(CONTENT),
        *hashing.ids(),
        pl.lit(value=True).alias(STANDS),
    )
    is_contested = pl.col(REASON).is_null() & pl.col(KEY_HASH).is_in(contested.implode())
    marked = hashed.with_columns(is_contested.alias(_IS_CONTESTED))
    judged = files.native(breakdown.judge(nw.from_native(marked), question.rules))
    return judged.collect(engine="streaming")


def _calendar(typed: pl.DataFrame, everything: Calendar) -> Calendar:
    """The months that the rows lie in: a few, where all that there are would cost more."""
    started = typed.get_column(STARTED_AT)
    inside = started.filter(started.is_between(everything.starts[0], everything.starts[-1] - 1))
    ends = inside.to_frame().select(low=pl.col(STARTED_AT).min(), high=pl.col(STARTED_AT).max())
    return everything.around(*ends.fill_null(0).row(0))


def _named(rows: pl.DataFrame, parts: int) -> list[list[str]]:
    pairs = rows.lazy().select(FILE, ORG_ID).unique().with_columns(pl.col(ORG_ID).cast(pl.String))
    valid = pairs.filter(pl.col(ORG_ID).str.contains(reasons.ORGANISATION_PATTERN))
    by_part = dict(valid.group_by(FILE).agg(pl.col(ORG_ID).sort()).collect().iter_rows())
    return [by_part.get(place, []) for place in range(parts)]


def _placed(rows: pl.DataFrame) -> pl.DataFrame:
    laid = rows.lazy().filter(pl.col(MONTH).is_not_null()).group_by(ORG_ID, MONTH)
    return _kept(laid.agg(pl.len().cast(pl.Int64).alias(ROWS)))


def summary(judged: pl.LazyFrame, newest: pl.Expr) -> pl.DataFrame:
    """How many of these rows there are of each organisation, month and reason, and their lanes.

    Args:
        judged: Rows with a verdict.
        newest: The content of the statement that stands for the row's participation: it belongs
            to the cell that it takes a row from, too.
    """
    groups = judged.with_columns(hashing.lanes(pl.col(CONTENT), newest))
    sums = groups.group_by(ORG_ID, MONTH, REASON)
    return _kept(sums.agg(pl.len().cast(pl.Int64).alias(ROWS), pl.col(*hashing.LANES).sum()))


def tally(judged: pl.DataFrame, question: Question) -> Tally:
    """What those of these rows come to that count."""
    organisations = judged.get_column(ORG_ID).drop_nulls().unique().sort()
    coded = judged.lazy().with_columns(pl.col(ORG_ID).cast(pl.Enum(organisations)))
    return _tally(coded, organisations, question)


def _tally(judged: pl.LazyFrame, organisations: pl.Series, question: Question) -> Tally:
    counts = judged.filter(pl.col(REASON).is_null())
    counted = counts.select(ORG_ID, MONTH, CATEGORY, SECONDS, *hashing.ID_COLUMNS).collect()
    return tallies.tally(counted, organisations.to_list(), question.rules.categories)


def left_out(judged: pl.LazyFrame) -> pl.LazyFrame:
    """The rows that are kept to be looked at, without the participant."""
    kept = pl.col(REASON).is_in([reasons.PLACES[line] for line in reasons.QUARANTINED])
    columns = (*(c.name for c in COLUMNS if c.name != PARTICIPANT_ID), FILE, ROW, MONTH, REASON)
    return judged.filter(kept).select(columns)


def _kept(rows: pl.LazyFrame) -> pl.DataFrame:
    """Rows as they go together with those of other batches."""
    return rows.with_columns(pl.col(ORG_ID).cast(pl.String)).collect()
