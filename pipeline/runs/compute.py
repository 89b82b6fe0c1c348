"""Gather, decide, publish: exports and cells in, versions out.

All exports are looked at before anything is written; what is written, while others are counted,
becomes visible in one transaction each time. A run that can't be trusted publishes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.engines import ScanRequest
from pipeline.engines.polars import survey as engine
from pipeline.errors import BufdirError, ExportsChanged, LedgerBroken
from pipeline.model import numbers, periods, versions
from pipeline.model.cells import Breakdown, Cell
from pipeline.model.ledger import COUNTED, LEDGER
from pipeline.model.numbers import NO_NUMBERS
from pipeline.runs import lifecycle
from pipeline.runs.context import FAILED, KEPT, UNCHANGED, Outcome, Work, outcome
from pipeline.runs.publish import PlannedVersion, RejectedRows, publish
from pipeline.sources import exports, parquet
from pipeline.storage import nightly_record, run_queue, version_files

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence

    from pipeline.engines.polars.survey import Judged
    from pipeline.model.periods import Period
    from pipeline.sources.parquet import Exports
    from pipeline.storage.catalog import Catalog, Entry
    from pipeline.storage.run_queue import Run

NOTHING: Final = engine.NOTHING

_READINGS: Final = 3
"""How often exports are read again that change while they are read."""


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The exports as they were at one time, and what is in them."""

    exports: Exports
    judged: Judged

    @property
    def named(self) -> Mapping[str, Sequence[str]]:
        """The organisations that each accepted file names, among those that were asked for."""
        files = (export.file.name for export in self.exports.accepted)
        return dict(zip(files, self.judged.organisations_by_file, strict=True))


@dataclass(frozen=True, slots=True)
class RunResult:
    """What became of the snapshots of a run, and which exports it had to do without."""

    outcomes: Sequence[Outcome]
    refused: Mapping[str, str]
    """Refused exports and why."""


def gather(
    work: Work, organisations: Collection[str] | None = None, *, afresh: bool = False
) -> RunInputs:
    """Read the exports, of these organisations or of all, and hold the ledger to the footers.

    Args:
        work: Where, and by which settings.
        organisations: Of these only; None is all, and is what the next night begins with.
        afresh: Read what an earlier night has read, too.

    Raises:
        ExportsMissing: There is no exports folder.
        ExportsChanged: Files keep changing while they are read.
        LedgerBroken: Rows were read that are not accounted for.
    """
    changed: tuple[str, ...] = ()
    for _ in range(_READINGS):
        files = exports.find(work.data)
        reading, judged = survey(
            work, files, organisations, reuse=not afresh, lay=organisations is None
        )
        changed = exports.changed(files)
        if not changed:
            judged.keep()
            _check_ledger(reading, judged, complete=organisations is None)
            return RunInputs(reading, judged)
        work.tell("exports_changed_while_read", files=changed)
    raise ExportsChanged(changed)


def survey(
    work: Work,
    files: Iterable[exports.File],
    organisations: Collection[str] | None = None,
    *,
    reuse: bool = False,
    lay: bool = False,
) -> tuple[Exports, Judged]:
    """Read these files; those that turn out to be damaged are refused and the others go on.

    Args:
        work: By which settings.
        files: What to read.
        organisations: Of these only; None is all.
        reuse: Not to read what the last night has read of files that are what they were.
        lay: To lay this reading down for the next; of all organisations only.
    """
    reading = parquet.read(files, work.settings.columns)
    question = ScanRequest.of(reading.accepted, work.settings, organisations)
    try:
        return reading, engine.survey(question, work.data, reuse=reuse, lay=lay)
    except engine.FAULTS:
        damaged = engine.damaged(question)
        if not damaged:
            raise
    reading = reading.without(damaged)
    question = ScanRequest.of(reading.accepted, work.settings, organisations)
    return reading, engine.survey(question, work.data, reuse=reuse, lay=lay)


def say_the_same(work: Work, files: Sequence[exports.File], said: Mapping[str, str]) -> bool:
    """Whether each of these files holds the rows that the last night read from it, in any order."""
    reading = parquet.read(files, work.settings.columns)
    if reading.refused:
        return False
    try:
        same = engine.say_the_same(ScanRequest.of(reading.accepted, work.settings), said)
    except engine.FAULTS:
        return False
    return same and not exports.changed(files)


