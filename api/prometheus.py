"""The Prometheus metrics of a server, added up over its worker processes.

Litestar counts requests. This module adds the runs that ended, the build, and the last nightly run
that succeeded. The latter two are read at each scrape, by the worker that answers it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.plugins.prometheus import PrometheusConfig, PrometheusMiddleware
from litestar.status_codes import HTTP_200_OK
from litestar.types import ASGIApp
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    generate_latest,
    multiprocess,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.errors import NotAllowed
from api.http.caching import CountRequests
from pipeline.errors import StoreDamaged, StoreTooNew, StoreUnusable
from pipeline.model.access import Caller
from pipeline.model.states import EngineName
from pipeline.storage import blocked_cells, run_queue
from pipeline.storage.catalog import Catalog

NAME: Final = "bufdir"
MULTIPROCESS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The folder in which workers add up their metrics."""
REQUESTS: Final = PrometheusConfig(app_name=NAME, prefix=NAME, group_path=True)
RUNS: Final = Counter(
    f"{NAME}_runs",
    "Run processes of this server that ended: succeeded, failed by their inputs, over the time "
    "or memory limit, crashed by a fault of the program, or killed from outside.",
    ["end"],
)
_BUSY_SECONDS: Final = 2
_DISTRIBUTION: Final = "bufdir-aggregation"
_ENGINES: Final = {
    EngineName.POLARS: ("polars",),
    EngineName.DUCKDB: ("duckdb",),
    EngineName.SPARK: ("pyspark", "pyspark-client"),
}
"""The packages of each engine, one of which may be installed."""


@cache
def _versions() -> dict[str, str]:
    """Return the versions of this build; engines are looked up, not imported."""
    engines = {
        engine.value: "".join(map(_installed, packages)) for engine, packages in _ENGINES.items()
    }
    return {"version": _installed(_DISTRIBUTION), "python": python_version(), **engines}


def _installed(distribution: str) -> str:
    """Return a version as installed; empty, which Prometheus takes for no label, without one."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _last_nightly_success(data: Path) -> datetime | None:
    """Return the end of the last nightly run that succeeded; None where it is unknown."""
    try:
        with Catalog.open_read_only(data, busy_seconds=_BUSY_SECONDS) as catalog:
            return run_queue.last_nightly_success(catalog)
    except (StoreDamaged, StoreTooNew, StoreUnusable):
        return None


class _AtScrape(Collector):
    """The metrics that are read at each scrape."""

    def __init__(self, data: Path) -> None:
        self._data = data

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read them."""
        versions = _versions()
        build = GaugeMetricFamily(
            f"{NAME}_build_info", "Versions of the program, Python and engines.", labels=[*versions]
        )
        build.add_metric([*versions.values()], 1)
        yield build
        last = _last_nightly_success(self._data)
        if last is not None:
            yield GaugeMetricFamily(
                f"{NAME}_nightly_last_success_timestamp_seconds",
                "End of the last nightly run that succeeded, in seconds since 1970.",
                last.timestamp(),
            )
        blocked = _blocked_snapshots(self._data)
        if blocked is not None:
            yield GaugeMetricFamily(
                f"{NAME}_blocked_snapshots",
                "Snapshots whose numbers stay until somebody acts.",
                blocked,
            )


def _blocked_snapshots(data: Path) -> int | None:
    """Return the number of blocked snapshots; None where it is unknown."""
    try:
        with Catalog.open_read_only(data, busy_seconds=_BUSY_SECONDS) as catalog:
            return blocked_cells.count(catalog)
    except (StoreDamaged, StoreTooNew, StoreUnusable):
        return None


def route(data: Path) -> HTTPRouteHandler:
    """Return the handler of `/metrics` over a data folder."""

    @get("/metrics", sync_to_thread=True)
    def metrics(request: Request[Caller, Any, Any]) -> Response[bytes]:
        """Return every metric as Prometheus reads it.

        Raises:
            NotAllowed: The caller may not see all organisations, of which the metrics are sums.
        """
        if request.user.organisations is not None:
            problem = "metrics are of all organisations, and this token is for some"
            raise NotAllowed(problem)
        registry = CollectorRegistry()
        if MULTIPROCESS_VARIABLE in os.environ:
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        else:
            registry.register(REGISTRY)
        registry.register(_AtScrape(data))
        headers = {"Content-Type": CONTENT_TYPE_LATEST}
        return Response(generate_latest(registry), headers=headers)

    return metrics


def cached_requests(app: ASGIApp) -> CountRequests:
    """Return the counter of replies from the cache, the same that the middleware counts by."""
    middleware = PrometheusMiddleware(app, REQUESTS)

    def of_path(template: str) -> Callable[[float], None]:
        labels: dict[str, str | int | float] = {
            "method": "GET",
            "path": template,
            "status_code": HTTP_200_OK,
            "app_name": NAME,
        }
        replies = middleware.request_count(labels).labels(*labels.values())
        durations = middleware.request_time(labels).labels(*labels.values())

        def count(seconds: float) -> None:
            replies.inc()
            durations.observe(seconds)

        return count

    return of_path
