"""Participants whose ids look alike are reported, and never merged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from pipeline.runs import check
from tests.given import CELL, DataFolder, cached_survey, export, row, settings, survey_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.given import Row

COMPOSED = "k\u00e5re"
DECOMPOSED = "ka\u030are"


def named(*ids: object) -> list[Row]:
    return [row(participant_id=one, activity_id=f"a{n}") for n, one in enumerate(ids)]


@pytest.mark.parametrize(
    ("ids", "count"),
    [
        (("kari", "kari "), 1),
        (("kari", " ka ri\t"), 1),
        (("kari", "ka\u00a0ri"), 1),
        (("kari", "ka\u200bri"), 1),
        (("kari", "\ufeffkari", "kari\u00ad"), 2),
        (("kari ", " kari"), 2),
        ((COMPOSED, DECOMPOSED), 1),
        (("\uff4b\uff41ri", "kari"), 1),
        (("12", "0012"), 1),
        (("0", "000"), 1),
        (("012", "00012", "12"), 2),
        (("kari", "ola", "per"), 0),
        (("kari", "Kari"), 0),
        (("kari ", "ola"), 0),
        (("0abc", "abc"), 0),
        ((COMPOSED, "kare"), 0),
        (("0012", "0013"), 0),
        ((), 0),
    ],
)
def test_ids_look_alike_if_only_their_way_of_writing_differs(
    data: Path, local_engine: str, ids: tuple[str, ...], count: int
) -> None:
    export(data, named(*ids))
    expected = {"a.parquet": count} if count else {}
    assert survey_of(data, engine=local_engine).look_alikes() == expected


def test_ids_of_different_exports_are_compared(data: Path, engine: str) -> None:
    export(data, named(12, 13), "numbers.parquet", {"participant_id": pa.int64()})
    export(data, named("0012", "14 ", "0013", "15"), "texts.parquet")
    assert survey_of(data, engine=engine).look_alikes() == {"texts.parquet": 2}


def test_a_nightly_run_warns_of_them_and_counts_each_as_a_person(folder: DataFolder) -> None:
    folder.export(named("kari", "kari ", "ola"))
    result = folder.nightly()
    assert result.warnings.look_alikes == {"a.parquet": 1}
    assert folder.published()[CELL].total["people"] == 3


def test_ids_in_unchanged_exports_are_compared_with_those_of_new_ones(folder: DataFolder) -> None:
    folder.export(named("kari", "ola"), "a.parquet")
    assert folder.nightly().warnings.look_alikes == {}
    folder.export(named("kari "), "b.parquet")
    assert folder.nightly().warnings.look_alikes == {"b.parquet": 1}
    folder.export(named(" ola"), "c.parquet")
    assert folder.nightly().warnings.look_alikes == {"b.parquet": 1, "c.parquet": 1}


def test_the_cache_has_what_a_survey_without_it_finds(data: Path) -> None:
    export(data, named("kari", "kari ", COMPOSED), "a.parquet")
    export(data, named(DECOMPOSED, "0012"), "b.parquet")
    with cached_survey(data, writes=True) as survey:
        survey.commit()
    with cached_survey(data) as survey:
        assert survey.look_alikes() == {"a.parquet": 1, "b.parquet": 1}


def test_check_reports_them(folder: DataFolder) -> None:
    path = folder.export(named("kari", "kari "))
    with folder.context() as context:
        assert check.check(context).look_alikes == {"a.parquet": 1}
        assert list(check.check(context, [path]).look_alikes.values()) == [1]


def test_rows_that_are_withdrawn_alone_look_like_no_other(data: Path) -> None:
    folder = DataFolder(data, settings())
    folder.export([*named("ola"), row(participant_id="kari ", deleted=True)])
    assert folder.nightly().warnings.look_alikes == {}
