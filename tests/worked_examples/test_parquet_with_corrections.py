"""The example of the docs: monthly Parquet files, and a file that corrects them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests import pages
from tests.worked_examples.examples import Example, Participation, count, oslo, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterable

pytestmark = pytest.mark.no_cover

FILES = ("2024-09.parquet", "2024-10.parquet", "2024-11-03.parquet")
OURS = {"Klubb": "ungdom", "Åpen barnehage": "foreldre_barn", "Seniortreff": "eldre"}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return begun(Example("Parquet files with corrections", tmp_path_factory.mktemp("example")))


@pytest.fixture(scope="module")
def steps(example: Example) -> list[tuple[str, str, str]]:
    return example.walk()


def begun(example: Example) -> Example:
    example.begin()
    for table, name in zip(pages.tables(example.text), FILES, strict=True):
        write_parquet(table, example.delivered / name)
    return example


def participations(rows: Iterable[dict[str, Any]]) -> list[Participation]:
    """Let the row that was changed last count for each person in each activity."""
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["Changed"]):
        latest[row["ActivityID"], row["PersonalID"]] = row
    return [
        Participation(
            row["ActivityID"],
            row["PersonalID"],
            OURS[row["Category"]],
            oslo(row["Start"]),
            row["Hours"],
        )
        for row in latest.values()
        if not row["Withdrawn"]
    ]


def test_every_command_prints_what_the_page_has(steps: list[tuple[str, str, str]]) -> None:
    for command, shown, printed in steps:
        assert pages.without_varying(printed) == pages.without_varying(shown), command


@pytest.mark.usefixtures("steps")
def test_the_numbers_are_those_of_a_plain_count(
    local_engine: str, example: Example, tmp_path: Any
) -> None:
    tables = pages.tables(example.text)
    rows = [row for table in tables for row in write_parquet(table, tmp_path / "a.parquet")]
    assert len(rows) == 12
    assert example.counted(local_engine) == count(participations(rows))
