"""The worked examples of docs/exports.md: settings, files and commands as the page has them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from pipeline.settings import FILE, load
from tests import given, pages

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.settings import Settings

PAGE: Final = pages.page("docs/exports.md")
CATEGORIES: Final = ("foreldre_barn", "ungdom", "eldre", "funksjonsnedsettelse")
_OSLO: Final = ZoneInfo("Europe/Oslo")
_DATE: Final = "%d.%m.%Y %H:%M"
_EXCEL: Final = {datetime: "dd.mm.yyyy hh:mm", timedelta: "[h]:mm", float: "General"}
_MERGED: Final = re.compile(r"(.*) \(merged to ([A-Z]+\d+)\)")


@dataclass(frozen=True)
class Example:
    """One example of the page, in a folder where its files are delivered."""

    heading: str
    folder: Path

    @property
    def text(self) -> str:
        """The section of the page."""
        return section(self.heading)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def settings(self) -> Settings:
        return load(self.data)

    @property
    def delivered(self) -> Path:
        return self.folder / "delivered"

    def begin(self) -> None:
        """Make the data folder, with the settings of the page word for word."""
        (self.data / "exports").mkdir(parents=True)
        self.delivered.mkdir()
        (settings,) = pages.blocks(self.text, "toml")
        (self.data / FILE).write_text(settings, encoding="utf-8")

    def walk(self) -> list[tuple[str, str, str]]:
        """Run every command; return each with the output on the page and the one of the program."""
        return [
            (command, shown, pages.run(command, self.folder))
            for command, shown in pages.console(self.text)
        ]

    def counted(self, engine: str) -> Mapping[str, Mapping[str, tuple[int, int, float, int]]]:
        """Count the files that are there on an engine: numbers by period and category."""
        return {
            period_id: {
                name: (
                    one["participations"],
                    one["people"],
                    one["seconds"] / 3600,
                    one["activities"],
                )
                for name, one in {**cell.categories, "all": cell.total}.items()
            }
            for (_, period_id), cell in given.cells(engine, self.data, chosen=self.settings).items()
        }


@dataclass(frozen=True)
class Participation:
    """A row that a person would count who reads the files."""

    activity: str
    person: str
    category: str
    start: datetime
    """What a clock in Oslo shows."""
    hours: float


def section(heading: str) -> str:
    """Return the section of the page below a heading of the second level."""
    return PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def count(
    rows: Iterable[Participation],
) -> Mapping[str, Mapping[str, tuple[int, int, float, int]]]:
    """Count rows in plain Python, as `Example.counted` gives them."""
    by_period: dict[str, list[Participation]] = defaultdict(list)
    for row in rows:
        by_period[f"rp-{row.start.year}-q{(row.start.month + 2) // 3}"].append(row)
    return {
        period_id: {
            name: _numbers([row for row in of if name in {row.category, "all"}])
            for name in (*CATEGORIES, "all")
        }
        for period_id, of in by_period.items()
    }


def _numbers(rows: Sequence[Participation]) -> tuple[int, int, float, int]:
    people, activities = {row.person for row in rows}, {row.activity for row in rows}
    return len(rows), len(people), sum(row.hours for row in rows), len(activities)


def oslo(instant: datetime) -> datetime:
    """Return what a clock in Oslo shows."""
    return instant.astimezone(_OSLO).replace(tzinfo=None)


def date_of(text: str) -> datetime:
    """Read a date as Norwegians write it."""
    return datetime.strptime(text, _DATE)  # noqa: DTZ007 (what a clock shows)


def write_parquet(table: Sequence[Sequence[str]], path: Path) -> list[dict[str, Any]]:
    """Write a table of the page as a Parquet file, and return its rows."""
    names, *lines = table
    rows = [dict(zip(names, map(_typed, line), strict=True)) for line in lines]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return rows


def _typed(text: str) -> object:
    """Read a cell of a table of the page as what a Parquet file has."""
    if text in {"true", "false"}:
        return text == "true"
    if re.fullmatch(r"[\d.]{1,4}", text):
        return float(text)
    if text.endswith("Z"):
        return datetime.strptime(text, "%Y-%m-%dT%H:%MZ").replace(tzinfo=UTC)
    return text


def write_workbook(sheets: Mapping[str, Sequence[Sequence[str]]], path: Path) -> None:
    """Write tables of the page as the sheets of a workbook, and one sheet with something else."""
    with xlsxwriter.Workbook(path) as book:
        styles = {kind: book.add_format({"num_format": one}) for kind, one in _EXCEL.items()}
        for name, (_, *lines) in sheets.items():
            sheet = book.add_worksheet(name)
            for number, *cells in lines:
                for column, text in zip("ABCDEFG", cells, strict=True):
                    place, value = f"{column}{number}", cell_of(text)
                    if merged := _MERGED.fullmatch(text):
                        sheet.merge_range(f"{place}:{merged[2]}", merged[1])
                    elif text.startswith("="):
                        style, result = _sum(lines)
                        sheet.write_formula(place, text, styles[style], result)
                    elif text:
                        sheet.write(place, value, *filter(None, [styles.get(type(value))]))
        book.add_worksheet("Koder").write_row(0, 0, ["Kode", "Navn"])


def cell_of(text: str) -> str | float | datetime | timedelta:
    """Read a cell of a table of the page as what a workbook has."""
    if re.fullmatch(r'".*"', text):
        return text[1:-1]
    if re.fullmatch(r"\d+", text):
        return float(text)
    if duration := re.fullmatch(r"(\d+):(\d\d)", text):
        return timedelta(hours=int(duration[1]), minutes=int(duration[2]))
    if re.fullmatch(r"\d\d\.\d\d\.\d{4} \d\d:\d\d", text):
        return date_of(text)
    return text


def _sum(lines: Sequence[Sequence[str]]) -> tuple[type, float]:
    """Add what Excel adds, durations or numbers but no texts; with the type of what is shown."""
    cells = [cell_of(line[-1]) for line in lines]
    durations = [cell for cell in cells if isinstance(cell, timedelta)]
    if durations:
        return timedelta, sum(durations, timedelta()) / timedelta(days=1)
    return float, sum(cell for cell in cells if isinstance(cell, float))
