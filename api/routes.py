"""The six calls of the contract, under two mounts, and the health of the server.

Every handler reads its request, asks the pipeline and gives a view of what it said. What goes
wrong is raised, and becomes a reply in `problems`.
"""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any, Final

from anyio.to_thread import run_sync
from litestar import HttpMethod, Request, Response, Router, delete, get, post, put, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.plugins.prometheus import PrometheusController
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT
from msgspec import UNSET, structs

from api import reading, replies, requests
from api.problems import NotReady
from api.refresh import refresh
from api.service import Service
from pipeline.errors import StoreDamaged, StoreUnusable
from pipeline.model.listing import Listing
from pipeline.runs import lifecycle

BASE: Final = "/api/v1/bufdir-aggregations"
DOUBLED: Final = f"{BASE}{BASE}"
"""As the contract writes its paths."""
RETRY_SECONDS: Final = 2
_READY_SECONDS: Final = 2
"""How long the catalog may be busy before this is not ready."""

SnapshotId = Annotated[str, PathParameter(name="id")]
AnyRequest = Request[Any, Any, Any]


@get("/", sync_to_thread=True)
def list_snapshots(request: AnyRequest, service: Service) -> replies.Page:
    """One page of the snapshots that there are."""
    query = reading.query(request, requests.ListQuery)
    filters = {
        name: value
        for name, value in structs.asdict(query).items()
        if name in {"org_id", "reporting_period_id", "status"} and value is not UNSET
    }
    listing = Listing(
        **filters,
        sort=query.sort,
        offset=(query.page - 1) * query.limit,
        limit=query.limit,
    )
    with service.catalog() as catalog:
        entries, total = service.orders.page(catalog, listing)
    return replies.Page(
        [replies.Listed.of(entry) for entry in entries],
        replies.Pagination(query.page, query.limit, total),
    )


@post("/", status_code=HTTP_202_ACCEPTED)
async def create_snapshot(request: AnyRequest, service: Service) -> Response[replies.Started]:
    """Start the first run of a cell."""
    reading.query(request, requests.NoQuery)
    body = await reading.body(request, requests.CreateBody)
    started = await run_sync(_create, service, body)
    service.wake()
    return Response(started, status_code=HTTP_202_ACCEPTED, headers=_later(started.id))


def _create(service: Service, body: requests.CreateBody) -> replies.Started:
    now = service.now()
    period = lifecycle.check(body.org_id, body.reporting_period_id, service.settings.zone, now)
    with service.catalog() as catalog:
        return replies.Started.of(lifecycle.create(catalog, body.org_id, period, now))


@get("/{id:str}", sync_to_thread=True)
def get_snapshot(
    request: AnyRequest, service: Service, snapshot_id: SnapshotId
) -> replies.Snapshot:
    """One snapshot with its numbers."""
    reading.query(request, requests.NoQuery)
    entry, version = service.current(snapshot_id)
    if version is not None:
        return replies.Snapshot.published(version)
    error = None if entry.error is None else service.public(entry.error)
    return replies.Snapshot.unpublished(entry, error)


@get("/{id:str}/metrics", sync_to_thread=True)
def get_metrics(request: AnyRequest, service: Service, snapshot_id: SnapshotId) -> replies.Metrics:
    """Every number of one snapshot."""
    reading.query(request, requests.NoQuery)
    return replies.Metrics.of(service.published(snapshot_id))


@put("/{id:str}")
async def refresh_snapshot(
    request: AnyRequest, service: Service, snapshot_id: SnapshotId
) -> Response[replies.Refreshed]:
    """Compute a snapshot anew where it is stale or that is forced, and wait for the end."""
    reading.query(request, requests.NoQuery)
    body = await reading.optional_body(request, requests.RefreshBody)
    entry, ended = await refresh(service, snapshot_id, body)
    reply = replies.Refreshed.of(entry, ended=ended)
    if ended:
        return Response(reply, status_code=HTTP_200_OK)
    return Response(reply, status_code=HTTP_202_ACCEPTED, headers=_later(entry.id))


@delete("/{id:str}", status_code=HTTP_200_OK, sync_to_thread=True)
def delete_snapshot(
    request: AnyRequest, service: Service, snapshot_id: SnapshotId
) -> replies.Deleted:
    """Take a snapshot out of every read, with its files."""
    reading.query(request, requests.NoQuery)
    with service.catalog() as catalog:
        entry = lifecycle.delete(catalog, snapshot_id)
    return replies.Deleted(deleted=True, id=entry.id)


def _later(snapshot_id: str) -> dict[str, str]:
    """Where to look for the end of a run, and when."""
    return {"Location": f"{BASE}/{snapshot_id}", "Retry-After": str(RETRY_SECONDS)}


@get("/livez", sync_to_thread=False)
def livez() -> replies.Health:
    """That this process answers."""
    return replies.Health("alive")


@get("/readyz", sync_to_thread=True)
def readyz(service: Service) -> replies.Health:
    """That the catalog can be read."""
    try:
        with service.catalog(busy_seconds=_READY_SECONDS) as catalog:
            catalog.list(Listing(limit=1))
    except (StoreDamaged, StoreUnusable, sqlite3.Error) as error:
        raise NotReady from error
    return replies.Health("ready")


_SNAPSHOTS: Final[tuple[HTTPRouteHandler, ...]] = (
    list_snapshots,
    create_snapshot,
    get_snapshot,
    get_metrics,
    refresh_snapshot,
    delete_snapshot,
)


def _options(path: str) -> HTTPRouteHandler:
    """What may be done at a path; Litestar's own answer knows one of several handlers only."""
    methods = {
        str(method.value)
        for handler in _SNAPSHOTS
        if path in handler.paths
        for method in map(HttpMethod, handler.http_methods)
    }
    allow = {"Allow": ", ".join(sorted({*methods, "OPTIONS"}))}

    @route(path, http_method=HttpMethod.OPTIONS, sync_to_thread=False)
    def options() -> Response[None]:
        return Response(None, status_code=HTTP_204_NO_CONTENT, headers=allow)

    return options


def routers() -> list[Router | HTTPRouteHandler | type[PrometheusController]]:
    """All that answers, each handler of the contract under both mounts."""
    paths = sorted({path for handler in _SNAPSHOTS for path in handler.paths})
    # First, for Litestar adds an answer of its own where there is none yet.
    handlers = [*map(_options, paths), *_SNAPSHOTS]
    mounts = [Router(path, route_handlers=handlers) for path in (BASE, DOUBLED)]
    return [*mounts, livez, readyz, PrometheusController]
