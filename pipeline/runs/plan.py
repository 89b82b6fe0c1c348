"""The plan of a run: what is computed, unchanged, retained, blocked, deferred or failed, and why.

Pure: from values to values, without a file, a clock or an engine. It is the one decision for
nightly runs, runs by hand, refreshes and checks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.model import periods, versions
from pipeline.model.blocked import BlockedCell
from pipeline.model.cells import NO_CONTENT, Cell
from pipeline.model.states import Action, FileState, Reason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from pipeline.model.cells import CellContent
    from pipeline.model.declarations import Declaration
    from pipeline.model.terms import Terms
    from pipeline.runs.guard import Fall, Guard
    from pipeline.storage.catalog import Entry


Asked = bool | None
"""Whether the run that was asked for is forced; None where none was asked for."""


class SurveyedCells(Protocol):
    """The part of a survey that decides: who is named, and what each cell's rows are."""

    @property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The valid organisations that the rows of each export name."""

    def contents(self, kind: str) -> Mapping[Cell, CellContent]:
        """Sum up the rows of each cell of a kind that has any."""

    def rows_by_export(self, cells: Iterable[Cell]) -> Mapping[Cell, Mapping[str, int]]:
        """Count the rows of each of these cells in each export that has any."""


@dataclass(frozen=True, slots=True)
class Published:
    """A snapshot as a run finds it."""

    entry: Entry
    file: FileState = FileState.READABLE
    """The state of its version file, where it has a version."""
    exports: Mapping[str, int] | None = None
    """The rows of its version by export, where the version file has them.

    The exports have the names under which the last run found them.
    """
    left_out: Mapping[str, int] | None = None
    """The rows of its version that have a defect, by reason; None where there are none."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The action of a run for one cell, and its reason."""

    cell: Cell
    action: Action
    reason: Reason
    entry: Entry | None
    """Its snapshot, where it has one."""
    content: CellContent
    refused_export: str | None = None
    """The refused export that named its organisation: it is blocked, or counted without it."""
    fall: Fall | None = None
    """The fall because of which it is blocked or retained, or would be."""
    declarations: Sequence[Declaration] = ()
    """The acts of operators without which it would not be computed by itself."""
    followed: Mapping[str, int] | None = None
    """The rows of its version by export under the names of now, where it stays and these differ."""
    overridden: Reason | None = None
    """The reason for which it would be blocked or retained, if the run of it were not forced."""

    @property
    def problem(self) -> str | None:
        """The problem and its remedy, where an operator has to act; else None."""
        if self.action is Action.BLOCK:
            return self.blocked_cell.sentence
        if self.action is not Action.FAIL:
            return None
        match self.reason:
            case Reason.UNREADABLE:
                return (
                    "its version file is missing or corrupt, and exports do not have its rows any "
                    "longer; restore the file from a backup, or force the run to count without it"
                )
            case Reason.NEWER:
                return (
                    "a newer release of this program wrote its version file; use that release, or "
                    "restore an older backup"
                )
            case _:
                return f"no export names {self.cell.org_id}"

    @property
    def exports(self) -> tuple[str, ...]:
        """The exports because of which it is blocked, or would be."""
        if self.fall:
            return self.fall.exports
        return (self.refused_export,) if self.refused_export else ()

    @property
    def rows_before(self) -> int:
        """The rows of its version; 0 where it has none."""
        return (self.entry.rows if self.entry else None) or 0

    @property
    def blocked_cell(self) -> BlockedCell:
        """The cell as the list of blocked ones has it."""
        return BlockedCell(
            self.entry.id if self.entry and self.entry.version else None,
            *self.cell.key,
            self.reason,
            self.exports,
            self.rows_before,
            self.content.rows,
        ).described()


@dataclass(frozen=True, slots=True)
class Plan:
    """The decisions of a run, in the order of their cells: newest period first."""

    decisions: Sequence[Decision]

    def with_action(self, *actions: Action) -> list[Decision]:
        """Select the decisions with one of these actions."""
        return [one for one in self.decisions if one.action in actions]


NO_PLAN: Final = Plan(())
"""The plan of a command that decides nothing."""


