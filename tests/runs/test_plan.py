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
from pipeline.model.states import Action, FileState, Reason, SnapshotStatus
from pipeline.model.terms import Terms
from pipeline.runs.plan import Published, plan
from pipeline.storage.catalog import Entry

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.runs.plan import Decision, Plan

NOW: Final = datetime(2025, 2, 1, tzinfo=UTC)
TERMS: Final = Terms(ZoneInfo("Europe/Oslo"), ("ungdom", "eldre"), 24)
CELL: Final = Cell("org-1", parse("rp-2024-q4"))
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
    return Published(entry, file)


def planned(
    surveyed: Surveyed,
    *snapshots: Published,
    blocked: Mapping[str, str] | None = None,
    runs: Mapping[int, bool] | None = None,
    kinds: Sequence[str] = ("quarter",),
    terms: Terms = TERMS,
    now: datetime = NOW,
    force: bool = False,
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


def test_a_snapshot_whose_rows_are_all_gone_is_retained() -> None:
    made = planned(Surveyed(), published())
    assert decided(made) == (Action.RETAIN, Reason.NO_ROWS_LEFT)


def test_a_snapshot_of_an_organisation_that_no_export_names_any_longer_is_retained() -> None:
    made = planned(Surveyed(organisations=()), published())
    assert decided(made) == (Action.RETAIN, Reason.NO_EXPORT)


def test_force_alone_does_not_take_away_what_is_retained() -> None:
    for surveyed in (Surveyed(), Surveyed(organisations=())):
        assert decided(planned(surveyed, published(), force=True))[0] is Action.RETAIN


def test_a_forced_run_computes_what_would_be_retained() -> None:
    for surveyed in (Surveyed(), Surveyed(organisations=())):
        made = planned(surveyed, published(), runs={1: True})
        assert decided(made) == (Action.COMPUTE, Reason.FORCED)


def test_a_retained_snapshot_whose_version_file_is_lost_fails_and_says_what_to_do() -> None:
    for surveyed in (Surveyed(), Surveyed(organisations=())):
        decision = only(planned(surveyed, published(file=FileState.UNREADABLE)))
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
