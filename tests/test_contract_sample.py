"""The sample that ships has the numbers of the contract."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests import reference
from tests.contract_sample import files
from tests.contract_sample.exports import LATE
from tests.contract_sample.participations import counted
from tests.contract_sample.plans import PLANS
from tests.given import parquet_below, table_of

DATA = Path(__file__).parents[1] / "data"
FIRST_CELL = ("org-bufdir-42", "rp-2024-q4")


@pytest.fixture(scope="module")
def shipped() -> reference.Outcome:
    return reference.outcome(DATA / "exports")


@pytest.fixture(scope="module")
def with_late(tmp_path_factory: pytest.TempPathFactory) -> reference.Outcome:
    folder = tmp_path_factory.mktemp("late") / "exports"
    shutil.copytree(DATA / "exports", folder)
    shutil.copy(DATA / "late" / LATE, folder)
    return reference.outcome(folder)


def test_the_sample_that_ships_is_what_its_script_writes(tmp_path: Path) -> None:
    files.write(tmp_path)
    names = parquet_below(tmp_path)
    assert names == parquet_below(DATA)
    for name in names:
        written, committed = table_of(tmp_path / name), table_of(DATA / name)
        assert written.schema == committed.schema
        assert repr(written.to_pylist()) == repr(committed.to_pylist())  # NaN equals no NaN


def test_the_sample_that_ships_is_small_and_nested_at_several_depths() -> None:
    paths = list(DATA.rglob("*.parquet"))
    assert sum(path.stat().st_size for path in paths) < 2_000_000
    depths = {
        len(path.relative_to(DATA / "exports").parts)
        for path in paths
        if path.parent.name != "late"
    }
    assert depths == {1, 2, 3}


def test_the_first_cell_has_the_numbers_of_the_contract(shipped: reference.Outcome) -> None:
    cell = shipped.cells[FIRST_CELL]
    assert cell.total == reference.Numbers(1842, 1601, 33_517_800, 274)
    assert cell.total.hours == Fraction("9310.5")
    assert {name: part.participations for name, part in cell.categories.items()} == {
        "foreldre_barn": 312,
        "ungdom": 580,
        "eldre": 210,
        "funksjonsnedsettelse": 740,
    }
    assert cell.categories["foreldre_barn"].hours == 1560
    assert cell.categories["ungdom"].hours == 3100


def test_there_are_eight_cells_over_five_quarters_and_each_is_as_planned(
    shipped: reference.Outcome,
) -> None:
    assert set(shipped.cells) == {(plan.org_id, plan.period_id) for plan in PLANS}
    assert len(shipped.cells) == 8
    assert len({period for _, period in shipped.cells}) == 5
    assert sum(org_id == "org-bufdir-42" for org_id, _ in shipped.cells) == 3
    for plan in PLANS:
        cell = shipped.cells[plan.org_id, plan.period_id]
        assert cell.total.people == plan.people
        for part in plan.parts:
            found = cell.categories[part.category]
            assert (found.participations, found.activities) == (
                part.participations,
                part.activities,
            )
            assert found.hours == Fraction(part.hours)


def test_somebody_in_two_categories_is_one_person_in_all(shipped: reference.Outcome) -> None:
    cell = shipped.cells[FIRST_CELL]
    assert sum(part.people for part in cell.categories.values()) > cell.total.people


def test_every_reason_of_the_ledger_occurs_and_in_the_first_cell_every_one_a_cell_can_have(
    shipped: reference.Outcome,
) -> None:
    in_cells = {reason for cell in shipped.cells.values() for reason in cell.ledger}
    assert in_cells | set(shipped.rows_without_cell) == {reference.COUNTED, *reference.REASONS}
    assert in_cells == set(shipped.cells[FIRST_CELL].ledger)


def test_every_row_that_ships_is_on_one_ledger(shipped: reference.Outcome) -> None:
    accounted = sum(sum(cell.ledger.values()) for cell in shipped.cells.values())
    read = sum(pq.read_metadata(path).num_rows for path in (DATA / "exports").rglob("*.parquet"))
    assert accounted + sum(shipped.rows_without_cell.values()) == read


def test_the_late_export_brings_the_first_cell_to_1855_and_9402(
    shipped: reference.Outcome, with_late: reference.Outcome
) -> None:
    total = with_late.cells[FIRST_CELL].total
    assert total.participations == 1855
    assert total.hours == 9402
    changed = {place for place in shipped.cells if shipped.cells[place] != with_late.cells[place]}
    assert set(shipped.cells) == set(with_late.cells)
    assert changed == {FIRST_CELL, ("org-bufdir-42", "rp-2024-q3")}


def test_three_to_thirty_people_meet_in_one_category() -> None:
    for plan in PLANS:
        meetings: dict[str | None, list[str | None]] = {}
        for row in counted(plan):
            meetings.setdefault(row.activity_id, []).append(row.category)
        assert all(3 <= len(categories) <= 30 for categories in meetings.values())
        assert all(len(set(categories)) == 1 for categories in meetings.values())


def test_meetings_at_the_edges_of_a_quarter_are_in_it() -> None:
    settings = reference.Settings()
    verdicts = reference.validate_all(reference.read_rows(DATA / "exports", settings), settings)
    periods = {
        verdict.row.started_at: reference.cell_of(verdict.row, "quarter", settings)
        for verdict in verdicts
        if verdict.reason == reference.COUNTED and verdict.row.org_id == "org-bufdir-42"
    }
    boundaries = {
        datetime(2024, 9, 30, 21, 59, 59, tzinfo=UTC): "rp-2024-q3",
        datetime(2024, 9, 30, 22, 0, tzinfo=UTC): "rp-2024-q4",
        datetime(2024, 9, 30, 22, 30, tzinfo=UTC): "rp-2024-q4",
        datetime(2024, 12, 31, 22, 59, 59, tzinfo=UTC): "rp-2024-q4",
    }
    for instant, period_id in boundaries.items():
        assert periods[int(instant.timestamp()) * 10**9] == ("org-bufdir-42", period_id)