def plan(  # noqa: PLR0913 (each is one thing that decides)
    survey: SurveyedCells,
    entries: Mapping[Cell, Published],
    blocked: Mapping[str, str],
    runs: Mapping[int, bool],
    *,
    terms: Terms,
    now: datetime,
    guard: Guard,
    kinds: Collection[str] = (),
    others: Mapping[Cell, Published] | None = None,
    force: bool = False,
) -> Plan:
    """Decide about every cell that has a snapshot here, and every cell of these kinds with rows.

    Args:
        survey: The rows of the exports.
        entries: The snapshots to decide about, by cell.
        blocked: Organisations that a refused export named, and that export.
        runs: The runs asked for by snapshot number, and whether each is forced: it counts without
            a refused export, and after all rows are gone.
        terms: The terms of the run.
        now: The present.
        guard: The bounds of falls, and what has become of exports since versions were counted.
        kinds: Kinds of period of which every cell with rows is wanted.
        others: Other snapshots of these organisations. They are not decided, but a first version
            is blocked while one of its months is.
        force: Compute what is up to date, too.
    """
    known = {**(others or {}), **entries}
    contents = {
        kind: survey.contents(kind)
        for kind in dict.fromkeys([*kinds, *(cell.period.kind for cell in known)])
    }
    named = {org_id for of_file in survey.organisations_by_file for org_id in of_file}
    wanted = {*entries, *(cell for kind in kinds for cell in contents[kind])}
    guarded = _guarded(survey, known, contents, guard)
    decide = _Rules(named, blocked, guarded, terms, now, force=force)
    decisions = [
        decision
        for cell in sorted(wanted, key=_newest_first)
        for decision in decide(
            cell,
            contents[cell.period.kind].get(cell, NO_CONTENT),
            entries.get(cell),
            _asked(entries.get(cell), runs),
        )
    ]
    return Plan(decisions)


@dataclass(frozen=True, slots=True)
class _Guarded:
    """The judgement of the guard on published cells whose rows, or declarations, are others now."""

    falls: Mapping[Cell, Fall]
    """The falls that are not published by themselves."""
    declared: Mapping[Cell, Sequence[Declaration]]
    """What operators have declared about these changes."""
    fallen: Mapping[str, Sequence[Cell]]
    """The cells of falls by organisation."""
    followed: Mapping[Cell, Mapping[str, int]]
    """The rows of versions by export under the names of now, where these differ."""

    def fall(self, cell: Cell, published: Published | None, content: CellContent) -> Fall | None:
        """Find the fall of a cell; without a version, that of one that has months of it."""
        if published is not None and published.entry.version:
            return self.falls.get(cell)
        for other in self.fallen.get(cell.org_id, ()):
            if other.period.overlaps(cell.period):
                return replace(self.falls[other], before=0, now=content.rows)
        return None


def _guarded(
    survey: SurveyedCells,
    entries: Mapping[Cell, Published],
    contents: Mapping[str, Mapping[Cell, CellContent]],
    guard: Guard,
) -> _Guarded:
    """Compare each version that has other rows now with these, export by export."""
    moved = guard.changes.moved
    other = {
        cell: one
        for cell, one in entries.items()
        if one.entry.version
        and (
            contents[cell.period.kind].get(cell, NO_CONTENT).digest != one.entry.row_digest
            or guard.keeps(one.entry)
        )
    }
    same = {
        cell: one.exports
        for cell, one in entries.items()
        if cell not in other and one.exports and not one.exports.keys().isdisjoint(moved)
    }
    wanted = [*other, *same]
    now = survey.rows_by_export(wanted) if wanted else {}
    falls, declared = {}, {}
    for cell, one in other.items():
        fall = guard.fall(one.entry, one.exports, now[cell])
        if fall is not None:
            falls[cell] = fall
        declared[cell] = guard.declared(one.entry, one.exports, now[cell])
    fallen: dict[str, list[Cell]] = {}
    for cell in falls:
        fallen.setdefault(cell.org_id, []).append(cell)
    followed = {cell: now[cell] for cell in same}
    for cell, one in other.items():
        if one.exports:
            followed[cell] = guard.changes.followed(one.exports)
    followed = {
        cell: exports for cell, exports in followed.items() if exports != entries[cell].exports
    }
    return _Guarded(falls, declared, fallen, followed)


