"""A Spark cluster of processes on this computer: a master, two workers and a Connect server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.given import SPARK

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY: Final = Path(__file__).parents[2]
CLIENT: Final = os.environ.get("TEST_SPARK_CLIENT", sys.executable)
"""The Python with the client of Spark Connect that needs no Java."""
EXECUTOR: Final = "CoarseGrainedExecutorBackend"

collect_ignore_glob = [] if SPARK else ["test_*.py"]
"""Without Spark's packages these tests can't be imported; `make test-spark` runs them."""


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program listens."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    pytest.fail(f"nothing listens after 90 s: {log.read_text()}")


@dataclass(frozen=True)
class Finished:
    """The end of a command."""

    code: int
    out: str
    err: str


@dataclass
class Cluster:
    """A running cluster, whose Connect server can be stopped and started again."""

    folder: Path
    master: str
    port: int
    stack: ExitStack
    server: Any = None

    @property
    def remote(self) -> str:
        return f"sc://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """The log of the Connect server, which drives the executors."""
        return (self.folder / "connect.log").read_text(encoding="utf-8")

    def start_server(self) -> None:
        """Start the Connect server by Spark's own script."""
        options = {
            "spark.connect.grpc.binding.address": "127.0.0.1",
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.memory": "1g",
            "spark.executor.memory": "1200m",
            "spark.executor.cores": "1",
            "spark.sql.shuffle.partitions": "8",
            "spark.ui.enabled": "false",
        }
        given = [part for option in options.items() for part in ("--conf", "=".join(option))]
        script = str(home() / "sbin" / "start-connect-server.sh")
        self.server = self.stack.enter_context(
            started([script, "--wait", "--master", self.master, *given], self.folder, "connect")
        )
        wait_for(self.port, self.server, self.folder / "connect.log")

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
    return {
        **os.environ,
        "SPARK_HOME": str(home()),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def home() -> Path:
    """Return the folder of the package with Spark's own scripts."""
    spec = find_spec("pyspark")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


@contextmanager
def started(command: list[str], folder: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the cluster, with its log in the folder."""
    log = (folder / f"{name}.log").open("ab")
    variables = {**environment(), "SPARK_LOG_DIR": str(folder), "SPARK_PID_DIR": str(folder)}
    with (
        log,
        subprocess.Popen(
            command, stdout=log, stderr=log, env=variables, start_new_session=True
        ) as process,
    ):
        try:
            yield process
        finally:
            terminated(process)


def terminated(process: subprocess.Popen[bytes]) -> None:
    """End a program and those that its script has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(60)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    port = free_port()
    run = str(home() / "bin" / "spark-class")
    with ExitStack() as stack:
        part = "org.apache.spark.deploy"
        here = ["--host", "127.0.0.1", "--webui-port", "0"]
        master = [run, f"{part}.master.Master", *here, "--port", str(port)]
        process = stack.enter_context(started(master, folder, "master"))
        wait_for(port, process, folder / "master.log")
        address = f"spark://127.0.0.1:{port}"
        size = ["--cores", "1", "--memory", "1600m", "--work-dir", str(folder)]
        for number in (1, 2):
            worker = [run, f"{part}.worker.Worker", *here, *size, address]
            stack.enter_context(started(worker, folder, f"worker-{number}"))
        found = Cluster(folder, address, free_port(), stack)
        found.start_server()
        yield found
