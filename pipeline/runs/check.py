"""Check: validates exports without publishing, and reports the plan of a nightly run."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.model.states import Action
from pipeline.runs import file_reports, gather, nightly_plan
from pipeline.runs.gather import RunInputs
from pipeline.runs.plan import NO_PLAN
from pipeline.sources.folders import NamedFiles
from pipeline.storage import nightly_record

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.engines import Engine
    from pipeline.model.blocked import BlockedCell
    from pipeline.runs.context import RunContext
    from pipeline.runs.file_reports import FileReport
    from pipeline.runs.plan import Plan
    from pipeline.sources.selection import Selection


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """The verdict on one export."""

    name: str
    rows: int | None
    problem: str | None
    """The reason for which it would be refused; None where it would be accepted."""
    ignored: Sequence[str]
    """Columns that are not read."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The verdict on exports; their ledger is that of these files alone."""

    files: Sequence[CheckedFile]
    rows: int
    cells: int
    """Organisations and configured periods that have a row."""
    ledger: Mapping[str, int]
    """All rows by ledger line."""
    rows_without_cell: Mapping[str, int]
    """The rows among them that are in no cell, by ledger line."""
    missing: Mapping[str, str]
    """The breakdowns whose column none of the files has, and that column."""
    set_aside: Sequence[str]
    """The exports of older dumps, which are not read."""
    plan: Mapping[str, int]
    """How many cells a nightly run would compute, leave, retain, block; empty for named files."""
    blocked: Sequence[BlockedCell]
    """The cells that it would block, by organisation and period; empty for named files."""
    look_alikes: Mapping[str, int]
    """By export, the participants whose ids differ from another's only in how they are written."""
    reports: Sequence[FileReport]
    """How each of the named files is read; empty without names."""


def check(
    context: RunContext, paths: Sequence[Path] | None = None, source: str | None = None
) -> CheckResult:
    """Judge the exports, or these files wherever they are; write nothing.

    Args:
        context: The place and settings.
        paths: The files; None is all exports.
        source: The name of the source that reads the files; None chooses it by their paths.

    Raises:
        InvalidValue: There is no source of this name.
        ExportsMissing: No files are named, and there is no exports folder.
        ExportsUnreachable, ExportsChanged, LedgerBroken: As `gather`.
    """
    engine = context.engine()
    with _gathered(context, engine, paths, source) as inputs:
        survey, found = inputs.survey, inputs.exports
        accepted = [
            CheckedFile(export.file.name, export.rows, None, export.ignored)
            for export in found.accepted
        ]
        refused = [
            CheckedFile(file.name, error.rows, str(error), ())
            for file, error in found.refused.items()
        ]
        planned = _decided(context, engine, inputs) if paths is None else NO_PLAN
        blocked = [one.blocked_cell for one in planned.with_action(Action.BLOCK)]
        return CheckResult(
            files=sorted([*accepted, *refused], key=lambda file: file.name),
            rows=found.rows,
            cells=sum(len(survey.contents(kind)) for kind in context.settings.periods),
            ledger=survey.ledger,
            rows_without_cell=survey.rows_without_cell,
            missing=inputs.missing_columns(context.settings),
            set_aside=[file.name for file in inputs.selection.set_aside],
            plan=dict(Counter(str(one.action) for one in planned.decisions)),
            blocked=sorted(blocked, key=lambda one: one.key),
            look_alikes=survey.look_alikes(),
            reports=[] if paths is None else file_reports.reports(context, engine, inputs),
        )


def selected(
    context: RunContext, paths: Sequence[Path] | None = None, source: str | None = None
) -> Selection:
    """Select the exports that `check` reads.

    Raises:
        InvalidValue: There is no source of this name.
        ExportsMissing, ExportsUnreadable, ExportsUnreachable: The exports can't be listed.
    """
    if paths is None:
        return context.select(context.location.list_files())
    return context.select_named(NamedFiles(paths).list_files(), source)


@contextmanager
def _gathered(
    context: RunContext, engine: Engine, paths: Sequence[Path] | None, source: str | None
) -> Iterator[RunInputs]:
    if paths is None:
        with gather.gather(context, engine) as inputs:
            yield inputs
        return
    location, selection = NamedFiles(paths), selected(context, paths, source)
    found, survey = gather.survey_files(context, engine, selection)
    with survey:
        gather.check_ledger(found, survey, is_complete=True)
        yield RunInputs(found, survey, location, selection)


def _decided(context: RunContext, engine: Engine, inputs: RunInputs) -> Plan:
    """Decide as the next nightly run would."""
    record = nightly_record.read(context.catalog) or nightly_record.EMPTY
    return nightly_plan.make(context, engine, record, inputs).plan
