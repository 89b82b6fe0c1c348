"""The lines of the ledger: what can become of a row, in words.

Owns the reasons' names, their order and what they mean. What they mean in terms of columns is for
`rules`; this much can be told without an engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

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
