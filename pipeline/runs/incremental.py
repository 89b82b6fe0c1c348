"""What a night does in which files have changed: looks at their rows, renews what is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.runs import compute, lifecycle, publish
from pipeline.runs.context import UNCHANGED, Night, Outcome, outcome
from pipeline.storage import nightly_record, run_queue, version_files
from pipeline.storage.catalog import KnownFile

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from pipeline.engines.polars.survey import Content
    from pipeline.model.cells import Cell
    from pipeline.runs.compute import RunInputs
    from pipeline.runs.context import Work
    from pipeline.runs.publish import PlannedVersion
    from pipeline.sources.exports import File

_IGNORED: Final = "ignored"
"""The fact that tells which columns were named because they mean nothing to us."""


def run(work: Work, *, full: bool, last_runs_clean: bool) -> Night:
    """Bring every cell of every configured kind of period up to date.

    Args:
        work: Where, by which settings, and when; the night has claimed everything.
        full: Compute every cell, stale or not.
        last_runs_clean: Whether certainly nobody has left anything behind.

    Raises:
        ExportsMissing, ExportsChanged, LedgerBroken: As `runs.gather`.
    """
    deleted = nightly_record.deletions(work.catalog)
    gathered = compute.gather(work, afresh=full)
    work.tell("exports_read", files=len(gathered.exports.accepted), rows=gathered.exports.rows)
    held = compute.held_organisations(work.catalog, gathered.exports)
    contents = {
        cell: content
        for kind in work.settings.periods
        for cell, content in gathered.judged.contents(kind).items()
    }
    now, zone = work.clock(), work.settings.zone
    later = [cell for cell in contents if not lifecycle.has_begun(cell.period, zone, now)]
    due = {
        cell: content
        for cell, content in contents.items()
        if cell.org_id not in held and lifecycle.has_begun(cell.period, zone, now)
    }
    planned, outcomes = _plan(work, due, full=full)
    if planned or not last_runs_clean:
        _sweep(work)
    counted, left_out = compute.count(gathered, planned), compute.left_out(gathered, planned)
    outcomes += publish.publish(work, counted, len(planned), left_out)
    work.tell("snapshots_published", snapshots=len(planned))
    outcomes += _take_up(work, gathered, held)
    outcomes += _without_rows(work, gathered, contents, held)
    version_files.write({version_files.unplaced_path(work.data): left_out.unplaced})
    ignored = _newly_ignored(work, gathered)
    _remember(work, gathered, deleted, later)
    return _night(gathered, outcomes, held, later, ignored)


def is_as_before(work: Work, files: Sequence[File], deleted: str) -> bool:
    """Whether files were written anew, and each holds the rows that the last night found in it.

    If so, they count as read. What is laid down of them holds their rows' old places, and is made
    anew by the next night that finds news.
    """
    anew = nightly_record.written_anew(work.catalog, work.settings, files, work.clock(), deleted)
    if not anew or not compute.say_the_same(work, anew, nightly_record.said(work.catalog)):
        return False
    nightly_record.remember_same(work.catalog, work.settings, files, deleted)
    return True


def _sweep(work: Work) -> None:
    """Take away what somebody left behind who was killed, or could not go on."""
    swept = version_files.sweep(work.data, work.catalog.current_versions())
    if swept:
        work.tell("orphans_swept", files=swept)


def _plan(
    work: Work, due: Mapping[Cell, Content], *, full: bool
) -> tuple[list[PlannedVersion], list[Outcome]]:
    """The versions to be made, and the snapshots that are as they should be.

    New snapshots get their ids newest period first, then by organisation: people look at the
    latest one most.
    """
    order = sorted(due, key=_newest_first)
    entries = lifecycle.ensure(
        work.catalog, [(cell.org_id, cell.period.id) for cell in order], work.clock()
    )
    planned, outcomes = [], []
    for cell, entry in zip(order, entries, strict=True):
        plan = compute.plan(work, entry, cell, due[cell])
        if full or plan.is_stale(work):
            planned.append(plan)
        else:
            outcomes.append(outcome(entry, UNCHANGED, entry.version))
    return planned, outcomes


def _newest_first(cell: Cell) -> tuple[int, int, str]:
    months = cell.period.months
    return -months.start, -len(months), cell.org_id


def _take_up(work: Work, gathered: RunInputs, held: Mapping[str, str]) -> list[Outcome]:
    """Runs that were asked for and have not come to their end, of whatever kind of period."""
    waiting = [run for run in run_queue.open_runs(work.catalog) if run.number is not None]
    return compute.compute(work, gathered, waiting, held)


def _without_rows(
    work: Work, gathered: RunInputs, contents: Collection[Cell], held: Collection[str]
) -> list[Outcome]:
    """Snapshots of the configured kinds in whose cells no row lies, of organisations we know of.

    Those that never had one are brought up to date, in case the rules have changed; the others
    keep their numbers, and the night says so.
    """
    with_rows = {(cell.org_id, cell.period.id) for cell in contents}
    decisions = [
        compute.decide(work, gathered, entry, held={}, forced=False)
        for cell, entry in work.catalog.entries().items()
        if cell not in with_rows
        and (entry.version or entry.org_id in gathered.judged.organisations)
        and entry.org_id not in held
        and compute.cell_of(entry).period.kind in work.settings.periods
    ]
    planned = [made for made in decisions if isinstance(made, publish.PlannedVersion)]
    counted, nothing = compute.count(gathered, planned), publish.RejectedRows({})
    published = publish.publish(work, counted, len(planned), nothing)
    unchanged = [made for made in decisions if isinstance(made, Outcome)]
    return published + unchanged


def _newly_ignored(work: Work, gathered: RunInputs) -> Mapping[str, Sequence[str]]:
    """Each column that means nothing to us is named once, not every night."""
    named = msgspec.json.decode(work.catalog.fact(_IGNORED) or "[]", type=set[str])
    ignored: dict[str, list[str]] = {}
    for export in gathered.exports.accepted:
        for column in export.ignored:
            if column not in named:
                ignored.setdefault(column, []).append(export.file.name)
    work.catalog.remember(_IGNORED, msgspec.json.encode(sorted(named | set(ignored))).decode())
    return ignored


def _remember(work: Work, gathered: RunInputs, deleted: str, later: Sequence[Cell]) -> None:
    """What the next night compares with, so that an unchanged one reads nothing."""
    known = work.catalog.files()
    reading, named = gathered.exports, gathered.named
    accepted = [
        KnownFile(export.file.name, export.rows, None, named[export.file.name])
        for export in reading.accepted
    ]
    refused = [
        KnownFile(
            file.name,
            error.rows,
            str(error),
            known[file.name].organisations if file.name in known else (),
        )
        for file, error in reading.refused.items()
    ]
    until = min((cell.period.start(work.settings.zone) for cell in later), default=None)
    with work.catalog.transaction():
        work.catalog.remember_files([*accepted, *refused])
        said = gathered.judged.said
        nightly_record.remember(work.catalog, work.settings, reading.files, deleted, until, said)


def _night(
    gathered: RunInputs,
    outcomes: Sequence[Outcome],
    held: Mapping[str, str],
    later: Sequence[Cell],
    ignored: Mapping[str, Sequence[str]],
) -> Night:
    reading = gathered.exports
    return Night(
        changed=True,
        files=len(reading.accepted) + len(reading.refused),
        rows=reading.rows,
        outcomes=outcomes,
        held=held,
        later=later,
        refused=reading.problems,
        ignored=ignored,
        ledger=gathered.judged.ledger,
    )
