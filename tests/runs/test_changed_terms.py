"""Changed settings, definitions and engines: which snapshots they make stale."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.model import periods
from pipeline.runs.run import run_cells
from tests.given import (
    CELL,
    MAPPING,
    OTHER,
    Q2,
    Q3,
    Q4,
    DataFolder,
    computed,
    ledger,
    outcomes_by_cell,
    settings,
    write,
)


def test_a_changed_mapping_computes_the_cells_that_it_touches(populated: DataFolder) -> None:
    populated.settings = settings(export={"categories": MAPPING | {"Klubb": "eldre"}})
    assert computed(populated.nightly()) == {Q3}
    populated.settings = settings(export={"categories": {"Klubb": "eldre"}})
    assert computed(populated.nightly()) == {OTHER}
    assert ledger(populated.published()["org-2", "rp-2024-q4"].ledger) == {"unknown_category": 2}


def test_a_mapping_of_unused_names_computes_nothing(populated: DataFolder) -> None:
    populated.settings = settings(export={"categories": MAPPING | {"Sjakk": "ungdom"}})
    result = populated.nightly()
    assert result.changed
    assert computed(result) == set()


def test_a_changed_column_name_computes_the_cells_that_it_touches(populated: DataFolder) -> None:
    path = populated.data / "exports" / "autumn.parquet"
    with pq.ParquetFile(path) as file:
        rows = file.read()
    write(populated.data, rows.append_column("other_hours", [[1.0, 1.0, 1.0]]), "autumn.parquet")
    assert computed(populated.nightly()) == set()
    for name in ("summer.parquet", "other.parquet"):
        (populated.data / "exports" / name).unlink()
    chosen = {"categories": MAPPING, "columns": {"hours": "other_hours"}}
    populated.settings = settings(export=chosen)
    assert computed(populated.nightly()) == {Q4}
    assert populated.published()[CELL].total["seconds"] == 3 * 3600


@pytest.mark.parametrize(
    "change",
    [
        {"categories": ("ungdom", "eldre", "foreldre_barn")},
        {"categories": ("ungdom", "foreldre_barn", "eldre", "funksjonsnedsettelse")},
        {"max_hours": 12},
        {"max_hours": 24.5},
    ],
    ids=str,
)
def test_changed_rules_compute_every_cell(populated: DataFolder, change: dict[str, Any]) -> None:
    populated.settings = settings(export={"categories": MAPPING}, **change)
    assert computed(populated.nightly()) == {Q2, Q3, Q4, OTHER}
    assert not populated.nightly().changed


def test_changed_rules_reach_cells_that_never_had_a_row(populated: DataFolder) -> None:
    with populated.context() as context:
        (first,) = run_cells(context, [periods.parse("rp-2023-q1")], ["org-1"]).outcomes
    assert first.outcome == "computed"
    populated.settings = settings(export={"categories": MAPPING}, categories=("ungdom", "eldre"))
    assert computed(populated.nightly()) == {Q2, Q3, Q4, OTHER, "org-1 rp-2023-q1"}
    zeros = populated.published()["org-1", "rp-2023-q1"]
    assert list(zeros.categories) == ["ungdom", "eldre"]
    assert set(outcomes_by_cell(populated.nightly(full=False))) == set()


def test_max_hours_as_an_integer_or_a_float_is_the_same(populated: DataFolder) -> None:
    populated.settings = settings(export={"categories": MAPPING}, max_hours=24.0)
    assert computed(populated.nightly()) == set()


def test_settings_of_runs_and_logs_change_nothing(populated: DataFolder) -> None:
    populated.settings = settings(
        export={"categories": MAPPING}, runs={"seconds": 5}, log={"format": "json"}
    )
    assert not populated.nightly().changed


def test_another_zone_computes_every_cell(populated: DataFolder) -> None:
    populated.settings = settings(export={"categories": MAPPING}, timezone="UTC")
    assert computed(populated.nightly()) == {Q2, Q3, Q4, OTHER}


def test_a_further_kind_of_period_computes_its_cells_and_leaves_the_others(
    populated: DataFolder,
) -> None:
    populated.settings = settings(export={"categories": MAPPING}, periods=("quarter", "year"))
    assert computed(populated.nightly()) == {"org-1 rp-2024", "org-2 rp-2024"}
    assert populated.published()["org-1", "rp-2024"].total["people"] == 5
