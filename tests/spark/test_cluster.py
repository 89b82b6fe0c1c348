"""Whole nightly runs over two million rows, on a real cluster through the client without Java."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import processes
from benchmarks.processes import EXECUTOR, part_of_spark, terminated
from pipeline.engines import open_engine
from pipeline.errors import EngineFailed
from pipeline.model.states import EngineName
from pipeline.settings import EngineSettings
from tests.given import cells, no_events, numbers_of, scan_request
from tests.spark.conftest import REPOSITORY, environment, finished

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.processes import Process
    from tests.spark.conftest import Cluster

pytestmark = pytest.mark.timeout(420)
ROWS = 2_000_000


def bufdir(data: Path, *arguments: str) -> str:
    """Run our command line without Spark."""
    return subprocess.run(
        [sys.executable, "-m", "cli", "--data", str(data), *arguments],
        cwd=REPOSITORY,
        env=environment(),
        check=True,
        capture_output=True,
        text=True,
    ).stdout


@pytest.fixture(scope="module")
def by_polars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with two million rows, after a nightly run on Polars."""
    data = tmp_path_factory.mktemp("data")
    sample = ("--rows", str(ROWS), "--orgs", "40", "--files", "16", "--seed", "7")
    bufdir(data, "sample", str(data / "exports"), *sample)
    bufdir(data, "nightly")
    return data


@pytest.fixture
def elsewhere(by_polars: Path, tmp_path: Path) -> Path:
    """A data folder without snapshots, over the same exports."""
    settings = f'[exports]\nlocation = "{by_polars / "exports"}"\n'
    (tmp_path / "bufdir.toml").write_text(settings, encoding="utf-8")
    return tmp_path


def versions(data: Path) -> dict[tuple[str, str], Any]:
    """Return all that versions have of numbers and digests, by cell."""
    found = {}
    for path in data.glob("snapshots/*/v*.json"):
        version = json.loads(path.read_text(encoding="utf-8"))
        cell = version["org_id"], version["reporting_period_id"]
        own = {"engine", "id", "created_at", "refreshed_at", "sha256"}
        found[cell] = {name: value for name, value in version.items() if name not in own}
    return found


def executors(cluster: Cluster) -> list[Process]:
    """List the executors of this cluster, and of no other."""
    running = processes.of_sessions(cluster.sessions)
    return [one for one in running if part_of_spark(one.arguments).startswith(EXECUTOR)]


def wait_until_busy(process: subprocess.Popen[str], cluster: Cluster) -> None:
    """Wait until executors have worked for the run for a while."""
    begin = sum(one.seconds for one in executors(cluster))
    while sum(one.seconds for one in executors(cluster)) < begin + 6:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    assert cluster.server.poll() is None


def test_a_cluster_publishes_what_polars_publishes_and_neither_is_stale_for_the_other(
    cluster: Cluster, by_polars: Path, elsewhere: Path
) -> None:
    ended = cluster.run(elsewhere, "nightly", "--engine", "spark")
    assert (ended.code, ended.err) == (0, "")
    assert "16 exports, 2,000,000 rows" in ended.out
    assert versions(elsewhere) == versions(by_polars)
    checked = cluster.run(by_polars, "check", "--engine", "spark", "--json")
    plan = json.loads(checked.out)["result"]["plan"]
    assert plan == {"leave": len(versions(by_polars))}
    assert json.loads(bufdir(elsewhere, "check", "--json"))["result"]["plan"] == plan


def test_an_executor_that_is_killed_changes_no_number(
    cluster: Cluster, by_polars: Path, elsewhere: Path
) -> None:
    before = cluster.log.count("Lost executor")
    process = cluster.bufdir(elsewhere, "nightly", "--engine", "spark")
    wait_until_busy(process, cluster)
    os.kill(executors(cluster)[0].id, signal.SIGKILL)
    ended = finished(process)
    assert (ended.code, ended.err) == (0, "")
    assert versions(elsewhere) == versions(by_polars)
    assert cluster.log.count("Lost executor") == before + 1


def test_rows_that_a_lost_executor_held_are_computed_again_and_a_lost_server_is_an_error(
    cluster: Cluster, by_polars: Path
) -> None:
    chosen = EngineSettings(name=EngineName.SPARK, spark_remote=cluster.remote)
    engine = open_engine(chosen, None, no_events)
    with engine.survey(scan_request(by_polars)) as found:
        os.kill(executors(cluster)[0].id, signal.SIGKILL)
        assert numbers_of(found) == cells("polars", by_polars)
        terminated(cluster.server)
        with pytest.raises(EngineFailed, match=f"the engine spark failed: {cluster.remote} "):
            numbers_of(found)
    cluster.start_server()


def test_a_server_that_is_gone_ends_a_run_with_a_sentence_and_publishes_nothing(
    cluster: Cluster, elsewhere: Path
) -> None:
    process = cluster.bufdir(elsewhere, "nightly", "--engine", "spark")
    wait_until_busy(process, cluster)
    terminated(cluster.server)
    ended = finished(process)
    assert ended.code == 3
    assert ended.err.startswith(f"bufdir: the engine spark failed: {cluster.remote} ")
    assert ended.err.endswith("; nothing was published\n")
    assert ended.err.count("\n") == 1
    assert versions(elsewhere) == {}

    again = cluster.run(elsewhere, "nightly", "--engine", "spark")
    assert again.code == 3
    assert again.err == (
        f"bufdir: the engine spark failed: {cluster.remote} can't be reached (Connection refused); "
        "nothing was published\n"
    )
    cluster.start_server()
