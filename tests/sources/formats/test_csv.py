"""CSV exports: read by declared types, whatever spreadsheet program or system wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import ExportRefused
from tests.formats import HEADER, Converted, converted, csv_settings

if TYPE_CHECKING:
    from pathlib import Path

ROW = "org-1;a1;p1;ungdom;05.11.2024 18:00;1,5"
NORWEGIAN = {"delimiter": ";", "decimal": ",", "dates": "%d.%m.%Y %H:%M"}


def read(folder: Path, text: str | bytes, **options: Any) -> Converted:
    """Convert a file with a semicolon and Norwegian values."""
    path = folder / "a.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return converted(path, csv_settings(**{**NORWEGIAN, **options}))


def refusal(folder: Path, text: str | bytes, **options: Any) -> str:
    with pytest.raises(ExportRefused) as refused:
        read(folder, text, **options)
    return str(refused.value)


def lines(*rows: str, end: str = "\n") -> str:
    return end.join((";".join(HEADER), *rows, ""))


def test_norwegian_values_are_read_by_the_types_of_their_columns(tmp_path: Path) -> None:
    found = read(tmp_path, lines(ROW))
    assert found.rows == [
        {
            "org_id": "org-1",
            "activity_id": "a1",
            "participant_id": "p1",
            "bufdir_category": "ungdom",
            "started_at": "2024-11-05T17:00:00Z",
            "hours": 1.5,
        }
    ]
    assert found.places == [(2, None, None)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "cp865"])
def test_every_encoding_of_python_is_read(tmp_path: Path, encoding: str) -> None:
    text = lines("ørg;Å1;p1;Åpen barnehage;05.11.2024 18:00;1,5")
    found = read(tmp_path, text.encode(encoding), encoding=encoding)
    assert [(row["org_id"], row["activity_id"]) for row in found.rows] == [("ørg", "Å1")]


def test_a_mark_that_a_file_is_utf_8_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read(tmp_path, lines(ROW).encode("utf-8-sig")).rows[0]["org_id"] == "org-1"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_is_read(tmp_path: Path, end: str) -> None:
    assert len(read(tmp_path, lines(ROW, ROW, end=end)).rows) == 2


def test_the_last_row_needs_no_line_end(tmp_path: Path) -> None:
    assert len(read(tmp_path, lines(ROW, ROW).rstrip("\n")).rows) == 2


def test_a_quoted_value_may_have_line_ends_separators_and_quotes(tmp_path: Path) -> None:
    text = lines('org-1;"a;1\n""indoors""";p1;ungdom;05.11.2024 18:00;1,5', ROW)
    found = read(tmp_path, text)
    assert [row["activity_id"] for row in found.rows] == ['a;1\n"indoors"', "a1"]
    assert [row for row, _, _ in found.places] == [2, 3]


@pytest.mark.parametrize(
    "rows",
    [
        (f"{ROW};", f"{ROW};"),
        (f"{ROW};;;", f"{ROW};;;"),
        (ROW, f"{ROW};"),
        (f"{ROW};", ROW),
    ],
)
def test_empty_cells_beyond_the_header_are_no_defect(tmp_path: Path, rows: tuple[str, ...]) -> None:
    found = read(tmp_path, lines(*rows))
    assert [row["hours"] for row in found.rows] == [1.5, 1.5]
    assert [place[2] for place in found.places] == [None, None]


def test_a_header_may_end_with_a_separator_that_rows_lack(tmp_path: Path) -> None:
    text = ";".join(HEADER) + ";\n" + ROW + "\n" + ROW + ";\n"
    assert len(read(tmp_path, text).rows) == 2


def test_cells_of_other_columns_may_be_missing_at_the_end(tmp_path: Path) -> None:
    text = ";".join(HEADER) + ";note;room\n" + f"{ROW};x;y\n{ROW};x\n{ROW}\n"
    found = read(tmp_path, text)
    assert [row["hours"] for row in found.rows] == [1.5, 1.5, 1.5]
    assert found.ignored == ("note", "room")


@pytest.mark.parametrize("last", [f"{ROW};", f"{ROW}", ROW[:-2], f'{ROW};x;"y'])
def test_a_last_row_that_a_copy_has_cut_off_is_torn(tmp_path: Path, last: str) -> None:
    text = ";".join(HEADER) + ";note;room;floor\n" + f"{ROW};x;y;1\n{ROW};x\n{last}"
    found = read(tmp_path, text)
    assert [row["hours"] for row in found.rows] == [1.5, 1.5, None]
    assert found.unreadable == [4]
    assert read(tmp_path, f"{text}\n".replace('"', "")).unreadable == []


def test_torn_rows_cost_themselves_and_are_numbered_as_people_count(tmp_path: Path) -> None:
    text = lines(ROW, "org-1;a1;p1;ungdom", ROW, "org-1;a1;x;p1;ungdom;05.11.2024 18:00;1,5", ROW)
    found = read(tmp_path, text)
    assert len(found.rows) == 5
    assert sorted(found.unreadable) == [3, 5]
    assert all(value is None for row in found.rows[3:] for value in row.values())


