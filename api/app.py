"""The application: handlers, plugins and what goes on beside them, put together from arguments.

No setting is read and nothing is started when this module is imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import structlog
from litestar import Litestar
from litestar.di import Provide
from litestar.logging.config import LoggingConfig, StructLoggingConfig
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsPlugin
from litestar.plugins.prometheus import PrometheusConfig, PrometheusMiddleware
from litestar.plugins.structlog import StructlogConfig, StructlogPlugin
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp, Logger

from api import documentation, problems, reading, routes
from api.edge import CachedResponse, Count, edge
from api.kept import CatalogChangeCounter, ResponseCache
from api.orders import Orders
from api.service import Service
from api.turns import OnceATurn, once_a_turn
from api.worker import Dispatcher
from pipeline import logs, settings
from pipeline.settings import DATA_VARIABLE, Settings

NAME: Final = "bufdir"
_METRICS: Final = PrometheusConfig(app_name=NAME, prefix=NAME, group_path=True)


def create_app(
    data: Path, chosen: Settings, is_stopping: Callable[[], bool] = lambda: False
) -> Litestar:
    """The API over a data folder; while it lives, it starts the runs that are queued there."""
    dispatcher = Dispatcher(data, chosen.runs, structlog.get_logger())
    orders = Orders(CatalogChangeCounter(data).state)
    service = Service(data, chosen, dispatcher.wake, is_stopping, orders)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with dispatcher.at_work():
            yield

    return Litestar(
        route_handlers=[*routes.routers(), *documentation.ROUTES],
        dependencies={"service": Provide(lambda: service, sync_to_thread=False)},
        lifespan=[lifespan],
        middleware=[_METRICS.middleware],
        plugins=[_logging(chosen), _problems()],
        openapi_config=None,
        request_max_body_size=reading.MOST_BYTES,
    )


def _logging(chosen: Settings) -> StructlogPlugin:
    """Litestar's own events as ours are; the one line a call is written by the edge."""
    form = chosen.log.format
    config = StructLoggingConfig(
        **logs.events(form),
        standard_lib_logging_config=LoggingConfig(**logs.libraries(form)),
        log_exceptions="always",
        exception_logging_handler=_log_fault,
        disable_stack_trace={*problems.KINDS, *(kind.status for kind in problems.KINDS.values())},
    )
    return StructlogPlugin(StructlogConfig(config, enable_middleware_logging=False))


def _log_fault(logger: Logger, *_: object) -> None:
    logger.error("fault", exc_info=sys.exception())


def _problems() -> ProblemDetailsPlugin:
    config = ProblemDetailsConfig(exception_to_problem_detail_map={Exception: problems.of})
    return ProblemDetailsPlugin(config)


def from_environment(is_stopping: Callable[[], bool] = lambda: False) -> ASGIApp:
    """The application of a server's worker, over the data folder that `BUFDIR_DATA` names.

    Raises:
        InvalidSetting: A setting does not hold.
    """
    data = Path(os.environ[DATA_VARIABLE])
    chosen = settings.load(data)
    app = create_app(data, chosen, is_stopping)
    keeper = ResponseCache[CachedResponse](once_a_turn(CatalogChangeCounter(data).state))
    calls = logs.to(OnceATurn(sys.stderr), chosen.log.format)
    return edge(app, keeper, _counting(app), calls)


def _counting(app: ASGIApp) -> Count:
    """What counts replies that are kept, as the middleware counts those that are made."""
    metrics = PrometheusMiddleware(app, _METRICS)

    def of_path(template: str) -> Callable[[float], None]:
        labels: dict[str, str | int | float] = {
            "method": "GET",
            "path": template,
            "status_code": HTTP_200_OK,
            "app_name": NAME,
        }
        replies = metrics.request_count(labels).labels(*labels.values())
        durations = metrics.request_time(labels).labels(*labels.values())

        def count(seconds: float) -> None:
            replies.inc()
            durations.observe(seconds)

        return count

    return of_path
