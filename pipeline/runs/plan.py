"""The plan of a run: what is computed, unchanged, retained, blocked, deferred or failed, and why.

Pure: from values to values, without a file, a clock or an engine. It is the one decision for
nightly runs, runs by hand, refreshes and checks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipeline.model import versions
from pipeline.model.blocked import BlockedCell
from pipeline.model.cells import NO_CONTENT
from pipeline.model.states import Action, FileState, Reason
from pipeline.runs import guarded_cells

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from datetime import datetime

    from pipeline.model.cells import Cell, CellContent
    from pipeline.model.declarations import Declaration
    from pipeline.model.terms import Terms
    from pipeline.runs.guard import Fall, Guard
    from pipeline.runs.guarded_cells import GuardedCells
    from pipeline.runs.published import Published, SurveyedCells
    from pipeline.storage.catalog import Entry


Asked = bool | None
"""Whether the run that was asked for is forced; None where none was asked for."""


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
    refused_exports: int = 0
    """The number of exports that are refused, any of which may name its organisation."""
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
                return f"no export names {self.cell.org_id}{self._doubt}"

    @property
    def _doubt(self) -> str:
        if not self.refused_exports:
            return ""
        is_one = self.refused_exports == 1
        who = "1 export is" if is_one else f"{self.refused_exports:,} exports are"
        return f", but {who} refused and may do so; bufdir check names what is wrong"

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
    refused_exports: int = 0,
    deleted: Collection[Cell] = (),
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
        refused_exports: The number of exports that are refused.
        deleted: Cells without a snapshot that were deleted on purpose: no first version of them.
        force: Compute what is up to date, too.
    """
    known = {**(others or {}), **entries}
    contents = {
        kind: survey.contents(kind)
        for kind in dict.fromkeys([*kinds, *(cell.period.kind for cell in known)])
    }
    named = {org_id for of_file in survey.organisations_by_file for org_id in of_file}
    with_rows = {cell for kind in kinds for cell in contents[kind]}
    wanted = {*entries, *with_rows.difference(deleted)}
    guarded = guarded_cells.judge(survey, known, contents, guard)
    decide = _Rules(named, blocked, guarded, terms, now, refused_exports, force=force)
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
    guarded: GuardedCells
    terms: Terms
    now: datetime
    refused_exports: int
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
        decision = Decision(cell, action, reason, entry, content, refused, fall)
        if action is not Action.COMPUTE:
            followed = self.guarded.followed.get(cell)
            yield replace(decision, followed=followed, refused_exports=self.refused_exports)
            return
        by_fall = None if fall is None else fall.reason
        yield replace(
            decision,
            declarations=self.guarded.declared.get(cell, ()),
            overridden=Reason.REFUSED_EXPORT if refused else by_fall,
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
