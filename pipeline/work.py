"""What every run is handed, and what it answers: where to work, and what became of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from pipeline.catalog import Catalog, Entry
    from pipeline.rules import Rules
    from pipeline.settings import Settings


class Tell(Protocol):
    """Where events go: a log, or a progress bar."""

    def __call__(self, event: str, **fields: object) -> None:
        """Say that something happened."""


@dataclass(frozen=True, slots=True)
class Work:
    """What every run needs: where it works, by which settings, and what the time is."""

    data: Path
    settings: Settings
    catalog: Catalog
    clock: Callable[[], datetime]
    tell: Tell

    @property
    def rules(self) -> Rules:
        """The settings that decide what counts."""
        from pipeline.rules import Rules  # noqa: PLC0415 (an expression library, only to compute)

        return Rules(self.settings.categories, self.settings.max_hours)


COMPUTED: Final = "computed"
UNCHANGED: Final = "unchanged"
KEPT: Final = "kept"
FAILED: Final = "failed"
DELETED: Final = "deleted"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one snapshot in a run."""

    id: str
    org_id: str
    reporting_period_id: str
    outcome: str
    """`computed`, `unchanged`, `kept` (no export touches it), `failed`, `deleted` (meanwhile)."""
    version: int
    problem: str | None = None


def outcome(entry: Entry, what: str, version: int, problem: str | None = None) -> Outcome:
    """What became of this snapshot."""
    return Outcome(entry.id, entry.org_id, entry.reporting_period_id, what, version, problem)
