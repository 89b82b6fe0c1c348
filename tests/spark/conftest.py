"""A Spark cluster of processes on this computer: a master, two workers and a Connect server."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest

from benchmarks import spark_cluster
from benchmarks.processes import terminated
from tests.given import SPARK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["CLIENT", "EXECUTOR", "REPOSITORY", "Cluster", "environment", "finished", "terminated"]

REPOSITORY: Final = spark_cluster.REPOSITORY
CLIENT: Final = os.environ.get("TEST_SPARK_CLIENT", sys.executable)
"""The Python with the client of Spark Connect that needs no Java."""
EXECUTOR: Final = "CoarseGrainedExecutorBackend"

collect_ignore_glob = [] if SPARK else ["test_*.py"]
"""Without Spark's packages these tests can't be imported; `make test-spark` runs them."""


@dataclass(frozen=True)
class Finished:
    """The end of a command."""

    code: int
    out: str
    err: str


class Cluster(spark_cluster.Cluster):
    """A running cluster that our command line counts on."""

    def bufdir(self, data: Path, *arguments: str) -> subprocess.Popen[str]:
        """Start our command line with the client that needs no Java."""
        return subprocess.Popen(
            [CLIENT, "-m", "cli", "--data", str(data), *arguments],
            cwd=REPOSITORY,
            env={**environment(), "BUFDIR_ENGINE__SPARK_REMOTE": self.remote},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, data: Path, *arguments: str) -> Finished:
        """Run our command line to its end."""
        return finished(self.bufdir(data, *arguments))


def finished(process: subprocess.Popen[str]) -> Finished:
    out, err = process.communicate(timeout=300)
    return Finished(process.returncode, out, err)


def environment() -> dict[str, str]:
    """Return the variables for our own command line."""
    return {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def compiled(spark: Any, **options: str) -> Iterator[None]:
    """Let Spark compile each stage of a query, as it does in use, with these options."""
    options |= {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
    before = {name: spark.conf.get(name) for name in options}
    for name, value in options.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.started(tmp_path_factory.mktemp("cluster"), workers=2) as found:
        yield found
