"""The result of a nightly run: its one line, a line for each thing to do, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline import printable
from pipeline.model.ledger import COUNTED
from pipeline.model.states import Outcome
from pipeline.terminal import sentences
from pipeline.terminal.command_result import Diagnostic, Severity
from pipeline.terminal.sentences import counted, some, with_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from pipeline.model.cells import Cell
    from pipeline.runs.context import NightlyResult, SnapshotResult, UnreadFiles
    from pipeline.runs.nightly_warnings import LedgerJump, NightlyWarnings


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning, for the operator and for programs."""

    kind: str
    sentence: str
    names: Sequence[str]
    """The exports, sources or organisations that it is about."""


def summary(result: NightlyResult, current: int) -> str:
    """Sum up a nightly run in one line.

    Args:
        result: The result of the run.
        current: The number of snapshots with a published version.
    """
    exports = counted(result.files, "export") + _if_any(len(result.refused), "refused")
    exports += f", {counted(result.rows, 'row')}"
    blocked = _if_any(len(result.blocked), "blocked")
    silent = result.warnings.silent
    quiet = f"; nothing new from {some(list(silent))}" if silent else ""
    if not result.changed:
        snapshots = f"{counted(current, 'snapshot')} current{blocked}"
        return f"nightly: nothing changed since the last nightly run: {exports}, {snapshots}{quiet}"
    computed, failed = (
        len(with_outcome(result.outcomes, kind)) for kind in (Outcome.COMPUTED, Outcome.FAILED)
    )
    snapshots = f"{counted(computed, 'snapshot')} computed, {current:,} current{blocked}"
    snapshots += _if_any(failed, "failed")
    return f"nightly: {snapshots}: {exports}, {result.ledger[COUNTED]:,} counted{quiet}"


def _if_any(number: int, what: str) -> str:
    return f", {number:,} {what}" if number else ""


def diagnostics(result: NightlyResult) -> list[Diagnostic]:
    """List the diagnostics of a nightly run; none if everything is in order."""
    return [
        *(Diagnostic("file_damaged", one.sentence, Severity.ERROR) for one in result.damaged),
        *sentences.diagnostics_of_refusals(result.refused),
        *sentences.diagnostics_of_blocked(result.blocked),
        *sentences.diagnostics_of_failures(result.outcomes),
        *(Diagnostic(one.kind, one.sentence) for one in _warnings(result.warnings)),
        *_retained(result.newly_retained),
        *_deleted(result.outcomes),
        *_deferred(result.deferred),
        *_ignored(result.ignored),
        *sentences.diagnostics_of_missing_columns(result.missing),
        *_unread(result.unread),
    ]


def _warnings(found: NightlyWarnings) -> Iterator[Warned]:
    """Write each warning as a sentence with what to do."""
    for names in found.same_content:
        sentence = (
            f"exports {some(names)} have the same rows, which count once: it looks like the same "
            "file twice; remove the copy"
        )
        yield Warned("same_content", sentence, names)
    for source, since in found.silent.items():
        yield Warned("source_silent", _silent(source, since), [source])
    for one in found.left_out:
        yield Warned("rows_left_out", _left_out(one), one.organisations)
    if found.look_alikes:
        yield Warned(
            "look_alikes", sentences.look_alikes(found.look_alikes), list(found.look_alikes)
        )


def _silent(source: str, since: datetime) -> str:
    return (
        f"nothing new has come from source {source} since {since.date()}, longer than "
        "guard.most_silent_days; see that its system still exports"
    )


def _left_out(one: LedgerJump) -> str:
    return (
        f"{counted(one.now, 'row')} of {one.rows_now:,} left out as {one.reason}, and "
        f"{one.before:,} of {one.rows_before:,} before, in "
        f"{counted(len(one.organisations), 'organisation')}: {some(one.organisations)}; see what "
        "changed in the exports or the settings"
    )


def _retained(newly: Sequence[SnapshotResult]) -> Iterator[Diagnostic]:
    if newly:
        retained = [f"{one.id} ({sentences.cell_of(one)})" for one in newly]
        sentence = (
            f"{counted(len(retained), 'snapshot')} retained, as declared by retire or accept with "
            f"--keep; run --force computes them again: {some(retained)}"
        )
        yield Diagnostic("snapshots_retained", sentence)


def _deleted(outcomes: Sequence[SnapshotResult]) -> Iterator[Diagnostic]:
    if deleted := [one.id for one in with_outcome(outcomes, Outcome.DELETED)]:
        sentence = f"deleted during the run, and not published again: {some(deleted)}"
        yield Diagnostic("snapshots_deleted", sentence, Severity.INFO)


def _deferred(cells: Sequence[Cell]) -> Iterator[Diagnostic]:
    if cells:
        names = [f"{cell.org_id} in {cell.period.id}" for cell in cells]
        sentence = f"{counted(len(cells), 'cell')} deferred until the period begins: {some(names)}"
        yield Diagnostic("cells_deferred", sentence, Severity.INFO)


def _ignored(columns: Mapping[str, Sequence[str]]) -> Iterator[Diagnostic]:
    if columns:
        names = [
            f"{printable.name(column)} (in {counted(len(files), 'export')})"
            for column, files in sorted(columns.items())
        ]
        sentence = f"columns that are ignored: {some(names)}"
        yield Diagnostic("columns_ignored", sentence, Severity.INFO)


def _unread(files: UnreadFiles) -> Iterator[Diagnostic]:
    if files.others:
        sentence = (
            f"{counted(len(files.others), 'file')} among the exports not read, because the name "
            f"fits no source (*.parquet by default): {some(files.others)}"
        )
        yield Diagnostic("other_files", sentence, Severity.INFO)
    yield from sentences.diagnostics_of_set_aside(files.set_aside)
    for newest, other in files.same_date.items():
        sentence = (
            f"two dumps of one date: {newest} counts, because its name is the later one; {other} "
            "is set aside"
        )
        yield Diagnostic("dumps_of_one_date", sentence)


def body(result: NightlyResult, current: int) -> Mapping[str, object]:
    """Describe a nightly run for programs."""
    deferred = [
        {"org_id": cell.org_id, "reporting_period_id": cell.period.id} for cell in result.deferred
    ]
    return {
        "changed": result.changed,
        "files": result.files,
        "rows": result.rows,
        "snapshots": current,
        "outcomes": result.outcomes,
        "refused": result.refused,
        "blocked": result.blocked,
        "deferred": deferred,
        "ignored": result.ignored,
        "missing": result.missing,
        "other_files": result.unread.others,
        "set_aside": result.unread.set_aside,
        "warnings": list(_warnings(result.warnings)),
        "ledger": result.ledger,
        "damaged": result.damaged,
    }
