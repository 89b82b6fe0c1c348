"""The server: worker processes that answer on one port, started and stopped as a whole.

Each worker builds the application for itself. One that dies is replaced; when the first process
is told to end, all do, within `STOP_SECONDS`.
"""

from __future__ import annotations

import asyncio
import errno
import multiprocessing
import os
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Final

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from pipeline import logs
from pipeline.errors import InvalidValue
from pipeline.settings import DATA_VARIABLE, Settings
from pipeline.storage.catalog import Catalog

STOP_SECONDS: Final = 15
"""How long workers have to answer what they are at; then they are killed."""
HEADER_SECONDS: Final = 10
"""How long a client may take to send a request's head."""
_START_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_WATCH_SECONDS: Final = 0.5
_METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


def serve(data: Path, chosen: Settings, host: str, port: int, workers: int) -> None:
    """Answer until SIGTERM or SIGINT. Port 0 means any free one; the log names it.

    Raises:
        InvalidValue: Nothing can listen on this host and port.
        StoreDamaged: The catalog can't be opened.
    """
    logger = logs.configure(chosen.log.format)
    data = data.resolve()
    Catalog.open(data).close()
    host, port = _check_free(host, port)
    with tempfile.TemporaryDirectory(prefix="bufdir-metrics-") as folder:
        # Workers inherit both: where the data is, and where they add up their metrics.
        os.environ[DATA_VARIABLE] = str(data)
        os.environ[_METRICS_VARIABLE] = folder
        _Server(chosen, host, port, workers, logger).run()


def _check_free(host: str, port: int) -> tuple[str, int]:
    """The address and the port that are meant.

    Workers share the port in a way that would let a second server share it too, unnoticed.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            name: tuple[str, int] = probe.getsockname()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = "another program listens there; stop it, or give another port"
            raise InvalidValue("port", str(port), problem) from error
        problem = f"nothing can listen there ({error.strerror})"
        raise InvalidValue("address", f"{host}:{port}", problem) from error
    return name[0], name[1]


class _Server(MPServer):
    """Granian, with our bounds and our words."""

    def __init__(
        self, chosen: Settings, host: str, port: int, workers: int, logger: FilteringBoundLogger
    ) -> None:
        super().__init__(
            "api.app",
            host,
            port,
            interface=Interfaces.ASGI,
            workers=workers,
            loop=Loops.asyncio,
            http=HTTPModes.http1,
            websockets=False,
            http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000),
            log_level=LogLevels.warning,
            log_dictconfig=logs.libraries(chosen.log.format),
            respawn_failed_workers=True,
            workers_kill_timeout=STOP_SECONDS,
        )
        self._logger = logger
        self._stopping = multiprocessing.Event()

    def run(self) -> None:
        """Serve until told to end."""
        self.serve(target_loader=partial(_load, self._stopping, os.getpid()), wrap_loader=False)

    def startup(self, spawn_target: object, target_loader: object) -> None:
        """Start the workers, and say where they answer as soon as they do."""
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        url = f"http://{self._bind_addr_fmt}"
        end = time.monotonic() + _START_SECONDS
        while not _answers(self.bind_addr, self.bind_port):
            if self.main_loop_interrupt.wait(_POLL_SECONDS) or time.monotonic() > end:
                return
        self._logger.info("serving", url=url, workers=self.workers)

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop the workers; who waits for a run there stops waiting."""
        self._stopping.set()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]
        self._logger.info("stopped")


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _load(stopping: Event, first: int) -> ASGIApp:
    """What each worker runs."""
    from prometheus_client import values  # noqa: PLC0415 (once the folder for metrics is known)

    from api import app  # noqa: PLC0415 (as above)

    # A worker stays the process that it is: asking the system which one, at every count, takes a
    # tenth of a read.
    own = os.getpid()
    values.ValueClass = values.MultiProcessValue(lambda: own)  # type: ignore[no-untyped-call]
    _forget_dead_workers(Path(os.environ[_METRICS_VARIABLE]))
    # The terminal's Ctrl-C is for the first process, which tells the workers once.
    os.setsid()
    return _Worker(app.from_environment(stopping.is_set), stopping, first)


def _forget_dead_workers(folder: Path) -> None:
    """A worker that was killed is at no call any longer, whatever its gauges still say."""
    for gauges in folder.glob("gauge_live*.db"):
        try:
            os.kill(int(gauges.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            gauges.unlink(missing_ok=True)


@dataclass(slots=True)
class _Worker:
    """The application in a worker, which ends with the first process: stopped or killed."""

    app: ASGIApp
    stopping: Event
    first: int
    calls: int = 0
    """How many are being answered."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if str(scope["type"]) == "lifespan":
            watching = asyncio.create_task(self._watch())
            await self.app(scope, receive, send)
            watching.cancel()
            return
        self.calls += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.calls -= 1

    async def _watch(self) -> None:
        """See to it that this process ends.

        Granian misses a signal that comes just as it begins to listen, so it gets another; but
        one more while it waits for calls to end, or two before it listens, would hang it.
        """
        await _until(lambda: self.stopping.is_set() or self._is_alone())
        if not self._is_alone():
            await asyncio.sleep(_WATCH_SECONDS)
        await _until(lambda: not self.calls)
        os.kill(os.getpid(), signal.SIGTERM)

    def _is_alone(self) -> bool:
        return os.getppid() != self.first


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 (no event: it happens in another process)
        await asyncio.sleep(_WATCH_SECONDS)
