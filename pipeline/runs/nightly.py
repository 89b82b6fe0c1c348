"""The nightly run: looks whether anything has changed since the last one, and if so counts it.

Loads no engine where no file has changed: such runs should cost nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from pipeline.errors import ExportsChanged
from pipeline.runs import file_checks, lifecycle, nightly_warnings, staleness
from pipeline.runs.context import Beginning, NightlyResult, UnreadFiles
from pipeline.storage import blocked_cells, nightly_record, run_queue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.model.blocked import BlockedCell
    from pipeline.runs.context import RunContext
    from pipeline.sources.exports import File
    from pipeline.sources.selection import Selection
    from pipeline.storage.nightly_record import NightlyRecord


def run(context: RunContext, *, full: bool = False) -> NightlyResult:
    """Bring every cell of every configured kind of period up to date.

    Args:
        context: The place, settings and time.
        full: Compute every cell, stale or not.

    Raises:
        Busy: Another nightly run is going on.
        ExportsMissing: There is no exports folder.
        ExportsUnreachable: The location of the exports can't be reached.
        ExportsChanged: Files changed each time they were read.
        LedgerBroken: Rows were read that are not accounted for; nothing was published.
        StoreDamaged: The structure of the catalog is damaged; nothing was published.
    """
    context.location.check()
    with run_queue.nightly_run(context.catalog, context.clock) as acquired:
        beginning = _begin(context, acquired.id)
        _remove_expired(context)
        checked = file_checks.check(context)
        selection = context.select(context.location.list_files())
        is_due = full or _waiting(context) or context.reading.is_due or bool(checked.current)
        if beginning.is_current and not is_due:
            quiet = _quiet(context, beginning, selection)
            if quiet is not None:
                return replace(quiet, damaged=checked.damaged)
        from pipeline.runs import incremental  # noqa: PLC0415 (loads what an engine needs)

        result = incremental.run(context, beginning, full=full)
        return replace(result, damaged=file_checks.set_aside_replaced(context, checked).damaged)


def _begin(context: RunContext, run_id: int) -> Beginning:
    """Claim the record; an undeletion or a declaration from now on voids the claim."""
    catalog = context.catalog
    with catalog.transaction():
        last = nightly_record.read(catalog)
        is_current = nightly_record.is_current(catalog) and run_queue.last_runs_clean(catalog)
        nightly_record.claim(catalog, run_id)
    return Beginning(run_id, last, is_current)


def _remove_expired(context: RunContext) -> None:
    """Remove the files of snapshots that were deleted too long ago to be undeleted."""
    days = context.settings.history.undelete_days
    removed = lifecycle.remove_expired(context.catalog, context.clock(), days)
    if removed:
        context.events("deleted_files_removed", snapshots=removed)


def _waiting(context: RunContext) -> bool:
    return any(run.number is not None for run in run_queue.open_runs(context.catalog))


def _quiet(context: RunContext, beginning: Beginning, selection: Selection) -> NightlyResult | None:
    """End the run where nothing has changed; None where it must look at rows."""
    record, now, files = beginning.record, context.clock(), selection.files
    if not staleness.is_published(context.catalog, record, now):
        return None
    inputs = staleness.inputs_digest(context.settings, selection.inputs)
    if record.inputs != inputs:
        rewritten = staleness.rewritten(record, context.settings, files)
        if not rewritten or not _has_same_content(context, record, selection.of(rewritten)):
            return None
        record = _with_fingerprints(record, files)
        _confirm(context, record, inputs)
    checksums = {name: file.checksum for name, file in record.files.items()}
    settings = context.settings
    record = msgspec.structs.replace(
        record,
        inputs=inputs,
        other_files=selection.others,
        set_aside=tuple(file.name for file in selection.set_aside),
        last_new=nightly_warnings.last_new(record, selection, checksums, settings, now),
    )
    _write(context, beginning, record)
    blocked = blocked_cells.read(context.catalog)
    result = _result(record, files, beginning.not_yet_named(selection), blocked)
    return replace(result, warnings=nightly_warnings.of_record(record, settings, now))


def _has_same_content(context: RunContext, record: NightlyRecord, selection: Selection) -> bool:
    """Return whether rewritten files have the same rows as in the last nightly run.

    If so, they count as read. The cache still has the old positions of these rows. The next
    nightly run that finds a change replaces it.
    """
    from pipeline.engines import ScanRequest, UnreadableExports  # noqa: PLC0415 (as above)
    from pipeline.runs import gather  # noqa: PLC0415

    found = gather.open_files(context, selection)
    if found.refused:
        return False
    checksums = {name: file.checksum for name, file in record.files.items() if file.checksum}
    request = ScanRequest(found.accepted, context.settings.terms)
    is_same = False
    with suppress(UnreadableExports, ExportsChanged):
        found_now = context.engine().content_checksums(request)
        is_same = all(checksums.get(name) == now for name, now in found_now.items())
    return is_same and not context.location.changed(selection.files)


def _with_fingerprints(record: NightlyRecord, files: Sequence[File]) -> NightlyRecord:
    """Give the record the fingerprints of now."""
    known = {
        file.name: msgspec.structs.replace(
            record.files[file.name], fingerprint=file.fingerprint.values
        )
        for file in files
    }
    return msgspec.structs.replace(record, files=known)


def _confirm(context: RunContext, record: NightlyRecord, inputs: str) -> None:
    """Record that what is published follows from these inputs."""
    entries = context.catalog.entries().values()
    published = [entry.number for entry in entries if entry.inputs == record.inputs]
    context.catalog.confirm(published, inputs)


def _write(context: RunContext, beginning: Beginning, record: NightlyRecord) -> None:
    ended = msgspec.structs.replace(record, run_id=beginning.run_id, ended_at=context.clock())
    nightly_record.write(context.catalog, ended)


def _result(
    record: NightlyRecord,
    files: Sequence[File],
    unread: UnreadFiles,
    blocked: Sequence[BlockedCell],
) -> NightlyResult:
    known = record.files.items()
    problems = {name: file.problem for name, file in known if file.problem is not None}
    refused: Mapping[str, str] = {**problems, **record.unlisted}
    return NightlyResult(
        changed=False,
        files=len(files) + len(record.unlisted),
        rows=sum(file.rows or 0 for _, file in known if file.problem is None),
        outcomes=(),
        blocked=blocked,
        deferred=(),
        refused=refused,
        ignored={},
        ledger={},
        unread=unread,
    )
