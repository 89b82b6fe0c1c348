"""Oddities of files, each with the line of the ledger to which it leads, as in docs/exports.md."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import xlsxwriter

from pipeline.model.ledger import LEDGER
from pipeline.model.states import EngineName
from pipeline.runs import check
from tests import pages
from tests.formats import HEADER
from tests.given import DataFolder, ledger, settings
from tests.worked_examples.examples import section

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Settings

ROW = "org-1;a1;p1;Åpen;05.11.2024 18:00;1,5"
CSV = {"delimiter": ";", "encoding": "cp1252", "decimal": ",", "dates": "%d.%m.%Y %H:%M"}
STARTED = datetime(2024, 11, 5, 18)  # noqa: DTZ001 (Excel has no zones)
CELLS = ("org-1", "a1", "p1", "Åpen", STARTED, 1.5)


def of_format(format_: str, **options: Any) -> Settings:
    source = {"name": "system", "format": format_, format_: options}
    return settings(sources=(source,), categories=("Åpen",))


def lines_of_ledger(engine: str, data: Path, chosen: Settings) -> dict[str, int]:
    """Return the ledger of all rows, in cells or in none."""
    folder = DataFolder(data, chosen.with_engine(EngineName(engine)))
    with folder.context() as context:
        return ledger(check.check(context).ledger)


def of_csv(engine: str, data: Path, text: str, **options: Any) -> dict[str, int]:
    encoding = options.pop("written_in", "cp1252")
    (data / "exports" / "a.csv").write_bytes(text.encode(encoding))
    return lines_of_ledger(engine, data, of_format("csv", **{**CSV, **options}))


def lines(*rows: str) -> str:
    return "\r\n".join((";".join(HEADER), *rows, ""))


def test_a_header_that_occurs_again_among_the_rows_is_left_out(
    local_engine: str, data: Path
) -> None:
    text = lines(ROW, ";".join(HEADER), ROW.replace("p1", "p2"))
    assert of_csv(local_engine, data, text) == {"counted": 2, "unreadable_value": 1}


def test_excels_line_with_the_separator_is_a_title(local_engine: str, data: Path) -> None:
    assert of_csv(local_engine, data, "sep=;\r\n" + lines(ROW), header_row=2) == {"counted": 1}


def test_utf_8_that_is_declared_as_another_encoding_has_other_categories(
    local_engine: str, data: Path
) -> None:
    found = of_csv(local_engine, data, lines(ROW), written_in="utf-8")
    assert found == {"unknown_category": 1}


@pytest.mark.parametrize(
    ("date", "dates", "line"),
    [
        ("05.11.24 18:00", "%d.%m.%y %H:%M", "counted"),
        ("5.11.2024 8:00", "%d.%m.%Y %H:%M", "counted"),
        ("05.11.2024", ["%d.%m.%Y %H:%M", "%d.%m.%Y"], "counted"),
        ("05.11.24 18:00", "%d.%m.%Y %H:%M", "started_at_out_of_range"),
        ("05.11.2024 18:00", "%d.%m.%y %H:%M", "unreadable_value"),
    ],
)
def test_years_and_days_are_read_with_the_digits_that_the_format_allows(
    local_engine: str, data: Path, date: str, dates: object, line: str
) -> None:
    text = lines(ROW.replace("05.11.2024 18:00", date))
    assert of_csv(local_engine, data, text, dates=dates) == {line: 1}


def test_an_error_of_a_formula_is_an_empty_cell_and_a_formula_its_result(
    local_engine: str, data: Path
) -> None:
    with xlsxwriter.Workbook(data / "exports" / "a.xlsx") as book:
        sheet = sheet_of(book)
        for number, value in enumerate([1.5, "1,5", "#N/A", "#DIV/0!"], start=1):
            sheet.write_row(number, 0, [*CELLS[:2], f"p{number}", CELLS[3]])
            sheet.write_datetime(number, 4, STARTED, date_style(book))
            sheet.write_formula(number, 5, "=VLOOKUP(1,A:B,2)", None, value)
    found = lines_of_ledger(local_engine, data, of_format("xlsx", decimal=","))
    assert found == {"counted": 2, "hours_missing": 2}


def test_merged_cells_among_the_rows_are_empty_in_all_rows_but_the_first(
    local_engine: str, data: Path
) -> None:
    with xlsxwriter.Workbook(data / "exports" / "a.xlsx") as book:
        sheet = sheet_of(book)
        for number in (1, 2, 3):
            sheet.write_row(number, 1, ["a1", f"p{number}", "Åpen", None, 1.5])
            sheet.write_datetime(number, 4, STARTED, date_style(book))
        sheet.merge_range("A2:A4", "org-1")
    found = lines_of_ledger(local_engine, data, of_format("xlsx"))
    assert found == {"counted": 1, "missing_org_id": 2}


def test_hidden_sheets_and_rows_are_read(local_engine: str, data: Path) -> None:
    with xlsxwriter.Workbook(data / "exports" / "a.xlsx") as book:
        for name in ("Klubb nord", "Klubb sør"):
            sheet = sheet_of(book, name)
            sheet.write_row(1, 0, [*CELLS[:2], name, CELLS[3], None, 1.5])
            sheet.write_datetime(1, 4, STARTED, date_style(book))
            sheet.set_row(1, None, None, {"hidden": True})
        book.get_worksheet_by_name("Klubb sør").hide()
    found = lines_of_ledger(local_engine, data, of_format("xlsx", sheet="Klubb *"))
    assert found == {"counted": 2}


def sheet_of(book: Any, name: str | None = None) -> Any:
    """Add a sheet with our header."""
    sheet = book.add_worksheet(name)
    sheet.write_row(0, 0, HEADER)
    return sheet


def date_style(book: Any) -> Any:
    return book.add_format({"num_format": "dd.mm.yyyy hh:mm"})


def test_every_reason_that_the_page_names_is_a_line_of_the_ledger() -> None:
    tables = pages.tables(section("What a file must have, and what may be odd"))
    named = [name for table in tables for row in table for name in re.findall(r": `(\w+)`", row[1])]
    assert len(named) > 8
    assert set(named) <= set(LEDGER)
