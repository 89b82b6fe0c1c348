"""Excel workbooks: what cells have is read, with titles above the header and several sheets."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import xlsxwriter

from pipeline.errors import ExportRefused
from tests.formats import HEADER, Converted, converted, format_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMATS = {
    datetime: "dd.mm.yyyy hh:mm",
    date: "dd.mm.yyyy",
    time: "hh:mm",
    timedelta: "[h]:mm",
}
STARTED = datetime(2024, 11, 5, 18)  # noqa: DTZ001 (Excel has no zones)
ROW = ("org-1", "a1", "p1", "ungdom", STARTED, 1.5)


def workbook(
    folder: Path, sheets: Mapping[str, Sequence[Sequence[Any]]], name: str = "a.xlsx"
) -> Path:
    """Write a workbook, with these cells of each sheet from its first row on."""
    with xlsxwriter.Workbook(folder / name) as book:
        styles = {kind: book.add_format({"num_format": one}) for kind, one in FORMATS.items()}
        for sheet_name, rows in sheets.items():
            sheet = book.add_worksheet(sheet_name)
            for number, row in enumerate(rows):
                for column, cell in enumerate(row):
                    style = styles.get(type(cell))
                    if cell is not None:
                        sheet.write(number, column, cell, *([style] if style else []))
    return folder / name


def read(path: Path, **options: Any) -> Converted:
    return converted(path, format_settings("xlsx", xlsx=options))


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(ExportRefused) as refused:
        read(path, **options)
    return str(refused.value)


def changed(column: str, cell: object) -> tuple[object, ...]:
    cells: list[object] = list(ROW)
    cells[HEADER.index(column)] = cell
    return tuple(cells)


def test_dates_numbers_and_texts_are_read_as_what_they_are(tmp_path: Path) -> None:
    found = read(workbook(tmp_path, {"Ark1": [HEADER, ROW]}))
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
    assert found.places == [(2, "Ark1", None)]


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("participant_id", 12345, "12345"),
        ("participant_id", "00123", "00123"),
        ("participant_id", 12345678901, "12345678901"),
        ("bufdir_category", 7, "7"),
        ("started_at", date(2024, 11, 5), "2024-11-04T23:00:00Z"),
        ("started_at", datetime(2024, 7, 5, 18, 30), "2024-07-05T16:30:00Z"),  # noqa: DTZ001
        ("started_at", "05.11.2024 18:00", "2024-11-05T17:00:00Z"),
        ("hours", 2, 2.0),
        ("hours", "1,5", 1.5),
        ("hours", timedelta(hours=1, minutes=30), 1.5),
        ("hours", timedelta(hours=26), 26.0),
        ("hours", None, None),
        ("started_at", None, None),
        ("participant_id", None, None),
    ],
)
def test_numbers_may_be_texts_and_ids_numbers(
    tmp_path: Path, column: str, cell: object, value: object
) -> None:
    path = workbook(tmp_path, {"Ark1": [HEADER, changed(column, cell)]})
    found = read(path, decimal=",", dates="%d.%m.%Y %H:%M")
    assert found.rows[0][column] == value
    assert found.unreadable == []


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("participant_id", 1.5),
        ("participant_id", 1234567890123456),  # Excel keeps 15 digits
        ("participant_id", True),
        ("activity_id", STARTED),
        ("started_at", 45600),
        ("started_at", "5. november"),
        ("started_at", timedelta(hours=1)),
        ("hours", time(1, 30)),  # may be a time of day
        ("hours", True),
        ("hours", "halvannen"),
        ("hours", STARTED),
    ],
)
def test_a_cell_of_another_type_costs_its_row_and_is_named(
    tmp_path: Path, column: str, cell: object
) -> None:
    path = workbook(tmp_path, {"Ark1": [HEADER, ROW, changed(column, cell), ROW]})
    found = read(path, decimal=",", dates="%d.%m.%Y %H:%M")
    assert found.unreadable == [3]
    assert found.places[-1] == (3, "Ark1", column)


def test_titles_above_the_header_and_empty_rows_are_not_read(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet("Deltakelser")
        sheet.merge_range("B2:F2", "Rapport for 2024")
        sheet.write_row("B4", HEADER)
        style = book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        for number in (5, 8):
            sheet.write_row(f"B{number}", [*ROW[:4], None, ROW[5]])
            sheet.write_datetime(f"F{number}", STARTED, style)
        sheet.write_blank("B40", None, style)
    found = read(tmp_path / "a.xlsx", header_row=4)
    assert [place[0] for place in found.places] == [5, 8]
    assert [row["hours"] for row in found.rows] == [1.5, 1.5]


def test_several_sheets_are_read_by_a_pattern(tmp_path: Path) -> None:
    sheets: dict[str, Sequence[Sequence[Any]]] = {
        "Klubb Nord": [HEADER, ROW],
        "Klubb Sør": [HEADER, changed("hours", "x"), ROW],
        "Lister": [("Kode", "Navn")],
    }
    found = read(workbook(tmp_path, sheets), sheet="Klubb *")
    assert sorted(place[:2] for place in found.places) == [
        (2, "Klubb Nord"),
        (2, "Klubb Sør"),
        (3, "Klubb Sør"),
    ]
    assert (2, "Klubb Sør", "hours") in found.places


def test_columns_may_be_in_another_order_on_each_sheet(tmp_path: Path) -> None:
    sheets: dict[str, Sequence[Sequence[Any]]] = {
        "a": [HEADER, ROW],
        "b": [HEADER[::-1], ROW[::-1]],
    }
    found = read(workbook(tmp_path, sheets), sheet="*")
    assert found.rows[0] == found.rows[1]


def test_a_workbook_with_a_header_only_has_no_rows(tmp_path: Path) -> None:
    assert read(workbook(tmp_path, {"Ark1": [HEADER]})).rows == []


@pytest.mark.parametrize(
    ("sheets", "options", "problem"),
    [
        ({"a": [HEADER], "b": [HEADER]}, {}, "it has several sheets; it has 'a', 'b'"),
        ({"a": [HEADER]}, {"sheet": "Deltakelser"}, "it has no sheet 'Deltakelser'; it has 'a'"),
        ({"a": [HEADER, ROW]}, {"header_row": 3}, "sheet 'a' has nothing in row 3"),
        ({"a": []}, {}, "sheet 'a' has nothing in row 1"),
        ({"a": [HEADER[:-1]]}, {}, "sheet 'a' lacks the required column hours"),
        ({"a": [(*HEADER, "hours")]}, {}, "sheet 'a' has 2 columns named hours"),
        ({"a": [HEADER[:-1]]}, {}, "or set another header_row than 1"),
        ({"a": [("Title",), HEADER]}, {}, "sheet 'a' has none of our columns in row 1"),
    ],
)
def test_a_workbook_without_the_sheet_or_the_columns_is_refused(
    tmp_path: Path, sheets: Any, options: Any, problem: str
) -> None:
    assert problem in refusal(workbook(tmp_path, sheets), **options)


def test_values_of_a_row_in_the_place_of_a_header_are_not_shown(tmp_path: Path) -> None:
    problem = refusal(workbook(tmp_path, {"Ark1": [ROW, ROW]}))
    assert "sheet 'Ark1' has none of our columns in row 1: org_id, activity_id" in problem
    assert "p1" not in problem.replace("participant_id", "")


def test_a_file_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    for content in (b"", b"not a workbook", b"PK\x03\x04torn"):
        path.write_bytes(content)
        assert "it can't be read as an Excel workbook" in refusal(path)


def test_a_torn_workbook_is_refused(tmp_path: Path) -> None:
    path = workbook(tmp_path, {"Ark1": [HEADER, ROW]})
    path.write_bytes(path.read_bytes()[:-200])
    assert "it can't be read as an Excel workbook" in refusal(path)


def test_a_large_sheet_is_read_whole(tmp_path: Path) -> None:
    rows = [HEADER, *([ROW] * 70_000), changed("hours", "x")]
    found = read(workbook(tmp_path, {"Ark1": rows}))
    assert len(found.rows) == 70_001
    assert found.unreadable == [70_002]


def test_instants_of_a_clock_that_is_set_back_are_taken_as_the_first(tmp_path: Path) -> None:
    cells = [
        datetime(2024, 10, 27, 2, 30),  # noqa: DTZ001 (occurs twice)
        datetime(2024, 3, 31, 2, 30),  # noqa: DTZ001 (does not occur)
    ]
    rows = [HEADER, *(changed("started_at", cell) for cell in cells)]
    found = read(workbook(tmp_path, {"Ark1": rows}))
    instants = [datetime.fromisoformat(row["started_at"]) for row in found.rows]
    assert instants == [
        datetime(2024, 10, 27, 0, 30, tzinfo=UTC),
        datetime(2024, 3, 31, 1, 30, tzinfo=UTC),
    ]
