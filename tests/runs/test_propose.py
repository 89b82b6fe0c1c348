"""Proposals: the form of a file is found, what is doubtful is marked, and every row can be read."""

from __future__ import annotations

import codecs
import tomllib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import xlsxwriter

from pipeline import settings
from pipeline.proposals import toml
from pipeline.runs import check, propose
from pipeline.runs.reading import Reading
from tests.activity_systems import HEADER, OTHER, ROW, text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.given import DataFolder


def printed(folder: DataFolder, path: Path) -> str:
    """Return the entry that is proposed for a file."""
    return toml.as_toml(propose.propose(Reading(), path, folder.settings, folder.data))


def proposed(folder: DataFolder, path: Path) -> Mapping[str, Any]:
    """Return the proposed source, which the settings take as it is printed."""
    proposal = propose.propose(Reading(), path, folder.settings, folder.data)
    entry = toml.as_toml(proposal)
    (source,) = tomllib.loads(entry)["sources"]
    assert not source.pop("categories", {})
    assert source == msgspec.json.decode(msgspec.json.encode(proposal.settings))
    (folder.data / settings.FILE).write_text(entry, encoding="utf-8")
    folder.settings = settings.load(folder.data)
    assert [one.name for one in folder.settings.sources] == [source["name"]]
    assert isinstance(source, dict)
    return source


def read_with_it(folder: DataFolder, path: Path) -> Mapping[str, int]:
    """Return the ledger of a file that is read with the proposal for it."""
    source = proposed(folder, path)
    with folder.context() as context:
        (report,) = check.check(context, [path], source["name"]).reports
    assert report.problem is None
    return {line: rows for line, rows in report.ledger.items() if rows}


def workbook(path: Path, sheets: Mapping[str, Sequence[Sequence[Any]]]) -> Path:
    """Write a workbook with these rows of each sheet."""
    with xlsxwriter.Workbook(path) as book:
        day = book.add_format({"num_format": "dd.mm.yyyy hh:mm"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, cells in enumerate(rows):
                for position, cell in enumerate(cells):
                    style = [day] if isinstance(cell, datetime) else []
                    sheet.write(number, position, cell, *style)
    return path


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((HEADER, ROW, OTHER), {"delimiter": ";", "decimal": ",", "header_row": 1}),
        (
            (HEADER.replace(";", ","), "o,a,p,ungdom,2024-11-05T18:00,1.5"),
            {"delimiter": ",", "decimal": ".", "dates": None},
        ),
        (
            (HEADER.replace(";", "\t"), ROW.replace(";", "\t")),
            {"delimiter": "\t", "encoding": "utf-8"},
        ),
        ((HEADER.replace(";", "|"), ROW.replace(";", "|")), {"delimiter": "|"}),
        (
            ("sep=;", "", "Utskrift fra 1.1, kl. 12;;", HEADER, ROW, OTHER),
            {"header_row": 4, "delimiter": ";"},
        ),
        ((HEADER, ROW.replace("05.11.2024 18:00", "20241105")), {"dates": "%Y%m%d"}),
        ((HEADER, ROW.replace("05.11.2024 18:00", "05.11.24")), {"dates": "%d.%m.%y"}),
        ((HEADER, ROW.replace("05.11.2024 18:00", "15/11/2024")), {"dates": "%d/%m/%Y"}),
        ((HEADER, ROW.replace("05.11.2024 18:00", "11/15/2024")), {"dates": "%m/%d/%Y"}),
        (
            (HEADER, ROW.replace("05.11.2024 18:00", "5.11.2024 kl. 8.30"), OTHER),
            {"dates": ["%d.%m.%Y %H:%M", "%d.%m.%Y kl. %H.%M"]},
        ),
        (
            (HEADER, ROW, ROW.replace("05.11.2024 18:00", "2024-11-05T18:00:00Z")),
            {"dates": ["%d.%m.%Y %H:%M", "%Y-%m-%dT%H:%M:%S.%f%z"]},
        ),
        (
            (f"{HEADER};Endret", f"{ROW};2024-12-01 08:00", f"{OTHER};2024-12-02"),
            {"dates": ["%d.%m.%Y %H:%M", "%Y-%m-%d", "%Y-%m-%d %H:%M"]},
        ),
        ((HEADER, ROW.replace("1,5", "-"), OTHER), {"null": ["", "-"]}),
        (
            (f"{HEADER};Slettet", f"{ROW};Nei", f"{OTHER};Ja"),
            {"true": ["ja"], "false": ["nei"]},
        ),
        ((f"{HEADER};Slettet", f"{ROW};", f"{OTHER};X"), {"true": ["x"], "false": ["false"]}),
    ],
)
def test_the_form_of_a_csv_file_is_found_and_every_row_is_read_with_it(
    folder: DataFolder, tmp_path: Path, lines: tuple[str, ...], expected: Mapping[str, object]
) -> None:
    path = text(tmp_path / "a.csv", *lines)

    options = proposed(folder, path)["csv"]

    assert {name: options.get(name) for name in expected} == expected
    assert "unreadable_value" not in read_with_it(folder, path)


