"""Results and notes in words: pure, from values to sentences of one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.model.ledger import COUNTED
from pipeline.runs.context import COMPUTED, DELETED, FAILED, KEPT
from pipeline.terminal.reporter import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.model.cells import Cell
    from pipeline.runs.compute import RunResult
    from pipeline.runs.context import Night, Outcome
    from pipeline.runs.reindex import Reindexed
    from pipeline.storage.catalog import Entry

_NAMED: Final = 10
"""So many are named one by one before the rest is a number."""


def counted(number: int, noun: str) -> str:
    """So many of something: `no rows`, `1 row`, `12,345 rows`."""
    return f"1 {noun}" if number == 1 else f"{f'{number:,}' if number else 'no'} {noun}s"


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def cell_of(of: Entry | Outcome) -> str:
    """Which organisation and period it is of."""
    return f"{of.org_id} in {of.reporting_period_id}"


def ending(outcomes: Iterable[Outcome], what: str) -> list[Outcome]:
    """Those that ended so."""
    return [outcome for outcome in outcomes if outcome.outcome == what]


def night(found: Night, standing: int) -> str:
    """A night in one line.

    Args:
        found: What the night found and did.
        standing: Snapshots that have a version now.
    """
    read = f"{counted(found.files, 'export')}, {counted(found.rows, 'row')}"
    if not found.changed:
        stand = f"{counted(standing, 'snapshot')} stand{'s' if standing == 1 else ''}"
        return f"nightly: nothing has changed since the last night: {read}, {stand}"
    computed = counted(len(ending(found.outcomes, COMPUTED)), "snapshot")
    rows = f"{read}, {found.ledger[COUNTED]:,} counted"
    return f"nightly: {computed} computed, {standing:,} stand{'s' if standing == 1 else ''}: {rows}"


def notes_of_night(found: Night) -> list[Diagnostic]:
    """What there is to say of a night besides; nothing, if all is as it should be."""
    return [
        *notes_of_refusals(found.refused),
        *_held(found.held),
        *_failures(found.outcomes),
        *_left_alone(found.outcomes),
        *_later(found.later),
        *_ignored(found.ignored),
    ]


def notes_of_run(ended: RunResult) -> list[Diagnostic]:
    """What went wrong in a run, if anything did."""
    return [*notes_of_refusals(ended.refused), *_failures(ended.outcomes)]


def notes_of_refusals(files: Mapping[str, str]) -> list[Diagnostic]:
    """Each refused export, and why."""
    return [Diagnostic("export_refused", sentence) for sentence in files.values()]


def _failures(outcomes: Iterable[Outcome]) -> Iterator[Diagnostic]:
    """Each run that failed, and why."""
    for outcome in ending(outcomes, FAILED):
        sentence = f"{outcome.id} ({cell_of(outcome)}) failed: {outcome.problem}"
        yield Diagnostic("run_failed", sentence, is_failure=True)


def _held(held: Mapping[str, str]) -> Iterator[Diagnostic]:
    for file in dict.fromkeys(held.values()):
        names = [org_id for org_id, because in held.items() if because == file]
        sentence = (
            f"{counted(len(names), 'organisation')} left as before, because the refused export "
            f"{file} used to name them: {some(names)}"
        )
        yield Diagnostic("organisations_held", sentence)


def _left_alone(outcomes: Sequence[Outcome]) -> Iterator[Diagnostic]:
    if kept := [f"{one.id} ({cell_of(one)})" for one in ending(outcomes, KEPT)]:
        sentence = (
            f"no export touches {counted(len(kept), 'snapshot')} any longer, whose numbers "
            f"stand until run --force: {some(kept)}"
        )
        yield Diagnostic("snapshots_kept", sentence)
    if deleted := [one.id for one in ending(outcomes, DELETED)]:
        sentence = f"deleted while they were computed, and left so: {some(deleted)}"
        yield Diagnostic("snapshots_deleted", sentence)


def _later(cells: Sequence[Cell]) -> Iterator[Diagnostic]:
    if cells:
        names = [f"{cell.org_id} in {cell.period.id}" for cell in cells]
        sentence = f"{counted(len(cells), 'cell')} left until the period begins: {some(names)}"
        yield Diagnostic("cells_later", sentence)


def _ignored(columns: Mapping[str, Sequence[str]]) -> Iterator[Diagnostic]:
    if columns:
        names = [
            f"{column} (in {counted(len(files), 'export')})"
            for column, files in sorted(columns.items())
        ]
        yield Diagnostic("columns_ignored", f"columns that are ignored: {', '.join(names)}")


def night_body(found: Night, standing: int) -> Mapping[str, object]:
    """A night for programs."""
    later = [{"org_id": cell.org_id, "reporting_period_id": cell.period.id} for cell in found.later]
    return {
        "changed": found.changed,
        "files": found.files,
        "rows": found.rows,
        "snapshots": standing,
        "outcomes": found.outcomes,
        "refused": found.refused,
        "held": found.held,
        "later": later,
        "ignored": found.ignored,
        "ledger": found.ledger,
    }


def reindexed(found: Reindexed) -> str:
    """A rebuilt catalog in one line."""
    aside = f"; the old file is {found.set_aside} now" if found.set_aside else ""
    return f"reindex: {counted(found.snapshots, 'snapshot')} in the catalog{aside}"
