"""The plan of a nightly run, with what was compared for it: the same for `nightly` and `check`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.runs import blocking, export_changes, gather
from pipeline.runs.plan import plan
from pipeline.runs.published import cell_of
from pipeline.storage import deletions, run_queue

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.engines import Engine
    from pipeline.model.cells import Cell
    from pipeline.runs.context import RunContext
    from pipeline.runs.gather import RunInputs
    from pipeline.runs.guard import Guard
    from pipeline.runs.plan import Plan
    from pipeline.runs.published import Published
    from pipeline.storage.nightly_record import NightlyRecord
    from pipeline.storage.run_queue import Run


@dataclass(frozen=True, slots=True)
class NightlyPlan:
    """The decisions of a nightly run, and the values that decided."""

    plan: Plan
    published: Mapping[Cell, Published]
    """Every snapshot as it was found."""
    waiting: Sequence[Run]
    """The runs that were asked for and have not ended, for any kind of period."""
    of_refused: Mapping[str, Sequence[str]]
    """By refused export, the organisations that are blocked because of it."""
    guard: Guard


def make(
    context: RunContext,
    engine: Engine,
    record: NightlyRecord,
    inputs: RunInputs,
    *,
    full: bool = False,
) -> NightlyPlan:
    """Decide about every cell of every configured kind, and every snapshot of another kind.

    Args:
        context: The settings, the catalog and the clock.
        engine: The engine of the survey.
        record: The last nightly run.
        inputs: All exports of now.
        full: Compute what is up to date, too.
    """
    published = gather.find_published(context, context.catalog.entries().values())
    of_refused = blocking.organisations_of_refused(context, record, inputs)
    waiting = [run for run in run_queue.open_runs(context.catalog) if run.number is not None]
    guard = export_changes.guard_of(context, engine, record, inputs)
    planned = plan(
        inputs.survey,
        published,
        blocking.blocked_organisations(of_refused),
        {run.number: run.forced for run in waiting if run.number is not None},
        terms=context.settings.terms,
        now=context.clock(),
        guard=guard,
        kinds=context.settings.periods,
        refused_exports=len(inputs.exports.refused),
        deleted=[cell_of(one) for one in deletions.by_cell(context.catalog).values()],
        force=full,
    )
    return NightlyPlan(planned, published, waiting, of_refused, guard)
