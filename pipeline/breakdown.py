"""From typed rows to the numbers of every cell: place, settle, judge, count. Pure steps.

Lazy frames in, lazy frames out; no file, clock, environment or `collect`. The same steps run on
every engine, so that a second one can be held against the first, number by number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline import reasons, rules
from pipeline.metrics import METRICS, SECONDS, SECONDS_OF_ROW
from pipeline.participations import AGE, CATEGORY, FILE, KEY, ORG_ID, STARTED_AT, staircase
from pipeline.periods import KINDS, MONTHS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.numbers import Numbers
    from pipeline.participations import Frame
    from pipeline.periods import Period
    from pipeline.rules import Rules

MONTH: Final = "month"
"""Whole months since January 2000, local time; null where the row can't be laid to a cell."""
PERIOD: Final = "period"
"""Whole periods of the kind in question since January 2000."""
REASON: Final = "reason"
"""Why the row is left out, as a place in the ledger; null where it counts."""
STANDS: Final = "stands"
"""Whether no later statement about the same participation supersedes this one."""
ROWS: Final = "rows"


@dataclass(frozen=True, slots=True)
class Calendar:
    """The local months that rows can lie in: where each begins, in epoch microseconds.

    `first` counts from January 2000; `starts` has one more entry than there are months, the end
    of the last. A calendar of fewer months than all is quicker, and right as long as no row that
    is in range lies outside.
    """

    first: int
    starts: Sequence[int]

    def around(self, low_us: int, high_us: int) -> Calendar:
        """The part of this calendar that holds all instants from low to high that it holds."""
        begin = max((n for n, start in enumerate(self.starts[:-1]) if start <= low_us), default=0)
        end = min((n for n, start in enumerate(self.starts) if start > high_us), default=MONTHS)
        end = max(end, begin + 1)
        return Calendar(self.first + begin, self.starts[begin : end + 1])


def vet(participations: Frame) -> Frame:
    """The same rows, told apart by whether their organisation can be one.

    An engine that knows a quicker way than to look at every row asks `rules` itself.
    """
    return participations.with_columns(rules.IS_VALID_ORG.alias(rules.HAS_VALID_ORG))


def place(participations: Frame, calendar: Calendar, everything: Calendar) -> Frame:
    """The same vetted rows with `MONTH`, and `REASON` where a row can't be a statement.

    A row with a valid organisation and time has its month even if something else is missing:
    it lies in that cell and stands on its ledger.
    """
    first_us, end_us = everything.starts[0], everything.starts[-1]
    started = nw.col(STARTED_AT)
    edges = calendar.starts[1:-1]
    month = staircase(started, edges, range(calendar.first, calendar.first + len(edges) + 1))
    placeable = nw.col(rules.HAS_VALID_ORG) & (started >= first_us) & (started < end_us)
    return participations.with_columns(
        nw.when(placeable).then(month).cast(nw.Int32()).alias(MONTH),
        rules.first_that_fits(rules.incomplete(first_us, end_us)).alias(REASON),
    )


def settle(statements: Frame) -> Frame:
    """The same rows with `STANDS`: the latest statement wins over all files and periods."""
    newer = nw.col(FILE).cum_count(reverse=True).over(*KEY, order_by=AGE)
    return statements.with_columns((newer == 1).alias(STANDS))


def judge(statements: Frame, deciding: Rules) -> Frame:
    """The same rows with `REASON`, null where the row counts, and `SECONDS` where it does.

    A row that has a reason already, because it is no statement, keeps it.
    """
    superseded = {reasons.SUPERSEDED: ~nw.col(STANDS)}
    verdict = rules.first_that_fits(superseded | dict(rules.verdicts(deciding)))
    judged = statements.with_columns(
        nw.when(nw.col(REASON).is_null()).then(verdict).otherwise(nw.col(REASON)).alias(REASON)
    )
    # Only hours that count are multiplied: the others may be infinite, which is no integer.
    counts = nw.when(nw.col(REASON).is_null()).then(SECONDS_OF_ROW)
    return judged.with_columns(counts.alias(SECONDS))


def in_periods(rows: Frame, kind: str) -> Frame:
    """The rows that can be laid to a cell, with their `PERIOD` of that kind."""
    return rows.filter(~nw.col(MONTH).is_null()).with_columns(
        (nw.col(MONTH) // KINDS[kind]).cast(nw.Int32()).alias(PERIOD)
    )


def totals(judged: Frame) -> Frame:
    """One row per organisation and period, in that order; only rows that count."""
    return _count(judged, ORG_ID, PERIOD)


def by_category(judged: Frame) -> Frame:
    """One row per organisation, period and category, in that order; only rows that count."""
    return _count(judged, ORG_ID, PERIOD, CATEGORY)


def _count(judged: Frame, *groups: str) -> Frame:
    return (
        judged.filter(nw.col(REASON).is_null())
        .group_by(*groups)
        .agg(*(metric.expression.alias(metric.name) for metric in METRICS))
        .with_columns(nw.col(metric.name).cast(nw.Int64()) for metric in METRICS)
        .sort(*groups)
    )


def ledger(rows: Frame, *groups: str) -> Frame:
    """One row per group and line of the ledger, as its place, with how many `ROWS` there are."""
    return (
        rows.with_columns(nw.col(REASON).fill_null(reasons.PLACES[reasons.COUNTED]))
        .group_by(*groups, REASON)
        .agg(nw.len().cast(nw.Int64()).alias(ROWS))
        .sort(*groups, REASON)
    )


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Everything that is counted in one cell."""

    total: Numbers
    categories: Mapping[str, Numbers]
    """By category, zeros included, in the configured order."""
    ledger: Mapping[str, int]
    """Rows by ledger line, zeros included; all of them together are the rows read."""


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One organisation in one period."""

    org_id: str
    period: Period