def cell_of(entry: Entry) -> Cell:
    """Give the cell of a snapshot."""
    return Cell(entry.org_id, periods.parse(entry.reporting_period_id))


def _asked(published: Published | None, runs: Mapping[int, bool]) -> Asked:
    """Find the run of a snapshot."""
    return None if published is None else runs.get(published.entry.number)


def _newest_first(cell: Cell) -> tuple[int, int, str]:
    """Sort new snapshots: people look at the latest period most, and then at its longest kind."""
    months = cell.period.months
    return -months.start, -len(months), cell.org_id


@dataclass(frozen=True, slots=True)
class _Rules:
    """The rules in the order in which they are tried."""

    named: Collection[str]
    blocked: Mapping[str, str]
    guarded: _Guarded
    terms: Terms
    now: datetime
    force: bool

    def __call__(
        self, cell: Cell, content: CellContent, published: Published | None, asked: Asked
    ) -> Iterator[Decision]:
        """Decide about one cell; nothing where no run asks and there is nothing to count."""
        entry = published.entry if published else None
        version = entry.version if entry else 0
        if not version and asked is None and cell.org_id not in self.named:
            return
        refused = self.blocked.get(cell.org_id)
        fall = self.guarded.fall(cell, published, content) if refused is None else None
        action, reason = self._decide(cell, content, published, asked, fall)
        if action is not Action.COMPUTE:
            followed = self.guarded.followed.get(cell)
            yield Decision(cell, action, reason, entry, content, refused, fall, followed=followed)
            return
        declared = self.guarded.declared.get(cell, ())
        by_fall = None if fall is None else fall.reason
        overridden = Reason.REFUSED_EXPORT if refused else by_fall
        yield Decision(
            cell,
            action,
            reason,
            entry,
            content,
            refused,
            fall,
            declared,
            overridden=overridden,
        )

    def _decide(
        self,
        cell: Cell,
        content: CellContent,
        published: Published | None,
        asked: Asked,
        fall: Fall | None,
    ) -> tuple[Action, Reason]:
        if cell.period.start(self.terms.zone) > self.now:
            return Action.DEFER, Reason.NOT_BEGUN
        if published and published.file is FileState.NEWER:
            return Action.FAIL, Reason.NEWER
        if cell.org_id in self.blocked and not asked:
            return Action.BLOCK, Reason.REFUSED_EXPORT
        if published is None or not published.entry.version:
            return self._decide_first(cell, asked, fall)
        if asked:
            return Action.COMPUTE, Reason.FORCED
        return self._decide_version(cell, content, published, fall)

    def _decide_version(
        self, cell: Cell, content: CellContent, published: Published, fall: Fall | None
    ) -> tuple[Action, Reason]:
        if fall is not None:
            action = Action.RETAIN if fall.reason is Reason.RETIRED else Action.BLOCK
            return _not_computed(published, action, fall.reason)
        return self._compared(cell, content, published)

    def _decide_first(self, cell: Cell, asked: Asked, fall: Fall | None) -> tuple[Action, Reason]:
        """Decide about a cell without a version, which has no numbers that could stay."""
        if cell.org_id not in self.named:
            return Action.FAIL, Reason.NO_EXPORT
        if fall is not None and not asked:
            return Action.BLOCK, fall.reason
        return Action.COMPUTE, Reason.FIRST

    def _compared(
        self, cell: Cell, content: CellContent, published: Published
    ) -> tuple[Action, Reason]:
        """Compare a version with the rows and terms of now."""
        entry = published.entry
        if entry.digest != versions.digest(cell, content, self.terms.digest):
            is_by_terms = entry.terms_digest != self.terms.digest
            return Action.COMPUTE, Reason.TERMS if is_by_terms else Reason.ROWS
        if self.force:
            return Action.COMPUTE, Reason.FORCED
        if published.file is FileState.UNREADABLE:
            return Action.COMPUTE, Reason.UNREADABLE
        return Action.LEAVE, Reason.SAME


def _not_computed(published: Published, action: Action, reason: Reason) -> tuple[Action, Reason]:
    """Leave a version as it is; fail where its file is lost."""
    if published.file is FileState.UNREADABLE:
        return Action.FAIL, Reason.UNREADABLE
    return action, reason
