"""The nightly run when inputs changed: surveys the exports and recomputes stale snapshots."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.model import versions
from pipeline.model.states import Action, Outcome
from pipeline.runs import (
    confined,
    export_changes,
    gather,
    nightly_plan,
    nightly_warnings,
    publish,
    staleness,
)
from pipeline.runs.context import NightlyResult
from pipeline.storage import (
    blocked_cells,
    declarations,
    deletions,
    durable_files,
    file_digests,
    nightly_record,
    version_files,
)
from pipeline.storage.nightly_record import FileRecord, NightlyRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline.runs.context import Beginning, RunContext, SnapshotResult
    from pipeline.runs.gather import RunInputs
    from pipeline.runs.nightly_plan import NightlyPlan


def run(context: RunContext, beginning: Beginning, *, full: bool) -> NightlyResult:
    """Bring every cell of every configured kind of period up to date.

    Kinds that were asked for once are brought up to date too, wherever they have a snapshot.

    Args:
        context: The place, settings and time; the run has acquired all snapshots.
        beginning: The state in which it found the catalog.
        full: Compute every cell, stale or not.

    Raises:
        ExportsMissing, ExportsChanged, LedgerBroken: As `gather`.
    """
    engine = context.engine(reads_cache=not full, writes_cache=True)
    with gather.gather(context, engine) as inputs:
        found = nightly_plan.make(context, engine, beginning.record, inputs, full=full)
        # Before anything is published: if this run is killed, the next one still knows.
        nightly_record.add_organisations(context.catalog, inputs.organisations_by_name)
        if found.plan.with_action(Action.COMPUTE) or found.waiting or not beginning.is_current:
            _sweep(context)
        inputs_digest = staleness.inputs_digest(context.settings, inputs.selection.inputs)
        unplaced = inputs.survey.unplaced_rows()
        durable_files.write({version_files.unplaced_path(context.data): unplaced})
        executed = publish.execute(context, inputs, found.plan, found.waiting, inputs_digest)
        deferred = [one.cell for one in found.plan.with_action(Action.DEFER)]
        record = _record(context, beginning, inputs, found)
        # Not what was retired since the plan was made: that is still gone.
        listed = {file.name for file in inputs.selection.exports}
        back = declarations.retired(context.catalog).keys() & listed
        declarations.end_retirements(context.catalog, back)
        nightly_record.write(context.catalog, record)
        context.conversions().prune(inputs.exports.accepted)
        confined.prune(context, inputs.selection.exports)
        return NightlyResult(
            changed=True,
            files=len(inputs.exports.files),
            rows=inputs.exports.rows,
            outcomes=executed.results,
            blocked=blocked_cells.read(context.catalog),
            deferred=deferred,
            refused=inputs.exports.problems,
            ignored=_newly_ignored(beginning, inputs),
            ledger=inputs.survey.ledger,
            missing=inputs.missing_columns(context.settings),
            unread=beginning.not_yet_named(inputs.selection),
            newly_retained=_newly_retained(beginning, executed.results),
            warnings=replace(
                nightly_warnings.of_record(record, context.settings, record.ended_at),
                left_out=nightly_warnings.left_out(
                    found.published, executed.versions, context.settings.periods[0]
                ),
                look_alikes=inputs.survey.look_alikes(),
            ),
        )


def _sweep(context: RunContext) -> None:
    """Delete what killed or failed runs left behind."""
    catalog = context.catalog
    # A snapshot that the catalog has lost keeps its files, until it is rebuilt from them.
    lost = file_digests.without_snapshot(catalog)
    kept = {**lost, **deletions.kept_versions(catalog), **catalog.current_versions()}
    swept = version_files.sweep(context.data, kept)
    if swept:
        context.events("orphans_swept", files=swept)


def _newly_ignored(beginning: Beginning, inputs: RunInputs) -> Mapping[str, Sequence[str]]:
    """List the files of each ignored column that no earlier nightly run has named."""
    named = beginning.record.ignored_columns
    ignored: dict[str, list[str]] = {}
    for export in inputs.exports.accepted:
        for column in export.ignored:
            if column not in named:
                ignored.setdefault(column, []).append(export.file.name)
    return ignored


def _newly_retained(
    beginning: Beginning, results: Sequence[SnapshotResult]
) -> Sequence[SnapshotResult]:
    known = {versions.snapshot_id(number) for number in beginning.record.retained_snapshots}
    return [one for one in results if one.outcome is Outcome.RETAINED and one.id not in known]


def _record(
    context: RunContext,
    beginning: Beginning,
    inputs: RunInputs,
    found: NightlyPlan,
) -> NightlyRecord:
    """Make the record with which the next nightly run compares."""
    settings, now = context.settings, context.clock()
    listed = {file.name for file in inputs.selection.exports}
    files = {**_accepted(inputs), **_refused(inputs, listed, found.of_refused)}
    checksums = {name: file.checksum for name, file in files.items()}
    deferred = [one.cell for one in found.plan.with_action(Action.DEFER)]
    ignored = {*beginning.record.ignored_columns, *_newly_ignored(beginning, inputs)}
    record = NightlyRecord(
        run_id=beginning.run_id,
        ended_at=now,
        terms=staleness.settings_digest(settings),
        inputs=_inputs_digest(context, inputs),
        files=files,
        until=min((cell.period.start(settings.zone) for cell in deferred), default=None),
        ignored_columns=tuple(sorted(ignored)),
        other_files=inputs.selection.others,
        set_aside=tuple(file.name for file in inputs.selection.set_aside),
        retained_snapshots=tuple(
            one.entry.number for one in found.plan.with_action(Action.RETAIN) if one.entry
        ),
        last_new=nightly_warnings.last_new(
            beginning.record, inputs.selection, checksums, settings, now
        ),
        unlisted={
            name: problem for name, problem in inputs.exports.problems.items() if name not in listed
        },
    )
    last = beginning.record
    return export_changes.recorded(record, last, found.guard.changes, found.published)


def _inputs_digest(context: RunContext, inputs: RunInputs) -> str:
    """Give the digest of the inputs; none where a file may be read the next time as it is."""
    if any(error.is_passing for error in inputs.exports.refused.values()):
        return ""
    return staleness.inputs_digest(context.settings, inputs.selection.inputs)


def _accepted(inputs: RunInputs) -> dict[str, FileRecord]:
    named, checksums = inputs.organisations_by_name, inputs.survey.checksums
    return {
        export.file.name: FileRecord(
            export.file.fingerprint.values,
            export.rows,
            None,
            tuple(named[export.file.name]),
            checksums[export.file.name],
        )
        for export in inputs.exports.accepted
    }


def _refused(
    inputs: RunInputs, listed: Collection[str], of_refused: Mapping[str, Sequence[str]]
) -> dict[str, FileRecord]:
    """Record each refused export with the organisations that are blocked because of it."""
    return {
        file.name: FileRecord(
            file.fingerprint.values, error.rows, str(error), tuple(of_refused[file.name]), None
        )
        for file, error in inputs.exports.refused.items()
        if file.name in listed
    }
