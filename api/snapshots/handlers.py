"""The handlers of the six operations on snapshots, under two mounts.

Each handler parses its request, calls the pipeline and returns a view of the result. A failure is
raised, and becomes a reply in `api.http.problems`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from anyio.to_thread import run_sync
from litestar import HttpMethod, Request, Response, Router, delete, get, post, put, route
from litestar.handlers import HTTPRouteHandler
from litestar.params import PathParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT
from msgspec import UNSET, structs

from api.http import parsing
from api.snapshots import replies, requests
from api.snapshots.refresh import refresh
from api.snapshots.service import Service
from pipeline.model.listing import Listing
from pipeline.runs import lifecycle, new_cells

BASE: Final = "/api/v1/bufdir-aggregations"
DOUBLED: Final = f"{BASE}{BASE}"
"""The base path as the contract writes it."""
RETRY_SECONDS: Final = 2

SnapshotId = Annotated[str, PathParameter(name="id")]
AnyRequest = Request[Any, Any, Any]


@get("/", sync_to_thread=True)
def list_snapshots(request: AnyRequest, service: Service) -> replies.Page:
    """Return one page of the snapshots."""
    query = parsing.query(request, requests.ListQuery)
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
        entries, total = service.sorted_ids.page(catalog, listing)
    return replies.Page(
        [replies.Listed.of(entry) for entry in entries],
        replies.Pagination(query.page, query.limit, total),
    )


@post("/", status_code=HTTP_202_ACCEPTED)
async def create_snapshot(request: AnyRequest, service: Service) -> Response[replies.Started]:
    """Start the first run of a cell."""
    parsing.query(request, requests.NoQuery)
    body = await parsing.body(request, requests.CreateBody)
    started = await run_sync(_create, service, body)
    service.wake()
    return Response(started, status_code=HTTP_202_ACCEPTED, headers=_polling(service, started.id))


def _create(service: Service, body: requests.CreateBody) -> replies.Started:
    now = service.now()
    period = lifecycle.check(body.org_id, body.reporting_period_id, service.settings.zone, now)
    service.check_covers(body.org_id)
    with service.writing() as catalog:
        if catalog.of_cell(body.org_id, period.id) is None:
            new_cells.check_known(catalog, body.org_id, now)
        with catalog.transaction():
            most = service.settings.access.most_open_runs
            new_cells.check_room(catalog, body.org_id, period, most)
            return replies.Started.of(lifecycle.create(catalog, body.org_id, period, now))


@get("/{id:str}", sync_to_thread=True)
def get_snapshot(
    request: AnyRequest, service: Service, snapshot_id: SnapshotId
) -> replies.Snapshot:
    """Return one snapshot with its numbers."""
    parsing.query(request, requests.NoQuery)
    entry, version = service.current(snapshot_id)
    if version is not None:
        return replies.Snapshot.published(version)
    error = None if entry.error is None else service.public(entry.error)
    return replies.Snapshot.unpublished(entry, error)


@get("/{id:str}/metrics", sync_to_thread=True)
def get_metrics(request: AnyRequest, service: Service, snapshot_id: SnapshotId) -> replies.Metrics:
    """Return every number of one snapshot."""
    parsing.query(request, requests.NoQuery)
    return replies.Metrics.of(service.published(snapshot_id))


@put("/{id:str}")
async def refresh_snapshot(
    request: AnyRequest, service: Service, snapshot_id: SnapshotId
) -> Response[replies.Refreshed]:
    """Compute a snapshot again where it is stale or that is forced, and wait for the end."""
    parsing.query(request, requests.NoQuery)
    body = await parsing.optional_body(request, requests.RefreshBody)
    entry, ended = await refresh(service, snapshot_id, body)
    reply = replies.Refreshed.of(entry, ended=ended)
    if ended:
        return Response(reply, status_code=HTTP_200_OK)
    return Response(reply, status_code=HTTP_202_ACCEPTED, headers=_polling(service, entry.id))


@delete("/{id:str}", status_code=HTTP_200_OK, sync_to_thread=True)
def delete_snapshot(
    request: AnyRequest, service: Service, snapshot_id: SnapshotId
) -> replies.Deleted:
    """Remove a snapshot from every read; operators can undelete it for a time."""
    parsing.query(request, requests.NoQuery)
    with service.writing() as catalog:
        entry = lifecycle.delete(catalog, snapshot_id, service.now(), catalog.caller.name)
    return replies.Deleted(deleted=True, id=entry.id)


def _polling(service: Service, snapshot_id: str) -> dict[str, str]:
    """Return the headers with the address to poll for the end of a run, and the interval."""
    address = f"{service.settings.proxy.prefix}{BASE}/{snapshot_id}"
    return {"Location": address, "Retry-After": str(RETRY_SECONDS)}


_HANDLERS: Final[tuple[HTTPRouteHandler, ...]] = (
    list_snapshots,
    create_snapshot,
    get_snapshot,
    get_metrics,
    refresh_snapshot,
    delete_snapshot,
)


def _options(path: str) -> HTTPRouteHandler:
    """Return the OPTIONS handler of a path; Litestar's own knows one of several handlers only."""
    methods = {
        str(method.value)
        for handler in _HANDLERS
        if path in handler.paths
        for method in map(HttpMethod, handler.http_methods)
    }
    allow = {"Allow": ", ".join(sorted({*methods, "OPTIONS"}))}

    @route(path, http_method=HttpMethod.OPTIONS, sync_to_thread=False)
    def options() -> Response[None]:
        return Response(None, status_code=HTTP_204_NO_CONTENT, headers=allow)

    return options


def routers() -> list[Router]:
    """Return a router for each of the two mounts, with every handler."""
    paths = sorted({path for handler in _HANDLERS for path in handler.paths})
    # OPTIONS comes first, for Litestar adds its own where a path has none yet.
    handlers = [*map(_options, paths), *_HANDLERS]
    return [Router(path, route_handlers=handlers) for path in (BASE, DOUBLED)]
