"""Status of a data folder as values: the last nightly run, the queue, what is blocked or retained.

Reads the catalog only; opens no export, loads no engine and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.model import versions
from pipeline.storage import blocked_cells, deletions, file_digests, nightly_record, run_queue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from pipeline.model.blocked import BlockedCell
    from pipeline.model.damage import DamagedFile
    from pipeline.model.states import RunSource, RunState
    from pipeline.storage.catalog import Catalog, Entry


@dataclass(frozen=True, slots=True)
class NightlyStatus:
    """The last nightly run."""

    began_at: datetime
    ended_at: datetime | None
    """None while it goes on, and where its process was killed."""
    state: RunState
    """`running`, `done` or `failed`."""
    seconds: int | None
    error: str | None
    """The reason of a failure."""


@dataclass(frozen=True, slots=True)
class UnfinishedRun:
    """A run of one snapshot that is queued or running."""

    id: str
    org_id: str
    reporting_period_id: str
    state: RunState
    source: RunSource
    queued_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Status:
    """The status of a data folder."""

    nightly: NightlyStatus | None
    """None where no nightly run is known."""
    last_success_at: datetime | None
    """The end of the last nightly run that did not fail."""
    snapshots: int
    """Snapshots with a published version."""
    retained: int
    """Those among them that the last nightly run left as they are, as declared with --keep."""
    deleted: int
    """Deleted snapshots whose files are kept, so that they may be undeleted."""
    queue: Sequence[UnfinishedRun]
    blocked: Sequence[BlockedCell]
    damaged: Sequence[DamagedFile]
    """The damage that the last nightly run found."""


def status(catalog: Catalog) -> Status:
    """Read the status of a data folder from its catalog."""
    with catalog.transaction("DEFERRED"):
        entries = catalog.entries()
        published = [entry for entry in entries.values() if entry.version]
        by_number = {entry.number: entry for entry in entries.values()}
        record = nightly_record.read(catalog) or nightly_record.EMPTY
        return Status(
            nightly=_nightly(catalog),
            last_success_at=run_queue.last_nightly_success(catalog),
            snapshots=len(published),
            retained=len(record.retained_snapshots),
            deleted=len(deletions.kept_versions(catalog)),
            queue=list(_queue(catalog, by_number)),
            blocked=blocked_cells.read(catalog),
            damaged=file_digests.damaged(catalog),
        )


def _nightly(catalog: Catalog) -> NightlyStatus | None:
    run = run_queue.last_nightly(catalog)
    if run is None:
        return None
    seconds = None if run.ended_at is None else (run.ended_at - run.queued_at).total_seconds()
    return NightlyStatus(
        began_at=run.queued_at,
        ended_at=run.ended_at,
        state=run.state,
        seconds=None if seconds is None else round(seconds),
        error=run.error,
    )


def _queue(catalog: Catalog, by_number: Mapping[int, Entry]) -> Iterator[UnfinishedRun]:
    for run in run_queue.open_runs(catalog):
        entry = by_number.get(run.number or 0)
        if entry is not None:  # a nightly run has no snapshot
            yield UnfinishedRun(
                id=versions.snapshot_id(entry.number),
                org_id=entry.org_id,
                reporting_period_id=entry.reporting_period_id,
                state=run.state,
                source=run.source,
                queued_at=run.queued_at,
                attempts=run.attempts,
            )