def _check_ledger(reading: Exports, judged: Judged, *, complete: bool) -> None:
    accounted = sum(judged.ledger.values())
    if complete and accounted != reading.rows:
        raise LedgerBroken("the exports", reading.rows, accounted)


def definitions() -> str:
    """The edition of the numbers' definitions and of how this engine sums up rows."""
    return f"{numbers.DEFINITIONS}/{engine.hashing_edition()}"


def plan(work: Work, entry: Entry, cell: Cell, content: engine.Content) -> PlannedVersion:
    """The version that this content would make."""
    digest = versions.digest(cell, content.digest, work.rules, work.settings.zone, definitions())
    return PlannedVersion(entry, cell, digest, content.rows)


def count(
    gathered: RunInputs, planned: Collection[PlannedVersion]
) -> Generator[tuple[PlannedVersion, Breakdown], None, None]:
    """The numbers of these versions, a period at a time; zeros where no row lies in a cell.

    Who takes all of them knows at the end that they may be published.

    Raises:
        ExportsChanged: Files changed after it was decided what to count.
        LedgerBroken: A cell's ledger does not account for the rows that lie in it.
    """
    try:
        for plan, found in _counted(gathered, planned):
            _check_accounted(plan, found)
            yield plan, found
    except (LedgerBroken, *engine.FAULTS):
        _check_unchanged(gathered)  # what else would come of that is no fault of ours
        raise
    _check_unchanged(gathered)


def _check_accounted(plan: PlannedVersion, found: Breakdown) -> None:
    accounted = sum(found.ledger.values())
    if accounted != plan.rows or found.ledger[COUNTED] != found.total.participations:
        where = f"{plan.cell.org_id} in {plan.cell.period.id}"
        raise LedgerBroken(where, plan.rows, accounted)


def _check_unchanged(gathered: RunInputs) -> None:
    changed = exports.changed(gathered.exports.files)
    if changed:
        raise ExportsChanged(changed)


def _counted(
    gathered: RunInputs, planned: Collection[PlannedVersion]
) -> Iterator[tuple[PlannedVersion, Breakdown]]:
    for kind in dict.fromkeys(plan.cell.period.kind for plan in planned):
        waiting = {plan.cell: plan for plan in planned if plan.cell.period.kind == kind}
        for of_period in gathered.judged.period_by_period(kind, list(waiting)):
            for cell, found in of_period.items():
                yield waiting.pop(cell), found
        for plan in waiting.values():
            yield plan, zeros(gathered)


def left_out(gathered: RunInputs, planned: Iterable[PlannedVersion]) -> RejectedRows:
    """The rows that are kept to be looked at beside these versions, and those of no cell."""
    return RejectedRows(gathered.judged.left_out(plan.cell for plan in planned))


def zeros(gathered: RunInputs) -> Breakdown:
    """The numbers of a cell in which no row lies."""
    categories = gathered.judged.question.rules.categories
    return Breakdown(NO_NUMBERS, dict.fromkeys(categories, NO_NUMBERS), dict.fromkeys(LEDGER, 0))


def run_cells(
    work: Work,
    wanted: Sequence[Period],
    organisations: Sequence[str] | None,
    *,
    force: bool = False,
) -> RunResult:
    """Compute cells now: these periods of these organisations, or of all that exports name.

    Raises:
        InvalidValue: An organisation's id can't be one.
        PeriodNotBegun: A period lies in the future.
        Busy: A night, or another process's run of one of the cells, is going on.
        ExportsMissing, ExportsChanged, LedgerBroken: As `gather`.
    """
    now = work.clock()
    for period in wanted:
        lifecycle.check_begun(period, work.settings.zone, now)
    if organisations is None:
        named = _named_organisations(work)
    else:
        named = [versions.check_organisation(org_id) for org_id in organisations]
    pairs = [(org_id, period.id) for period in wanted for org_id in named]
    with run_queue.owner(work.data) as name:
        with work.catalog.transaction():
            entries = lifecycle.ensure(work.catalog, pairs, now)
            numbers = [entry.number for entry in entries]
            claimed = run_queue.claim(work.catalog, numbers, name, now)
        try:
            return refresh(work, claimed, forced=force)
        except BaseException as error:
            # Nobody but this process knows of the runs, so nobody would take them up soon.
            _end(work, claimed, f"it was ended by {type(error).__name__}")
            raise


def _named_organisations(work: Work) -> list[str]:
    """The organisations that any export names, in order."""
    files = exports.find(work.data)
    reading = parquet.read(files, work.settings.columns)
    return sorted(engine.organisations(ScanRequest.of(reading.accepted, work.settings)))


