"""What a run compares: the snapshots that are published, and the cells of a survey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pipeline.model import periods
from pipeline.model.cells import Cell
from pipeline.model.states import FileState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.model.cells import CellContent
    from pipeline.model.deletions import Deletion
    from pipeline.storage.catalog import Entry


class SurveyedCells(Protocol):
    """The part of a survey that decides: who is named, and what each cell's rows are."""

    @property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The valid organisations that the rows of each export name."""

    def contents(self, kind: str) -> Mapping[Cell, CellContent]:
        """Sum up the rows of each cell of a kind that has any."""

    def rows_by_export(self, cells: Iterable[Cell]) -> Mapping[Cell, Mapping[str, int]]:
        """Count the rows of each of these cells in each export that has any."""


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot as a run finds it."""

    entry: Entry
    file: FileState = FileState.READABLE
    """The state of its version file, where it has a version."""
    exports: Mapping[str, int] | None = None
    """The rows of its version by export, where the version file has them.

    The exports have the names under which the last run found them.
    """
    left_out: Mapping[str, int] | None = None
    """The rows of its version that have a defect, by reason; None where there are none."""


def cell_of(of: Entry | Deletion) -> Cell:
    """Give the cell of a snapshot, or of a deleted one."""
    return Cell(of.org_id, periods.parse(of.reporting_period_id))
