"""Versions out: numbers into files, files made current, and what became of each snapshot.

Files first, flushed; then one transaction. Nobody sees a version that is not wholly there.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from pipeline.model import versions
from pipeline.runs.context import COMPUTED, DELETED, Outcome, outcome
from pipeline.storage import version_files

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping
    from pathlib import Path

    from pipeline.model.cells import Breakdown, Cell
    from pipeline.model.versions import Version
    from pipeline.runs.context import Work
    from pipeline.storage.catalog import Entry


_GROUP: Final = 1_000
"""Versions whose files are in memory and flushed together."""


@dataclass(frozen=True, slots=True)
class PlannedVersion:
    """A version to be made: of which snapshot, from what."""

    entry: Entry
    cell: Cell
    digest: str
    rows: int
    """The rows that its ledger must account for."""

    def is_stale(self, work: Work) -> bool:
        """Whether the current version is another one, or can't be read any more."""
        current = self.entry.version
        return self.digest != self.entry.digest or not version_files.is_readable(
            work.data, self.entry.number, current
        )


def publish(
    work: Work,
    counted: Generator[tuple[PlannedVersion, Breakdown], None, None],
    total: int,
    left_out: RejectedRows,
) -> list[Outcome]:
    """Write these versions as they come, then make all of them current in one transaction.

    A snapshot that was deleted meanwhile stays deleted: what was written for it is taken away.

    Args:
        work: Where, and when.
        counted: What is to be published; where it ends with a failure, nothing is. Where writing
            does, it is closed.
        total: How many versions are to be expected.
        left_out: The rows to be laid beside them.
    """
    published: list[tuple[PlannedVersion, Version]] = []
    try:
        with closing(counted):
            while group := list(islice(counted, _GROUP)):
                made = [(plan, _version(work, plan, numbers)) for plan, numbers in group]
                published += made
                version_files.write(_files(work, made, left_out))
                work.tell("snapshots_written", done=len(made), total=total)
    except BaseException:
        # Nothing of it may be found by whoever rebuilds the catalog from the files.
        for plan, _ in published:
            with suppress(OSError):  # the others go, and what went wrong first is told
                version_files.sweep_snapshot(work.data, plan.entry.number, plan.entry.version)
        raise
    if not published:
        return []
    with work.catalog.transaction():
        current = [work.catalog.publish(version) for _, version in published]
    outcomes = []
    for (plan, version), is_current in zip(published, current, strict=True):
        if is_current and plan.entry.version:
            version_files.remove_quarantine(work.data, plan.entry.number, plan.entry.version)
        if not is_current:
            version_files.remove(work.data, plan.entry.number)
        what = COMPUTED if is_current else DELETED
        outcomes.append(outcome(plan.entry, what, version.version))
    return outcomes


def _files(
    work: Work, made: Iterable[tuple[PlannedVersion, Version]], left_out: RejectedRows
) -> Mapping[Path, bytes]:
    """The files of these versions, and beside them the rows that they left out."""
    contents: dict[Path, bytes] = {}
    for plan, version in made:
        number = plan.entry.number
        contents[version_files.version_path(work.data, number, version.version)] = versions.encode(
            version
        )
        rows = left_out.of(plan.cell)
        if rows:
            contents[version_files.quarantine_path(work.data, number, version.version)] = rows
    return contents


def _version(work: Work, plan: PlannedVersion, counted: Breakdown) -> Version:
    return versions.version(
        number=plan.entry.number,
        version_number=plan.entry.version + 1,
        cell=plan.cell,
        zone=work.settings.zone,
        created_at=plan.entry.created_at,
        refreshed_at=work.clock().replace(microsecond=0),
        content_digest=plan.digest,
        counted=counted,
    )


@dataclass(frozen=True, slots=True)
class RejectedRows:
    """The rows that are kept to be looked at, ready to be laid beside their snapshots."""

    by_month: Mapping[tuple[str, int] | None, bytes]
    """Lines by organisation and month; under None those of rows that lie in no cell."""

    def of(self, cell: Cell) -> bytes:
        """The rows that lie in a cell, one JSON object a line."""
        months = cell.period.months
        return b"".join(self.by_month.get((cell.org_id, month), b"") for month in months)

    @property
    def unplaced(self) -> bytes:
        """The rows that lie in no cell, one JSON object a line."""
        return self.by_month.get(None, b"")
