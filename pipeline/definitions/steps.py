"""From typed rows to the numbers of every cell: place, mark_latest, validate, count. Pure steps.

Lazy frames in, lazy frames out; no file, clock, environment or `collect`. The same steps run on
every engine, so that a second one can be held against the first, number by number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline.definitions import rules
from pipeline.definitions.aggregates import SECONDS_OF_ROW, expression
from pipeline.definitions.participations import step_function
from pipeline.model.columns import CATEGORY, FILE, KEY, LATEST_BY, ORG_ID, STARTED_AT
from pipeline.model.ledger import COUNTED, PLACES, SUPERSEDED
from pipeline.model.metrics import METRICS, SECONDS
from pipeline.model.periods import KINDS

if TYPE_CHECKING:
    from pipeline.definitions.participations import Frame
    from pipeline.model.clock import Calendar
    from pipeline.model.terms import Rules

MONTH: Final = "month"
"""Whole months since January 2000, local time; null where the row can't be laid to a cell."""
PERIOD: Final = "period"
"""Whole periods of the kind in question since January 2000."""
REASON: Final = "reason"
"""Why the row is left out, as a place in the ledger; null where it counts."""
IS_LATEST: Final = "stands"
"""Whether no later statement about the same participation supersedes this one."""
ROWS: Final = "rows"


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
    month = step_function(started, edges, range(calendar.first, calendar.first + len(edges) + 1))
    placeable = nw.col(rules.HAS_VALID_ORG) & (started >= first_us) & (started < end_us)
    return participations.with_columns(
        nw.when(placeable).then(month).cast(nw.Int32()).alias(MONTH),
        rules.first_that_fits(rules.incomplete(first_us, end_us)).alias(REASON),
    )


def mark_latest(statements: Frame) -> Frame:
    """The same rows with `IS_LATEST`: the latest statement wins over all files and periods."""
    newer = nw.col(FILE).cum_count(reverse=True).over(*KEY, order_by=LATEST_BY)
    return statements.with_columns((newer == 1).alias(IS_LATEST))


def validate(statements: Frame, deciding: Rules) -> Frame:
    """The same rows with `REASON`, null where the row counts, and `SECONDS` where it does.

    A row that has a reason already, because it is no statement, keeps it.
    """
    superseded = {SUPERSEDED: ~nw.col(IS_LATEST)}
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
        .agg(*(expression(metric).alias(metric.name) for metric in METRICS))
        .with_columns(nw.col(metric.name).cast(nw.Int64()) for metric in METRICS)
        .sort(*groups)
    )


def ledger_lines(rows: Frame, *groups: str) -> Frame:
    """One row per group and line of the ledger, as its place, with how many `ROWS` there are."""
    return (
        rows.with_columns(nw.col(REASON).fill_null(PLACES[COUNTED]))
        .group_by(*groups, REASON)
        .agg(nw.len().cast(nw.Int64()).alias(ROWS))
        .sort(*groups, REASON)
    )
