"""The one publishing pass of a run: counts planned versions, writes files, makes them current.

Version files are written and flushed first; then one transaction makes them current. Readers never
see a partial version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.model import versions
from pipeline.model.states import Action, Outcome
from pipeline.runs import counting, lifecycle, writing
from pipeline.runs.context import BY_API, SnapshotResult, result
from pipeline.runs.counting import PlannedVersion
from pipeline.storage import (
    blocked_cells,
    declarations,
    deletions,
    file_digests,
    followed_exports,
    run_queue,
    version_files,
)
from pipeline.storage.followed_exports import FollowedExports

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.model.cells import Cell
    from pipeline.model.versions import Version
    from pipeline.runs.context import RunContext
    from pipeline.runs.gather import RunInputs
    from pipeline.runs.plan import Plan
    from pipeline.runs.writing import WrittenVersion
    from pipeline.storage.run_queue import Run

_OUTCOMES: Final = {
    Action.LEAVE: Outcome.UNCHANGED,
    Action.RETAIN: Outcome.RETAINED,
    Action.BLOCK: Outcome.BLOCKED,
    Action.FAIL: Outcome.FAILED,
}


@dataclass(frozen=True, slots=True)
class Executed:
    """What was done by a plan."""

    results: list[SnapshotResult]
    versions: Sequence[tuple[Cell, Version]] = ()
    """The new versions that are current."""


def execute(  # noqa: PLR0913 (each is one thing that a run has)
    context: RunContext,
    inputs: RunInputs,
    plan: Plan,
    runs: Sequence[Run],
    inputs_digest: str,
    *,
    forced_by: str = BY_API,
) -> Executed:
    """Carry out the plan, and end the runs.

    Args:
        context: The place and time.
        inputs: The survey from which to count.
        plan: The decisions.
        runs: The runs that were asked for; each ends with the result of its snapshot.
        inputs_digest: The digest of the inputs, for snapshots that now follow from them.
        forced_by: Who forces the runs that are forced.

    Raises:
        ExportsChanged: Files changed after it was decided what to count; nothing is published.
        LedgerBroken: A cell's ledger does not account for its rows; nothing is published.
    """
    planned, deleted = _with_snapshots(context, plan, forced_by)
    counted = counting.count(context, inputs, planned)
    written = writing.write(context, counted, len(planned))
    with context.catalog.transaction():
        current = make_current(context, written, inputs_digest)
        _record_others(context, inputs, plan, inputs_digest)
        # If this process is killed, the runs are executed again, but give no second version.
        run_queue.unforce(context.catalog, [run.id for run in runs])
    if written:
        _remove_replaced(context, written, current)
        context.events("snapshots_published", snapshots=len(written))
    results = [*_computed(written, current), *_not_computed(plan), *deleted]
    _end_runs(context, runs, results)
    pairs = zip(written, current, strict=True)
    return Executed(
        results,
        [(one.planned.decision.cell, one.version) for one, is_current in pairs if is_current],
    )


def _record_others(context: RunContext, inputs: RunInputs, plan: Plan, inputs_digest: str) -> None:
    """Record what was decided about the snapshots that were not computed."""
    unchanged = plan.with_action(Action.LEAVE, Action.RETAIN)
    numbers = [one.entry.number for one in unchanged if one.entry is not None]
    context.catalog.confirm(numbers, inputs_digest)
    # With its rows back, a snapshot has no fall any more that was accepted.
    left = [one.entry.number for one in plan.with_action(Action.LEAVE) if one.entry is not None]
    declarations.end_accepted(context.catalog, left)
    followed_exports.write(
        context.catalog,
        [
            FollowedExports(one.entry.number, one.entry.version, one.followed)
            for one in plan.decisions
            if one.entry is not None and one.followed is not None
        ],
    )
    _list_blocked(context, inputs, plan)


def _computed(written: Sequence[WrittenVersion], current: Sequence[bool]) -> list[SnapshotResult]:
    """Give the result of each snapshot that has a new version, or was deleted meanwhile."""
    return [
        result(
            one.planned.entry,
            Outcome.COMPUTED if is_current else Outcome.DELETED,
            one.planned.decision.reason,
            one.version.version,
        )
        for one, is_current in zip(written, current, strict=True)
    ]


def _not_computed(plan: Plan) -> list[SnapshotResult]:
    """Give the result of each snapshot that stays as it is."""
    return [
        result(one.entry, _OUTCOMES[one.action], one.reason, one.entry.version, one.problem)
        for one in plan.decisions
        if one.action in _OUTCOMES and one.entry is not None
    ]


def _list_blocked(context: RunContext, inputs: RunInputs, plan: Plan) -> None:
    """Write the list of blocked cells, without those that were deleted meanwhile."""
    decided = None if inputs.is_complete else [one.cell.key for one in plan.decisions]
    deleted = deletions.by_cell(context.catalog)
    blocked = [one.blocked_cell for one in plan.with_action(Action.BLOCK)]
    blocked = [one for one in blocked if one.key not in deleted]
    blocked_cells.write(context.catalog, blocked, decided)


def _end_runs(context: RunContext, runs: Iterable[Run], results: Iterable[SnapshotResult]) -> None:
    problems = {one.id: one.problem for one in results}
    for run in runs:
        problem = problems.get(versions.snapshot_id(run.number or 0))
        run_queue.end(context.catalog, run.id, context.clock(), problem)


def _with_snapshots(
    context: RunContext, plan: Plan, forced_by: str
) -> tuple[list[PlannedVersion], list[SnapshotResult]]:
    """Create the snapshots that are missing, in the order of the plan.

    Returns:
        The versions to compute, and the results of snapshots that were deleted meanwhile.
    """
    catalog = context.catalog
    decisions = plan.with_action(Action.COMPUTE)
    with catalog.transaction():
        ids, cells = {one.id for one in deletions.read(catalog)}, deletions.by_cell(catalog)
        wanted = [
            one
            for one in decisions
            if (one.entry.id not in ids if one.entry else one.cell.key not in cells)
        ]
        entries = lifecycle.ensure(catalog, [one.cell.key for one in wanted], context.clock())
    planned = [PlannedVersion(*pair, forced_by) for pair in zip(wanted, entries, strict=True)]
    deleted = [
        result(one.entry, Outcome.DELETED, one.reason, one.entry.version)
        for one in decisions
        if one.entry and one.entry.id in ids
    ]
    return planned, deleted


def make_current(
    context: RunContext, written: Sequence[WrittenVersion], inputs_digest: str
) -> list[bool]:
    """Make these versions current; give False for each whose snapshot was deleted meanwhile."""
    current = [
        # Counted without an export that is refused, a version follows from no inputs.
        context.catalog.publish(
            one.version, None if one.planned.decision.refused_export else inputs_digest
        )
        for one in written
    ]
    numbers = [one.planned.entry.number for one in written]
    declarations.end_accepted(context.catalog, numbers)
    file_digests.write(
        context.catalog,
        {
            (one.planned.entry.number, one.version.version): one.sha256
            for one, is_current in zip(written, current, strict=True)
            if is_current
        },
    )
    return current


def _remove_replaced(
    context: RunContext, written: Sequence[WrittenVersion], current: Sequence[bool]
) -> None:
    """Remove the files that no reader needs, now that these versions are current.

    A snapshot that was deleted meanwhile stays deleted: its new files are removed too.
    """
    replaced = []
    for one, is_current in zip(written, current, strict=True):
        entry = one.planned.entry
        if not is_current:
            version_files.sweep_snapshot(context.data, entry.number, entry.version)
            continue
        if entry.version:
            replaced.append((entry.number, entry.version))
        _report_overridden(context, one.planned)
    version_files.remove_quarantine(context.data, replaced)


def _report_overridden(context: RunContext, planned: PlannedVersion) -> None:
    """Report a version that is published only because its run was forced."""
    decision = planned.decision
    if decision.overridden is not None:
        context.events(
            "block_overridden",
            snapshot=planned.entry.id,
            reason=decision.overridden,
            rows_before=decision.rows_before,
            rows_now=decision.content.rows,
            by=planned.forced_by,
        )