def refresh(work: Work, runs: Sequence[Run], *, forced: bool = False) -> RunResult:
    """Compute the snapshots of these claimed runs, each that is stale or forced; and end the runs.

    Raises:
        BufdirError: The exports can't be read; all the runs have failed with that. After anything
            else they are still claimed: the caller ends them, or whoever takes them up.
    """
    try:
        return _refresh(work, runs, forced=forced)
    except BufdirError as error:
        _end(work, runs, str(error))
        raise


def _end(work: Work, runs: Iterable[Run], problem: str) -> None:
    for run in runs:
        run_queue.end(work.catalog, run.id, work.clock(), problem)


def _refresh(work: Work, runs: Sequence[Run], *, forced: bool) -> RunResult:
    nightly_record.forget_said(work.catalog)
    entries = [work.catalog.get(versions.snapshot_id(run.number or 0)) for run in runs]
    for entry in entries:
        version_files.sweep_snapshot(work.data, entry.number, entry.version)
    afresh = forced or any(run.forced for run in runs)
    gathered = gather(work, {entry.org_id for entry in entries}, afresh=afresh)
    work.tell("exports_read", files=len(gathered.exports.accepted), rows=gathered.exports.rows)
    held = held_organisations(work.catalog, gathered.exports)
    outcomes = compute(work, gathered, runs, held, forced=forced)
    work.catalog.remember_named(gathered.named)
    return RunResult(outcomes, gathered.exports.problems)


def compute(
    work: Work,
    gathered: RunInputs,
    runs: Sequence[Run],
    held: Mapping[str, str],
    *,
    forced: bool = False,
) -> list[Outcome]:
    """Decide each of these runs' snapshots, publish those that are due, and end the runs."""
    if not runs:
        return []
    decisions = []
    for run in runs:
        entry = work.catalog.get(versions.snapshot_id(run.number or 0))
        force = forced or _forced(work, run)
        decisions.append(decide(work, gathered, entry, held, forced=force))
    planned = [made for made in decisions if isinstance(made, PlannedVersion)]
    kept = left_out(gathered, planned)
    published = publish(work, count(gathered, planned), len(planned), kept)
    by_id = {made.id: made for made in published}
    outcomes = [
        by_id[made.entry.id] if isinstance(made, PlannedVersion) else made for made in decisions
    ]
    for run, ended in zip(runs, outcomes, strict=True):
        run_queue.end(work.catalog, run.id, work.clock(), ended.problem)
    return outcomes


def _forced(work: Work, run: Run) -> bool:
    """Whether the run is forced by now: somebody may have asked for that after it was claimed."""
    return run_queue.find(work.catalog, run.id).forced


def held_organisations(catalog: Catalog, reading: Exports) -> Mapping[str, str]:
    """The organisations that are left as they are, and the refused export for which they are.

    Counting without a file that could be read before would publish numbers that are too small.
    """
    known = catalog.files()
    return {
        org_id: file.name
        for file in reading.refused
        if file.name in known
        for org_id in known[file.name].organisations
    }


def decide(
    work: Work, gathered: RunInputs, entry: Entry, held: Mapping[str, str], *, forced: bool
) -> PlannedVersion | Outcome:
    """Whether a snapshot is to be computed, or why it is not."""
    cell = cell_of(entry)
    if not forced and entry.org_id in held:
        problem = (
            f"export {held[entry.org_id]}, which names {entry.org_id}, is refused now; mend or "
            "remove it, or force the run to count without it"
        )
        return outcome(entry, FAILED, entry.version, problem)
    if entry.org_id not in gathered.judged.organisations:
        if entry.version and not forced:
            return outcome(entry, KEPT, entry.version)
        return outcome(entry, FAILED, entry.version, f"no export names {entry.org_id}")
    content = gathered.judged.contents(cell.period.kind).get(cell, NOTHING)
    plan_ = plan(work, entry, cell, content)
    if forced or not entry.version:
        return plan_
    if not plan_.is_stale(work):
        return outcome(entry, UNCHANGED, entry.version)
    # Rows that were there are gone: exports may be deleted by law, the numbers stay.
    gone = entry.rows and not content.rows
    return outcome(entry, KEPT, entry.version) if gone else plan_


def cell_of(entry: Entry) -> Cell:
    """The cell that a snapshot is of."""
    return Cell(entry.org_id, periods.parse(entry.reporting_period_id))
