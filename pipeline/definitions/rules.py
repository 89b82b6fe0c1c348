"""The rules by which a row does not count: a table of ledger line and test, in order.

The first test that is true gives the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline.model.columns import (
    ACTIVITY_ID,
    CATEGORY,
    COMPLETED,
    DELETED,
    HOURS,
    ORG_ID,
    PARTICIPANT_ID,
    STARTED_AT,
    STATUS,
    UNREADABLE,
)
from pipeline.model.ledger import LINE_NUMBERS, ORGANISATION_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.model.terms import Terms


HAS_VALID_ORG: Final = "has_valid_org"
"""Whether the row's organisation has the form of an id; null where it names none."""
IS_VALID_ORG: Final = nw.col(ORG_ID).str.contains(ORGANISATION_PATTERN.removesuffix("$") + r"\z")
"""Whether it has that form. Java's `$` also matches before a line break at the end."""


def incomplete(first_us: int, end_us: int) -> Mapping[str, nw.Expr]:
    """Give the tests of a single row; times in range are from `first_us` to before `end_us`."""
    started = nw.col(STARTED_AT)
    return {
        "unreadable_value": nw.col(UNREADABLE),
        "missing_org_id": nw.col(ORG_ID).is_null(),
        "missing_activity_id": nw.col(ACTIVITY_ID).is_null(),
        "missing_participant_id": nw.col(PARTICIPANT_ID).is_null(),
        "missing_started_at": started.is_null(),
        "invalid_org_id": ~nw.col(HAS_VALID_ORG),
        "started_at_out_of_range": (started < first_us) | (started >= end_us),
    }


def verdicts(terms: Terms) -> Mapping[str, nw.Expr]:
    """Give the tests of the latest statement."""
    hours, category = nw.col(HOURS), nw.col(CATEGORY)
    return {
        "deleted": nw.col(DELETED).fill_null(value=False),
        "not_completed": nw.col(STATUS).is_null() | (nw.col(STATUS) != COMPLETED),
        "unknown_category": category.is_null() | ~category.is_in(list(terms.categories)),
        "hours_missing": hours.is_null(),
        "hours_not_finite": ~hours.is_finite(),
        "hours_negative": hours < 0,
        "hours_too_long": hours > terms.max_hours,
    }


def first_that_fits(tests: Mapping[str, nw.Expr]) -> nw.Expr:
    """Give the number of the ledger line of the first test that is true; null is not true."""
    chain = nw.lit(None).cast(nw.Int8())
    for line, test in reversed(list(tests.items())):
        chain = nw.when(test).then(nw.lit(LINE_NUMBERS[line]).cast(nw.Int8())).otherwise(chain)
    return chain
