"""How the definitions are run: a scan opened, sped up and collected, one module per engine.

What an engine does for speed alone changes no number. What they share is here: what they are
given, and how the collected groups become `Breakdown`s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.definitions import steps
from pipeline.model import terms
from pipeline.model.cells import Breakdown, Cell
from pipeline.model.clock import Calendar, wall_clock
from pipeline.model.ledger import LEDGER
from pipeline.model.metrics import METRICS
from pipeline.model.numbers import NO_NUMBERS, Numbers
from pipeline.model.periods import Period, month_starts_us

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from zoneinfo import ZoneInfo

    from pipeline.definitions.participations import Frame
    from pipeline.errors import ExportRefused
    from pipeline.model.clock import WallClock
    from pipeline.model.terms import Rules
    from pipeline.settings import Settings
    from pipeline.sources.parquet import Export


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """What an engine is asked to read, and by which rules."""

    exports: Sequence[Export]
    rules: Rules
    zone: ZoneInfo
    mapping: Mapping[str, str]
    """Their category to ours."""
    organisations: Collection[str] | None = None
    """Read these organisations only; None reads all."""

    @classmethod
    def of(
        cls,
        exports: Sequence[Export],
        settings: Settings,
        organisations: Collection[str] | None = None,
    ) -> ScanRequest:
        """The question that the settings put."""
        return cls(
            exports,
            terms.Rules(settings.categories, settings.max_hours),
            settings.zone,
            settings.export.categories,
            organisations,
        )

    @property
    def clock(self) -> WallClock:
        """How wall-clock times are read."""
        return wall_clock(self.zone)

    @property
    def calendar(self) -> Calendar:
        """All months in which a row can lie."""
        return Calendar(0, month_starts_us(self.zone))


class Answer(Protocol):
    """What every engine can say of the exports it has read."""

    @property
    def unplaced(self) -> Mapping[str, int]:
        """Rows that lie in no cell, by reason."""

    def breakdowns(self, kind: str, cells: Collection[Cell] | None) -> Mapping[Cell, Breakdown]:
        """The numbers of these cells of one kind, or of all; in the order of the cells."""

    def damaged(self) -> Mapping[Export, ExportRefused]:
        """The files that can't be read to their end."""


@dataclass(frozen=True, slots=True)
class Groups:
    """The collected groups of one kind of period, each row as a tuple."""

    totals: Iterable[tuple[str, int, int, int, int, int]]
    categories: Iterable[tuple[str, int, str, int, int, int, int]]
    ledger: Iterable[tuple[str, int, int, int]]


def queries(rows: Frame, kind: str) -> tuple[Frame, Frame, Frame]:
    """What to collect for `Groups`, from judged rows: totals, categories, ledger."""
    placed = steps.in_periods(rows, kind)
    key, numbers = ("org_id", steps.PERIOD), [metric.name for metric in METRICS]
    return (
        steps.totals(placed).select(*key, *numbers),
        steps.by_category(placed).select(*key, "bufdir_category", *numbers),
        steps.ledger_lines(placed, *key).select(*key, steps.REASON, steps.ROWS),
    )


def breakdowns(kind: str, groups: Groups, categories: Sequence[str]) -> dict[Cell, Breakdown]:
    """One breakdown per cell that has a row, counted or not, in the order of the cells."""
    ledgers: dict[Cell, dict[str, int]] = {}
    for org_id, ordinal, place, count in groups.ledger:
        cell = Cell(org_id, Period(kind, ordinal))
        ledgers.setdefault(cell, dict.fromkeys(LEDGER, 0))[LEDGER[place]] = count
    totals = {
        Cell(org_id, Period(kind, ordinal)): Numbers(*numbers)
        for org_id, ordinal, *numbers in groups.totals
    }
    shares: dict[Cell, dict[str, Numbers]] = {}
    for org_id, ordinal, category, *numbers in groups.categories:
        cell = Cell(org_id, Period(kind, ordinal))
        shares.setdefault(cell, dict.fromkeys(categories, NO_NUMBERS))[category] = Numbers(*numbers)
    nothing = dict.fromkeys(categories, NO_NUMBERS)
    return {
        cell: Breakdown(totals.get(cell, NO_NUMBERS), shares.get(cell, nothing), ledgers[cell])
        for cell in sorted(ledgers)
    }
