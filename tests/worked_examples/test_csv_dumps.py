"""The example of the docs: nightly CSV dumps as Norwegian systems write them."""

from __future__ import annotations

import csv
import difflib
import io
import shutil
from typing import TYPE_CHECKING

import pytest

from tests import pages
from tests.formats import converted
from tests.pages import ROOT
from tests.worked_examples.examples import Example, Participation, count, date_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.no_cover

DUMPS = sorted((ROOT / "tests" / "data" / "deltakelser").glob("*.csv"))
OURS = {"Ungdomsklubb": "ungdom", "Åpen barnehage": "foreldre_barn", "Seniortreff": "eldre"}


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Example:
    return begun(Example("Nightly CSV dumps", tmp_path_factory.mktemp("example")))


@pytest.fixture(scope="module")
def steps(example: Example) -> list[tuple[str, str, str]]:
    return example.walk()


def begun(example: Example) -> Example:
    example.begin()
    for path in DUMPS:
        shutil.copy(path, example.delivered)
    return example


def text_of(path: Path) -> str:
    """Return a dump with the line ends that Python has."""
    return path.read_bytes().decode("cp1252").replace("\r\n", "\n")


def participations(path: Path) -> list[Participation]:
    """Let each row count that took place and has hours."""
    rows = csv.DictReader(io.StringIO(text_of(path), newline=""), delimiter=";")
    return [
        Participation(
            row["Aktivitet"],
            row["PersonID"],
            OURS[row["Tilbud"]],
            date_of(row["Startet"]),
            float(row["Timer"].replace(",", ".")),
        )
        for row in rows
        if row["Avlyst"] != "Ja" and not row["Timer"].endswith("t")
    ]


def test_every_command_prints_what_the_page_has(steps: list[tuple[str, str, str]]) -> None:
    for command, shown, printed in steps:
        assert pages.without_varying(printed) == pages.without_varying(shown), command


def test_the_dumps_differ_as_the_page_has_it(example: Example) -> None:
    first, second, third = (text_of(path).splitlines() for path in DUMPS)
    changes = list(difflib.unified_diff(first, second, n=0, lineterm=""))[2:]
    (shown,) = pages.blocks(example.text, "diff")
    assert shown.splitlines() == [line for line in changes if not line.startswith("@@")]
    assert third == [line.replace("1,5 t", "1,5") for line in second]


def test_the_dumps_have_windows_line_ends_and_the_encoding_of_the_settings() -> None:
    for path in DUMPS:
        content = path.read_bytes()
        assert content.count(b"\n") == content.count(b"\r\n") == content.count(b"\r") > 17
        assert "Åpen barnehage".encode("cp1252") in content


def test_no_copy_that_breaks_off_has_another_row_than_the_whole_dump(
    example: Example, tmp_path: Path
) -> None:
    content = DUMPS[-1].read_bytes()
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    whole = converted(path, example.settings).rows
    for size in range(len(content) - 140, len(content)):
        path.write_bytes(content[:size])
        found = converted(path, example.settings)
        rows = zip(found.rows, found.places, strict=True)
        read = [row for row, place in rows if place[0] not in found.unreadable]
        assert read == whole[: len(read)], size


@pytest.mark.usefixtures("steps")
@pytest.mark.parametrize("dumps", [1, 2, 3])
def test_the_numbers_are_those_of_a_plain_count_of_the_newest_dump(
    local_engine: str, example: Example, tmp_path: Path, dumps: int
) -> None:
    so_far = Example(example.heading, tmp_path)
    so_far.begin()
    (so_far.data / "exports" / "register").mkdir()
    for path in DUMPS[:dumps]:
        shutil.copy(path, so_far.data / "exports" / "register")
    assert so_far.counted(local_engine) == count(participations(DUMPS[dumps - 1]))
