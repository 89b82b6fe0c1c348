"""The lines of the ledger: what can become of a row, in words.

Owns the names of the lines, their order and their meanings. The tests in terms of columns are in
`pipeline.definitions.rules`; this module needs no engine.
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
class LedgerLine:
    """One reason for which a row is left out."""

    name: str
    meaning: str
    """One sentence for the person who reads the ledger."""
    quarantined: bool = True
    """Whether the row can be looked at afterwards; false where leaving it out was intended."""


INCOMPLETE_REASONS: Final = (
    LedgerLine("unreadable_value", "A value is none of its column's type, or the row is torn."),
    LedgerLine("missing_org_id", "The organisation is null or empty."),
    LedgerLine("missing_activity_id", "The activity is null or empty."),
    LedgerLine("missing_participant_id", "The participant is null or empty."),
    LedgerLine("missing_started_at", "The time is null."),
    LedgerLine(
        "invalid_org_id", "The organisation has characters or a length that ids don't have."
    ),
    LedgerLine("started_at_out_of_range", "The time lies outside the years 2000 to 2100."),
)
"""Reasons of rows that cannot be a statement about a participation."""

VERDICT_REASONS: Final = (
    LedgerLine("deleted", "The participation was withdrawn.", quarantined=False),
    LedgerLine(
        "not_completed", "The status is null, or another than completed.", quarantined=False
    ),
    LedgerLine("unknown_category", "The category is null or none of the configured ones."),
    LedgerLine("hours_missing", "The hours are null."),
    LedgerLine("hours_not_finite", "The hours are not a number, or infinite."),
    LedgerLine("hours_negative", "The hours are below zero."),
    LedgerLine("hours_too_long", "The hours are over the setting max_hours."),
)
"""Reasons for which the latest statement does not count."""

REASONS: Final = (
    LedgerLine(
        SUPERSEDED, "A later statement about the same participation stands.", quarantined=False
    ),
    *INCOMPLETE_REASONS,
    *VERDICT_REASONS,
)
LEDGER: Final = (COUNTED, *(reason.name for reason in REASONS))
"""The lines of every ledger, in the order in which they are shown."""
LINE_NUMBERS: Final[Mapping[str, int]] = {line: number for number, line in enumerate(LEDGER)}
"""The number of each ledger line in frames: texts would take more time than all checks."""
QUARANTINED: Final = tuple(reason.name for reason in REASONS if reason.quarantined)


def complete(lines: Mapping[str, int]) -> dict[str, int]:
    """Give a whole ledger, in order; lines that are missing are zero."""
    return dict.fromkeys(LEDGER, 0) | dict(lines)
