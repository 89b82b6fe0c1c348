"""check FILE: how a file is read, for a person who sets up a source."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import pytest
import xlsxwriter

from tests.cli.conftest import terminal
from tests.given import export, people, row, table, write

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests.cli.conftest import Bufdir

SETTINGS: Final = """
[[sources]]
name = "others"
files = "others/**"

[[sources]]
name = "register"
files = "register/*.csv"
format = "csv"
columns = { org_id = "Enhet", activity_id = "Aktivitet", participant_id = "Person", \
bufdir_category = "Kategori", started_at = "Dato", hours = "Timer" }
categories = { "Klubb" = "ungdom" }
csv = { delimiter = ";", decimal = ",", dates = "%d.%m.%Y %H:%M" }

[[sources]]
name = "book"
files = "book/*.xlsx"
format = "xlsx"
xlsx = { sheet = "*" }
"""
HEADER: Final = "Enhet;Aktivitet;Person;Kategori;Dato;Timer"
PERSON: Final = "ØÆ§"
"""A participant of whom no sign is anywhere else."""
OURS: Final = (
    *("org_id", "activity_id", "participant_id", "bufdir_category", "started_at", "hours"),
    *("updated_at", "status", "deleted"),
)


@pytest.fixture(autouse=True)
def _with_settings(data: Path) -> None:
    (data / "bufdir.toml").write_text(SETTINGS)


def line(**values: str) -> str:
    """Return a row of a CSV export, with these values in place of good ones."""
    good = {
        "Enhet": "org-1",
        "Aktivitet": "a1",
        "Person": "p1",
        "Kategori": "Klubb",
        "Dato": "05.11.2024 18:00",
        "Timer": "1,5",
    }
    return ";".join((good | values).values())


def lines(path: Path, rows: Iterable[str], header: str = HEADER) -> Path:
    """Write a CSV export."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8", newline="")
    return path


def registered(data: Path, *rows: str, header: str = HEADER) -> Path:
    """Write a CSV export of the source."""
    return lines(data / "exports" / "register" / "a.csv", rows, header)


def report(bufdir: Bufdir, *arguments: str | Path) -> Mapping[str, Any]:
    """Return the report on the one file that is named."""
    (found,) = bufdir("check", *arguments, "--json").result["reports"]
    assert isinstance(found, dict)
    return found


def test_the_source_of_a_file_its_columns_and_its_first_rows_are_shown(
    bufdir: Bufdir, data: Path
) -> None:
    path = registered(data, line(), line(Person="p2", Timer=""), line(Aktivitet="a2"))

    ended = bufdir("check", path)

    assert ended.out == (
        f"{path}\n"
        "source  register\n"
        "format  csv\n"
        "rows    3\n"
        "\n"
        "column           in the file  type\n"
        "org_id           Enhet        string\n"
        "activity_id      Aktivitet    string\n"
        "participant_id   Person       string\n"
        "bufdir_category  Kategori     string\n"
        "started_at       Dato         instant\n"
        "hours            Timer        double\n"
        "updated_at       -            missing, optional\n"
        "status           -            missing, optional\n"
        "deleted          -            missing, optional\n"
        "\n"
        "column           first rows\n"
        "row              2 | 3 | 4\n"
        "org_id           org-1 | org-1 | org-1\n"
        "activity_id      a1 | a1 | a2\n"
        "participant_id   #1 | #2 | #1\n"
        "bufdir_category  ungdom | ungdom | ungdom\n"
        f"started_at       {' | '.join(['2024-11-05T18:00:00+01:00'] * 3)}\n"
        "hours            1.5 | - | 1.5\n"
        "\n"
        "rows  ledger         meaning\n"
        "   2  counted        The row counts.\n"
        "   1  hours_missing  The hours are null.\n"
        "   3  read           -\n"
        "\n"
        "1 cell with rows; no rows in no cell\n"
    )
    assert (ended.code, ended.err) == (0, "")


def test_programs_get_the_same_as_values(bufdir: Bufdir, data: Path) -> None:
    path = registered(data, line(), line(Timer="x"))

    found = report(bufdir, path)

    assert (found["name"], found["source"], found["format"]) == (str(path), "register", "csv")
    assert (found["is_of_source"], found["problem"], found["rows"]) == (True, None, 2)
    assert [column["ours"] for column in found["columns"]] == list(OURS)
    assert found["columns"][0] == {
        "ours": "org_id",
        "theirs": "Enhet",
        "type": "string",
        "required": True,
    }
    assert found["columns"][6]["type"] is None
    assert found["first_rows"][0] == {
        "row": 2,
        "sheet": None,
        "values": {
            "org_id": "org-1",
            "activity_id": "a1",
            "participant_id": "#1",
            "bufdir_category": "ungdom",
            "started_at": "2024-11-05T18:00:00+01:00",
            "hours": 1.5,
        },
    }
    assert found["unreadable"] == {
        "rows": 1,
        "places": [{"row": 3, "sheet": None, "columns": "Timer"}],
    }
    assert found["ledger"]["unreadable_value"] == 1


