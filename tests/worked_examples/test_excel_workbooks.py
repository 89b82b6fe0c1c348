"""The example of the docs: an Excel workbook for each group, with several sheets."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests import pages
from tests.worked_examples.examples import (
    Example,
    Participation,
    cell_of,
    count,
    date_of,
    write_workbook,
)

pytestmark = pytest.mark.no_cover

OURS = {"Klubb": "ungdom", "Seniortreff": "eldre"}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return begun(Example("Excel workbooks", tmp_path_factory.mktemp("example")))


@pytest.fixture(scope="module")
def steps(example: Example) -> list[tuple[str, str, str]]:
    return example.walk()


def begun(example: Example) -> Example:
    example.begin()
    october, november, seniors = pages.tables(example.text)
    club = {"Deltakelser okt": october, "Deltakelser nov": november}
    write_workbook(club, example.delivered / "klubb-nord.xlsx")
    write_workbook({"Deltakelser": seniors}, example.delivered / "seniortreff.xlsx")
    return example


def participations(table: list[list[str]]) -> list[Participation]:
    """Let each row below the header count, if its hours can be read."""
    rows = [[text.strip('"') for text in line[1:]] for line in table[5:]]
    return [
        Participation(activity, person, OURS[category], start_of(start), hours_of(hours))
        for _, activity, person, category, _, start, hours in rows
        if activity and not hours.startswith("ca.")
    ]


def start_of(text: str) -> datetime:
    day, time = text.split()
    return date_of(f"{day} {time.replace('.', ':')}")


def hours_of(text: str) -> float:
    cell = cell_of(text)
    if isinstance(cell, timedelta):
        return cell / timedelta(hours=1)
    return float(text.replace(",", "."))


def test_every_command_prints_what_the_page_has(steps: list[tuple[str, str, str]]) -> None:
    for command, shown, printed in steps:
        assert pages.without_varying(printed) == pages.without_varying(shown), command


@pytest.mark.usefixtures("steps")
def test_the_numbers_are_those_of_a_plain_count(local_engine: str, example: Example) -> None:
    rows = [row for table in pages.tables(example.text) for row in participations(table)]
    assert len(rows) == 7
    assert example.counted(local_engine) == count(rows)
