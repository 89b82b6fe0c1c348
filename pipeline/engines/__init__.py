"""The seam between engines and the rest: what an engine is asked, answers and raises.

An engine reads exports and counts rows by the definitions. The digits and digests are the same from
every engine; what an engine does for speed alone changes no number. `open_engine` is the one place
that imports an engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from pipeline import redaction
from pipeline.errors import ExportRefused
from pipeline.model.clock import Calendar, wall_clock
from pipeline.model.periods import month_starts_us
from pipeline.model.states import EngineName

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.engines.participants import Participants
    from pipeline.logs import EventSink
    from pipeline.model.cells import Cell, CellContent, CellNumbers
    from pipeline.model.clock import WallClock
    from pipeline.model.terms import Terms
    from pipeline.settings import EngineSettings
    from pipeline.sources.accepted import Export

RejectedRows = dict[tuple[str, int], bytes]
"""Rows for quarantine, a line of JSON each, by organisation and month."""

_FACTORIES: Final[Mapping[EngineName, str]] = {
    EngineName.POLARS: "pipeline.engines.polars",
    EngineName.DUCKDB: "pipeline.engines.duckdb",
    EngineName.SPARK: "pipeline.engines.spark",
}
"""By engine, the module whose `create` makes it."""


class UnreadableExports(Exception):
    """Exports that cannot be used as a whole; the others can be surveyed without them."""

    def __init__(self, refused: Mapping[Export, ExportRefused], *, is_damaged: bool = True) -> None:
        super().__init__(", ".join(export.file.name for export in refused))
        self.refused = refused
        self.is_damaged = is_damaged
        """Whether they can't be read; otherwise they are refused for what they have."""


@dataclass(frozen=True, slots=True)
class CacheAccess:
    """The folder in which an engine may cache aggregates, and what it may do there."""

    folder: Path
    reads: bool = True
    writes: bool = False


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """The exports that an engine is asked to read, and the terms by which."""

    exports: Sequence[Export]
    terms: Terms
    organisations: Collection[str] | None = None
    """Count the rows of these organisations only; None counts all."""
    one_by_one: bool = False
    """Whether each export is scanned alone; several at a time are faster."""

    @property
    def clock(self) -> WallClock:
        """The wall clock of times without a zone."""
        return wall_clock(self.terms.zone)

    @property
    def calendar(self) -> Calendar:
        """All months in which a row can be."""
        return Calendar(0, month_starts_us(self.terms.zone))


class Survey(Protocol):
    """All rows of a request, each with its cell and its verdict.

    With `organisations` in the request, everything is of these only, except `rows_by_file` and
    `participants`.
    """

    @property
    def rows_by_file(self) -> Sequence[int]:
        """Rows read of each export, in the order of the exports."""

    @property
    def ledger(self) -> Mapping[str, int]:
        """Rows by ledger line, zeros included."""

    @property
    def rows_without_cell(self) -> Mapping[str, int]:
        """Rows that are in no cell, by ledger line."""

    @property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The valid organisations that the rows of each export name, sorted."""

    @property
    def participants(self) -> Sequence[Participants]:
        """A sample of the participants of each export, of all organisations."""

    @property
    def checksums(self) -> Mapping[str, str]:
        """The content checksum of each export by name: equal for equal rows in any order."""

    def contents(self, kind: str) -> Mapping[Cell, CellContent]:
        """Sum up the rows of each cell of a kind that has any, in the order of the cells."""

    def count(self, kind: str, cells: Collection[Cell]) -> Iterator[Mapping[Cell, CellNumbers]]:
        """Count these cells of one kind, some at a time; cells without rows are left out."""

    def rows_by_export(self, cells: Iterable[Cell]) -> Mapping[Cell, Mapping[str, int]]:
        """Count the rows of each of these cells in each export that has any, by its name."""

    def rejected_rows(self, cells: Iterable[Cell]) -> RejectedRows:
        """Give the rows of these cells for quarantine, in the order of files and rows."""

    def unplaced_rows(self) -> bytes:
        """Give the rows that are in no cell for quarantine, as `rejected_rows`."""

    def look_alikes(self) -> Mapping[str, int]:
        """Count, by export, the participants whose ids look like another's; none are left out."""

    def commit(self) -> None:
        """Commit the cache for later surveys; call it only if no export has changed meanwhile."""

    def __enter__(self) -> Self:
        """Give the survey."""

    def __exit__(self, *_: object) -> None:
        """Release the resources of the survey."""


class Engine(Protocol):
    """A way to read exports and count rows."""

    @property
    def name(self) -> EngineName:
        """Its name in settings."""

    def survey(self, request: ScanRequest) -> Survey:
        """Read the exports and validate every row.

        Raises:
            UnreadableExports: Some cannot be read to their end; each is named with its problem.
        """

    def organisations(self, request: ScanRequest) -> frozenset[str]:
        """Find the valid organisations that any row names.

        Raises:
            UnreadableExports: As `survey`.
        """

    def participants(self, request: ScanRequest) -> Sequence[Participants]:
        """Read a sample of the participants of each export.

        Raises:
            UnreadableExports: As `survey`.
        """

    def content_checksums(self, request: ScanRequest) -> Mapping[str, str]:
        """Read the exports, and give the content checksum of each by name.

        Raises:
            UnreadableExports: As `survey`.
        """


def open_engine(settings: EngineSettings, cache: CacheAccess | None, events: EventSink) -> Engine:
    """Load an engine.

    Args:
        settings: Its name, and where it computes.
        cache: Its access to the cache folder, or None. Not every engine has a cache.
        events: The receiver of events that cost time but change no number.

    Raises:
        PackageMissing: A package that it needs is not installed.
        EngineFailed: It cannot be reached, or does not have the configuration that it needs.
    """
    module: Any = import_module(_FACTORIES[settings.name])
    engine: Engine = module.create(settings, cache, events)
    return engine


def refusal(export: Export, error: Exception) -> ExportRefused:
    """Refuse an export that raises an error when it is read to its end."""
    reason = redaction.summary(error)
    problem = f"it can't be read to its end ({reason}); export or copy it again"
    # Polars has the number of the system's error in its text only.
    is_passing = isinstance(error, OSError) and (error.errno is not None or "(os error " in reason)
    return ExportRefused(export.file.name, problem, export.rows, is_passing)