@pytest.mark.parametrize(
    ("encoding", "mark", "expected"),
    [
        ("utf-8", b"", "utf-8"),
        ("utf-8", codecs.BOM_UTF8, "utf-8"),
        ("utf-16", b"", "utf-16"),
        ("cp1252", b"", "cp1252"),
    ],
)
def test_the_encoding_is_found(
    folder: DataFolder, tmp_path: Path, encoding: str, mark: bytes, expected: str
) -> None:
    path = text(tmp_path / "a.csv", HEADER, ROW, OTHER, encoding=encoding, mark=mark)

    assert proposed(folder, path)["csv"]["encoding"] == expected
    assert read_with_it(folder, path) == {"counted": 1, "unknown_category": 1}


def test_a_workbook_with_titles_and_one_sheet_is_read_with_its_proposal(
    folder: DataFolder, tmp_path: Path
) -> None:
    rows: Sequence[Sequence[Any]] = [
        ["Deltakelser 2024"],
        [],
        HEADER.split(";"),
        ["org-1", 7, 10017, "ungdom", datetime(2024, 11, 5, 18), 1.5],  # noqa: DTZ001 (a cell)
        ["org-1", 7, 10018, "ungdom", "6.11.2024", timedelta(hours=2)],
    ]
    path = workbook(tmp_path / "a.xlsx", {"Ark1": rows})

    source = proposed(folder, path)

    assert source["xlsx"] == {"header_row": 3, "dates": "%d.%m.%Y"}
    assert read_with_it(folder, path) == {"counted": 2}


@pytest.mark.parametrize(
    ("names", "sheet"),
    [
        (["Data (1)"], "Data (1)"),
        (["Klubb Vest", "Klubb Aust"], "Klubb *"),
        (["Vest", "Aust"], "Vest"),
    ],
)
def test_the_sheets_with_a_header_are_found(
    folder: DataFolder, tmp_path: Path, names: list[str], sheet: str
) -> None:
    rows: Sequence[Sequence[Any]] = [
        HEADER.split(";"),
        ["org-1", "a1", "p1", "ungdom", "2024-11-05", 1.5],
    ]
    first: Sequence[Sequence[Any]] = [["Les dette"]]
    sheets = {"Forklaring": first, **dict.fromkeys(names, rows)}
    path = workbook(tmp_path / "a.xlsx", sheets)

    assert proposed(folder, path)["xlsx"]["sheet"] == sheet
    assert set(read_with_it(folder, path)) <= {"counted", "superseded"}


def test_a_date_is_preferred_to_a_time_of_the_day_in_another_column(
    folder: DataFolder, tmp_path: Path
) -> None:
    path = text(tmp_path / "a.csv", f"{HEADER};Start", f"{ROW};18:00", f"{OTHER};19:00")

    assert proposed(folder, path)["columns"]["started_at"] == "Dato"
    assert 'its name is usual, but so is "Start"\n' in printed(folder, path)


@pytest.mark.parametrize(
    ("lines", "doubt"),
    [
        ((HEADER, ROW.replace("1,5", "1,5 t")), "but 1 of 1 values can't be read"),
        ((HEADER, ROW.replace("1,5", "90")), "1 of 1 are over max_hours; are they minutes?"),
        ((HEADER, ROW.replace("org-1", "Lag Nord")), "signs that ids of organisations don't"),
        ((HEADER, ROW.replace(";1,5", ";")), "but it has no value in these rows"),
        ((HEADER, ROW.replace("05.11.2024 18:00", "05/11/2024")), "no day is over 12, so"),
        ((f"{HEADER};Timer", f"{ROW};2"), 'its name is usual, but so is "Antall timer"'),
        ((f"{HEADER};Dato", f"{ROW};2"), 'two columns are named "Dato", so the file is refused'),
        ((HEADER, ROW, "rest"), "1 of 2 rows have as many cells as the header, 6"),
        ((f"{HEADER};Slettet", f"{ROW};3.1.2025"), '"Slettet" is not proposed for deleted'),
        (
            (f"{HEADER};Status", f"{ROW};completed", f"{OTHER};Fullført"),
            "1 of 2 values are not completed; their rows do not count",
        ),
        (("Enhet;Dato;Timer", "o;2024-11-05;2"), "all letters are ASCII; in another file"),
        (
            (HEADER, ROW.replace("1,5", "2")),
            "no hours have decimals; in another file it may be '.'",
        ),
        (
            (HEADER, ROW, ROW.replace("05.11", "12.11"), ROW.replace("05.11", "19.11")),
            "2 rows have the organisation,",
        ),
    ],
)
def test_doubts_are_marked(
    folder: DataFolder, tmp_path: Path, lines: tuple[str, ...], doubt: str
) -> None:
    out = printed(folder, text(tmp_path / "a.csv", *lines))

    (line,) = (one for one in out.splitlines() if doubt in one)
    assert line.startswith("# check this: ")


def test_a_row_that_corrects_another_one_of_the_same_time_is_no_doubt(
    folder: DataFolder, tmp_path: Path
) -> None:
    out = printed(folder, text(tmp_path / "a.csv", HEADER, ROW, ROW.replace("1,5", "2,5")))

    assert "rows have the organisation" not in out
