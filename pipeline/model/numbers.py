"""The metrics of one group as values: what engines count, and what is published."""

from __future__ import annotations

from typing import Final

import msgspec

DEFINITIONS: Final = 1
"""Raised whenever any number could come out differently from the same rows and settings."""


class Numbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The metrics of one group of counted rows; time in whole seconds."""

    participations: int
    people: int
    seconds: int
    activities: int


NO_NUMBERS: Final = Numbers(0, 0, 0, 0)
"""The metrics of a group in which no row counts."""
