"""Changed rows: which snapshots they make stale."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pipeline.model.states import Retirement
from pipeline.runs import declare
from tests.given import (
    AUTUMN,
    CELL,
    EARLIER,
    LATER,
    OTHER,
    Q2,
    Q3,
    Q4,
    SPRING,
    SUMMER,
    DataFolder,
    computed,
    ledger,
    people,
    row,
)


def test_an_added_file_computes_the_cells_that_it_touches(populated: DataFolder) -> None:
    populated.export([row(participant_id="new", started_at=SUMMER)], "added.parquet")
    assert computed(populated.nightly()) == {Q3}
    assert populated.versions() == {Q2: 1, Q3: 2, Q4: 1, OTHER: 1}


def test_a_changed_file_computes_the_cells_whose_rows_changed(populated: DataFolder) -> None:
    populated.export(
        [
            row(
                participant_id="s1", started_at=SUMMER, updated_at=EARLIER, bufdir_category="Klubb"
            ),
            row(participant_id="s2", started_at=SPRING, updated_at=EARLIER, hours=3.0),
        ],
        "summer.parquet",
    )
    assert computed(populated.nightly()) == {Q2}


@pytest.mark.parametrize(
    "change",
    [
        {"activity_id": "a9"},
        {"participant_id": "p9"},
        {"bufdir_category": "eldre"},
        {"started_at": AUTUMN + timedelta(microseconds=1)},
        {"hours": 2.0000001},
        {"hours": None},
        {"updated_at": EARLIER + timedelta(microseconds=1)},
        {"updated_at": None},
        {"status": "cancelled"},
        {"status": None},
        {"deleted": True},
        {"deleted": None},
    ],
    ids=str,
)
def test_any_change_of_a_row_in_a_cell_makes_it_stale(
    folder: DataFolder, change: dict[str, Any]
) -> None:
    full = {"status": "completed", "deleted": False, "updated_at": EARLIER}
    rest = [row(org_id="org-2", **full), row(participant_id="p2", **full)]
    folder.export([row(**full), *rest])
    folder.nightly()
    folder.export([row(**full | change), *rest])
    assert computed(folder.nightly()) == {Q4}


def test_a_change_of_a_row_that_does_not_count_makes_its_cell_stale(folder: DataFolder) -> None:
    folder.export([row(), row(participant_id=None, hours=1.0), row(org_id="org-2")])
    folder.nightly()
    folder.export([row(), row(participant_id=None, hours=2.0), row(org_id="org-2")])
    assert computed(folder.nightly()) == {Q4}


def test_a_correction_computes_the_cell_that_the_participation_left_too(
    populated: DataFolder,
) -> None:
    populated.export(
        [row(participant_id="p3", started_at=SPRING, updated_at=LATER)], "late.parquet"
    )
    assert computed(populated.nightly()) == {Q2, Q4}
    left = populated.published()[CELL]
    assert ledger(left.ledger) == {"counted": 2, "superseded": 1}


def test_a_change_of_a_superseding_row_elsewhere_makes_the_cell_that_was_left_stale(
    populated: DataFolder,
) -> None:
    populated.export(
        [row(participant_id="p3", started_at=SPRING, updated_at=LATER)], "late.parquet"
    )
    populated.nightly()
    populated.export(
        [row(participant_id="p3", started_at=SUMMER, updated_at=LATER)], "late.parquet"
    )
    assert computed(populated.nightly()) == {Q2, Q3, Q4}


def retract(folder: DataFolder, name: str) -> None:
    with folder.context() as context:
        declare.retire(context, [name], Retirement.RETRACT)


def test_a_retracted_file_brings_older_statements_back(populated: DataFolder) -> None:
    correction = populated.export(
        [row(participant_id="p3", deleted=True, updated_at=LATER)], "z.parquet"
    )
    populated.nightly()
    assert ledger(populated.published()[CELL].ledger) == {
        "counted": 2,
        "superseded": 1,
        "deleted": 1,
    }
    correction.unlink()
    retract(populated, "z.parquet")
    assert computed(populated.nightly()) == {Q4}
    assert ledger(populated.published()[CELL].ledger) == {"counted": 3}


def test_a_file_in_which_rows_of_ten_organisations_changed_gives_ten_new_versions(
    folder: DataFolder,
) -> None:
    organisations = [f"org-{number:02d}" for number in range(30)]
    folder.export([one for org_id in organisations for one in people(3, org_id=org_id)])
    folder.nightly()
    changed = set(organisations[::3])
    rows = [
        {**one, "hours": 5.0} if org_id in changed and one["participant_id"] == "p2" else one
        for org_id in reversed(organisations)
        for one in people(3, org_id=org_id)
    ]
    folder.export(rows, compression="gzip", row_group_size=7)
    assert computed(folder.nightly()) == {f"{org_id} rp-2024-q4" for org_id in changed}
    assert len(changed) == 10


def test_retracting_a_correction_gives_the_digest_of_before(populated: DataFolder) -> None:
    before = populated.published()[CELL]
    correction = populated.export(
        [row(participant_id="p3", hours=9.0, updated_at=LATER)], "z.parquet"
    )
    populated.nightly()
    assert populated.published()[CELL].digest != before.digest
    correction.unlink()
    retract(populated, "z.parquet")
    populated.nightly()
    after = populated.published()[CELL]
    assert (after.version, after.digest) == (3, before.digest)
    assert (after.total, after.categories, after.ledger) == (
        before.total,
        before.categories,
        before.ledger,
    )
