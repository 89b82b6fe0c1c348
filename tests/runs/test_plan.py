"""The plan: each rule by a sentence, from values to values, without files or engines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

import msgspec

from pipeline.model import versions
from pipeline.model.cells import Cell, CellContent
from pipeline.model.periods import parse
from pipeline.model.states import Action, FileState, Reason, Retirement, SnapshotStatus
from pipeline.model.terms import Terms
from pipeline.runs.guard import Guard
from pipeline.runs.plan import plan
from pipeline.runs.published import Published
from pipeline.runs.successors import ExportChanges
from pipeline.storage.catalog import Entry
from tests.given import retired

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.runs.plan import Decision, Plan

NOW: Final = datetime(2025, 2, 1, tzinfo=UTC)
TERMS: Final = Terms(ZoneInfo("Europe/Oslo"), ("ungdom", "eldre"), 24)
CELL: Final = Cell("org-1", parse("rp-2024-q4"))
UNCHANGED: Final = Guard(ExportChanges(["a.parquet"]))
GONE: Final = Guard(ExportChanges([]))
KEPT: Final = Guard(ExportChanges([], retired={"a.parquet": retired(Retirement.KEEP)}))
ROWS: Final = CellContent(3, "three rows")
OTHER_ROWS: Final = CellContent(4, "four rows")


@dataclass(frozen=True)
class Surveyed:
    """The rows of exports, as a run finds them."""

    cells: Mapping[Cell, CellContent] = field(default_factory=dict)
    organisations: Sequence[str] = ("org-1",)

    @property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        return [self.organisations]

    def rows_by_export(self, cells: Iterable[Cell]) -> Mapping[Cell, Mapping[str, int]]:
        return {cell: {"a.parquet": of.rows} for cell in cells if (of := self.cells.get(cell))} | {
            cell: {} for cell in cells if cell not in self.cells
        }

    def contents(self, kind: str) -> Mapping[Cell, CellContent]:
        return {cell: of for cell, of in self.cells.items() if cell.period.kind == kind}


def published(
    cell: Cell = CELL,
    content: CellContent = ROWS,
    terms: Terms = TERMS,
    *,
    number: int = 1,
    version: int = 1,
    file: FileState = FileState.READABLE,
) -> Published:
    """Make a snapshot whose version was computed from these rows by these terms."""
    entry = Entry(
        number=number,
        org_id=cell.org_id,
        reporting_period_id=cell.period.id,
        status=SnapshotStatus.COMPLETED if version else SnapshotStatus.PROCESSING,
        version=version,
        created_at=NOW,
        refreshed_at=NOW,
        digest=versions.digest(cell, content, terms.digest) if version else None,
        rows=content.rows if version else None,
        participations=0,
        seconds=0,
        activities=0,
        error=None,
        row_digest=content.digest if version else None,
        terms_digest=terms.digest if version else None,
        inputs=None,
    )
    exports = {"a.parquet": content.rows} if file is FileState.READABLE else None
    return Published(entry, file, exports)


def planned(
    surveyed: Surveyed,
    *snapshots: Published,
    blocked: Mapping[str, str] | None = None,
    runs: Mapping[int, bool] | None = None,
    kinds: Sequence[str] = ("quarter",),
    terms: Terms = TERMS,
    now: datetime = NOW,
    force: bool = False,
    guard: Guard = UNCHANGED,
) -> Plan:
    entries = {
        Cell(one.entry.org_id, parse(one.entry.reporting_period_id)): one for one in snapshots
    }
    return plan(
        surveyed,
        entries,
        blocked or {},
        runs or {},
        terms=terms,
        now=now,
        guard=guard,
        kinds=kinds,
        force=force,
    )


def only(made: Plan) -> Decision:
    (decision,) = made.decisions
    return decision


def decided(made: Plan) -> tuple[Action, Reason]:
    decision = only(made)
    return decision.action, decision.reason


def test_a_cell_with_rows_and_no_snapshot_is_computed_for_the_first_time() -> None:
    assert decided(planned(Surveyed({CELL: ROWS}))) == (Action.COMPUTE, Reason.FIRST)


def test_a_snapshot_with_the_same_rows_and_terms_is_left() -> None:
    assert decided(planned(Surveyed({CELL: ROWS}), published())) == (Action.LEAVE, Reason.SAME)


def test_a_snapshot_with_other_rows_is_computed_because_of_rows() -> None:
    made = planned(Surveyed({CELL: OTHER_ROWS}), published())
    assert decided(made) == (Action.COMPUTE, Reason.ROWS)


def test_a_snapshot_with_other_terms_is_computed_because_of_terms() -> None:
    made = planned(Surveyed({CELL: ROWS}), published(), terms=replace(TERMS, max_hours=12))
    assert decided(made) == (Action.COMPUTE, Reason.TERMS)


def test_a_snapshot_of_a_release_that_wrote_no_digest_of_rows_is_computed() -> None:
    old = published()
    entry = msgspec.structs.replace(
        old.entry, row_digest=None, terms_digest=None, digest="of another release"
    )
    made = planned(Surveyed({CELL: ROWS}), Published(entry))
    assert decided(made)[0] is Action.COMPUTE


def test_a_snapshot_whose_version_file_is_unreadable_is_computed_again() -> None:
    made = planned(Surveyed({CELL: ROWS}), published(file=FileState.UNREADABLE))
    assert decided(made) == (Action.COMPUTE, Reason.UNREADABLE)


def test_a_snapshot_of_a_newer_release_fails_even_if_forced_or_blocked() -> None:
    newer = published(file=FileState.NEWER)
    for force in (False, True):
        made = planned(
            Surveyed({CELL: OTHER_ROWS}),
            newer,
            blocked={"org-1": "torn.parquet"},
            runs={1: True},
            force=force,
        )
        decision = only(made)
        assert (decision.action, decision.reason) == (Action.FAIL, Reason.NEWER)
        assert str(decision.problem).startswith("a newer release of this program wrote its")


def test_force_computes_what_is_up_to_date() -> None:
    made = planned(Surveyed({CELL: ROWS}), published(), force=True)
    assert decided(made) == (Action.COMPUTE, Reason.FORCED)


def test_a_forced_run_computes_what_is_up_to_date() -> None:
    made = planned(Surveyed({CELL: ROWS}), published(), runs={1: True})
    assert decided(made) == (Action.COMPUTE, Reason.FORCED)


def test_a_run_that_is_not_forced_leaves_what_is_up_to_date() -> None:
    made = planned(Surveyed({CELL: ROWS}), published(), runs={1: False})
    assert decided(made) == (Action.LEAVE, Reason.SAME)


def test_a_snapshot_whose_export_is_gone_is_blocked_and_names_the_command() -> None:
    for surveyed in (Surveyed(), Surveyed(organisations=())):
        decision = only(planned(surveyed, published(), guard=GONE))
        assert (decision.action, decision.reason) == (Action.BLOCK, Reason.GONE)
        assert decision.problem == (
            "export a.parquet is gone, and 0 of 3 rows are left; put it back, or declare why: "
            "bufdir retire a.parquet --keep (or --retract)"
        )


def test_a_snapshot_whose_rows_fell_is_blocked_and_names_the_command() -> None:
    many = published(content=CellContent(100, "a hundred"))
    decision = only(planned(Surveyed({CELL: ROWS}), many))
    assert (decision.action, decision.reason) == (Action.BLOCK, Reason.SHRUNK)
    assert str(decision.problem).endswith(
        "declare that it is meant: bufdir accept agg-001 "
        "(with --keep it is not published, and the numbers stay)"
    )


def test_a_snapshot_whose_few_rows_are_all_gone_is_computed_with_zeros() -> None:
    for surveyed in (Surveyed(), Surveyed(organisations=())):
        assert decided(planned(surveyed, published())) == (Action.COMPUTE, Reason.ROWS)


def test_a_snapshot_whose_export_was_deleted_by_law_is_retained() -> None:
    assert decided(planned(Surveyed(), published(), guard=KEPT)) == (
        Action.RETAIN,
        Reason.RETIRED,
    )


def test_force_alone_does_not_take_away_what_is_blocked_or_retained() -> None:
    for guard, action in ((GONE, Action.BLOCK), (KEPT, Action.RETAIN)):
        assert decided(planned(Surveyed(), published(), guard=guard, force=True))[0] is action


def test_a_forced_run_computes_what_would_be_blocked_or_retained() -> None:
    for guard in (GONE, KEPT):
        made = planned(Surveyed(), published(), runs={1: True}, guard=guard)
        assert decided(made) == (Action.COMPUTE, Reason.FORCED)


def test_a_blocked_snapshot_whose_version_file_is_lost_fails_and_says_what_to_do() -> None:
    lost = Guard(ExportChanges([], organisations_of_gone={"a.parquet": ["org-1"]}))
    for surveyed in (Surveyed(), Surveyed(organisations=())):
        unreadable = published(file=FileState.UNREADABLE)
        decision = only(planned(surveyed, unreadable, guard=lost))
        assert (decision.action, decision.reason) == (Action.FAIL, Reason.UNREADABLE)
        assert "restore the file from a backup" in str(decision.problem)


def test_a_snapshot_of_zeros_is_left_while_no_row_comes() -> None:
    nothing = published(content=CellContent(0, "empty"))
    assert decided(planned(Surveyed(), nothing)) == (Action.LEAVE, Reason.SAME)


def test_a_snapshot_of_zeros_is_computed_by_new_terms() -> None:
    nothing = published(content=CellContent(0, "empty"))
    made = planned(Surveyed(), nothing, terms=replace(TERMS, categories=("ungdom",)))
    assert decided(made) == (Action.COMPUTE, Reason.TERMS)


def test_a_blocked_organisation_keeps_its_numbers_and_the_export_is_named() -> None:
    decision = only(planned(Surveyed({CELL: OTHER_ROWS}), published(), blocked={"org-1": "a"}))
    assert (decision.action, decision.reason) == (Action.BLOCK, Reason.REFUSED_EXPORT)
    assert "export a, which names org-1, is refused now" in str(decision.problem)


def test_force_alone_does_not_count_a_blocked_organisation() -> None:
    made = planned(Surveyed({CELL: OTHER_ROWS}), published(), blocked={"org-1": "a"}, force=True)
    assert decided(made)[0] is Action.BLOCK


def test_a_forced_run_counts_a_blocked_organisation() -> None:
    made = planned(
        Surveyed({CELL: OTHER_ROWS}), published(), blocked={"org-1": "a"}, runs={1: True}
    )
    assert decided(made) == (Action.COMPUTE, Reason.FORCED)


def test_other_organisations_go_on_while_one_is_blocked() -> None:
    other = Cell("org-2", CELL.period)
    made = planned(Surveyed({CELL: ROWS, other: ROWS}, ("org-1", "org-2")), blocked={"org-1": "a"})
    assert [one.cell for one in made.with_action(Action.COMPUTE)] == [other]
    assert [one.cell for one in made.with_action(Action.BLOCK)] == [CELL]


def test_a_cell_of_a_period_that_has_not_begun_is_deferred() -> None:
    future = Cell("org-1", parse("rp-2025-q2"))
    assert decided(planned(Surveyed({future: ROWS}))) == (Action.DEFER, Reason.NOT_BEGUN)
    begins = datetime(2025, 3, 31, 22, tzinfo=UTC)
    assert decided(planned(Surveyed({future: ROWS}), now=begins))[0] is Action.COMPUTE


def test_a_run_of_an_organisation_that_no_export_names_fails() -> None:
    waiting = published(version=0)
    decision = only(planned(Surveyed(organisations=()), waiting, runs={1: False}))
    assert (decision.action, decision.reason) == (Action.FAIL, Reason.NO_EXPORT)
    assert decision.problem == "no export names org-1"


def test_a_failed_first_run_is_not_tried_again_while_no_export_names_the_organisation() -> None:
    assert planned(Surveyed(organisations=()), published(version=0)).decisions == []


def test_a_failed_first_run_completes_with_zeros_once_the_organisation_is_known() -> None:
    made = planned(Surveyed(), published(version=0))
    assert decided(made) == (Action.COMPUTE, Reason.FIRST)


def test_kinds_that_are_not_wanted_are_decided_only_where_a_snapshot_asks_for_them() -> None:
    month = Cell("org-1", parse("rp-2024-m11"))
    surveyed = Surveyed({CELL: ROWS, month: OTHER_ROWS})
    assert [one.cell for one in planned(surveyed).decisions] == [CELL]
    once = planned(surveyed, published(month, ROWS))
    assert {one.cell: one.reason for one in once.decisions} == {
        CELL: Reason.FIRST,
        month: Reason.ROWS,
    }


def test_a_run_by_hand_decides_about_its_own_snapshots_only() -> None:
    other = Cell("org-2", CELL.period)
    surveyed = Surveyed({CELL: ROWS, other: ROWS}, ("org-1", "org-2"))
    made = planned(surveyed, published(), runs={1: False}, kinds=())
    assert [one.cell for one in made.decisions] == [CELL]


def test_decisions_stand_newest_period_first_then_longest_kind_then_organisation() -> None:
    cells = [
        Cell(org_id, parse(period))
        for period in ("rp-2024-m10", "rp-2024-q4", "rp-2024-q3")
        for org_id in ("b", "a")
    ]
    surveyed = Surveyed(dict.fromkeys(cells, ROWS), ("a", "b"))
    made = planned(surveyed, kinds=("quarter", "month"))
    assert [str(one.cell) for one in made.decisions] == [
        "a in rp-2024-q4",
        "b in rp-2024-q4",
        "a in rp-2024-m10",
        "b in rp-2024-m10",
        "a in rp-2024-q3",
        "b in rp-2024-q3",
    ]
