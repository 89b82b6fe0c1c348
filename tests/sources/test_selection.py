"""Files are given to sources by their names, and of dumps only the newest counts."""

from __future__ import annotations

import pytest

from pipeline.model.states import Mode
from pipeline.settings import SourceSettings
from pipeline.sources.exports import File, Fingerprint
from pipeline.sources.selection import Selection, select, select_named


def files(*names: str) -> list[File]:
    """Make files whose times are in the order of their names here."""
    return [File(name, name, Fingerprint(1, time)) for time, name in enumerate(names)]


def dumps(*names: str, pattern: str = "**") -> Selection:
    """Select the newest of these dumps."""
    return select(files(*names), [SourceSettings(name="a", files=pattern, mode=Mode.DUMP)])


def names(of: tuple[File, ...]) -> list[str]:
    return [file.name for file in of]


def source(name: str, pattern: str) -> SourceSettings:
    return SourceSettings(name=name, files=pattern)


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [
        ("**", "a.parquet", True),
        ("**", "a/b/c.PARQUET", True),
        ("**", "a.csv", False),
        ("system/**", "system/a.parquet", True),
        ("system/**", "system/2024/q1/a.parquet", True),
        ("system/**", "system2/a.parquet", False),
        ("system/*", "system/2024/a.parquet", False),
        ("*/system/*.parquet", "x/system/a.parquet", True),
        ("system/**/q?.parquet", "system/q1.parquet", True),
        ("system/**/q?.parquet", "system/2024/q12.parquet", False),
        ("{a,b}/**", "b/x.parquet", True),
        ("system/*.pq", "system/a.pq", True),
        ("system/*.pq", "system/a.parquet", False),
        ("system/[0-9].parquet", "system/1.parquet", True),
        ("System/**", "system/a.parquet", False),
    ],
)
def test_a_pattern_matches_names_below_the_exports(pattern: str, name: str, is_match: bool) -> None:
    found = select(files(name), [source("a", pattern)])
    assert (names(found.files), list(found.others)) == (([name], []) if is_match else ([], [name]))


def test_a_file_belongs_to_the_first_source_that_it_fits() -> None:
    sources = [source("members", "members/**"), source("rest", "**")]
    found = select(files("a.parquet", "members/b.parquet"), sources)
    assert {name: one.name for name, one in found.sources.items()} == {
        "a.parquet": "rest",
        "members/b.parquet": "members",
    }


def test_files_are_read_in_the_order_of_their_names_whatever_their_sources() -> None:
    sources = [source("late", "z/**"), source("early", "a/**")]
    found = select(files("z/1.parquet", "a/2.parquet"), sources)
    assert names(found.files) == ["a/2.parquet", "z/1.parquet"]


def test_a_file_that_is_named_by_its_path_belongs_to_the_source_that_it_would_have() -> None:
    sources = [source("members", "members/**"), source("rest", "rest/**")]
    found = select_named(files("/mnt/new/rest/a.parquet", "elsewhere.parquet"), sources)
    assert [found.sources[file.name].name for file in found.files] == ["rest", "members"]


@pytest.mark.parametrize(
    ("pattern", "older", "newest"),
    [
        ("**", ["d_20241001.parquet"], ["d_20241002.parquet"]),
        ("r/**", ["r/31.12.2023.parquet"], ["r/01.01.2024.parquet"]),
        ("**", ["b_20241001.parquet"], ["a_20241002.parquet"]),
        ("**", ["d_2024-10-02_0200.parquet"], ["d_2024-10-02_1400.parquet"]),
        ("**", ["d_202410020200.parquet"], ["d_202410021400.parquet"]),
        ("**", ["week_52_2023.parquet"], ["week_1_2024.parquet"]),
        ("**", ["9.parquet"], ["10.parquet"]),
        ("r/**", ["r/2024-10-01/a.parquet"], ["r/2024-10-02/a.parquet", "r/2024-10-02/b.parquet"]),
        ("r/**", ["r/2024-10-01/x/a.parquet"], ["r/2024-10-02/x/a.parquet"]),
        ("r/**", ["r/2024/d_20241001.parquet"], ["r/2024/d_20241002.parquet"]),
        ("r/**", ["r/2024/d_20241231.parquet"], ["r/2025/d_20250101.parquet"]),
        ("r/**", ["r/v1/part-0.parquet"], ["r/v2/part-0.parquet", "r/v2/part-1.parquet"]),
        (
            "**",
            ["2024-10-01/2024-09-01.parquet", "2024-10-01/2024-10-01.parquet"],
            ["2024-10-02/2024-09-01.parquet", "2024-10-02/2024-10-01.parquet"],
        ),
        ("r/**", ["r/20241001.parquet", "r/20240930.parquet"], ["r/20241101.parquet"]),
    ],
)
def test_the_newest_dump_is_the_one_with_the_latest_date_and_digits(
    pattern: str, older: list[str], newest: list[str]
) -> None:
    for order in ([*older, *newest], [*newest, *older]):
        found = dumps(*order, pattern=pattern)
        assert names(found.files) == sorted(newest)
        assert names(found.set_aside) == sorted(older)
        assert found.same_date == {}


def test_dumps_without_digits_go_by_their_times() -> None:
    found = dumps("new.parquet", "old.parquet")  # the second was written last
    assert names(found.files) == ["old.parquet"]


def test_of_two_dumps_of_one_date_the_later_name_counts_and_both_are_named() -> None:
    found = dumps("20241002.parquet", "20241002 (1).parquet", "20241001.parquet")
    assert names(found.files) == ["20241002 (1).parquet"]
    assert found.same_date == {"20241002 (1).parquet": "20241002.parquet"}


def test_a_source_of_dumps_without_files_has_none() -> None:
    assert dumps() == Selection((), {})
