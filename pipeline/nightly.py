"""A night: every cell of every configured kind of period brought up to date, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline import cells, claims, exports, publication, staleness, store
from pipeline.catalog import KnownFile
from pipeline.periods import KINDS
from pipeline.work import UNCHANGED, Outcome, outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from pipeline.breakdown import Cell
    from pipeline.engines.polars import Content
    from pipeline.exports import File
    from pipeline.publication import Planned
    from pipeline.runs import Gathered
    from pipeline.work import Work

_IGNORED: Final = "ignored"
"""The fact that tells which columns were named because they mean nothing to us."""


@dataclass(frozen=True, slots=True)
class Night:
    """What a night found and did."""

    changed: bool
    """Whether anything had changed since the last night; if not, nothing was read."""
    files: int
    rows: int
    outcomes: Sequence[Outcome]
    held: Mapping[str, str]
    """Organisations left as they are, and the refused export because of which they are."""
    later: Sequence[Cell]
    """Cells of periods that have not begun, left for when they have."""
    refused: Mapping[str, str]
    """Refused exports and why."""
    ignored: Mapping[str, Sequence[str]]
    """Columns that mean nothing to us and were not named before, and the files that have them."""
    ledger: Mapping[str, int]
    """All rows by what became of them."""


def run(work: Work, *, full: bool = False) -> Night:
    """Bring every cell of every configured kind of period up to date.

    Args:
        work: Where, by which settings, and when.
        full: Compute every cell, stale or not.

    Raises:
        Busy: Another night is going on.
        ExportsMissing: There is no exports folder.
        ExportsChanged: Files keep changing while they are read.
        LedgerBroken: Rows were read that are not accounted for; nothing was published.
    """
    exports.check_folder(work.data)
    with claims.night(work.catalog, work.clock()):
        files = exports.find(work.data)
        is_tidy = claims.is_tidy(work.catalog) and staleness.is_known(work.catalog)
        if not full and is_tidy and _nothing_changed(work, files):
            return _quiet(work, files)
        return _compute(work, full=full, is_tidy=is_tidy)


def _nothing_changed(work: Work, files: Iterable[File]) -> bool:
    others = [run for run in claims.open_runs(work.catalog) if run.number is not None]
    return not others and staleness.nothing_changed(
        work.catalog, work.settings, files, work.clock()
    )


def _quiet(work: Work, files: Sequence[File]) -> Night:
    known = work.catalog.files().values()
    refused = {file.name: file.problem for file in known if file.problem is not None}
    rows = sum(file.rows or 0 for file in known if file.problem is None)
    return Night(
        changed=False,
        files=len(files),
        rows=rows,
        outcomes=(),
        held={},
        later=(),
        refused=refused,
        ignored={},
        ledger={},
    )


def _compute(work: Work, *, full: bool, is_tidy: bool) -> Night:
    from pipeline import runs  # noqa: PLC0415 (a quiet night must not wait for an engine to load)

    deleted = staleness.deletions(work.catalog)
    gathered = runs.gather(work, afresh=full)
    work.tell("exports_read", files=len(gathered.exports.accepted), rows=gathered.exports.rows)
    held = runs.held_organisations(work.catalog, gathered.exports)
    contents = {
        cell: content
        for kind in work.settings.periods
        for cell, content in gathered.judged.contents(kind).items()
    }
    now, zone = work.clock(), work.settings.zone
    later = [cell for cell in contents if not cells.has_begun(cell.period, zone, now)]
    due = {
        cell: content
        for cell, content in contents.items()
        if cell.org_id not in held and cells.has_begun(cell.period, zone, now)
    }
    planned, outcomes = _plan(work, due, full=full)
    if planned or not is_tidy:
        _sweep(work)
    counted = runs.count(gathered, planned)
    left_out = runs.left_out(gathered, planned)
    outcomes += publication.publish(work, planned, counted, left_out)
    work.tell("snapshots_published", snapshots=len(planned))
    outcomes += _take_up(work, gathered, held)
    outcomes += _without_rows(work, gathered, contents, held)
    store.write({store.unplaced_path(work.data): left_out.unplaced})
    ignored = _newly_ignored(work, gathered)
    _remember(work, gathered, deleted, later)
    return _night(gathered, outcomes, held, later, ignored)


def _sweep(work: Work) -> None:
    """Take away what somebody left behind who was killed, or could not go on."""
    swept = store.sweep(work.data, work.catalog.current_versions())
    if swept:
        work.tell("orphans_swept", files=swept)


def _plan(
    work: Work, due: Mapping[Cell, Content], *, full: bool
) -> tuple[list[Planned], list[Outcome]]:
    """The versions to be made, and the snapshots that are as they should be.

    New snapshots get their ids newest period first, then by organisation: people look at the
    latest one most.
    """
    from pipeline import runs  # noqa: PLC0415

    order = sorted(due, key=_newest_first)
    entries = cells.ensure(
        work.catalog, [(cell.org_id, cell.period.id) for cell in order], work.clock()
    )
    planned, outcomes = [], []
    for cell, entry in zip(order, entries, strict=True):
        plan = runs.plan(work, entry, cell, due[cell])
        if full or plan.is_news(work):
            planned.append(plan)
        else:
            outcomes.append(outcome(entry, UNCHANGED, entry.version))
    return planned, outcomes


def _newest_first(cell: Cell) -> tuple[int, int, str]:
    months = KINDS[cell.period.kind]
    return -cell.period.ordinal * months, -months, cell.org_id


def _take_up(work: Work, gathered: Gathered, held: Mapping[str, str]) -> list[Outcome]:
    """Runs that were asked for and have not come to their end, of whatever kind of period."""
    from pipeline import runs  # noqa: PLC0415

    waiting = [run for run in claims.open_runs(work.catalog) if run.number is not None]
    return runs.compute(work, gathered, waiting, held)


def _without_rows(
    work: Work, gathered: Gathered, contents: Collection[Cell], held: Collection[str]
) -> list[Outcome]:
    """Snapshots of the configured kinds in whose cells no row lies, of organisations we know of.

    Those that never had one are brought up to date, in case the rules have changed; the others
    keep their numbers, and the night says so.
    """
    from pipeline import runs  # noqa: PLC0415

    decisions = [
        runs.decide(work, gathered, entry, held={}, forced=False)
        for entry in work.catalog.entries().values()
        if (entry.version or entry.org_id in gathered.judged.organisations)
        and entry.org_id not in held
        and (cell := runs.cell_of(entry)).period.kind in work.settings.periods
        and cell not in contents
    ]
    planned = [made for made in decisions if isinstance(made, publication.Planned)]
    published = publication.publish(
        work, planned, runs.count(gathered, planned), publication.LeftOut({})
    )
    unchanged = [made for made in decisions if isinstance(made, Outcome)]
    return published + unchanged


def _newly_ignored(work: Work, gathered: Gathered) -> Mapping[str, Sequence[str]]:
    """Each column that means nothing to us is named once, not every night."""
    named = msgspec.json.decode(work.catalog.fact(_IGNORED) or "[]", type=set[str])
    ignored: dict[str, list[str]] = {}
    for export in gathered.exports.accepted:
        for column in export.ignored:
            if column not in named:
                ignored.setdefault(column, []).append(export.file.name)
    work.catalog.remember(_IGNORED, msgspec.json.encode(sorted(named | set(ignored))).decode())
    return ignored


def _remember(work: Work, gathered: Gathered, deleted: str, later: Sequence[Cell]) -> None:
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
        staleness.remember(work.catalog, work.settings, reading.files, deleted, until)


def _night(
    gathered: Gathered,
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
