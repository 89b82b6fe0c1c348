"""The server: worker processes that answer on one port, started and stopped together.

Each worker builds the application for itself. A worker that dies is replaced. A signal to the first
process ends all of them within `STOP_SECONDS`.
"""

from __future__ import annotations

import asyncio
import ipaddress
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

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.mp import MPServer
from litestar.types import ASGIApp, Receive, Scope, Send
from structlog.typing import FilteringBoundLogger

from api import listening
from api.access.known_tokens import follow_audit_log
from api.access.local_requests import Openness
from pipeline import logs
from pipeline.errors import InvalidValue
from pipeline.settings import DATA_VARIABLE, LOG_LEVEL_VARIABLE, Settings
from pipeline.storage import tokens
from pipeline.storage.catalog import Catalog

STOP_SECONDS: Final = 15
"""The time in which workers may finish their requests; then they are killed."""
HEADER_SECONDS: Final = 10
"""The longest time that a client may take to send a request's head."""
_REACHED: Final = "other computers reach this address"
_PROXIED: Final = "other computers reach it through the proxy that the settings name"
MAX_HEAD_BYTES: Final = 64 * 1024
"""The most bytes of a request's head."""
_OPEN_TO_ALL: Final = (
    "and no token was made, so everybody could write; make one with bufdir token create, or give "
    "--public"
)
_START_SECONDS: Final = 30
_POLL_SECONDS: Final = 0.05
_WATCH_SECONDS: Final = 0.5
_METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""As `api.prometheus` names it, which must not be imported before the variable is set."""


def serve(  # noqa: PLR0913 (one argument an option)
    data: Path, chosen: Settings, host: str, port: int, workers: int, *, is_public: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT. Port 0 means any free one; the log names it.

    Args:
        data: The data folder.
        chosen: The settings.
        host: The address to listen on.
        port: The port.
        workers: The number of processes that answer requests.
        is_public: Serve on an address that other computers reach, even if no token was made.

    Raises:
        InvalidValue: Nothing can listen on this host and port, or no token was made and other
            computers could reach the server.
        StoreDamaged: The catalog is damaged.
        StoreUnusable: The catalog can't be opened at the moment.
    """
    logger = logs.configure(chosen.log.format, chosen.log.level)
    data = data.resolve()
    with Catalog.open(data) as catalog:
        follow_audit_log(catalog, logger)
        has_tokens = tokens.are_made(catalog)
    listener = listening.bind(host, port)
    address: str = listener.getsockname()[0]
    openness = Openness.PUBLIC if is_public else Openness.CLOSED
    if not is_public and ipaddress.ip_address(address).is_loopback and not chosen.proxy.is_set:
        openness = Openness.LOCAL
    if not has_tokens and openness is Openness.CLOSED:
        listener.close()
        reached = _PROXIED if chosen.proxy.is_set else _REACHED
        raise InvalidValue("host", address, f"{reached}, {_OPEN_TO_ALL}")
    with listener, tempfile.TemporaryDirectory(prefix="bufdir-metrics-") as folder:
        # Workers inherit the data folder, the level of the log, and the folder of metrics.
        os.environ[DATA_VARIABLE] = str(data)
        os.environ[LOG_LEVEL_VARIABLE] = chosen.log.level
        os.environ[_METRICS_VARIABLE] = folder
        _Server(chosen, listener, workers, logger).run(openness)