def test_torn_rows_are_numbered_through_all_blocks_of_a_large_file(tmp_path: Path) -> None:
    rows = [ROW] * 300_000
    for number in (10, 150_000, 150_001, 299_999):
        rows[number] = "torn"
    found = read(tmp_path, lines(*rows))
    assert sorted(found.unreadable) == [12, 150_002, 150_003, 300_001]
    assert sorted(place[0] for place in found.places) == list(range(2, 300_002))


def test_empty_rows_are_skipped_and_counted_as_people_count(tmp_path: Path) -> None:
    found = read(tmp_path, lines("", ROW, ";;;;;", "", f"{ROW[:-3]}x"))
    assert [row for row, _, _ in found.places] == [3, 6]
    assert found.unreadable == [6]


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("started_at", "31.02.2024 10:00"),
        ("started_at", "2024-11-05 18:00"),
        ("started_at", "05.11.2024"),
        ("started_at", "i går"),
        ("hours", "1.5"),
        ("hours", "1,5 t"),
        ("hours", "1:30"),
        ("hours", "1 000,5"),
        ("hours", "halvannen"),
    ],
)
def test_a_value_that_is_none_of_its_columns_type_costs_its_row_and_is_named(
    tmp_path: Path, column: str, text: str
) -> None:
    cells = ROW.split(";")
    cells[HEADER.index(column)] = text
    found = read(tmp_path, lines(ROW, ";".join(cells), ROW))
    assert found.unreadable == [3]
    assert found.places[-1] == (3, None, column)
    (row,) = [row for row, place in zip(found.rows, found.places, strict=True) if place[0] == 3]
    assert row[column] is None
    assert row["org_id"] == "org-1"


def test_several_unreadable_values_of_a_row_are_all_named(tmp_path: Path) -> None:
    found = read(tmp_path, lines("org-1;a1;p1;ungdom;i går;mye"))
    assert found.places == [(2, None, "started_at, hours")]


def test_bytes_that_are_no_text_in_the_encoding_cost_their_row(tmp_path: Path) -> None:
    text = lines("org-1;Å1;p1;ungdom;05.11.2024 18:00;1,5", ROW).encode("cp1252")
    found = read(tmp_path, text)
    assert found.unreadable == [2]
    assert found.places[-1] == (2, None, "activity_id")


def test_bytes_that_are_no_text_in_other_columns_cost_nothing(tmp_path: Path) -> None:
    text = (";".join(HEADER) + ";navn\n" + ROW + ";Åse\n").encode("cp1252")
    assert read(tmp_path, text).unreadable == []


def test_texts_may_be_declared_to_mean_that_there_is_no_value(tmp_path: Path) -> None:
    found = read(tmp_path, lines("org-1;a1;-;ungdom;-;N/A"), null=["", "-", "N/A"])
    (row,) = found.rows
    assert (row["participant_id"], row["started_at"], row["hours"]) == (None, None, None)
    assert found.unreadable == []


def test_spaces_around_numbers_and_dates_do_not_count_but_in_ids_they_do(tmp_path: Path) -> None:
    (row,) = read(tmp_path, lines(" org-1;a1 ;p1;ungdom ; 05.11.2024 18:00 ; 1,5 ")).rows
    assert (row["org_id"], row["activity_id"]) == (" org-1", "a1 ")
    assert row["bufdir_category"] == "ungdom "
    assert (row["started_at"], row["hours"]) == ("2024-11-05T17:00:00Z", 1.5)


def test_formats_of_dates_are_tried_in_their_order(tmp_path: Path) -> None:
    rows = ["01.02.2024 10:00", "03.04.2024", "05/06/2024"]
    text = lines(*(f"org-1;a1;p1;ungdom;{one};1" for one in rows))
    dates = ["%d.%m.%Y %H:%M", "%d.%m.%Y", "%m/%d/%Y"]
    found = sorted(row["started_at"] for row in read(tmp_path, text, dates=dates).rows)
    assert found == ["2024-02-01T09:00:00Z", "2024-04-02T22:00:00Z", "2024-05-05T22:00:00Z"]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2024-11-05T18:00:00", "2024-11-05T17:00:00Z"),
        ("2024-11-05 18:00:00.25", "2024-11-05T17:00:00.250Z"),
        ("2024-11-05T18:00", "2024-11-05T17:00:00Z"),
        ("2024-11-05", "2024-11-04T23:00:00Z"),
        ("2024-11-05T18:00:00Z", "2024-11-05T18:00:00Z"),
        ("2024-11-05T18:00:00+01:00", "2024-11-05T17:00:00Z"),
        ("2024-11-05 18:00:00.5-0130", "2024-11-05T19:30:00.500Z"),
        ("2024-10-27T02:30:00", "2024-10-27T00:30:00Z"),
        ("2024-03-31T02:30:00", "2024-03-31T01:30:00Z"),
    ],
)
def test_without_a_format_dates_are_iso_8601(tmp_path: Path, text: str, instant: str) -> None:
    found = read(tmp_path, lines(f"org-1;a1;p1;ungdom;{text};1"), dates=[])
    assert found.rows[0]["started_at"] == instant


