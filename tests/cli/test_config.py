"""The effective settings, each with the place that decided it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.settings import SettingSource, effective
from pipeline.settings.provenance import lines_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.cli.conftest import Bufdir

FILE = """# comment
max_hours = 12
categories = [
    "ungdom",  # a comment
    "eldre",
]

[export.columns]
participant_id = "PersonalID"
"hours" = '''
Timer'''
[export]
categories = { "Åpen = barnehage" = "ungdom" }
[runs]  # below
  seconds = 60
"""


def lines(printed: str) -> dict[str, list[str]]:
    """Return the lines of the table, by their first word."""
    table = printed.split("\n\n", 1)[1]
    return {line.split()[0]: line.split()[1:] for line in table.splitlines()}


def test_each_statement_begins_on_the_line_that_is_told() -> None:
    assert lines_of(FILE) == {
        ("max_hours",): 2,
        ("categories",): 3,
        ("export", "columns", "participant_id"): 9,
        ("export", "columns", "hours"): 10,
        ("export", "categories", "Åpen = barnehage"): 13,
        ("runs", "seconds"): 15,
    }


def test_config_shows_default_line_and_variable(bufdir: Bufdir, data: Path) -> None:
    (data / "bufdir.toml").write_text("# ours\nmax_hours = 12\n[runs]\nseconds = 60\n")

    ended = bufdir("config", BUFDIR_RUNS__SECONDS="70", BUFDIR_PERIODS='["year"]')

    found = lines(ended.out)
    assert ended.out.splitlines()[0] == f"data folder  {data} (--data)"
    assert found["setting"] == ["value", "source"]
    assert found["timezone"] == ['"Europe/Oslo"', "default"]
    assert found["guard.most_silent_days"] == ["none", "default"]
    assert found["max_hours"] == ["12", "bufdir.toml", "line", "2"]
    assert found["periods"] == ['["year"]', "BUFDIR_PERIODS"]
    assert found["runs.seconds"] == ["70", "BUFDIR_RUNS__SECONDS"]
    assert found["runs.memory_mb"] == ["4096", "default"]
    assert (ended.code, ended.err) == (0, "")


def test_config_for_programs_names_source_line_and_variable(bufdir: Bufdir, data: Path) -> None:
    (data / "bufdir.toml").write_text('[export.columns]\nhours = "Timer"\n')

    settings = bufdir("config", "--json", BUFDIR_LOG__FORMAT="json").result["settings"]

    assert settings["export.columns.hours"] == {
        "value": "Timer",
        "source": "file",
        "line": 2,
        "variable": None,
    }
    assert settings["log.format"] == {
        "value": "json",
        "source": "variable",
        "line": None,
        "variable": "BUFDIR_LOG__FORMAT",
    }
    assert settings["max_hours"]["source"] == "default"
    assert settings["categories"]["value"][0] == "foreldre_barn"


def test_entries_of_a_table_may_come_from_the_file_and_from_a_variable(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "bufdir.toml").write_text('[export.columns]\nhours = "Timer"\nstatus = "Tilstand"\n')
    monkeypatch.setenv("BUFDIR_EXPORT__COLUMNS", '{"status": "S", "deleted": "Slettet"}')

    found = {one.name: (one.value, one.source, one.variable) for one in effective(data)}

    variable = (SettingSource.VARIABLE, "BUFDIR_EXPORT__COLUMNS")
    assert found["export.columns.hours"] == ("Timer", SettingSource.FILE, None)
    assert found["export.columns.status"] == ("S", *variable)
    assert found["export.columns.deleted"] == ("Slettet", *variable)


def test_a_variable_may_give_a_whole_section(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUFDIR_RUNS", '{"seconds": 9}')

    found = {one.name: one for one in effective(data)}

    assert (found["runs.seconds"].value, found["runs.seconds"].variable) == (9, "BUFDIR_RUNS")
    assert found["runs.at_once"].source is SettingSource.DEFAULT
