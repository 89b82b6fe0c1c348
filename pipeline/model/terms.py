"""The terms that decide numbers besides the rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide what counts."""

    categories: Sequence[str]
    max_hours: float
