"""The steps from typed rows to counts: assign_month, mark_latest, validate, count. Pure.

Lazy frames in, lazy frames out; no file, clock, environment or `collect`. The same steps run on
every engine, so that two engines can be compared number by number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline.definitions import rules
from pipeline.definitions.dialect import STANDARD, StepFunction
from pipeline.definitions.seconds import add_seconds
from pipeline.model.columns import FILE, KEY, STARTED_AT, latest_by
from pipeline.model.ledger import COUNTED, LINE_NUMBERS, SUPERSEDED
from pipeline.model.periods import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.definitions.dialect import Dialect, Frame
    from pipeline.model.clock import Calendar
    from pipeline.model.columns import Column
    from pipeline.model.terms import Terms

MONTH: Final = "month"
"""Whole months since January 2000, local time; null where the row is in no cell."""
PERIOD: Final = "period"
"""Whole periods of the kind in question since January 2000."""
REASON: Final = "reason"
"""The ledger line for which the row is left out, by its number; null where it counts."""
IS_LATEST: Final = "is_latest"
"""Whether no later statement about the same participation supersedes this one."""
ROWS: Final = "rows"


def check_organisations(participations: Frame) -> Frame:
    """Add `HAS_VALID_ORG` to each row.

    An engine that knows a quicker way than to look at every row uses `rules` itself.
    """
    return participations.with_columns(rules.IS_VALID_ORG.alias(rules.HAS_VALID_ORG))


def assign_month(
    participations: Frame,
    calendar: Calendar,
    everything: Calendar,
    dialect: Dialect = STANDARD,
) -> Frame:
    """Add `MONTH` to each checked row, and `REASON` where it cannot be a statement.

    A row with a valid organisation and time has its month even if something else is missing: it
    is in that cell and on its ledger.

    Args:
        participations: Rows with `HAS_VALID_ORG`.
        calendar: The months in which the rows are.
        everything: All months in range.
        dialect: The engine's own way of some steps.
    """
    first_us, end_us = everything.starts[0], everything.starts[-1]
    started = nw.col(STARTED_AT)
    starts = calendar.starts[1:-1]
    months = StepFunction(starts, range(calendar.first, calendar.first + len(starts) + 1))
    has_cell = nw.col(rules.HAS_VALID_ORG) & (started >= first_us) & (started < end_us)
    return dialect.with_level(participations, MONTH, STARTED_AT, months).with_columns(
        nw.when(has_cell).then(nw.col(MONTH)).cast(nw.Int32()).alias(MONTH),
        rules.first_that_fits(rules.incomplete(first_us, end_us)).alias(REASON),
    )


def mark_latest(statements: Frame, columns: Iterable[Column], key: Sequence[str] = KEY) -> Frame:
    """Add `IS_LATEST` to each statement: the latest one wins over all files and periods.

    Args:
        statements: Rows that have every column of the key.
        columns: The columns that are read.
        key: The columns by which statements are about the same participation.
    """
    newer = nw.col(FILE).cum_count(reverse=True).over(*key, order_by=latest_by(columns))
    return statements.with_columns((newer == 1).alias(IS_LATEST))


def validate(statements: Frame, terms: Terms, *, decides_halves: bool = True) -> Frame:
    """Add `REASON`, null where the row counts, and `SECONDS` where it does.

    A row that has a reason already, because it is no statement, is unchanged.

    Args:
        statements: Rows with `IS_LATEST`.
        terms: The terms by which rows count.
        decides_halves: As in `add_seconds`.
    """
    superseded = {SUPERSEDED: ~nw.col(IS_LATEST)}
    verdict = rules.first_that_fits(superseded | dict(rules.verdicts(terms)))
    validated = statements.with_columns(
        nw.when(nw.col(REASON).is_null()).then(verdict).otherwise(nw.col(REASON)).alias(REASON)
    )
    counts = nw.col(REASON).is_null()
    return add_seconds(validated, counts, decides_halves=decides_halves)


def in_periods(rows: Frame, kind: str) -> Frame:
    """Select the rows that are in a cell, with their `PERIOD` of that kind."""
    return rows.filter(~nw.col(MONTH).is_null()).with_columns(
        (nw.col(MONTH) // KINDS[kind]).cast(nw.Int32()).alias(PERIOD)
    )


def counts(
    validated: Frame,
    breakdowns: Mapping[str, str],
    *groups: str,
    dialect: Dialect = STANDARD,
) -> Frame:
    """Compute the metrics: one row per group, breakdown and value, in no order.

    The breakdown `TOTAL` has all counted rows of a group under the empty value. In the others, null
    and empty values are one, the empty text.

    Args:
        validated: Rows with `REASON` and `SECONDS`.
        breakdowns: The column of each breakdown, by its name.
        groups: The columns of a group, none of them null.
        dialect: The engine's own way of some steps.
    """
    return dialect.counts(validated.filter(nw.col(REASON).is_null()), breakdowns, groups)


def ledger_lines(rows: Frame, *groups: str) -> Frame:
    """Count rows: one row per group and ledger line, by its number, with `ROWS`; in no order."""
    return (
        rows.with_columns(nw.col(REASON).fill_null(LINE_NUMBERS[COUNTED]))
        .group_by(*groups, REASON)
        .agg(nw.len().cast(nw.Int64()).alias(ROWS))
    )
