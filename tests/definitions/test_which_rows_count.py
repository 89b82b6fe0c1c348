"""Each reason for which a row is rejected, alone and with others, and the ledger it is on."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.model.ledger import INCOMPLETE_REASONS, LEDGER, QUARANTINED, REASONS, VERDICT_REASONS
from tests.given import AUTUMN, CELL, cells, export, ledger, ledgers, row, settings, survey_of

if TYPE_CHECKING:
    from pathlib import Path

TOO_EARLY = datetime(1999, 12, 31, 22, 59, 59, 999_999, tzinfo=UTC)
TOO_LATE = datetime(2100, 12, 31, 23, tzinfo=UTC)

UNPLACED = [
    ("missing_org_id", {"org_id": None}),
    ("missing_org_id", {"org_id": ""}),
    ("missing_started_at", {"started_at": None}),
    ("invalid_org_id", {"org_id": "org 1"}),
    ("invalid_org_id", {"org_id": "-org-1"}),
    ("invalid_org_id", {"org_id": ".org"}),
    ("invalid_org_id", {"org_id": "_org"}),
    ("invalid_org_id", {"org_id": "ørg-1"}),
    ("invalid_org_id", {"org_id": "org-1\n"}),
    ("invalid_org_id", {"org_id": " org-1"}),
    ("invalid_org_id", {"org_id": "org/1"}),
    ("invalid_org_id", {"org_id": "x" * 65}),
    ("started_at_out_of_range", {"started_at": TOO_EARLY}),
    ("started_at_out_of_range", {"started_at": TOO_LATE}),
    ("started_at_out_of_range", {"started_at": datetime(1924, 11, 5, tzinfo=UTC)}),
    ("started_at_out_of_range", {"started_at": datetime(2124, 11, 5, tzinfo=UTC)}),
]
PLACED = [
    ("missing_activity_id", {"activity_id": None}),
    ("missing_activity_id", {"activity_id": ""}),
    ("missing_participant_id", {"participant_id": None}),
    ("missing_participant_id", {"participant_id": ""}),
    ("deleted", {"deleted": True}),
    ("not_completed", {"status": "cancelled"}),
    ("not_completed", {"status": "Completed"}),
    ("not_completed", {"status": " completed"}),
    ("not_completed", {"status": ""}),
    ("not_completed", {"status": None}),
    ("unknown_category", {"bufdir_category": "sport"}),
    ("unknown_category", {"bufdir_category": "Ungdom"}),
    ("unknown_category", {"bufdir_category": ""}),
    ("unknown_category", {"bufdir_category": None}),
    ("hours_missing", {"hours": None}),
    ("hours_not_finite", {"hours": math.nan}),
    ("hours_not_finite", {"hours": math.inf}),
    ("hours_not_finite", {"hours": -math.inf}),
    ("hours_negative", {"hours": -0.25}),
    ("hours_negative", {"hours": -5e-324}),
    ("hours_too_long", {"hours": 24.000000000000004}),
    ("hours_too_long", {"hours": 1e300}),
]


@pytest.mark.parametrize(("reason", "defect"), PLACED)
def test_a_row_with_one_fault_is_left_out_for_it_on_the_ledger_of_its_cell(
    engine: str, data: Path, reason: str, defect: dict[str, Any]
) -> None:
    export(data, [row(participant_id="p2", deleted=None, status="completed"), row(**defect)])
    if "status" not in defect:  # in a file without statuses all participations are completed
        export(data, [row(participant_id="p2"), row(**defect)])
    found = cells(engine, data)
    assert set(found) == {CELL}
    assert ledger(found[CELL].ledger) == {"counted": 1, reason: 1}
    assert found[CELL].total["participations"] == 1


@pytest.mark.parametrize(("reason", "defect"), UNPLACED)
def test_a_row_without_organisation_or_time_is_in_no_cell(
    engine: str, data: Path, reason: str, defect: dict[str, Any]
) -> None:
    export(data, [row(), row(**defect)])
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}}
    all_rows = survey_of(data)
    assert ledger(all_rows.rows_without_cell) == {reason: 1}
    assert ledger(all_rows.ledger) == {"counted": 1, reason: 1}


@pytest.mark.parametrize(
    "fine",
    [
        {"org_id": "7"},
        {"org_id": "A.b_c-9"},
        {"org_id": "x" * 64},
        {"started_at": TOO_EARLY + timedelta(microseconds=1)},
        {"started_at": TOO_LATE - timedelta(microseconds=1)},
        {"hours": 0.0},
        {"hours": -0.0},
        {"hours": 24.0},
        {"deleted": False},
        {"deleted": None},
        {"status": "completed"},
        {"activity_id": " "},
        {"updated_at": None},
    ],
)
def test_valid_values_count(engine: str, data: Path, fine: dict[str, Any]) -> None:
    export(data, [row(**fine)])
    (counted,) = cells(engine, data).values()
    assert ledger(counted.ledger) == {"counted": 1}


OF_PARQUET = [line.name for line in INCOMPLETE_REASONS if line.name != "unreadable_value"]
"""The reasons of rows of Parquet files, whose values have types."""


@pytest.mark.parametrize("place", range(len(OF_PARQUET)))
def test_of_several_faults_that_make_a_row_no_statement_the_first_is_the_reason(
    data: Path, engine: str, place: int
) -> None:
    defects: list[dict[str, Any]] = [
        {"org_id": None},
        {"activity_id": None},
        {"participant_id": None},
        {"started_at": None},
        {"org_id": "org 1"},
        {"started_at": TOO_LATE},
    ]
    company: dict[str, Any] = {}
    for defect in reversed(defects[place:]):
        company |= defect
    export(data, [row(**company, hours=None, deleted=True)])
    assert ledger(survey_of(data).ledger) == {OF_PARQUET[place]: 1}
    assert cells(engine, data) == {}


@pytest.mark.parametrize("place", range(len(VERDICT_REASONS)))
def test_of_several_faults_of_a_latest_statement_the_first_is_the_reason(
    engine: str, data: Path, place: int
) -> None:
    defects: list[dict[str, Any]] = [
        {"deleted": True},
        {"status": "cancelled"},
        {"bufdir_category": None},
        {"hours": None},
        {"hours": math.inf},
        {"hours": -math.inf},  # not finite comes before negative
        {"hours": 25.0},
    ]
    company: dict[str, Any] = {"deleted": None, "status": "completed"}
    for defect in reversed(defects[place:]):
        company |= defect
    reason = "hours_not_finite" if place == 5 else VERDICT_REASONS[place].name
    export(data, [row(**company)])
    assert ledgers(engine, data) == {"rp-2024-q4": {reason: 1}}


def test_a_row_without_activity_is_in_its_cell_whatever_else_it_lacks(
    engine: str, data: Path
) -> None:
    export(data, [row(activity_id=None, participant_id=None, hours=None, status="cancelled")])
    assert ledgers(engine, data) == {"rp-2024-q4": {"missing_activity_id": 1}}


def test_rows_that_lack_part_of_the_key_do_not_supersede_each_other(
    engine: str, data: Path
) -> None:
    export(data, [row(participant_id=None), row(participant_id=None), row(participant_id="")])
    assert ledgers(engine, data) == {"rp-2024-q4": {"missing_participant_id": 3}}


def test_a_cell_exists_as_soon_as_it_has_one_row_and_shows_zeros(engine: str, data: Path) -> None:
    export(data, [row(deleted=True)])
    counted = cells(engine, data)[CELL]
    assert counted.total["participations"] == counted.total["people"] == 0
    assert counted.total["seconds"] == counted.total["activities"] == 0
    assert list(counted.categories) == list(settings().categories)
    assert {share["participations"] for share in counted.categories.values()} == {0}


def test_a_ledger_shows_every_line_in_order_zeros_included(engine: str, data: Path) -> None:
    export(data, [row()])
    counted = cells(engine, data)[CELL]
    assert tuple(counted.ledger) == LEDGER
    assert counted.ledger == dict.fromkeys(LEDGER, 0) | {"counted": 1}
    assert LEDGER == (
        "counted",
        "superseded",
        "unreadable_value",
        "missing_org_id",
        "missing_activity_id",
        "missing_participant_id",
        "missing_started_at",
        "invalid_org_id",
        "started_at_out_of_range",
        "deleted",
        "not_completed",
        "unknown_category",
        "hours_missing",
        "hours_not_finite",
        "hours_negative",
        "hours_too_long",
    )


def test_no_row_at_all_is_no_cell_and_an_empty_ledger(engine: str, data: Path) -> None:
    export(data, [])
    assert cells(engine, data) == {}
    assert ledger(survey_of(data).ledger) == {}


def test_no_file_at_all_is_no_cell(engine: str, data: Path) -> None:
    assert cells(engine, data) == {}


def test_the_longest_hours_are_a_setting(engine: str, data: Path) -> None:
    export(data, [row(hours=2.5), row(participant_id="p2", hours=2.75)])
    assert ledgers(engine, data, settings(max_hours=2.5)) == {
        "rp-2024-q4": {"counted": 1, "hours_too_long": 1}
    }


def test_the_categories_that_count_are_a_setting_and_have_its_order(
    engine: str, data: Path
) -> None:
    export(data, [row(bufdir_category="barn"), row(participant_id="p2")])
    chosen = settings(categories=("voksne", "barn"))
    counted = cells(engine, data, chosen=chosen)[CELL]
    assert ledger(counted.ledger) == {"counted": 1, "unknown_category": 1}
    assert list(counted.categories) == ["voksne", "barn"]


def test_every_reason_is_explained() -> None:
    for reason in REASONS:
        assert reason.meaning.endswith(".")
    assert set(QUARANTINED) == set(LEDGER) - {
        "counted",
        "superseded",
        "deleted",
        "not_completed",
    }


def test_rows_of_one_file_may_be_in_many_cells(engine: str, data: Path) -> None:
    export(
        data,
        [
            row(org_id=f"org-{number}", started_at=AUTUMN - timedelta(days=92 * back))
            for number in (1, 2)
            for back in (0, 1)
        ],
    )
    assert list(cells(engine, data)) == [
        ("org-1", "rp-2024-q3"),
        ("org-1", "rp-2024-q4"),
        ("org-2", "rp-2024-q3"),
        ("org-2", "rp-2024-q4"),
    ]
