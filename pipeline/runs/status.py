"""Status of a data folder as values: the last nightly run, the queue, what is blocked or retained.

Reads the catalog only; opens no export, loads no engine and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.model import versions
from pipeline.storage import nightly_record, run_queue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from pipeline.model.states import RunSource, RunState
    from pipeline.storage.catalog import Catalog, Entry
    from pipeline.storage.nightly_record import NightlyRecord

_REMEDY = (
    "fix the export or remove it, then start a nightly run; or count without it: "
    "bufdir run --force --org {org_id} {periods}"
)


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
class BlockedOrganisation:
    """An organisation whose numbers stay, because an export that named it is refused."""

    org_id: str
    export: str
    problem: str
    """The reason for which the export is refused."""
    remedy: str
    """The command or the act that ends the block."""


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
    """Those among them of which no export had rows at the last nightly run; their numbers stay."""
    queue: Sequence[UnfinishedRun]
    blocked: Sequence[BlockedOrganisation]


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
            retained=record.retained,
            queue=list(_queue(catalog, by_number)),
            blocked=list(_blocked(record, published)),
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


def _blocked(record: NightlyRecord, published: Iterable[Entry]) -> Iterator[BlockedOrganisation]:
    for org_id, export in sorted(record.blocked.items()):
        problem = record.files[export].problem if export in record.files else None
        own = (one.reporting_period_id for one in published if one.org_id == org_id)
        periods = " ".join(f"--period {period}" for period in sorted(own))
        remedy = _REMEDY.format(org_id=org_id, periods=periods or "--period PERIOD")
        yield BlockedOrganisation(org_id, export, problem or "", remedy)
