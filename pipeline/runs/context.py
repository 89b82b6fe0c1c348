"""The values that every run takes and gives: where to work, and what became of each snapshot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

from pipeline.errors import InvalidValue
from pipeline.model.states import EngineName
from pipeline.runs.nightly_warnings import NightlyWarnings
from pipeline.runs.reading import Reading
from pipeline.sources import locations
from pipeline.sources.selection import Selection, select, select_all, select_named
from pipeline.storage import nightly_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.engines import Engine
    from pipeline.logs import EventSink
    from pipeline.model.blocked import BlockedCell
    from pipeline.model.cells import Cell
    from pipeline.model.damage import DamagedFile
    from pipeline.model.states import Outcome, Reason
    from pipeline.settings import Settings
    from pipeline.sources.conversion import Conversions
    from pipeline.sources.exports import File
    from pipeline.sources.locations import Location
    from pipeline.storage.catalog import Catalog, Entry
    from pipeline.storage.nightly_record import NightlyRecord

CACHE: Final = "cache"
"""The folder of the data folder that may be deleted at any time."""


BY_API: Final = "api"
"""The name of who forces a run by the API."""


@dataclass(frozen=True, slots=True)
class RunContext:
    """The place, settings and time of a run."""

    data: Path
    settings: Settings
    catalog: Catalog
    clock: Callable[[], datetime]
    events: EventSink
    writes: bool = True
    """Whether the data folder may be written."""
    reading: Reading = field(default_factory=Reading)
    """The bounds within which exports are read."""

    @property
    def location(self) -> Location:
        """The place where the exports are.

        Raises:
            PackageMissing: It needs a package that is not installed.
            ExportsUnreachable: It can't be set up from the environment.
        """
        return locations.of(self.data, self.settings.exports.location)

    def select(self, files: Iterable[File]) -> Selection:
        """Give each file its source, and choose the newest dumps."""
        return select(self.reading.mark(files), self.settings.every_source)

    def select_named(self, files: Iterable[File], source: str | None = None) -> Selection:
        """Give each file that is named by its path a source: the one of this name, if any.

        Raises:
            InvalidValue: There is no source of this name.
        """
        sources, files = self.settings.every_source, self.reading.mark(files)
        if source is None:
            return select_named(files, sources)
        chosen = next((one for one in sources if one.name == source), None)
        if chosen is None:
            names = " or ".join(one.name for one in sources)
            raise InvalidValue("source", source, f"there is none of this name; it may be {names}")
        return select_all(files, chosen)

    def conversions(self, *, reads: bool = True) -> Conversions:
        """Give the converted files of exports that are not Parquet.

        Args:
            reads: Use those that are there; otherwise each file is converted once more.
        """
        from pipeline.sources.conversion import FOLDER, Conversions  # noqa: PLC0415 (as in engine)
        from pipeline.sources.encryption import KEY_FILE  # noqa: PLC0415

        folder, key_file, zone = (
            self.data / CACHE / FOLDER,
            self.data / KEY_FILE,
            self.settings.zone,
        )
        return Conversions(folder, key_file, zone, self.events, self.writes, reads)

    def with_engine(self, name: EngineName) -> Self:
        """Give the same context with another engine than the one of the settings."""
        return replace(self, settings=self.settings.with_engine(name))

    def engine(self, *, reads_cache: bool = True, writes_cache: bool = False) -> Engine:
        """Load the engine of the settings.

        Args:
            reads_cache: Skip what an earlier nightly run has read.
            writes_cache: Let the next nightly run skip what this run reads.
        """
        from pipeline import engines  # noqa: PLC0415 (a run that finds nothing new needs none)

        access = engines.CacheAccess(self.data / CACHE, reads_cache, writes_cache)
        engine = engines.open_engine(self.settings.engine, access, self.events)
        is_local = self.settings.engine.name is not EngineName.SPARK
        return self.reading.limited(engine) if is_local else engine


@dataclass(frozen=True, slots=True)
class SnapshotResult:
    """The end of one snapshot in a run."""

    id: str
    org_id: str
    reporting_period_id: str
    outcome: Outcome
    reason: Reason
    version: int
    problem: str | None = None


def result(
    entry: Entry, outcome: Outcome, reason: Reason, version: int, problem: str | None = None
) -> SnapshotResult:
    """Give the result of this snapshot."""
    return SnapshotResult(
        entry.id, entry.org_id, entry.reporting_period_id, outcome, reason, version, problem
    )


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of each snapshot of a run, and the exports that were refused."""

    outcomes: Sequence[SnapshotResult]
    refused: Mapping[str, str]
    """Refused exports and why."""
    blocked: Sequence[BlockedCell] = ()
    """The cells of the run whose numbers stay until somebody acts."""


@dataclass(frozen=True, slots=True)
class UnreadFiles:
    """The files that a run did not read, by name."""

    others: Sequence[str] = ()
    """Those that are the export of no source."""
    set_aside: Sequence[str] = ()
    """The exports of older dumps."""
    same_date: Mapping[str, str] = field(default_factory=dict)
    """By a dump that counts, another one of the same date that is set aside."""


def unread(selection: Selection) -> UnreadFiles:
    """Name the files that are not read."""
    set_aside = [file.name for file in selection.set_aside]
    return UnreadFiles(selection.others, set_aside, selection.same_date)


@dataclass(frozen=True, slots=True)
class NightlyResult:
    """The findings and results of a nightly run."""

    changed: bool
    """Whether any row, file or setting had changed since the last one."""
    files: int
    rows: int
    outcomes: Sequence[SnapshotResult]
    blocked: Sequence[BlockedCell]
    """The cells whose numbers stay until somebody acts, by organisation and period."""
    deferred: Sequence[Cell]
    """Cells of periods that have not begun."""
    refused: Mapping[str, str]
    """Refused exports and why."""
    ignored: Mapping[str, Sequence[str]]
    """Columns that are not read and were not named before, and the files that have them."""
    ledger: Mapping[str, int]
    """All rows by ledger line."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """The breakdowns whose column no export has, and that column."""
    unread: UnreadFiles = field(default_factory=UnreadFiles)
    """The files that were not read, as far as no nightly run has named them before."""
    newly_retained: Sequence[SnapshotResult] = ()
    """The snapshots that are retained, and that the nightly run before did not retain."""
    warnings: NightlyWarnings = field(default_factory=NightlyWarnings)
    """What may be wrong with exports, although it blocks nothing."""
    damaged: Sequence[DamagedFile] = ()
    """Files of the data folder that are not as they were written."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """The state in which a nightly run finds the catalog."""

    run_id: int
    last: NightlyRecord | None
    """The record of the last nightly run."""
    is_current: bool
    """Whether that run ended well and nothing was undeleted or declared since."""

    @property
    def record(self) -> NightlyRecord:
        """The record of the last nightly run, or an empty one."""
        return self.last or nightly_record.EMPTY

    def not_yet_named(self, selection: Selection) -> UnreadFiles:
        """Select the files that are not read and that no nightly run has named so far."""
        found = unread(selection)
        return UnreadFiles(
            [name for name in found.others if name not in self.record.other_files],
            [name for name in found.set_aside if name not in self.record.set_aside],
            {
                newest: other
                for newest, other in found.same_date.items()
                if other not in self.record.set_aside
            },
        )
