"""Rows that the cluster holds for a survey, and plans as they are in use."""

from __future__ import annotations

import math
import os
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from pipeline.engines.spark import survey
from pipeline.model.cells import Cell
from tests.engines.test_conformance import of_engine
from tests.given import AUTUMN, export, numbers_of, opened, people, row, settings, survey_of
from tests.spark.conftest import compiled

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark
SEVERAL_PARTITIONS = {
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.shuffle.partitions": "3",
}


def test_rows_that_a_cluster_holds_are_not_those_of_a_file_that_was_rewritten(data: Path) -> None:
    path = export(data, people(3, hours=1.0))
    with survey_of(data, engine="spark") as before:
        seconds = [one.total["seconds"] for one in numbers_of(before).values()]
        fingerprint = path.stat()
        export(data, people(3, hours=2.0))
        os.utime(path, ns=(fingerprint.st_atime_ns, fingerprint.st_mtime_ns))
        with survey_of(data, engine="spark") as after:
            seconds += [one.total["seconds"] for one in numbers_of(after).values()]
    assert seconds == [3 * 3600, 6 * 3600]


def test_a_survey_that_ended_leaves_no_rows_behind(data: Path) -> None:
    path = export(data, people(3))
    spark: Any = opened("spark")
    with survey_of(data, engine="spark") as found:
        assert numbers_of(found)
        path.unlink()
    assert spark.cluster.spark.catalog.listTables() == []
    context = spark.cluster.spark.sparkContext
    assert list(context._jsc.getPersistentRDDs()) == []  # noqa: SLF001 (there is no other way)


def test_many_cells_are_counted_in_parts_and_few_are_looked_up(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        started = [AUTUMN - timedelta(days=100 * n) for n in range(number + 1)]
        rows = [row(org_id=f"org-{number}", started_at=one) for one in started]
        export(data, [*rows, {**rows[0], "hours": -1.0, "activity_id": "a2"}], f"{number}.parquet")
    with survey_of(data) as expected, survey_of(data, engine="spark") as found:
        every = list(expected.contents("quarter"))
        looked_up = numbers_of(found)
        monkeypatch.setattr(survey, "_FEW_MONTHS", 0)
        monkeypatch.setattr(survey, "_MONTHS_AT_ONCE", 4)
        assert numbers_of(found) == looked_up == numbers_of(expected)
        for some in (every[::2], [*every[3:5], Cell("none", every[0].period)]):
            parts = list(found.count("quarter", some))
            counted = [cell for part in parts for cell in part]
            assert counted == [cell for cell in some if cell in set(every)]
            assert found.rejected_rows(some) == expected.rejected_rows(some)


def test_compiled_plans_over_several_partitions_give_the_same(data: Path) -> None:
    spark: Any = opened("spark")
    some = random.Random(11)  # noqa: S311 (no secret)
    half = 1.5 / 3600
    moments = [AUTUMN - timedelta(days=40 * n) for n in range(6)]
    for number in range(3):
        rows = [
            row(
                org_id=some.choice(["org-1", "org-2", "-", None]),
                activity_id=f"a{some.randrange(9)}",
                participant_id=some.choice([f"p{some.randrange(40)}", "", None]),
                bufdir_category=some.choice(["ungdom", "eldre", "other", None]),
                started_at=some.choice([*moments, None]),
                hours=some.choice([1.0, 0.25, half, 0.14125, -1.0, 99.0, math.nan, math.inf, None]),
                updated_at=some.choice([*moments, None]),
                county=some.choice(["03", "", None]),
            )
            for _ in range(400)
        ]
        export(data, rows, f"{number}.parquet", types={"county": pa.string()})
    chosen = settings(breakdowns={"county": "county"})
    with compiled(spark.cluster.spark, **SEVERAL_PARTITIONS):
        found = of_engine(data, "spark", chosen)
    assert found == of_engine(data, "polars", chosen)
    assert sum(count > 0 for count in found["ledger"].values()) > 8
