"""Results and diagnostics as sentences of one line each: pure, from values to text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipeline.model.blocked import problem, remedy
from pipeline.model.states import Outcome, Retirement
from pipeline.terminal.command_result import Diagnostic, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.model.blocked import BlockedCell
    from pipeline.model.states import Reason
    from pipeline.runs.context import RunResult, SnapshotResult
    from pipeline.runs.declare import Retired
    from pipeline.runs.reindex import Reindexed
    from pipeline.storage.catalog import Entry

_NAMED: Final = 10
"""So many are named one by one before the rest is a number."""


def counted(number: int, noun: str) -> str:
    """Write a number of something: `no rows`, `1 row`, `12,345 rows`."""
    return f"1 {noun}" if number == 1 else f"{f'{number:,}' if number else 'no'} {noun}s"


def some(names: Sequence[str]) -> str:
    """List the first few names, and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def cell_of(of: Entry | SnapshotResult | BlockedCell) -> str:
    """Name an organisation and a period."""
    return f"{of.org_id} in {of.reporting_period_id}"


def with_outcome(outcomes: Iterable[SnapshotResult], kind: Outcome) -> list[SnapshotResult]:
    """Select the snapshots with this outcome."""
    return [outcome for outcome in outcomes if outcome.outcome == kind]


def diagnostics_of_run(result: RunResult) -> list[Diagnostic]:
    """List what went wrong in a run, if anything did."""
    return [
        *diagnostics_of_refusals(result.refused),
        *diagnostics_of_blocked(result.blocked),
        *diagnostics_of_failures(result.outcomes),
    ]


def diagnostics_of_refusals(files: Mapping[str, str]) -> list[Diagnostic]:
    """List the refused exports, each with the reason."""
    return [Diagnostic("export_refused", sentence) for sentence in files.values()]


def diagnostics_of_failures(outcomes: Iterable[SnapshotResult]) -> Iterator[Diagnostic]:
    """Name the runs that failed, each with the reason."""
    for outcome in with_outcome(outcomes, Outcome.FAILED):
        sentence = f"{outcome.id} ({cell_of(outcome)}) failed: {outcome.problem}"
        yield Diagnostic("run_failed", sentence, Severity.ERROR)


def diagnostics_of_blocked(blocked: Sequence[BlockedCell]) -> Iterator[Diagnostic]:
    """Name what is blocked: one line for each export and reason, with the command that ends it."""
    groups: dict[tuple[Reason, tuple[str, ...]], list[BlockedCell]] = {}
    for cell in blocked:
        groups.setdefault((cell.reason, cell.exports), []).append(cell)
    for cells in groups.values():
        names = [f"{one.id or 'new'} ({cell_of(one)})" for one in cells]
        numbers = "numbers as before" if any(one.id for one in cells) else "no numbers yet"
        sentence = (
            f"{counted(len(cells), 'snapshot')} blocked, with {numbers}, because "
            f"{problem(cells)}: {some(names)}; {remedy(cells)}"
        )
        yield Diagnostic("snapshots_blocked", sentence)


def diagnostics_of_missing_columns(missing: Mapping[str, str]) -> list[Diagnostic]:
    """List the breakdowns whose column no export has."""
    sentence = (
        "no export has the column {!r} of the breakdown {}, so all rows are without a value in it; "
        "correct [breakdowns] in the settings"
    )
    return [
        Diagnostic("column_missing", sentence.format(column, name))
        for name, column in missing.items()
    ]


def diagnostics_of_look_alikes(found: Mapping[str, int]) -> Iterator[Diagnostic]:
    """Report participants whose ids look alike, if there are any."""
    if found:
        yield Diagnostic("look_alikes", look_alikes(found))


def look_alikes(found: Mapping[str, int]) -> str:
    """Write a sentence about participants whose ids look alike, by export."""
    ids = counted(sum(found.values()), "participant id")
    return (
        f"{ids} in {some(list(found))} differ from another one only in spaces, signs that no one "
        "sees, the way letters are composed or leading zeros; each counts as a person of its own, "
        "so write the ids alike in the systems that export them"
    )


def diagnostics_of_set_aside(names: Sequence[str]) -> Iterator[Diagnostic]:
    """Name the exports of older dumps, if there are any."""
    if names:
        sentence = (
            f"{counted(len(names), 'export')} set aside, because a newer dump of the source "
            f"counts: {some(names)}"
        )
        yield Diagnostic("exports_set_aside", sentence, Severity.INFO)


def deleted(snapshot_id: str, cell: str, days: int) -> str:
    """Confirm a deletion, with the command that undoes it."""
    if not days:
        return f"{snapshot_id} is deleted: {cell}"
    return (
        f"{snapshot_id} is deleted: {cell}; for {counted(days, 'day')}, "
        f"bufdir undelete {snapshot_id} undoes it"
    )


def retired(result: Retired) -> str:
    """Confirm what was declared about exports, and what follows."""
    exports = f"{counted(len(result.exports), 'export')} ({some(result.exports)})"
    if result.retirement is None:
        return f"no longer retired: {exports}; the next nightly run misses them again"
    follows = (
        "keep their numbers until run --force"
        if result.retirement is Retirement.KEEP
        else "are counted without them by the next nightly run"
    )
    cells = f"; {counted(len(result.blocked), 'blocked snapshot')}" if result.blocked else ""
    return f"retired: {exports}{cells}; snapshots that they touched {follows}"


def accepted(cells: Sequence[BlockedCell]) -> str:
    """Confirm the falls that were accepted, one a line, with the command that computes each."""
    return "\n".join(
        f"{one.id} ({cell_of(one)}): the next nightly run counts {counted(one.rows_now, 'row')} "
        f"where {counted(one.rows_before, 'row')} were; at once: bufdir run "
        f"--org {one.org_id} --period {one.reporting_period_id}"
        for one in cells
    )


def kept(cells: Sequence[BlockedCell]) -> str:
    """Confirm the falls that are never published, one a line."""
    return "\n".join(
        f"{one.id} ({cell_of(one)}): the numbers of {counted(one.rows_before, 'row')} stay until "
        f"run --force, or bufdir accept {one.id} --undo"
        for one in cells
    )


def reindexed(result: Reindexed) -> str:
    """Sum up a rebuilt catalog in one line."""
    aside = f"; the old file is now {result.set_aside}" if result.set_aside else ""
    return f"reindex: {counted(result.snapshots, 'snapshot')} in the catalog{aside}"


def diagnostics_of_tokens(result: Reindexed) -> list[Diagnostic]:
    """Name the tokens that were lost with a catalog, and those that are revoked again."""
    found = []
    if result.lost_tokens:
        sentence = (
            f"lost with the catalog, and revoked: the tokens {', '.join(result.lost_tokens)}; "
            "make new ones with bufdir token create"
        )
        found.append(Diagnostic("tokens_lost", sentence))
    if result.revoked_tokens:
        sentence = (
            "the catalog was older than the audit log, by which these tokens are revoked again: "
            f"{', '.join(result.revoked_tokens)}"
        )
        found.append(Diagnostic("tokens_revoked", sentence))
    return found
