"""Settings of sources: how invalid ones are refused, and the line that decided each."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from pipeline import settings
from pipeline.errors import InvalidSetting

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("toml", "name", "problem"),
    [
        ('[[sources]]\nname = "a"\nmode = "dumps"', "sources.a.mode", r"may be 'log' or 'dump'$"),
        ('[[sources]]\nfiles = "a/**"', "sources.0.name", r"^it is missing; write it$"),
        ('[[sources]]\nname = "a b"', "sources.a b.name", r"1 to 32 of a to z, 0 to 9, _ and -$"),
        ('[[sources]]\nname = "a"\n[[sources]]\nname = "a"', "sources.a", r"^there are two"),
        (
            '[[sources]]\nname = "a"\nfile = "b"',
            "sources.a.file",
            r"^is unknown; it may be name, files, mode, format, columns, categories, csv, xlsx",
        ),
        (
            '[[sources]]\nname = "a"\nfiles = "/mnt/a/**"',
            "sources.a.files",
            r"counts from the exports, such as system/\*\*$",
        ),
        (
            '[[sources]]\nname = "a"\ncolumns = { hours = "status" }',
            "sources.a.columns",
            r"^'status' is read as two of our columns",
        ),
        (
            '[[sources]]\nname = "a"\ncategories = { Klubb = "sport" }',
            "sources.a.categories",
            r"^'Klubb' is mapped to 'sport', which is not in categories",
        ),
        (
            'sources = "a"',
            "sources",
            r"^it must be tables, each under its own line \[\[",
        ),
        ("sources = []", "sources", r"it must name one at least$"),
    ],
)
def test_invalid_sources_are_refused_with_their_name(
    data: Path, toml: str, name: str, problem: str
) -> None:
    (data / settings.FILE).write_text(toml, encoding="utf-8")
    with pytest.raises(InvalidSetting) as refusal:
        settings.load(data)
    assert refusal.value.name == name
    assert re.search(problem, refusal.value.problem)


def test_each_setting_of_a_source_is_shown_with_its_line(data: Path) -> None:
    toml = """max_hours = 12
[[sources]]
name = "members"
columns = { hours = "Timer" }
[[sources]]
name = "rest"
files = "rest/**"
[sources.categories]
"Klubb" = "eldre"
[log]
level = "info"
"""
    (data / settings.FILE).write_text(toml, encoding="utf-8")
    lines = {one.name: one.line for one in settings.effective(data) if one.line is not None}
    assert lines == {
        "max_hours": 1,
        "sources.members.name": 3,
        "sources.members.columns.hours": 4,
        "sources.rest.name": 6,
        "sources.rest.files": 7,
        "sources.rest.categories.Klubb": 9,
        "log.level": 11,
    }


def test_a_variable_may_give_all_sources(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUFDIR_SOURCES", '[{"name": "register", "mode": "dump"}]')
    (source,) = settings.load(data).sources
    assert (source.name, source.files, source.mode) == ("register", "**", "dump")
    decided = {one.name: one.variable for one in settings.effective(data) if one.variable}
    assert decided == {
        "sources.register.name": "BUFDIR_SOURCES",
        "sources.register.mode": "BUFDIR_SOURCES",
    }


def test_a_code_may_be_mapped_to_itself(data: Path) -> None:
    toml = '[export.categories]\neldre = "eldre"'
    (data / settings.FILE).write_text(toml, encoding="utf-8")
    assert settings.load(data).export.categories == {"eldre": "eldre"}
