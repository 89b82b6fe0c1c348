"""A Spark cluster of processes on this computer: a master, workers and a Connect server.

All are started by Spark's own scripts, listen on 127.0.0.1 only, and are ended with all that they
have started. Tests of the engine Spark use it too.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from benchmarks import processes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

REPOSITORY: Final = Path(__file__).parents[1]
HOST: Final = "127.0.0.1"
EXECUTOR_MEMORY: Final = "1200m"
DRIVER_MEMORY: Final = "1g"
PARTITIONS: Final = "8"
"""The parts into which Spark divides rows of equal keys."""
_WORKER_MEMORY: Final = "1600m"
_ONE_CORE: Final = "-XX:ActiveProcessorCount=1"
"""Executors collect garbage and compile on their one core, as they would on a machine of one."""
_START_SECONDS: Final = 90
_REGISTERED: Final = "Successfully registered with driver"
"""The sentence in an executor's log from which on it takes tasks."""


def free_port() -> int:
    """Find a port on which no program listens."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def home() -> Path:
    """Return the folder of the package with Spark's own scripts.

    Raises:
        RuntimeError: The package is not installed.
    """
    spec = find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package pyspark is not installed")
    return Path(spec.origin).parent


def environment(folder: Path) -> dict[str, str]:
    """Return the variables for a program that is part of Spark, with a folder for its files."""
    return {
        **os.environ,
        "SPARK_HOME": str(home()),
        "SPARK_LOCAL_IP": HOST,
        **dict.fromkeys(("SPARK_LOG_DIR", "SPARK_PID_DIR", "SPARK_LOCAL_DIRS"), str(folder)),
    }


@dataclass
class Cluster:
    """A running cluster, whose Connect server can be stopped and started again."""

    folder: Path
    """The folder of logs and of all other files of the cluster."""
    stack: ExitStack
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)
    port: int = field(default_factory=free_port)
    master: str = ""
    server: Any = None

    @classmethod
    @contextmanager
    def started(cls, folder: Path, workers: int) -> Iterator[Self]:
        """Run a cluster with so many workers of one core, each with one executor.

        Raises:
            RuntimeError: A part does not start.
        """
        with ExitStack() as stack:
            found = cls(folder, stack)
            found.start_master(workers)
            found.start_server()
            yield found

    @property
    def remote(self) -> str:
        """The address of the Connect server."""
        return f"sc://{HOST}:{self.port}"

    @property
    def log(self) -> str:
        """The log of the Connect server, which drives the executors."""
        return self._log_file("connect").read_text(encoding="utf-8")

    @property
    def sessions(self) -> list[int]:
        """The sessions of its processes, executors included."""
        return [program.pid for program in self.programs]

    def start_master(self, workers: int) -> None:
        """Start the master and its workers."""
        run = str(home() / "bin" / "spark-class")
        here = ("--host", HOST, "--webui-port", "0")
        port = free_port()
        part = "org.apache.spark.deploy"
        master = (run, f"{part}.master.Master", *here, "--port", str(port))
        self._wait_for(port, self._start(master, "master"), "master")
        self.master = f"spark://{HOST}:{port}"
        size = ("--cores", "1", "--memory", _WORKER_MEMORY, "--work-dir", str(self.folder))
        for number in range(1, workers + 1):
            worker = (run, f"{part}.worker.Worker", *here, *size, self.master)
            self._start(worker, f"worker-{number}")

    def start_server(self) -> None:
        """Start the Connect server by Spark's own script."""
        options = {
            "spark.connect.grpc.binding.address": HOST,
            "spark.connect.grpc.binding.port": str(self.port),
            "spark.driver.host": HOST,
            "spark.driver.memory": DRIVER_MEMORY,
            "spark.executor.memory": EXECUTOR_MEMORY,
            "spark.executor.cores": "1",
            "spark.executor.extraJavaOptions": _ONE_CORE,
            "spark.sql.shuffle.partitions": PARTITIONS,
            "spark.ui.enabled": "false",
        }
        given = [part for option in options.items() for part in ("--conf", "=".join(option))]
        script = str(home() / "sbin" / "start-connect-server.sh")
        self.server = self._start((script, "--wait", "--master", self.master, *given), "connect")
        self._wait_for(self.port, self.server, "connect")

    def wait_for_executors(self, number: int) -> None:
        """Wait until so many executors take tasks.

        Raises:
            RuntimeError: They do not start.
        """
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            logs = self.folder.glob("app-*/*/stderr")
            if sum(_REGISTERED in log.read_text("utf-8", "replace") for log in logs) >= number:
                return
            time.sleep(0.1)
        raise RuntimeError(f"the executors do not start: {self.log}")

    def _start(self, command: Sequence[str], name: str) -> subprocess.Popen[bytes]:
        program: AbstractContextManager[subprocess.Popen[bytes]] = processes.started(
            command, self.folder, name, environment(self.folder)
        )
        self.programs.append(self.stack.enter_context(program))
        return self.programs[-1]

    def _wait_for(self, port: int, process: subprocess.Popen[bytes], name: str) -> None:
        """Wait until a program listens."""
        end = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < end:
            with socket.socket() as client:
                if client.connect_ex((HOST, port)) == 0:
                    return
            time.sleep(0.1)
        log = self._log_file(name).read_text(encoding="utf-8")
        raise RuntimeError(f"Spark's {name} does not listen: {log}")

    def _log_file(self, name: str) -> Path:
        return self.folder / f"{name}.log"
