"""What every run is handed, and what it answers: where to work, and what became of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.cells import Cell
    from pipeline.model.terms import Rules
    from pipeline.settings import Settings
    from pipeline.storage.catalog import Catalog, Entry


class EventSink(Protocol):
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
    tell: EventSink

    @property
    def rules(self) -> Rules:
        """The settings that decide what counts."""
        from pipeline.model.terms import Rules  # noqa: PLC0415 (an expression library, only to compute)

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


@dataclass(frozen=True, slots=True)
class Night:
    """What a night found and did."""

    changed: bool
    """Whether any row, file or setting had changed since the last night; if not, all stands."""
    files: int
    rows: int
    outcomes: Sequence[Outcome]
    held: Mapping[str, str]
    """Organisations left as they are, and the refused export because of which they are."""
    later: Sequence[Cell]
    """Cells of periods that have not begun, left for when they have."""
    refused: Mapping[str, str]
    """Refused exports and why."""
    ignored: Mapping[str, Sequence[str]]
    """Columns that mean nothing to us and were not named before, and the files that have them."""
    ledger: Mapping[str, int]
    """All rows by what became of them."""
