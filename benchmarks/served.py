"""The real server as a process of its own, on a sample of its own, for benchmarks of requests."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.measure import BUFDIR

_NANOSECONDS: Final = 10**9


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs."""

    data: Path
    port: int
    process: int
    """The id of its first process, whose children are the workers."""

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def processor_seconds(self) -> float:
        """Return the processor time of all workers so far."""
        children = Path(f"/proc/{self.process}/task/{self.process}/children").read_text().split()
        threads = (thread for child in children for thread in Path(f"/proc/{child}/task").iterdir())
        spent = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
        return spent / _NANOSECONDS


@contextmanager
def serving(rows: int, organisations: int, workers: int, **variables: str) -> Iterator[Served]:
    """Compute the snapshots of a sample, and serve them with these settings."""
    with tempfile.TemporaryDirectory() as folder:
        program = [*BUFDIR, "--data", folder]
        exports = str(Path(folder) / "exports")
        sample = ["sample", exports, "--rows", str(rows), "--orgs", str(organisations)]
        for command in (sample, ["nightly"]):
            subprocess.run([*program, *command], check=True, capture_output=True)
        serve = [*program, "serve", "--port", "0", "--workers", str(workers)]
        environment = os.environ | {f"BUFDIR_{name}": text for name, text in variables.items()}
        with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True, env=environment) as server:
            log = iter(server.stderr or ())
            port = next(_port(line) for line in log if "serving" in line)
            reading = threading.Thread(target=list, args=[log])
            reading.start()
            try:
                yield Served(Path(folder), port, server.pid)
            finally:
                server.send_signal(signal.SIGTERM)
                reading.join()


def _port(line: str) -> int:
    return int(line.partition("http://127.0.0.1:")[2].split()[0].rstrip("/"))
