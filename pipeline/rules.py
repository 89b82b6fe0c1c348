"""Why a row does not count: a table of reason and test, in the order in which they are tried.

Owns the reasons' names and what they mean. The first reason that fits is the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import narwhals as nw

from pipeline.participations import (
    ACTIVITY_ID,
    CATEGORY,
    COMPLETED,
    DELETED,
    HOURS,
    ORG_ID,
    PARTICIPANT_ID,
    STARTED_AT,
    STATUS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ORGANISATION_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"

COUNTED: Final = "counted"
SUPERSEDED: Final = "superseded"


@dataclass(frozen=True, slots=True)
class Reason:
    """One way in which a row is left out."""

    name: str
    meaning: str
    """One sentence for the person who reads the ledger."""
    quarantined: bool = True
    """Whether the row is kept to be looked at; not where somebody meant it to be left out."""


INCOMPLETE_REASONS: Final = (
    Reason("missing_org_id", "The organisation is null or empty."),
    Reason("missing_activity_id", "The activity is null or empty."),
    Reason("missing_participant_id", "The participant is null or empty."),
    Reason("missing_started_at", "The time is null."),
    Reason("invalid_org_id", "The organisation has characters or a length that ids don't have."),
    Reason("started_at_out_of_range", "The time lies outside the years 2000 to 2100."),
)
"""Reasons of rows that can't be a statement about a participation."""

VERDICT_REASONS: Final = (
    Reason("deleted", "The participation was withdrawn.", quarantined=False),
    Reason("not_completed", "The status is null, or another than completed.", quarantined=False),
    Reason("unknown_category", "The category is null or none of the configured ones."),
    Reason("hours_missing", "The hours are null."),
    Reason("hours_not_finite", "The hours are not a number, or infinite."),
    Reason("hours_negative", "The hours are below zero."),
    Reason("hours_too_long", "The hours are over the setting max_hours."),
)
"""Reasons for which a standing statement does not count."""

REASONS: Final = (
    Reason(SUPERSEDED, "A later statement about the same participation stands.", quarantined=False),
    *INCOMPLETE_REASONS,
    *VERDICT_REASONS,
)
LEDGER: Final = (COUNTED, *(reason.name for reason in REASONS))
"""The lines of every ledger, in the order in which they are shown."""
PLACES: Final[Mapping[str, int]] = {line: place for place, line in enumerate(LEDGER)}
"""How frames hold a line of the ledger: texts would cost more than all the judging."""
QUARANTINED: Final = tuple(reason.name for reason in REASONS if reason.quarantined)


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide what counts."""

    categories: Sequence[str]
    max_hours: float


def incomplete(first_us: int, end_us: int) -> Mapping[str, nw.Expr]:
    """The tests of a row for itself, where times count from `first_us` to before `end_us`."""
    org, started = nw.col(ORG_ID), nw.col(STARTED_AT)
    return {
        "missing_org_id": org.is_null(),
        "missing_activity_id": nw.col(ACTIVITY_ID).is_null(),
        "missing_participant_id": nw.col(PARTICIPANT_ID).is_null(),
        "missing_started_at": started.is_null(),
        "invalid_org_id": ~org.str.contains(ORGANISATION_PATTERN),
        "started_at_out_of_range": (started < first_us) | (started >= end_us),
    }


def verdicts(rules: Rules) -> Mapping[str, nw.Expr]:
    """The tests of a standing statement."""
    hours, category = nw.col(HOURS), nw.col(CATEGORY)
    return {
        "deleted": nw.col(DELETED).fill_null(value=False),
        "not_completed": nw.col(STATUS).is_null() | (nw.col(STATUS) != COMPLETED),
        "unknown_category": category.is_null() | ~category.is_in(list(rules.categories)),
        "hours_missing": hours.is_null(),
        "hours_not_finite": ~hours.is_finite(),
        "hours_negative": hours < 0,
        "hours_too_long": hours > rules.max_hours,
    }


def first_that_fits(tests: Mapping[str, nw.Expr], otherwise: nw.Expr | None = None) -> nw.Expr:
    """The place in the ledger of the first test that is true; null is not true."""
    chain = nw.lit(None).cast(nw.Int8()) if otherwise is None else otherwise
    for reason, test in reversed(list(tests.items())):
        chain = nw.when(test).then(nw.lit(PLACES[reason]).cast(nw.Int8())).otherwise(chain)
    return chain
