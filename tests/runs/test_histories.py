"""Histories of a data folder, drawn by Hypothesis: published numbers are compared with a model."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pipeline.model import periods
from pipeline.model.states import Reason, Retirement
from pipeline.runs import declare, lifecycle
from pipeline.runs.run import run_cells
from pipeline.runs.status import status
from tests import given, histories
from tests.changing_folder import ChangingFolder, change, draws
from tests.histories import DUMPS, CellKey, Counted, Model, Statement, counting, may_take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.model.blocked import BlockedCell
    from pipeline.model.versions import Version
    from pipeline.runs.context import NightlyResult

pytestmark = pytest.mark.no_cover


class Deleted(NamedTuple):
    """A deleted snapshot, with what the model had of it."""

    id: str
    published: Counted
    version: Counted
    accepted: int | None


class Histories(ChangingFolder):
    """A data folder, what is done to it, and the model of what must be published."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.blocked: Sequence[BlockedCell] = ()
        self.retained: set[CellKey] = set()
        """The cells that the last nightly run retained which found a change."""
        self.deleted: dict[CellKey, Deleted] = {}

    # What operators do

    def snapshot_id(self, cell: CellKey) -> str:
        return self.folder.published()[cell].id

    def absent(self) -> list[str]:
        """Name the exports that blocked cells miss."""
        return sorted(
            {
                n
                for one in self.blocked
                if one.reason is Reason.GONE
                for n in one.exports
                if n not in self.files
            }
        )

    @precondition(lambda self: self.absent())
    @change(how=st.sampled_from(Retirement))
    def a_missed_export_is_retired(self, data: st.DataObject, how: Retirement) -> None:
        self.retire([self.any_of(data, self.absent())], how)

    def retire(self, names: Sequence[str], how: Retirement) -> None:
        with self.folder.context() as context:
            declare.retire(context, names, how)
        known = {name for one in self.blocked for name in one.exports}
        for one in self.blocked:
            if one.id and {*names}.intersection(one.exports):
                missing = self.model.missing((one.org_id, one.reporting_period_id), self.files)
                self.model.excused |= missing - known
        self.model.kept -= {*names}
        self.model.retracted -= {*names}
        (self.model.kept if how is Retirement.KEEP else self.model.retracted).update(names)

    @precondition(lambda self: self.model.retired)
    @change()
    def a_retirement_is_taken_back(self, data: st.DataObject) -> None:
        name = self.any_of(data, sorted(self.model.retired))
        with self.folder.context() as context:
            declare.unretire(context.catalog, [name])
        self.model.kept.discard(name)
        self.model.retracted.discard(name)

    def fallen(self) -> list[str]:
        return [one.id for one in self.blocked if one.reason is Reason.SHRUNK and one.id]

    @precondition(lambda self: self.fallen())
    @change()
    def a_fall_is_accepted(self, data: st.DataObject) -> None:
        self.accept(self.any_of(data, self.fallen()))

    def accept(self, snapshot_id: str) -> None:
        with self.folder.context() as context:
            (cell,) = declare.accept(context.catalog, [snapshot_id], self.folder.now)
        self.model.accepted[cell.org_id, cell.reporting_period_id] = cell.rows_now

    @precondition(lambda self: self.model.accepted)
    @change()
    def an_acceptance_is_taken_back(self, data: st.DataObject) -> None:
        cell = data.draw(st.sampled_from(sorted(self.model.accepted)))
        with self.folder.context() as context:
            declare.unaccept(context.catalog, [self.snapshot_id(cell)])
        del self.model.accepted[cell]

    @precondition(lambda self: self.model.published)
    @change()
    def a_cell_is_computed_by_force(self, data: st.DataObject) -> None:
        self.force(data.draw(st.sampled_from(sorted(self.model.published))))

    def force(self, cell: CellKey) -> None:
        with self.folder.context() as context:
            (one,) = run_cells(context, [periods.parse(cell[1])], [cell[0]], force=True).outcomes
        assert one.outcome == "computed"
        now = histories.count(self.files).get(cell, histories.nothing())
        self.model.published[cell] = self.model.versions[cell] = now
        self.model.accepted.pop(cell, None)
        assert_numbers(self.folder.published()[cell], now, cell)
        self.blocked = [b for b in self.blocked if (b.org_id, b.reporting_period_id) != cell]

    @precondition(lambda self: self.model.published)
    @change()
    def a_snapshot_is_deleted(self, data: st.DataObject) -> None:
        cell = data.draw(st.sampled_from(sorted(self.model.published)))
        with self.folder.context() as context:
            entry = lifecycle.delete(
                context.catalog, self.snapshot_id(cell), self.folder.now, "local:kari"
            )
        counted = (self.model.published.pop(cell), self.model.versions.pop(cell))
        self.deleted[cell] = Deleted(entry.id, *counted, self.model.accepted.pop(cell, None))
        self.blocked = [b for b in self.blocked if (b.org_id, b.reporting_period_id) != cell]

    @precondition(lambda self: self.deleted)
    @change()
    def a_deletion_is_undone(self, data: st.DataObject) -> None:
        cell = data.draw(st.sampled_from(sorted(self.deleted)))
        was = self.deleted.pop(cell)
        with self.folder.context() as context:
            entry = lifecycle.undelete(context.catalog, was.id, self.folder.now, days=30)
        assert entry.id == was.id
        self.model.published[cell], self.model.versions[cell] = was.published, was.version
        if was.accepted is not None:
            self.model.accepted[cell] = was.accepted
        assert_numbers(self.folder.published()[cell], was.published, cell)

    @precondition(lambda self: not {*self.deleted}.isdisjoint(histories.count(self.files)))
    @change()
    def a_deleted_cell_is_asked_for(self, data: st.DataObject) -> None:
        counted = histories.count(self.files)
        cell = data.draw(st.sampled_from(sorted({*self.deleted} & {*counted})))
        was = self.deleted.pop(cell)
        self.force(cell)
        assert self.snapshot_id(cell) != was.id

    @precondition(lambda self: self.blocked)
    @rule(data=draws, alternative=st.integers(0, 2))
    def the_remedy_of_a_block_ends_it(self, data: st.DataObject, alternative: int) -> None:
        """Do for one cell what its remedy names, until it is not blocked any longer."""
        self.nightly()
        if not self.blocked:
            return
        one = data.draw(st.sampled_from(list(self.blocked)))
        cell = (one.org_id, one.reporting_period_id)
        for _ in range(3):  # refused, then gone, then shrunk
            self.do_what_helps(one, alternative)
            self.nightly()
            found = [b for b in self.blocked if (b.org_id, b.reporting_period_id) == cell]
            if not found:
                return
            assert (found[0].reason, found[0].exports) != (one.reason, one.exports), one
            one = found[0]
        raise AssertionError(one)

    def do_what_helps(self, one: BlockedCell, alternative: int) -> None:
        if one.reason is Reason.REFUSED_EXPORT:
            assert "bufdir run --force" in one.remedy
            (name,) = one.exports
            if alternative == 0 and one.id:
                self.force((one.org_id, one.reporting_period_id))
            for name in sorted(histories.refused(self.files)):
                self.put(name, self.model.contents.get(name) or ())
        elif one.reason is Reason.GONE:
            assert f"bufdir retire {' '.join(one.exports)} --keep" in one.remedy
            if alternative == 0:
                for name in one.exports:
                    self.put(name, self.model.missed.get(name, ()))
            else:
                how = (Retirement.KEEP, Retirement.RETRACT)[alternative - 1]
                self.retire(one.exports, how)
        else:
            assert f"bufdir accept {one.id}" in one.remedy
            self.accept(one.id or "")

    @rule()
    def everything_is_put_back(self) -> None:
        """Give each export again all rows that any published number was counted from."""
        self.model.observe(self.files)
        wanted: dict[str, Counter[Statement]] = {}
        for name, rows in self.files.items():
            if not name.startswith(DUMPS) or name in histories.selected(self.files):
                wanted[name] = Counter(rows or self.model.contents.get(name) or ())
        for of in (*self.model.published.values(), *self.model.versions.values()):
            for name, rows in of.contents.items():
                wanted[name] = wanted.get(name, Counter()) | Counter(rows)
        dumps = sorted(name for name in wanted if name.startswith(DUMPS))
        if dumps:
            newest = max([*dumps, *(n for n in self.files if n.startswith(DUMPS))])
            for name in dumps:
                wanted[newest] = wanted.get(newest, Counter()) | wanted[name]
        for name, found in wanted.items():
            self.put(name, tuple(sorted(found.elements())))
        self.nightly()
        assert self.blocked == []

    # What is published

    @rule()
    def a_nightly_run(self) -> None:
        self.nightly()

    def nightly(self) -> None:
        before = self.folder.versions()
        self.model.observe(self.files)
        result = self.folder.nightly()
        self.blocked = result.blocked
        self.check(result, before)
        self.model.ends(self.files)
        again = self.folder.nightly()
        assert (again.changed, again.blocked) == (False, result.blocked)

    def check(self, result: NightlyResult, versions_before: dict[str, int]) -> None:
        model, published = self.model, self.folder.published()
        now = histories.count(self.files)
        blocked = {(one.org_id, one.reporting_period_id): one for one in result.blocked}
        with self.folder.context() as context:
            assert list(status(context.catalog).blocked) == list(result.blocked)
        if result.changed:
            self.retained = {
                (one.org_id, one.reporting_period_id)
                for one in result.outcomes
                if one.outcome == "retained"
            }
        refused = model.must_be_refused(self.files)
        assert not {*self.deleted} & {*published, *blocked}
        for cell in sorted({*now, *model.published, *published}.difference(self.deleted)):
            counted = now.get(cell, histories.nothing())
            if cell in blocked:
                self.check_blocked(cell, counted, blocked[cell])
            elif cell not in model.published:
                assert cell[0] not in refused
                model.published[cell] = counted
            elif cell in self.retained:
                assert model.kept
                assert published[cell].version == versions_before[" ".join(cell)]
            else:
                assert cell[0] not in refused
                assert not model.is_kept(cell)
                self.check_computed(cell, counted)
                model.published[cell] = counted
            if cell in model.published:
                assert_numbers(published[cell], model.published[cell], cell)
                if published[cell].version != versions_before.get(" ".join(cell)):
                    model.versions[cell] = counted

    def check_blocked(self, cell: CellKey, now: Counted, one: BlockedCell) -> None:
        """Check that a cell is blocked for a reason that is so, and that it is described."""
        model = self.model
        assert one.problem
        assert one.remedy
        if cell not in model.published:
            assert (one.id, one.reason) == (None, Reason.REFUSED_EXPORT)
        if one.reason is Reason.REFUSED_EXPORT:
            assert {*one.exports} <= histories.refused(self.files)
            return
        assert (one.rows_before, one.rows_now) == (model.published[cell].total, now.total)
        if one.reason is Reason.GONE:
            assert not {*one.exports} & ({*counting(self.files)} | model.retired)
        else:
            assert one.reason is Reason.SHRUNK
            assert model.most_lost(cell, now, self.files) > model.may_fall(cell, self.files)

    def check_computed(self, cell: CellKey, now: Counted) -> None:
        """Check that a cell may be counted: its fall is small, or somebody declared it."""
        model = self.model
        assert not model.missing(cell, self.files), cell
        accepted = model.accepted.pop(cell, None)
        if accepted is not None:
            assert accepted - now.total <= may_take(accepted)
            return
        bound = model.may_fall(cell, self.files)
        assert model.least_lost(cell, now, self.files) <= bound, cell
        if not (model.retracted | model.excused).intersection(model.published[cell].rows):
            assert model.unexplained(cell, now, self.files) <= bound, cell


def assert_numbers(version: Version, counted: Counted, cell: CellKey) -> None:
    """Check every number of a version."""
    numbers = counted.numbers
    assert version.total == as_dictionary(numbers.total), cell
    assert version.categories == {n: as_dictionary(of) for n, of in numbers.categories.items()}
    assert given.ledger(version.ledger) == dict(numbers.ledger)


def as_dictionary(numbers: Any) -> dict[str, int]:
    return {
        name: getattr(numbers, name)
        for name in ("participations", "people", "seconds", "activities")
    }


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25,
    stateful_step_count=14,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a history takes minutes
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