class _Server(MPServer):
    """Granian's server, with this program's limits and log."""

    def __init__(
        self,
        chosen: Settings,
        listener: socket.socket,
        workers: int,
        logger: FilteringBoundLogger,
    ) -> None:
        host, port = listener.getsockname()[:2]
        super().__init__(
            "api.app",
            host,
            port,
            interface=Interfaces.ASGI,
            workers=workers,
            loop=Loops.asyncio,
            http=HTTPModes.http1,
            websockets=False,
            backlog=listening.BACKLOG,
            backpressure=listening.most_connections(),
            http1_settings=HTTP1Settings(
                header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=MAX_HEAD_BYTES
            ),
            log_level=LogLevels.warning,
            log_dictconfig=logs.libraries(chosen.log.format),
            respawn_failed_workers=True,
            workers_kill_timeout=STOP_SECONDS,
        )
        self._listener = listener
        self._logger = logger
        self._stopping = multiprocessing.Event()

    def run(self, openness: Openness) -> None:
        """Serve until a signal."""
        load = partial(_load, self._stopping, os.getpid(), openness)
        self.serve(target_loader=load, wrap_loader=False)

    def _init_shared_socket(self) -> None:
        """Give the workers one socket, which has the time limit of slow readers.

        Granian's own are one for each worker. Connections would wait for a worker that slow clients
        occupy, while another one is idle.
        """
        self._ssp, self._sso = None, self._listener
        # Granian's stubs lack two arguments: it is no Unix socket, and may have so many waiting.
        held = SocketHolder(self._listener.fileno(), False, self.backlog)  # type: ignore[call-arg]  # noqa: FBT003
        self._shd, self._sfd = held, self._listener.fileno()  # type: ignore[assignment]

    def startup(self, spawn_target: object, target_loader: object) -> None:
        """Start the workers, and log their address as soon as they answer."""
        super().startup(spawn_target, target_loader)  # type: ignore[no-untyped-call]
        url = f"http://{self._bind_addr_fmt}"
        end = time.monotonic() + _START_SECONDS
        while not _answers(self.bind_addr, self.bind_port):
            if self.main_loop_interrupt.wait(_POLL_SECONDS) or time.monotonic() > end:
                return
        self._logger.info("serving", url=url, workers=self.workers)

    def shutdown(self, exit_code: int = 0) -> None:
        """Stop the workers; their requests stop waiting for runs."""
        self._stopping.set()
        super().shutdown(exit_code)  # type: ignore[no-untyped-call]
        self._logger.info("stopped")


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _load(stopping: Event, first: int, openness: Openness) -> ASGIApp:
    """Build the application in a worker."""
    from prometheus_client import values  # noqa: PLC0415 (once the folder for metrics is known)

    from api import app  # noqa: PLC0415 (as above)

    # Asking the system for the process id at every count would take a tenth of a read.
    own = os.getpid()
    values.ValueClass = values.MultiProcessValue(lambda: own)  # type: ignore[no-untyped-call]
    _forget_dead_workers(Path(os.environ[_METRICS_VARIABLE]))
    # The terminal's Ctrl-C is for the first process, which signals each worker once.
    os.setsid()
    return _Worker(app.from_environment(stopping.is_set, openness), stopping, first)


def _forget_dead_workers(folder: Path) -> None:
    """Delete the gauges of killed workers, which would count their requests as in progress."""
    for gauges in folder.glob("gauge_live*.db"):
        try:
            os.kill(int(gauges.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            gauges.unlink(missing_ok=True)


@dataclass(slots=True)
class _Worker:
    """The application in a worker, which ends when the first process stops or is killed."""

    app: ASGIApp
    stopping: Event
    first: int
    requests: int = 0
    """The number of requests in progress."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on to the application."""
        if str(scope["type"]) == "lifespan":
            watching = asyncio.create_task(self._watch())
            await self.app(scope, receive, send)
            watching.cancel()
            return
        self.requests += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.requests -= 1

    async def _watch(self) -> None:
        """Signal this process to end, once the first process stops or is gone.

        Granian misses a signal that comes just as it begins to listen, so it gets another one. A
        second signal while it waits for requests, or two before it listens, would hang it.
        """
        await _until(lambda: self.stopping.is_set() or self._is_alone())
        if not self._is_alone():
            await asyncio.sleep(_WATCH_SECONDS)
        await _until(lambda: not self.requests)
        os.kill(os.getpid(), signal.SIGTERM)

    def _is_alone(self) -> bool:
        return os.getppid() != self.first


async def _until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 (no event: it happens in another process)
        await asyncio.sleep(_WATCH_SECONDS)