def test_types_of_parquet_are_shown_as_the_file_has_them(bufdir: Bufdir, data: Path) -> None:
    path = export(data, [row(), row(participant_id="p2", deleted=True)], "others/a.parquet")

    found = report(bufdir, path)

    types = {column["ours"]: column["type"] for column in found["columns"]}
    assert types["started_at"] == "instant"
    assert (types["hours"], types["deleted"], types["status"]) == ("double", "bool", None)
    assert [one["row"] for one in found["first_rows"]] == [0, 1]
    assert found["unreadable"] == {"rows": 0, "places": []}


def test_the_first_rows_are_those_of_the_file_even_where_some_are_unreadable(
    bufdir: Bufdir, data: Path
) -> None:
    path = registered(data, line(Timer="x"), *[line(Person=f"p{n}") for n in range(7)])

    found = report(bufdir, path)

    assert [one["row"] for one in found["first_rows"]] == [2, 3, 4, 5, 6]
    assert found["first_rows"][0]["values"]["hours"] is None


def test_no_sign_of_a_participant_is_shown(bufdir: Bufdir, data: Path) -> None:
    path = registered(data, line(Person=PERSON), line(Person=PERSON, Timer="x"), PERSON)

    for ended in (bufdir("check", path), bufdir("check", path, "--json")):
        assert "#1" in ended.out
        assert not set(PERSON).intersection(ended.out + ended.err)


@pytest.mark.parametrize("header", [line(Person=PERSON), line(Person=PERSON).replace(";", ",")])
def test_a_file_without_a_header_is_refused_without_a_word_of_its_rows(
    bufdir: Bufdir, data: Path, header: str
) -> None:
    path = registered(data, line(Person=PERSON), header=header)

    ended = bufdir("check", path)

    assert "verdict  refused\n" in ended.out
    assert re.search("in row 1: Enhet, |row 1 has one column only", ended.out)
    assert not set(PERSON).intersection(ended.out + ended.err)
    assert ended.code == 3


def test_places_of_unreadable_values_are_ten_at_most(bufdir: Bufdir, data: Path) -> None:
    rows = [line(Timer="x", Dato="y"), "org-1;a1", *[line(Timer="x")] * 1_200]
    path = registered(data, line(), *rows)

    found, ended = report(bufdir, path), bufdir("check", path)

    assert found["unreadable"]["rows"] == 1_202
    assert [one["row"] for one in found["unreadable"]["places"]] == list(range(3, 13))
    assert "\n3    -      Dato, Timer\n4    -      all: more or fewer" in ended.out
    assert "\n12   -      Timer\nand 1,192 more\n" in ended.out


def test_places_in_a_workbook_have_their_sheet(bufdir: Bufdir, data: Path) -> None:
    path = data / "exports" / "book" / "a.xlsx"
    path.parent.mkdir()
    with xlsxwriter.Workbook(path) as book:
        for name in ("Vest", "Aust"):
            sheet = book.add_worksheet(name)
            good = ["org-1", "a1", name, "ungdom", "2024-11-05T18:00", 1.5]
            bad = [*good[:-1], "to timer"]
            for number, cells in enumerate([OURS[:6], good, bad]):
                sheet.write_row(number, 0, cells)

    found = report(bufdir, path)

    assert [(one["row"], one["sheet"]) for one in found["first_rows"]] == [(2, "Vest"), (3, "Vest")]
    assert found["unreadable"]["places"] == [
        {"row": 3, "sheet": "Vest", "columns": "hours"},
        {"row": 3, "sheet": "Aust", "columns": "hours"},
    ]
    assert "3    Aust   hours" in bufdir("check", path).out


def test_a_source_may_be_chosen_for_a_file_that_is_elsewhere(
    bufdir: Bufdir, tmp_path: Path
) -> None:
    path = lines(tmp_path / "delivered.csv", [line()])

    by_default, chosen = report(bufdir, path), report(bufdir, path, "--source", "register")
    shown = bufdir("check", path).out

    assert (by_default["source"], by_default["is_of_source"]) == ("others", False)
    assert by_default["problem"].startswith("it can't be read as Parquet")
    assert (chosen["source"], chosen["is_of_source"]) == ("register", True)
    assert chosen["ledger"]["counted"] == 1
    assert "others, the first one: no source has files of this path" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.csv", "--source", "regster"], "there is none of this name; it may be others or"),
        (["--source", "register"], "name a FILE that the source is to read"),
    ],
)
def test_a_source_that_is_unknown_or_has_no_file_is_wrong_usage(
    bufdir: Bufdir, data: Path, arguments: list[str], message: str
) -> None:
    path = registered(data, line())

    ended = bufdir("check", *[str(path) if one == "a.csv" else one for one in arguments])

    assert message in ended.err
    assert (ended.code, ended.out) == (2, "")


