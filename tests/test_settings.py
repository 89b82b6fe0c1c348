"""Settings: names, places, and how invalid values are refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline import settings
from pipeline.errors import InvalidSetting
from pipeline.settings.limits import LimitSettings

if TYPE_CHECKING:
    from pipeline.settings import Settings

PARQUET = {"mode": "log", "format": "parquet", "columns": {}, "categories": {}}
EVERYTHING = """
timezone = "Europe/Stockholm"
periods = ["quarter", "year"]
categories = ["ungdom", "eldre"]
max_hours = 12.5
[breakdowns]
age_band = "Aldersgruppe"
[engine]
name = "duckdb"
spark_remote = "sc://cluster:15002"
[engine.spark_options]
"spark.executor.memory" = "8g"
[exports]
location = "/mnt/exports"
[export.columns]
participant_id = "PersonalID"
[export.categories]
"Åpen barnehage" = "ungdom"
[[sources]]
name = "members"
files = "members/**"
mode = "dump"
columns = { hours = "Timer" }
categories = { Klubb = "ungdom" }
[guard]
most_fall = 0.25
most_silent_days = 14
verify_days = 3
[history]
undelete_days = 7
[limits]
text_kb = 8
[privacy]
most_identity_numbers = 0.5
[runs]
at_once = 3
memory_mb = 512
seconds = 60
wait_seconds = 0.5
[access]
reads = "token"
writes_per_minute = 10
most_open_runs = 5
[proxy]
prefix = "/b"
[log]
format = "json"
level = "warning"
"""
LIMITS = LimitSettings().model_dump()  # a table of the README has them


def load(data: Path, toml: str = "") -> Settings:
    (data / settings.FILE).write_text(toml, encoding="utf-8")
    return settings.load(data)


def refused(data: Path, toml: str = "") -> InvalidSetting:
    with pytest.raises(InvalidSetting) as refusal:
        load(data, toml)
    assert "\n" not in str(refusal.value)
    return refusal.value


@pytest.mark.parametrize("there", [True, False])
def test_every_line_is_optional(data: Path, there: bool) -> None:
    found = load(data) if there else settings.load(data)
    assert found.model_dump() == {
        "timezone": "Europe/Oslo",
        "periods": ("quarter",),
        "categories": ("foreldre_barn", "ungdom", "eldre", "funksjonsnedsettelse"),
        "max_hours": 24,
        "breakdowns": {},
        "engine": {"name": "polars", "spark_remote": "", "spark_master": "", "spark_options": {}},
        "exports": {"location": "exports"},
        "export": {"columns": {}, "categories": {}},
        "sources": ({"name": "exports", "files": "**", **PARQUET},),
        "guard": {"most_fall": 0.1, "most_silent_days": None, "verify_days": 1},
        "history": {"undelete_days": 30},
        "limits": LIMITS,
        "privacy": {"most_identity_numbers": 0.02},
        "runs": {"at_once": 2, "memory_mb": 4096, "seconds": 600, "wait_seconds": 30},
        "access": {"reads": "public", "writes_per_minute": 120, "most_open_runs": 100},
        "proxy": {"trusted": (), "prefix": ""},
        "log": {"format": "text", "level": "info"},
    }


def test_every_line_is_read(data: Path) -> None:
    assert load(data, EVERYTHING).model_dump() == {
        "timezone": "Europe/Stockholm",
        "periods": ("quarter", "year"),
        "categories": ("ungdom", "eldre"),
        "max_hours": 12.5,
        "breakdowns": {"age_band": "Aldersgruppe"},
        "engine": {
            "name": "duckdb",
            "spark_remote": "sc://cluster:15002",
            "spark_master": "",
            "spark_options": {"spark.executor.memory": "8g"},
        },
        "exports": {"location": "/mnt/exports"},
        "export": {
            "columns": {"participant_id": "PersonalID"},
            "categories": {"Åpen barnehage": "ungdom"},
        },
        "sources": (
            {
                **PARQUET,
                "name": "members",
                "files": "members/**",
                "mode": "dump",
                "columns": {"hours": "Timer"},
                "categories": {"Klubb": "ungdom"},
            },
        ),
        "guard": {"most_fall": 0.25, "most_silent_days": 14, "verify_days": 3},
        "history": {"undelete_days": 7},
        "limits": {**LIMITS, "text_kb": 8},
        "privacy": {"most_identity_numbers": 0.5},
        "runs": {"at_once": 3, "memory_mb": 512, "seconds": 60, "wait_seconds": 0.5},
        "access": {"reads": "token", "writes_per_minute": 10, "most_open_runs": 5},
        "proxy": {"trusted": (), "prefix": "/b"},
        "log": {"format": "json", "level": "warning"},
    }


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("BUFDIR_TIMEZONE", "UTC", "timezone", "UTC"),
        ("BUFDIR_PERIODS", '["month"]', "periods", ("month",)),
        ("BUFDIR_CATEGORIES", '["ungdom"]', "categories", ("ungdom",)),
        ("BUFDIR_MAX_HOURS", "6", "max_hours", 6),
        ("BUFDIR_ENGINE__NAME", "polars", "engine.name", "polars"),
        ("BUFDIR_EXPORTS__LOCATION", "gs://b/x", "exports.location", "gs://b/x"),
        ("BUFDIR_LIMITS__TEXT_KB", "9", "limits.text_kb", 9),
        ("BUFDIR_RUNS__MEMORY_MB", "600", "runs.memory_mb", 600),
        ("BUFDIR_RUNS__WAIT_SECONDS", "0", "runs.wait_seconds", 0),
        ("BUFDIR_LOG__FORMAT", "text", "log.format", "text"),
        ("BUFDIR_EXPORT__COLUMNS", '{"hours": "timer"}', "export.columns", None),
        ("BUFDIR_EXPORT__CATEGORIES", '{"Klubb": "eldre"}', "export.categories", None),
    ],
)
def test_a_variable_wins_over_the_file(
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    name: str,
    expected: object,
) -> None:
    monkeypatch.setenv(variable, value)
    toml = EVERYTHING
    if variable == "BUFDIR_CATEGORIES":  # the file's own mapping leads to one of these
        toml = toml.replace('"Åpen barnehage" = "ungdom"', "")
    found: object = load(data, toml)
    for part in name.split("."):
        found = getattr(found, part)
    if expected is None:
        assert isinstance(found, dict)
        assert value.strip("{}").split('"')[1] in found
    else:
        assert found == expected


def test_a_variable_of_a_section_leaves_the_rest_of_it_to_the_file(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUFDIR_RUNS__AT_ONCE", "9")
    runs = load(data, EVERYTHING).runs
    assert (runs.at_once, runs.memory_mb) == (9, 512)


def test_the_variable_of_the_data_folder_is_no_setting(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUFDIR_DATA", "/somewhere")
    assert load(data).max_hours == 24


@pytest.mark.parametrize(
    "variable",
    [
        "BUFDIR_MAXHOURS",
        "BUFDIR_MAX_HOUR",
        "BUFDIR_RUNS_AT_ONCE",
        "BUFDIR_RUNS__ATONCE",
        "BUFDIR_TIMEZONE__X",
        "BUFDIR_",
        "bufdir_max_hours",
    ],
)
def test_an_unknown_variable_is_refused_with_those_that_are_known(
    data: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    refusal = refused(data)
    assert refusal.name == variable
    assert refusal.source == "the environment"
    assert "is unknown; it may be BUFDIR_ACCESS, " in refusal.problem
    assert "BUFDIR_RUNS__AT_ONCE" in refusal.problem


@pytest.mark.parametrize(
    ("toml", "name", "problem"),
    [
        ("max_hour = 12", "max_hour", r"is unknown; it may be timezone, periods, categories"),
        ("[run]\nat_once = 1", "run", r"is unknown; it may be .*runs, access, proxy, log"),
        ("[runs]\natonce = 1", "runs.atonce", r"is unknown; it may be at_once, memory_mb"),
        ("[log]\ncolour = 1", "log.colour", r"is unknown; it may be format, level"),
        ("[export]\ncolumn = 1", "export.column", r"is unknown; it may be columns, categories"),
        ('timezone = "Oslo"', "timezone", r"'Oslo': is no time zone; it may be any .*Europe/Oslo"),
        ('timezone = ""', "timezone", r"is no time zone"),
        ("timezone = 1", "timezone", r"^1: it must be a text in quotes$"),
        ("periods = []", "periods", r"it must name one at least"),
        (
            'periods = ["week"]',
            "periods.0",
            r"^'week': it may be 'year', 'half-year', 'tertial', 'quarter' or 'month'$",
        ),
        ('periods = ["year", "year"]', "periods", r"names one value twice; name each once"),
        ('periods = "year"', "periods", r"^'year': it must be a list, such as "),
        ("categories = []", "categories", r"it must name one at least"),
        ('categories = ["a", "a"]', "categories", r"names one value twice"),
        ('categories = [""]', "categories.0", r"it must be 1 to 64 characters"),
        ('categories = ["a\\nb"]', "categories.0", r"it must be 1 to 64 characters"),
        ('categories = [" a"]', "categories.0", r"it must be 1 to 64 characters"),
        ("max_hours = 0", "max_hours", r"^0\.?0?: it must be over 0$"),
        ("max_hours = -1", "max_hours", r"^-1\.?0?: it must be over 0$"),
        ("max_hours = 8785", "max_hours", r"^8785\.?0?: it may be 8784 at most$"),
        ("max_hours = nan", "max_hours", r"^nan: it must be "),
        ("max_hours = inf", "max_hours", r"^inf: it m"),
        ('max_hours = "many"', "max_hours", r"^'many': it must be a number$"),
        ("[runs]\nat_once = 0", "runs.at_once", r"^0: it must be 1 or more$"),
        ("[runs]\nat_once = 65", "runs.at_once", r"^65: it may be 64 at most$"),
        ("[runs]\nat_once = 1.5", "runs.at_once", r"^1.5: it must be a whole number$"),
        ("[runs]\nmemory_mb = 1", "runs.memory_mb", r"^1: it must be 512 or more$"),
        ("[runs]\nseconds = 0", "runs.seconds", r"^0: it must be 1 or more$"),
        ("[runs]\nwait_seconds = -1", "runs.wait_seconds", r"^-1\.?0?: it must be 0 or more$"),
        ("[runs]\nwait_seconds = 601", "runs.wait_seconds", r"^601\.?0?: it may be 600 at most$"),
        ('[log]\nformat = "xml"', "log.format", r"^'xml': it may be 'text' or 'json'$"),
        ("[exports]\nplace = 1", "exports.place", r"is unknown; it may be location$"),
        ("[exports]\nlocation = 1", "exports.location", r"^1: it must be a text in quotes$"),
        ('[exports]\nlocation = ""', "exports.location", r"^it must be an address"),
        ('[exports]\nlocation = "a\\nb"', "exports.location", r"^it must be an address"),
        (
            '[exports]\nlocation = "ftp://a:secret@b/c"',
            "exports.location",
            (
                r"^exports can't be read from ftp://; it may be a folder, or an address that "
                r"begins with file:/// or one of s3a://, s3://, abfss://, gs://, hdfs://$"
            ),
        ),
        (
            '[exports]\nlocation = "s3a://key:secret@bucket/c"',
            "exports.location",
            r"^it must be written s3a://bucket/folder; credentials are read from the environment$",
        ),
        (
            '[exports]\nlocation = "abfss://c/d"',
            "exports.location",
            r"^it must be written abfss://container@account\.dfs\.core\.windows\.net/folder;",
        ),
        ('[exports]\nlocation = "gs://"', "exports.location", r"written gs://bucket/folder;"),
        (
            '[exports]\nlocation = "hdfs://n:x/a"',
            "exports.location",
            r"written hdfs://namenode:8020/folder;",
        ),
        ('[exports]\nlocation = "gs://b/a?sig=secret"', "exports.location", r"must have no \?"),
        ('[exports]\nlocation = "gs://b/a//c"', "exports.location", r"must have no empty folder"),
        ('[exports]\nlocation = "gs://b/../c"', "exports.location", r"must have no empty folder"),
        ('[exports]\nlocation = "file://host/c"', "exports.location", r"written file:///folder"),
        ("runs = 3", "runs", r"^3: it must be a section, such as \[runs\]$"),
        ('[export.columns]\nperson = "x"', "export.columns.person", r"'org_id', 'activity_id'"),
        ('[export.columns]\nhours = ""', "export.columns.hours", r"it must not be empty"),
        (
            '[export.columns]\nhours = "x"\nstatus = "x"',
            "export.columns",
            r"^'x' is read as two of our columns; each needs one of its own",
        ),
        (
            '[export.columns]\nactivity_id = "participant_id"',
            "export.columns",
            r"^'participant_id' is read as two of our columns",
        ),
        ("max_hours = true", "max_hours", r"^True: it must be a number$"),
        ("[runs]\nat_once = true", "runs.at_once", r"^True: it must be a number$"),
        (
            '[export.categories]\n"Klubb" = "sport"',
            "export.categories",
            r"^'Klubb' is mapped to 'sport', which is not in categories; it may be one of foreldre",
        ),
        (
            '[export.categories]\nungdom = "eldre"',
            "export.categories",
            r"^'ungdom' is one of our codes and always means itself",
        ),
    ],
)
def test_invalid_values_are_refused_with_the_name_and_the_allowed_values(
    data: Path, toml: str, name: str, problem: str
) -> None:
    refusal = refused(data, toml)
    assert refusal.name == name
    assert re.search(problem, refusal.problem)
    assert "secret" not in refusal.problem
    assert refusal.source == str(data / "bufdir.toml")
    assert str(refusal).startswith(f"setting {name} in {data / 'bufdir.toml'}: ")


@pytest.mark.parametrize(
    ("variable", "value", "name", "problem"),
    [
        ("BUFDIR_MAX_HOURS", "many", "max_hours", "'many': it must be a number"),
        ("BUFDIR_RUNS__AT_ONCE", "0", "runs.at_once", "'0': it must be 1 or more"),
        ("BUFDIR_PERIODS", '["week"]', "periods.0", "'week': it may be 'year'"),
        ("BUFDIR_TIMEZONE", "Mars", "timezone", "'Mars': is no time zone"),
        ("BUFDIR_PERIODS", "quarter", "BUFDIR_PERIODS", "'quarter': it must be JSON, a list"),
        ("BUFDIR_EXPORT__COLUMNS", "x", "BUFDIR_EXPORT__COLUMNS", "'x': it must be JSON"),
    ],
)
def test_a_wrong_variable_is_refused_as_one_of_the_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, name: str, problem: str
) -> None:
    monkeypatch.setenv(variable, value)
    refusal = refused(data)
    assert refusal.name == name
    assert problem in refusal.problem
    assert refusal.source == "the environment"


@pytest.mark.parametrize("content", [b"max_hours = ", b"[runs", b"\xff\xfe\x00", b"a = 1\na = 2"])
def test_malformed_toml_is_refused(data: Path, content: bytes) -> None:
    (data / settings.FILE).write_bytes(content)
    with pytest.raises(InvalidSetting, match="this is no TOML"):
        settings.load(data)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux")
def test_a_settings_file_that_can_not_be_read_is_refused(data: Path) -> None:
    (data / settings.FILE).symlink_to("/proc/self/mem")  # every read of it fails
    with pytest.raises(InvalidSetting, match=r"\(all\) in .*bufdir.toml: can't be read"):
        settings.load(data)


@pytest.mark.parametrize("place", ["folder", "dangling link"])
def test_a_named_settings_file_that_is_missing_is_refused(data: Path, place: str) -> None:
    path = data / settings.FILE
    path.mkdir() if place == "folder" else path.symlink_to(data / "not mounted")
    with pytest.raises(InvalidSetting, match="this is no file, or leads to none"):
        settings.load(data)


def test_two_columns_may_change_names(data: Path) -> None:
    toml = '[export.columns]\nactivity_id = "participant_id"\nparticipant_id = "activity_id"'
    (source,) = load(data, toml).every_source
    assert source.columns == {
        "activity_id": "participant_id",
        "participant_id": "activity_id",
    }


def test_no_dotenv_file_is_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("BUFDIR_MAX_HOURS=3\n")
    monkeypatch.chdir(tmp_path)
    assert load(data).max_hours == 24


def test_settings_are_immutable(data: Path) -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(data).max_hours = 3  # type: ignore[misc]


def test_a_code_may_be_mapped_to_itself(data: Path) -> None:
    itself = load(data, '[export.categories]\neldre = "eldre"').export.categories
    assert itself == {"eldre": "eldre"}
