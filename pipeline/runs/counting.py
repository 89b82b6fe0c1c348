"""The counting of planned versions: numbers, rows by export, and rows for quarantine, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import LedgerBroken
from pipeline.model.cells import no_numbers
from pipeline.model.columns import KEY
from pipeline.model.ledger import COUNTED
from pipeline.model.metrics import Aggregation, metrics_by
from pipeline.runs.context import BY_API

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from pipeline.model.cells import CellNumbers
    from pipeline.runs.context import RunContext
    from pipeline.runs.gather import RunInputs
    from pipeline.runs.plan import Decision
    from pipeline.storage.catalog import Entry

_PEOPLE_AND_ACTIVITIES: Final = tuple(
    metric.name for metric in metrics_by(Aggregation.COUNT_DISTINCT) if metric.column in KEY
)
_ADDITIVE: Final = tuple(metric.name for metric in metrics_by(Aggregation.COUNT, Aggregation.SUM))


@dataclass(frozen=True, slots=True)
class PlannedVersion:
    """A version to be computed."""

    decision: Decision
    entry: Entry
    forced_by: str = BY_API
    """Who forced its run, where that was needed."""

    @property
    def number(self) -> int:
        """The number of the version."""
        return self.entry.version + 1


@dataclass(frozen=True, slots=True)
class Counted:
    """A planned version with its numbers."""

    planned: PlannedVersion
    numbers: CellNumbers
    exports: Mapping[str, int]
    """Its rows by export."""
    rejected: bytes
    """Its rows for quarantine, a line of JSON each."""


def count(
    context: RunContext, inputs: RunInputs, planned: Iterable[PlannedVersion]
) -> Generator[Counted, None, None]:
    """Count each planned version; only when all are taken may they be published."""
    try:
        for counted in _counted(context, inputs, planned):
            _check_accounted(counted)
            yield counted
    except Exception:
        inputs.check_unchanged()  # an error that a changed file causes is no fault of the program
        raise
    inputs.check_unchanged()


def _counted(
    context: RunContext, inputs: RunInputs, planned: Iterable[PlannedVersion]
) -> Iterator[Counted]:
    waiting = {one.decision.cell: one for one in planned}
    for kind in dict.fromkeys(cell.period.kind for cell in waiting):
        of_kind = [cell for cell in waiting if cell.period.kind == kind]
        for batch in inputs.survey.count(kind, of_kind):
            exports = inputs.survey.rows_by_export(batch)
            rejected = inputs.survey.rejected_rows(batch)
            for cell, numbers in batch.items():
                lines = (rejected.get((cell.org_id, month), b"") for month in cell.period.months)
                yield Counted(waiting.pop(cell), numbers, exports[cell], b"".join(lines))
    for one in waiting.values():
        yield Counted(one, no_numbers(context.settings.terms.breakdowns), {}, b"")


def _check_accounted(counted: Counted) -> None:
    """Check that numbers, each breakdown, ledger and exports of a cell account for its rows.

    Raises:
        LedgerBroken: They do not.
    """
    cell, numbers = counted.planned.decision.cell, counted.numbers
    rows, accounted = counted.planned.decision.content.rows, sum(numbers.ledger.values())
    total = numbers.total["participations"]
    different = [numbers.total[name] for name in _PEOPLE_AND_ACTIVITIES]
    # A cell with participations has at least one person, and at most one for each of them.
    is_possible = all(bool(total) <= number <= total for number in different)
    if accounted != rows or numbers.ledger[COUNTED] != total or not is_possible:
        raise LedgerBroken(str(cell), rows, accounted)
    if (of_exports := sum(counted.exports.values())) != rows:
        raise LedgerBroken(f"{cell} by export", rows, of_exports)
    for breakdown, values in numbers.breakdowns.items():
        for name in _ADDITIVE:
            divided = sum(one[name] for one in values.values())
            if divided != numbers.total[name]:
                raise LedgerBroken(f"{cell} by {breakdown}", numbers.total[name], divided, name)
