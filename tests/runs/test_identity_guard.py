"""Exports that name people by national identity numbers are refused."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from pipeline.engines.participants import Participants
from pipeline.model import periods
from pipeline.runs import check
from pipeline.runs.identity_guard import has_identity_numbers
from pipeline.runs.run import run_cells
from pipeline.runs.verify import verify
from tests.given import CELL, DataFolder, export, opened, people, row, scan_request, settings
from tests.identity_numbers import made_up

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.given import Row


def named(ids: Iterable[object], **values: object) -> list[Row]:
    return [row(participant_id=one, activity_id=f"a{n}", **values) for n, one in enumerate(ids)]


def digits(count: int) -> list[str]:
    drawn = random.Random(11)  # noqa: S311 (not for secrets)
    return [f"{drawn.randrange(10**11):011d}" for _ in range(count)]


def test_an_export_of_identity_numbers_is_refused_and_the_others_are_published(
    data: Path, local_engine: str
) -> None:
    folder = DataFolder(data, settings().with_engine(local_engine))  # type: ignore[arg-type]
    ids = made_up(20)
    folder.export(named([*ids, *(f"p{n}" for n in range(5))], org_id="org-2"), "a.parquet")
    folder.export(people(3), "b.parquet")
    result = folder.nightly()
    assert result.refused == {
        "a.parquet": "export a.parquet (25 rows) is refused: 20 of 25 different values that were "
        "looked at in column participant_id are national identity numbers; export pseudonyms in "
        "their place, such as HMAC-SHA-256 of each number with a secret key that stays at the "
        "source"
    }
    assert list(folder.published()) == [CELL]
    assert not folder.nightly().changed


def test_numbers_that_lost_a_zero_are_found_in_columns_of_integers(data: Path, engine: str) -> None:
    export(data, named(map(int, made_up(50))), types={"participant_id": pa.int64()})
    (found,) = opened(engine).survey(scan_request(data)).participants
    assert found == Participants(50, 50, 50)


def test_dictionaries_are_looked_at_as_well(data: Path, engine: str) -> None:
    kind = pa.dictionary(pa.int32(), pa.string())
    export(data, named(made_up(50)), types={"participant_id": kind})
    (found,) = opened(engine).survey(scan_request(data)).participants
    assert found.identity_numbers == 50


def test_an_export_of_random_eleven_digits_is_accepted(folder: DataFolder) -> None:
    folder.export(named(digits(3_000)))
    assert folder.nightly().refused == {}


def test_a_few_identity_numbers_among_pseudonyms_are_accepted_up_to_the_setting(
    data: Path,
) -> None:
    for most, is_refused in ((0.02, False), (0.009, True), (1.0, False)):
        folder = DataFolder(data, settings(privacy={"most_identity_numbers": most}))
        folder.export(named([*made_up(10), *(f"pseudonym-{n}" for n in range(990))]))
        assert bool(folder.nightly().refused) == is_refused


def test_each_different_value_counts_once(folder: DataFolder) -> None:
    ids = ["pseudonym"] * 2_000 + made_up(2)
    folder.export(named(ids))
    assert "2 of 3 different values" in folder.nightly().refused["a.parquet"]


@pytest.mark.parametrize(
    ("values", "of_eleven_digits", "identity_numbers", "expected"),
    [
        (1, 1, 1, False),  # one in a hundred random eleven digits is one
        (2, 2, 2, True),
        (100, 2, 2, False),  # 2 % are accepted
        (99, 2, 2, True),
        (50, 50, 2, False),
        (50, 50, 8, True),
        (1_000, 1_000, 21, False),
        (1_000, 1_000, 40, True),
        (16_000, 16_000, 321, True),
        (0, 0, 0, False),
    ],
)
def test_there_must_be_more_than_the_setting_and_more_than_chance_gives(
    values: int, of_eleven_digits: int, identity_numbers: int, expected: bool
) -> None:
    found = Participants(values, of_eleven_digits, identity_numbers)
    assert has_identity_numbers(found, 0.02) == expected


def test_a_large_export_is_judged_by_a_sample_that_every_engine_draws_alike(
    data: Path, engine: str
) -> None:
    ids = [*made_up(40_000), *(f"{n:011d}" for n in range(60_000))]
    export(data, named(ids))
    (found,) = opened(engine).survey(scan_request(data)).participants
    assert (found.values, found.of_eleven_digits) == (16_364, 16_364)
    assert found.identity_numbers / found.values == pytest.approx(0.4, abs=0.02)


def test_an_organisation_alone_is_judged_by_the_whole_export(data: Path, engine: str) -> None:
    export(data, [*named(made_up(10)), *people(3, org_id="org-2")])
    request = scan_request(data, organisations=["org-2"])
    (found,) = opened(engine).survey(request).participants
    assert found == Participants(13, 10, 10)
    assert opened(engine).participants(request) == [found]


def test_a_run_by_hand_refuses_it_and_makes_no_snapshot_of_its_organisations(
    folder: DataFolder,
) -> None:
    folder.export(named(made_up(9), org_id="org-2"), "a.parquet")
    folder.export(people(3), "b.parquet")
    with folder.context() as context:
        result = run_cells(context, [periods.parse("rp-2024-q4")], None)
        entries = context.catalog.entries()
    assert list(result.refused) == ["a.parquet"]
    assert [one.org_id for one in result.outcomes] == ["org-1"]
    assert len(entries) == 1


def test_check_and_verify_refuse_it(folder: DataFolder) -> None:
    folder.export(people(3), "b.parquet")
    folder.nightly()
    path = folder.export(named(made_up(9)), "a.parquet")
    with folder.context() as context:
        for files in (None, [path]):
            (problem,) = (one.problem for one in check.check(context, files).files if one.problem)
            assert "9 of 9 different values" in problem
        assert list(verify(context).refused) == ["a.parquet"]


def test_an_organisation_that_it_names_is_blocked_where_numbers_were_published(
    folder: DataFolder,
) -> None:
    folder.export(people(9))
    folder.nightly()
    folder.export(named(made_up(9)))
    result = folder.nightly()
    assert [(one.org_id, one.reason) for one in result.blocked] == [("org-1", "refused_export")]
    assert folder.published()[CELL].total["people"] == 9


def test_identity_numbers_in_a_csv_file_are_refused_once_it_is_converted(data: Path) -> None:
    source = {"name": "system", "format": "csv"}
    folder = DataFolder(data, settings(sources=(source,)))
    path = data / "exports" / "a.csv"
    path.parent.mkdir(exist_ok=True)
    lines = [f"org-1,a1,{one},ungdom,2024-11-05,1" for one in made_up(9)]
    header = "org_id,activity_id,participant_id,bufdir_category,started_at,hours"
    path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    assert "9 of 9 different values" in folder.nightly().refused["a.csv"]


def test_the_message_has_the_column_of_the_source(data: Path) -> None:
    columns = {"participant_id": "PersonalID"}
    folder = DataFolder(data, settings(export={"columns": columns}))
    rows = [{**one, "PersonalID": one["participant_id"]} for one in named(made_up(9))]
    folder.export(rows, types={"PersonalID": pa.string()})
    assert "column PersonalID (participant_id)" in folder.nightly().refused["a.parquet"]


def test_pseudonyms_in_the_place_of_numbers_end_the_refusal(folder: DataFolder) -> None:
    folder.export(named(made_up(9)))
    assert folder.nightly().refused
    folder.export(people(9))
    assert folder.nightly().refused == {}
    assert folder.published()[CELL].total["people"] == 9
