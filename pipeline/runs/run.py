"""Runs by hand and refreshes: compute some cells now."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pipeline.errors import BufdirError
from pipeline.model import versions
from pipeline.model.states import Action
from pipeline.runs import blocking, export_changes, gather, lifecycle, publish, staleness
from pipeline.runs.context import BY_API, RunResult
from pipeline.runs.plan import plan
from pipeline.storage import deletions, nightly_record, owners, run_queue, version_files
from pipeline.storage.actors import local_user

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pipeline.model.cells import Cell
    from pipeline.model.periods import Period
    from pipeline.runs.context import RunContext
    from pipeline.runs.published import Published
    from pipeline.storage.catalog import Entry
    from pipeline.storage.run_queue import Run


def run_cells(
    context: RunContext,
    wanted: Sequence[Period],
    organisations: Sequence[str] | None,
    *,
    force: bool = False,
) -> RunResult:
    """Compute cells now: these periods of these organisations, or of all that exports name.

    Raises:
        InvalidValue: An organisation's id has another form.
        PeriodNotBegun: A period is in the future.
        Busy: A nightly run, or another process's run of one of the cells, is going on.
        ExportsMissing, ExportsUnreachable, ExportsChanged, LedgerBroken: As `gather`.
    """
    now = context.clock()
    for period in wanted:
        lifecycle.check_begun(period, context.settings.zone, now)
    deleted: Collection[tuple[str, str]] = ()
    if organisations is None:
        named = _named_organisations(context)
        # What was deleted on purpose is computed only where its organisation is named.
        deleted = deletions.by_cell(context.catalog)
    else:
        named = [versions.check_organisation(org_id) for org_id in organisations]
    cells = [(org_id, period.id) for period in wanted for org_id in named]
    cells = [cell for cell in cells if cell not in deleted]
    with owners.temporary(context.data) as owner:
        with context.catalog.transaction():
            entries = lifecycle.ensure(context.catalog, cells, now)
            numbers = [entry.number for entry in entries]
            acquired = run_queue.acquire(context.catalog, numbers, owner, now)
        try:
            return refresh(context, acquired, force=force)
        except BaseException as error:
            # Only this process knows of the runs, so no other would take them up soon.
            _end(context, acquired, f"it was ended by {type(error).__name__}")
            raise


def _named_organisations(context: RunContext) -> list[str]:
    """Find the organisations that any export names, sorted."""
    location = context.location
    selection = context.select(location.list_files())
    found, named = gather.named_organisations(context, context.engine(), selection)
    location.changed(found.files)  # raises where the location failed meanwhile
    return sorted(named)


def refresh(context: RunContext, runs: Sequence[Run], *, force: bool = False) -> RunResult:
    """Compute the snapshots of these acquired runs, each that is stale or forced, and end them.

    Raises:
        BufdirError: The exports can't be read; all the runs have failed with that. After anything
            else they are still acquired: the caller ends them, or they are requeued.
    """
    try:
        return _refresh(context, runs, force=force)
    except BufdirError as error:
        _end(context, runs, error.public)
        raise


def _end(context: RunContext, runs: Iterable[Run], problem: str) -> None:
    """Record that runs failed, where that is possible: the failure itself is what is reported."""
    with suppress(BufdirError):
        for run in runs:
            run_queue.end(context.catalog, run.id, context.clock(), problem)


def _refresh(context: RunContext, runs: Sequence[Run], *, force: bool) -> RunResult:
    catalog, settings = context.catalog, context.settings
    for entry in _entries(context, runs):
        version_files.sweep_snapshot(context.data, entry.number, entry.version)
    is_forced = force or any(run.forced for run in runs)
    engine = context.engine(reads_cache=not is_forced)
    organisations = {entry.org_id for entry in _entries(context, runs)}
    with gather.gather(context, engine, organisations) as inputs:
        record = nightly_record.read(catalog) or nightly_record.EMPTY
        entries = gather.find_published(context, _entries(context, runs))
        of_refused = blocking.organisations_of_refused(context, record, inputs, organisations)
        planned = plan(
            inputs.survey,
            entries,
            blocking.blocked_organisations(of_refused),
            {run.number or 0: force or _is_forced(context, run) for run in runs},
            terms=settings.terms,
            now=context.clock(),
            guard=export_changes.guard_of(context, engine, record, inputs),
            others=_others(context, entries, organisations),
            refused_exports=len(inputs.exports.refused),
        )
        inputs_digest = staleness.inputs_digest(settings, inputs.selection.inputs)
        nightly_record.add_organisations(catalog, inputs.organisations_by_name)
        forced_by = local_user() if force else BY_API
        results = publish.execute(
            context, inputs, planned, runs, inputs_digest, forced_by=forced_by
        ).results
        places = {versions.snapshot_id(run.number or 0): place for place, run in enumerate(runs)}
        results.sort(key=lambda one: places[one.id])
        blocked = [one.blocked_cell for one in planned.with_action(Action.BLOCK)]
        return RunResult(results, inputs.exports.problems, blocked)


def _entries(context: RunContext, runs: Iterable[Run]) -> list[Entry]:
    return [context.catalog.get(versions.snapshot_id(run.number or 0)) for run in runs]


def _others(
    context: RunContext, entries: Mapping[Cell, Published], organisations: Collection[str]
) -> Mapping[Cell, Published]:
    """Find the other snapshots of these organisations, where first versions are among the runs."""
    if all(one.entry.version for one in entries.values()):
        return {}
    others = gather.find_published(
        context,
        [one for one in context.catalog.entries().values() if one.org_id in organisations],
    )
    return {cell: one for cell, one in others.items() if cell not in entries}


def _is_forced(context: RunContext, run: Run) -> bool:
    """Return whether the run is forced by now; a request after its start can force it too."""
    return run_queue.find(context.catalog, run.id).forced
