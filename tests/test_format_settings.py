"""Settings of formats: what decides how texts are read, refused by name where it can't be meant."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pipeline import settings
from pipeline.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = '[[sources]]\nname = "a"\nformat = "csv"\n'


@pytest.mark.parametrize(
    ("toml", "name", "problem"),
    [
        ('format = "xls"', "sources.a.format", r"may be 'parquet', 'csv', 'xlsx' or 'jsonl'$"),
        ("csv = {}", "sources.a.csv", r'^the format is parquet; .* format = "csv"$'),
        ('format = "csv"\nxlsx = {}', "sources.a.xlsx", r"^the format is csv; "),
        ('format = "csv"\ncsv = { sep = ";" }', "sources.a.csv.sep", r"^is unknown; it may be dec"),
        ('format = "csv"\ncsv = { delimiter = "" }', "sources.a.csv.delimiter", r"one sign of"),
        ('format = "csv"\ncsv = { delimiter = "\\"" }', "sources.a.csv.delimiter", r"one sign of"),
        ('format = "csv"\ncsv = { delimiter = "::" }', "sources.a.csv.delimiter", r"one sign of"),
        ('format = "csv"\ncsv = { encoding = "x" }', "sources.a.csv.encoding", r"no encoding that"),
        ('format = "csv"\ncsv = { encoding = "hex" }', "sources.a.csv.encoding", r"no encoding"),
        ('format = "csv"\ncsv = { decimal = ";" }', "sources.a.csv.decimal", r"may be '.' or ','$"),
        ('format = "csv"\ncsv = { dates = "%d.%m" }', "sources.a.csv.dates.0", r"lacks the day, "),
        ('format = "csv"\ncsv = { dates = "%d.%m.%Y %I" }', "sources.a.csv.dates.0", r"has %I; it"),
        ('format = "csv"\ncsv = { dates = "%Y%m%d%f" }', "sources.a.csv.dates.0", r"%f after %S."),
        ('format = "csv"\ncsv = { dates = ["%Y%"] }', "sources.a.csv.dates.0", r"has %; it may"),
        ('format = "csv"\ncsv = { header_row = 0 }', "sources.a.csv.header_row", r"1 or more$"),
        ('format = "csv"\ncsv = { true = [] }', "sources.a.csv.true", r"name one at least$"),
        (
            'format = "jsonl"\njsonl = { true = "JA", false = ["ja"] }',
            "sources.a.jsonl",
            r"^true and false both have 'ja'; each text can mean one$",
        ),
        ('format = "xlsx"\nxlsx = { sheet = "" }', "sources.a.xlsx.sheet", r"must not be empty$"),
    ],
)
def test_invalid_options_of_a_format_are_refused_with_their_name(
    data: Path, toml: str, name: str, problem: str
) -> None:
    (data / settings.FILE).write_text(f'[[sources]]\nname = "a"\n{toml}\n', encoding="utf-8")
    with pytest.raises(InvalidSetting) as refusal:
        settings.load(data)
    assert refusal.value.name == name
    assert re.search(problem, refusal.value.problem)


def test_one_text_may_be_given_where_there_may_be_several(data: Path) -> None:
    toml = f'{SOURCE}csv = {{ dates = "%d.%m.%Y", null = "-", true = "ja", false = "nei" }}\n'
    (data / settings.FILE).write_text(toml, encoding="utf-8")
    (source,) = settings.load(data).sources
    assert source.csv is not None
    assert (source.csv.dates, source.csv.null) == (("%d.%m.%Y",), ("-",))
    assert (source.csv.true, source.csv.false) == (("ja",), ("nei",))


def test_the_options_of_a_format_are_shown_and_those_of_others_are_not(data: Path) -> None:
    (data / settings.FILE).write_text(f'{SOURCE}csv = {{ delimiter = ";" }}\n', encoding="utf-8")
    shown = {one.name: one for one in settings.effective(data) if one.name.startswith("sources.")}
    assert {name: one.value for name, one in shown.items()} == {
        "sources.a.name": "a",
        "sources.a.files": "**",
        "sources.a.mode": "log",
        "sources.a.format": "csv",
        "sources.a.columns": {},
        "sources.a.categories": {},
        "sources.a.csv.delimiter": ";",
        "sources.a.csv.encoding": "utf-8",
        "sources.a.csv.header_row": 1,
        "sources.a.csv.decimal": ".",
        "sources.a.csv.dates": [],
        "sources.a.csv.null": [""],
        "sources.a.csv.true": ["true", "1"],
        "sources.a.csv.false": ["false", "0"],
    }
    assert shown["sources.a.csv.delimiter"].line == 4
    assert shown["sources.a.csv.decimal"].line is None


def test_a_source_of_parquet_shows_no_options(data: Path) -> None:
    names = [one.name for one in settings.effective(data) if one.name.startswith("sources.")]
    assert names == [
        "sources.exports.name",
        "sources.exports.files",
        "sources.exports.mode",
        "sources.exports.format",
        "sources.exports.columns",
        "sources.exports.categories",
    ]
