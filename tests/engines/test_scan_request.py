"""Engines read the organisations and cells that they are asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from tests.given import export, numbers_of, opened, row, scan_request, survey_of

if TYPE_CHECKING:
    from pathlib import Path


def test_an_engine_gives_the_cells_it_is_asked_for(engine: str, data: Path) -> None:
    export(data, [row(), row(org_id="org-2"), row(started_at=datetime(2024, 1, 5, tzinfo=UTC))])
    with survey_of(data, engine=engine) as survey:
        every = numbers_of(survey)
        wanted = [cell for cell in survey.contents("quarter") if cell.org_id == "org-1"]
        counted = survey.count("quarter", wanted)
        some = {cell: of for batch in counted for cell, of in batch.items()}
    assert sorted(some) == wanted
    assert some == {cell: every[cell.key] for cell in wanted}


@pytest.mark.parametrize("kind", [pa.string(), pa.int64()], ids=str)
def test_an_engine_that_is_asked_for_some_organisations_reads_these_only(
    engine: str, data: Path, kind: Any
) -> None:
    numbers: list[Any] = [1, 2, 3]
    ids = [str(number) for number in numbers] if kind == pa.string() else numbers
    export(data, [row(org_id=org_id) for org_id in ids], types={"org_id": kind})
    with opened(engine).survey(scan_request(data, organisations={"1", "3"})) as survey:
        assert survey.organisations_by_file == [["1", "3"]]
        assert {org_id for org_id, _ in numbers_of(survey)} == {"1", "3"}
        assert survey.rows_by_file == [3]