def test_flags_are_read_as_the_settings_have_them(tmp_path: Path) -> None:
    header = ";".join((*HEADER, "deleted"))
    rows = [f"{ROW};{word}" for word in ("Ja", "nei", "", "kanskje")]
    found = read(tmp_path, "\n".join((header, *rows)), true="ja", false=["nei", "usant"])
    assert sorted(str(row["deleted"]) for row in found.rows) == ["False", "None", "None", "True"]
    assert found.places[-1] == (5, None, "deleted")


def test_title_rows_above_the_header_are_not_read(tmp_path: Path) -> None:
    text = 'Rapport;2024\n"Uttrekk\nfra register"\n' + lines(ROW, f"{ROW[:-3]}x")
    found = read(tmp_path, text, header_row=3)
    assert [row for row, _, _ in found.places] == [4, 5]
    assert found.unreadable == [5]


def test_a_header_may_have_line_ends_and_spaces(tmp_path: Path) -> None:
    text = ";".join(f' "{name}" ' if name == "x" else f" {name} " for name in HEADER)
    found = read(tmp_path, f'"note\n(valgfri)";{text}\n;{ROW}\n')
    assert found.rows[0]["hours"] == 1.5
    assert found.ignored == ("note\n(valgfri)",)


def test_a_file_with_a_header_only_has_no_rows(tmp_path: Path) -> None:
    assert read(tmp_path, lines()).rows == []
    assert read(tmp_path, lines().rstrip("\n")).rows == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty; export it again"),
        (lines(ROW).replace("hours", "Timer"), "it lacks the required column hours; it has org_id"),
        (lines(ROW).replace(";", ","), "row 1 has one column only; set the delimiter"),
        (f"{';'.join(HEADER)};hours\n{ROW};1\n", "it has 2 columns named hours; keep one"),
        (f"{';'.join(HEADER)};Hours\n{ROW};1\n", "differ in upper and lower case only"),
    ],
)
def test_a_file_without_the_columns_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    assert problem in refusal(tmp_path, text)


@pytest.mark.parametrize(
    "text", [f"{ROW}\n{ROW}\n", ROW.replace(";", ","), f'"{ROW}\n{ROW}\n', f'"{lines(ROW)}']
)
def test_values_of_a_row_in_the_place_of_a_header_are_not_shown(tmp_path: Path, text: str) -> None:
    problem = refusal(tmp_path, text)
    assert all(cell not in problem for cell in (*ROW.split(";"), ROW))
    assert "header_row" in problem or "it can't be read as CSV" in problem


def test_a_header_in_another_encoding_is_refused_with_the_setting_that_helps(
    tmp_path: Path,
) -> None:
    text = lines(ROW).replace("activity_id", "Møte").encode("cp1252")
    problem = refusal(tmp_path, text)
    assert "it lacks the required column activity_id; it has org_id, M\ufffdte" in problem
    assert problem.endswith("or set another encoding than utf-8, in which the header is no text")
    other = refusal(tmp_path, lines(ROW).replace("activity_id", "Møte"))
    assert other.endswith("or set another header_row than 1")


def test_a_file_that_ends_above_its_header_is_refused(tmp_path: Path) -> None:
    problem = refusal(tmp_path, lines(ROW), header_row=7)
    assert "it ends before row 7, where its header should be" in problem


@pytest.mark.parametrize(
    "rows",
    [
        (ROW, 'org-1;"a1;p1;ungdom;05.11.2024 18:00;1,5', ROW, ROW),
        (ROW, 'org-1;"a1;p1;ungdom;05.11.2024 18:00;1,5', 'org-2;"a2";p1;ungdom;x;2', ROW),
        (ROW, f'"{ROW}', ROW, f'"{ROW}', ROW),
        (ROW, f'{ROW};"note', f'{ROW};"note"', ROW),
    ],
)
def test_a_quote_that_is_not_closed_refuses_the_file_because_it_would_hide_rows(
    tmp_path: Path, rows: tuple[str, ...]
) -> None:
    header = (*HEADER, "note") if any("note" in one for one in rows) else HEADER
    text = "\n".join((";".join(header), *rows, ""))
    assert "row 3 has a quote that is not closed" in refusal(tmp_path, text)


def test_a_quote_within_a_value_is_a_part_of_it(tmp_path: Path) -> None:
    found = read(tmp_path, lines('org-1;Klubb "Natta";p1;ungdom;05.11.2024 18:00;1,5', ROW))
    assert [row["activity_id"] for row in found.rows] == ['Klubb "Natta"', "a1"]
