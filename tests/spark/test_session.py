"""The session with Spark: what it must have, how it is refused, and what is printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.engines.spark import session
from pipeline.engines.spark.session import REQUIRED
from pipeline.errors import EngineFailed, InvalidSetting
from pipeline.model.states import EngineName
from pipeline.settings import EngineSettings
from tests.given import SPARK, SPARK_OPTIONS, engine_settings, export, opened, people
from tests.spark.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.spark


@pytest.fixture
def spark() -> Any:
    engine: Any = opened("spark")
    return engine.cluster.spark


@pytest.fixture
def few_sources(spark: Any) -> Iterator[None]:
    """A cluster whose source of Parquet files does not number their rows."""
    name = "spark.sql.sources.useV1SourceList"
    before = spark.conf.get(name)
    spark.conf.set(name, "csv,json")
    yield
    spark.conf.set(name, before)


def bufdir(data: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "cli", "--data", str(data), *arguments],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        check=False,
        capture_output=True,
        text=True,
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize("name", REQUIRED)
def test_a_session_has_what_numbers_depend_on(spark: Any, name: str) -> None:
    assert spark.conf.get(name) == REQUIRED[name]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_session_sets_again_what_somebody_changed(spark: Any, name: str) -> None:
    other = {"true": "false", "false": "true", "UTC": "Europe/Oslo"}
    spark.conf.set(name, other.get(REQUIRED[name], "LEGACY"))
    opened("spark")
    assert spark.conf.get(name) == REQUIRED[name]


@pytest.mark.usefixtures("few_sources")
def test_a_cluster_that_can_not_number_rows_is_refused_by_the_setting() -> None:
    with pytest.raises(EngineFailed) as refused:
        opened("spark")
    assert str(refused.value) == (
        "the engine spark failed: its setting spark.sql.sources.useV1SourceList is csv,json; it "
        "must be csv,json,parquet, so change it there; nothing was published"
    )


def test_an_option_that_would_make_numbers_wrong_is_refused() -> None:
    wrong = engine_settings("spark").model_copy(
        update={"spark_options": {"spark.sql.ansi.enabled": "false"}}
    )
    with pytest.raises(InvalidSetting) as refused:
        session.connect(wrong)
    assert str(refused.value) == (
        "setting engine.spark_options.spark.sql.ansi.enabled in the settings: it must be true, or "
        "numbers could be wrong; remove the line"
    )


def test_without_a_cluster_the_setting_that_names_one_is_asked_for() -> None:
    with pytest.raises(InvalidSetting) as refused:
        session.connect(EngineSettings(name=EngineName.SPARK))
    assert "engine.spark_master" in str(refused.value)
    assert "spark://host:7077" in str(refused.value)


@pytest.mark.parametrize("address", ["sc://127.0.0.1:1", "spark://127.0.0.1:1,127.0.0.1:2"])
def test_a_cluster_that_is_not_there_ends_at_once_with_a_sentence(data: Path, address: str) -> None:
    export(data, people(2))
    name = "REMOTE" if address.startswith("sc") else "MASTER"
    variables = {f"BUFDIR_ENGINE__SPARK_{name}": address}
    code, out, err = bufdir(data, "nightly", "--engine", "spark", **variables)
    assert (code, out) == (3, "")
    assert err == (
        f"bufdir: the engine spark failed: {address} can't be reached (Connection refused); "
        "nothing was published\n"
    )


def test_a_computer_without_java_is_told_apart_from_a_cluster_that_fails(data: Path) -> None:
    export(data, people(2))
    variables = {"BUFDIR_ENGINE__SPARK_MASTER": "local[1]", "JAVA_HOME": "/nowhere"}
    code, out, err = bufdir(data, "nightly", "--engine", "spark", **variables)
    assert (code, out) == (3, "")
    assert err == (
        "bufdir: the engine spark failed: there is no Java in /nowhere/bin; install Java 17, or "
        "set JAVA_HOME to its folder; nothing was published\n"
    )


@pytest.mark.timeout(300)
def test_a_nightly_run_on_spark_prints_one_line_and_verify_agrees(data: Path) -> None:
    """Under cron there is no locale, and names of files may have any sign."""
    export(data, people(2), "snø/Ålesund.parquet")
    variables = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "BUFDIR_ENGINE__SPARK_MASTER": SPARK,
        "BUFDIR_ENGINE__SPARK_OPTIONS": json.dumps(SPARK_OPTIONS),
    }
    assert bufdir(data, "nightly", "--engine", "spark", **variables) == (
        0,
        "nightly: 1 snapshot computed, 1 current: 1 export, 2 rows, 2 counted\n",
        "",
    )
    assert bufdir(data, "verify")[1].split()[-2:] == ["polars", "match"]


def test_other_engines_load_nothing_of_spark(data: Path) -> None:
    export(data, people(2))
    code = """
import sys
import cli
sys.argv = ["bufdir", "--data", sys.argv[1], "nightly", "--engine", sys.argv[2]]
try:
    cli.main()
finally:
    print([name for name in sys.modules if name.startswith(("pyspark", "py4j", "grpc"))])
"""
    for engine in ("polars", "duckdb"):
        arguments = [sys.executable, "-c", code, str(data), engine]
        ended = subprocess.run(
            arguments, cwd=REPOSITORY, check=False, capture_output=True, text=True
        )
        assert ended.stdout.endswith("\n[]\n"), ended
