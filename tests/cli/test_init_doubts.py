"""init: what is doubtful is marked, participants are never shown, and other files are refused."""

from __future__ import annotations

import json
import os
import tomllib
from typing import TYPE_CHECKING

import pytest

from pipeline import settings
from tests.activity_systems import HEADER, OTHER, PERSON, ROW, text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir


def test_the_place_of_a_file_counts_from_the_location_of_the_exports(
    bufdir: Bufdir, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "elsewhere"
    (data / settings.FILE).write_text(f'[exports]\nlocation = "{folder}"\n', encoding="utf-8")
    path = folder / "klubber" / "a.csv"
    path.parent.mkdir(parents=True)
    text(path, HEADER, ROW)

    out = bufdir("init", path).out

    assert 'files = "klubber/*.csv"  # where the file is' in out


def test_no_sign_of_a_participant_is_shown(bufdir: Bufdir, tmp_path: Path) -> None:
    maps = {"enhet": "o", "personer": {PERSON: {"timer": 2}}, PERSON: 1}
    paths = [
        text(tmp_path / "a.csv", HEADER, ROW, OTHER.replace(";ungdom", f";{PERSON}Æ")),
        text(tmp_path / "b.csv", f"Klubb;Kurs;{PERSON};Start;05.11.2024;1,5", ROW),
        text(tmp_path / "c.csv", ROW, OTHER),
        text(tmp_path / "d.jsonl", json.dumps(maps), *['{"enhet": "o", "timer": 2}'] * 3),
        text(tmp_path / "e.jsonl", json.dumps({"enhet": "o", f"{PERSON}1234": {"timer": 2}})),
    ]

    for path in paths:
        for ended in (bufdir("init", path), bufdir("init", path, "--json")):
            assert not set(PERSON).intersection(ended.out + ended.err), path


def test_many_different_categories_are_not_shown(bufdir: Bufdir, tmp_path: Path) -> None:
    rows = [ROW.replace("Åpen barnehage", f"Navn {number}") for number in range(51)]
    path = text(tmp_path / "a.csv", HEADER, *rows)

    out = bufdir("init", path).out

    assert '"Målgruppe" has 51 values that are no codes, and may be no column of categories' in out
    assert "Navn" not in out


def test_signs_in_names_can_end_neither_a_text_nor_a_comment(
    bufdir: Bufdir, tmp_path: Path
) -> None:
    path = text(
        tmp_path / "a.csv",
        f'{HEADER};"a\nname = ""x""";\x1b[31m\x7f',
        ROW.replace("Åpen barnehage", 'b\\"\u2028c') + ";1;2",
    )

    out = bufdir("init", path).out

    assert list(tomllib.loads(out)) == ["sources"]
    assert '"a\\nname = \\"x\\"", "\\u001b[31m\\u007f"' in out
    assert '# "b\\\\\\"\\u2028c" = ""' in out
    assert "\x1b" not in out


def test_a_large_file_is_looked_at_in_its_first_rows_only(bufdir: Bufdir, tmp_path: Path) -> None:
    path = text(tmp_path / "a.csv", HEADER, *[OTHER] * 200_000)

    ended = bufdir("init", path)

    assert ended.out.startswith(f"# A proposal for {path}, from its first 10,000 rows.\n")


def test_other_sources_are_named_where_they_have_files_of_the_same_path(
    bufdir: Bufdir, data: Path
) -> None:
    path = text(data / "exports" / "klubb" / "a.csv", HEADER, ROW)
    (data / settings.FILE).write_text('[[sources]]\nname = "klubb"\nformat = "csv"\n')

    out = bufdir("init", path).out

    assert 'name = "klubb-2"' in out
    assert "the source klubb has files of this path, too; put this entry above it" in out


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty; export it again"),
        (b" \r\n", "it is empty; export it again"),
        (b"PAR1 torn", "it can't be read as Parquet ("),
        (b"PK\x03\x04 torn", "it can't be read as an Excel workbook ("),
        (b"\xd0\xcf\x11\xe0 old", "it is a workbook of an old Excel, or protected"),
        (b"\x1f\x8b packed", "it is compressed; unpack it first"),
        (b"\0\1\2", "it is no text, Parquet file or workbook"),
        (b'[{"a": 1}]', "it is one JSON list; export it with one object a line"),
        (b"{torn", "it has no line with one JSON object"),
        (b"a;b;c\n1;2;3\n", "none of its first 30 rows has two usual names of columns"),
    ],
)
def test_a_file_without_a_table_is_refused(
    bufdir: Bufdir, tmp_path: Path, content: bytes, problem: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)

    ended, as_json = bufdir("init", path), bufdir("init", path, "--json")

    assert ended.err.startswith(f"bufdir: no settings can be proposed for {path}: {problem}")
    assert (ended.code, ended.out) == (3, "")
    assert as_json.body["error"]["type"] == "no-proposal"


@pytest.mark.parametrize(("name", "problem"), [("no.csv", "does not exist"), ("", "directory")])
def test_a_missing_file_or_a_folder_is_wrong_usage(
    bufdir: Bufdir, tmp_path: Path, name: str, problem: str
) -> None:
    ended = bufdir("init", tmp_path / name)

    assert problem in ended.err
    assert (ended.code, ended.out) == (2, "")


def test_init_writes_nothing(bufdir: Bufdir, data: Path, tmp_path: Path) -> None:
    path = text(tmp_path / "delivered" / "a.csv", HEADER, ROW)

    bufdir("init", path)

    assert os.listdir(data) == ["exports"]  # noqa: PTH208 (nothing was made)
    assert list(path.parent.iterdir()) == [path]