def test_each_of_several_files_has_its_own_ledger(bufdir: Bufdir, data: Path) -> None:
    first = lines(data / "exports/register/a.csv", [line(), line(Timer="x")])
    second = lines(data / "exports/register/b.csv", [line(), line(Person="p2")])
    refused = lines(data / "exports/register/c.csv", [], header="Enhet;Timer")

    ended = bufdir("check", second, first, refused, "--json")
    shown = bufdir("check", second, first, refused).out

    of_first, of_second, of_refused = ended.result["reports"]
    assert [of_first["ledger"][name] for name in ("counted", "unreadable_value")] == [1, 1]
    assert of_second["ledger"]["counted"] == 2
    assert (of_refused["rows"], of_refused["columns"], of_refused["ledger"]) == (0, [], {})
    assert "it lacks the required column Aktivitet (our activity_id)" in of_refused["problem"]
    assert ended.result["ledger"]["superseded"] == 1
    assert "all files together\nrows  ledger" in shown
    assert ended.code == 3


def test_a_file_without_rows_has_columns_and_no_first_rows(bufdir: Bufdir, data: Path) -> None:
    ended = bufdir("check", registered(data))

    assert "rows    0\n" in ended.out
    assert "hours            Timer        double\n" in ended.out
    assert "first rows" not in ended.out
    assert ended.code == 0


def test_columns_that_are_not_read_are_named(bufdir: Bufdir, data: Path) -> None:
    further = ["Fornavn", "Etternavn", "Telefon", "Epost", "Kommune", "Merknad"]
    path = registered(data, line() + ";x" * 6, header=f"{HEADER};{';'.join(further)}")

    ended = bufdir("check", path)

    assert f"ignored  {', '.join(sorted(further))}\n" in ended.out
    assert report(bufdir, path)["ignored"] == sorted(further)


def test_a_terminal_of_80_columns_has_room_for_all_of_it(bufdir: Bufdir, data: Path) -> None:
    further = ";".join(f"Kolonne {n}" for n in range(12))
    path = registered(
        data,
        *[line(Aktivitet="a" * 300 + str(n), Person=f"p{n}") + ";x" * 12 for n in range(5)],
        line(Timer="x"),
        header=f"{HEADER};{further}",
    )

    with terminal(columns=80) as (end, shown):
        bufdir.into(end, "--no-progress", "check", path)

    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown[0])
    of_path = {one for one in plain.splitlines() if "a.csv" in one}
    assert {one for one in plain.splitlines() if len(one) > 80} <= of_path
    assert plain.count("a" * 60 + "…") == 5


def test_signs_that_a_terminal_would_obey_are_escaped(bufdir: Bufdir, data: Path) -> None:
    path = registered(
        data,
        line(Aktivitet="a\x1b[31m\u202e\xa0b") + ";x",
        header=f"{HEADER};note\x1b[2J",
    )
    poor = lines(path.with_name("b.csv"), [], header="Enhet;note\x1b[2J")

    ended, refused = bufdir("check", path), bufdir("check", poor)

    assert "activity_id      a\\x1b[31m\\u202e\\xa0b\n" in ended.out
    assert "ignored  note\\x1b[2J\n" in ended.out
    assert "it has Enhet, note\\x1b[2J." in refused.out
    assert "\x1b" not in ended.out + refused.out


def test_check_of_a_file_writes_nothing(bufdir: Bufdir, data: Path) -> None:
    path = registered(data, line(), line(Timer="x"))
    before = sorted(data.rglob("*"))

    assert bufdir("check", path).code == 0
    assert sorted(data.rglob("*")) == before


def test_check_without_files_has_no_reports(bufdir: Bufdir, data: Path) -> None:
    registered(data, line())
    write(data, table(people(2)), "others/a.parquet")

    assert bufdir("check", "--json").result["reports"] == []
    assert "first rows" not in bufdir("check").out


def test_a_file_that_is_named_twice_is_read_once(bufdir: Bufdir, data: Path) -> None:
    path = registered(data, line(), line(Timer="x"))
    same = path.parent / "." / path.name

    found = bufdir("check", path, same, "--json")

    assert found.code == 0
    assert [one["rows"] for one in found.result["files"]] == [2]
