"""The application: handlers, plugins, the dispatcher and the caching middleware, put together.

Importing this module reads no setting and starts nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from litestar import Litestar, Request
from litestar.di import Provide
from litestar.logging.config import LoggingConfig, StructLoggingConfig
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsPlugin
from litestar.plugins.structlog import StructlogConfig, StructlogPlugin
from litestar.types import ASGIApp, Logger

from api import health, prometheus
from api.access.forwarding import TrustedProxies
from api.access.gate import Gate
from api.access.known_tokens import KnownTokens
from api.access.local_requests import Openness
from api.access.refusals import RefusalLog
from api.access.write_limits import WriteLimits
from api.docs import page
from api.http import parsing, problems
from api.http.caching import CachedResponse, CachingMiddleware
from api.http.change_counter import CatalogChangeCounter
from api.http.event_loop import BatchedFile, once_per_iteration
from api.http.response_cache import ResponseCache
from api.jobs.dispatcher import Dispatcher
from api.snapshots import handlers
from api.snapshots.current_versions import CurrentVersionCache
from api.snapshots.service import Service
from api.snapshots.sorted_ids import SortedIdCache
from pipeline import logs, settings
from pipeline.model.access import Caller
from pipeline.settings import DATA_VARIABLE, Settings


def create_app(
    data: Path,
    chosen: Settings,
    is_stopping: Callable[[], bool] = lambda: False,
    *background: Callable[[], AbstractAsyncContextManager[None]],
) -> Litestar:
    """Build the API over a data folder; while it runs, it starts the runs that are queued there.

    Each request must come with its caller, as the gate sets it.

    Args:
        data: The data folder.
        chosen: The settings.
        is_stopping: Whether the server is about to stop.
        background: What goes on while the application runs, in addition to the dispatcher.
    """
    dispatcher = Dispatcher(data, chosen.runs, structlog.get_logger())
    sorted_ids = SortedIdCache(CatalogChangeCounter(data).state)
    versions = CurrentVersionCache(data)

    def service(request: Request[Caller, Any, Any]) -> Service:
        return Service(
            data,
            chosen,
            dispatcher.wake,
            is_stopping,
            sorted_ids,
            versions,
            request.user,
            structlog.get_logger(),
        )

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for running in (*background, dispatcher.running):
                await stack.enter_async_context(running())
            yield

    return Litestar(
        route_handlers=[
            *handlers.routers(),
            *health.ROUTES,
            *page.routes(chosen.proxy.prefix),
            prometheus.route(data),
        ],
        dependencies={"service": Provide(service, sync_to_thread=False)},
        lifespan=[lifespan],
        middleware=[prometheus.REQUESTS.middleware],
        plugins=[_logging(chosen), _problems(chosen.proxy.prefix)],
        openapi_config=None,
        request_max_body_size=parsing.MAX_BODY_BYTES,
    )


def from_environment(is_stopping: Callable[[], bool], openness: Openness) -> ASGIApp:
    """Build the application of a worker, over the data folder that `BUFDIR_DATA` names.

    Args:
        is_stopping: Whether the server is about to stop.
        openness: The callers who may write while no token was made.

    Raises:
        InvalidSetting: A setting is wrong.
    """
    data = Path(os.environ[DATA_VARIABLE])
    chosen = settings.load(data)
    state = once_per_iteration(CatalogChangeCounter(data).state)
    refusals = RefusalLog(data, structlog.get_logger())
    app = create_app(data, chosen, is_stopping, refusals.running)
    limits = WriteLimits(data, chosen.access.writes_per_minute)
    proxies = TrustedProxies(chosen.proxy.networks)
    gate = Gate(KnownTokens(data, state), limits, chosen.access, openness, proxies)
    return CachingMiddleware(
        app,
        handlers.BASE,
        ResponseCache[CachedResponse](state),
        prometheus.cached_requests(app),
        logs.to(BatchedFile(sys.stderr), chosen.log.format, chosen.log.level),
        gate.admit,
        refusals.add,
        chosen.proxy.prefix,
    )


def _logging(chosen: Settings) -> StructlogPlugin:
    """Log Litestar's events as the program's own; the caching middleware logs each request."""
    form = chosen.log.format
    config = StructLoggingConfig(
        **logs.events(form, chosen.log.level),
        standard_lib_logging_config=LoggingConfig(**logs.libraries(form)),
        log_exceptions="always",
        exception_logging_handler=_log_failure,
    )
    return StructlogPlugin(StructlogConfig(config, enable_middleware_logging=False))


def _log_failure(logger: Logger, *_: object) -> None:
    """Log a traceback for faults of the program, and one line for data that can't be used."""
    problems.log(logger, sys.exception())


def _problems(prefix: str) -> ProblemDetailsPlugin:
    of_prefix = partial(problems.of, prefix=prefix)
    config = ProblemDetailsConfig(exception_to_problem_detail_map={Exception: of_prefix})
    return ProblemDetailsPlugin(config)
