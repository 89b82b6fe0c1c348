"""Different people and activities are counted exactly, however exports are divided into batches."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipeline.engines.polars import distinct, scan
from pipeline.model.cells import Cell
from pipeline.model.periods import Period, parse
from tests.given import cached_survey, export, row, survey_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

Q4 = parse("rp-2024-q4")
ORGANISATIONS = [f"org-{number:02d}" for number in range(1, 21)]


def people(
    data: Path, kind: str, cells: Collection[Cell] | None, *, cached: bool = False
) -> Mapping[Cell, tuple[int, Sequence[int]]]:
    """Count the different people of each cell, in all and by category where there are any."""
    if cached:
        cached_survey(data, writes=True).commit()
    survey = cached_survey(data) if cached else survey_of(data)
    batches = survey.count(kind, cells or list(survey.contents(kind)))
    found = {cell: of for batch in batches for cell, of in batch.items()}
    return {
        cell: (
            of.total["people"],
            [share["people"] for share in of.categories.values() if share["people"]],
        )
        for cell, of in found.items()
    }


@pytest.mark.parametrize("cached", [False, True], ids=["in memory", "from the cache"])
@pytest.mark.parametrize("wanted", [["org-07"], ["org-03", "org-04", "org-17"], ORGANISATIONS])
def test_few_of_many_organisations_are_counted_as_all_of_them_would_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: list[str], cached: bool
) -> None:
    """The seventh organisation has seven people; the first of each comes to two categories."""
    monkeypatch.setattr(scan, "BATCH_ROWS", 50)
    for part in ("first", "second"):
        rows = [
            row(org_id=org_id, participant_id=f"p{person}", activity_id=f"{part} {person}")
            for number, org_id in enumerate(ORGANISATIONS, start=1)
            for person in range(number)
        ]
        export(tmp_path, rows, f"{part}.parquet")
    twice = [
        row(org_id=org_id, participant_id="p0", activity_id="other", bufdir_category="eldre")
        for org_id in ORGANISATIONS
    ]
    export(tmp_path, twice, "third.parquet")
    cells = [Cell(org_id, Q4) for org_id in wanted]
    assert people(tmp_path, "quarter", cells, cached=cached) == {
        cell: (number, [number, 1])
        for cell in cells
        for number in [ORGANISATIONS.index(cell.org_id) + 1]
    }


@pytest.mark.parametrize("cached", [False, True], ids=["in memory", "from the cache"])
@pytest.mark.parametrize("in_batch", [2, 1000], ids=["in several batches", "in one batch"])
@pytest.mark.parametrize(
    "categories",
    [["ungdom"] * 20, ["ungdom", "eldre", "foreldre_barn"], ["ungdom", "eldre"] * 10],
    ids=["in one category", "each in another category", "in two categories"],
)
def test_people_whose_hashes_collide_are_counted_separately(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    categories: list[str],
    in_batch: int,
    cached: bool,
) -> None:
    """One bit of the hash is in a number, so of three ids two have the same, category apart.

    All people come in two months, to different categories: ids of one number alternate.
    """
    monkeypatch.setattr(scan, "BATCH_ROWS", in_batch)
    monkeypatch.setattr(distinct.Layout, "of", lambda *_: distinct.Layout(4, 1, 2))
    rows = [
        row(
            participant_id=f"p{number}",
            activity_id=f"{month} {number}",
            bufdir_category=categories[(number + month) % len(categories)],
            started_at=datetime(2024, month, 9, 9, tzinfo=UTC),
        )
        for month in (10, 11)
        for number in range(len(categories))
    ]
    export(tmp_path, [*rows, row(org_id="org-2")])
    total, shares = people(tmp_path, "quarter", None, cached=cached)[Cell("org-1", Q4)]
    assert total == len(categories)
    came_to = {(one["participant_id"], one["bufdir_category"]) for one in rows}
    assert sorted(shares) == sorted(Counter(category for _, category in came_to).values())


@pytest.mark.parametrize("cached", [False, True], ids=["in memory", "from the cache"])
def test_batches_of_many_months_and_of_few_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """Seven people come by rotation for eight years; of four who come in 2024 two are new."""
    monkeypatch.setattr(scan, "BATCH_ROWS", 96)
    rotation = [
        row(
            participant_id=f"p{month % 7}",
            activity_id=f"a{month}",
            started_at=datetime(2017 + month // 12, month % 12 + 1, 15, tzinfo=UTC),
        )
        for month in range(96)
    ]
    export(tmp_path, rotation, "a.parquet")
    new = [row(participant_id=name, activity_id="b") for name in ("p1", "p2", "q1", "q2")]
    export(tmp_path, new, "b.parquet")
    years = people(tmp_path, "year", None, cached=cached)
    assert [years[Cell("org-1", Period("year", year))] for year in range(17, 25)] == [
        *[(7, [7])] * 7,
        (9, [9]),
    ]


@pytest.mark.parametrize("cached", [False, True], ids=["in memory", "from the cache"])
def test_batches_that_name_other_organisations_are_counted_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    monkeypatch.setattr(scan, "BATCH_ROWS", 2)
    for name, organisations in (("a", ["b", "c"]), ("b", ["a", "c"]), ("c", ["c", "d"])):
        rows = [row(org_id=org_id, activity_id=name) for org_id in organisations]
        export(tmp_path, rows, f"{name}.parquet")
    assert people(tmp_path, "quarter", None, cached=cached) == {
        Cell(org_id, Q4): (1, [1]) for org_id in "abcd"
    }
