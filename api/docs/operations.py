"""The table of operations: what each takes, what it returns and how it may fail."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from msgspec import Struct

from api import health
from api.docs import examples
from api.errors import (
    BodyTimeout,
    InvalidRequest,
    MalformedBody,
    NotAllowed,
    NotLocal,
    NotReady,
    RunCrashed,
    SnapshotBlocked,
    TokenInvalid,
    TokenNeeded,
    TooManyWrites,
    UnsupportedMediaType,
)
from api.snapshots import replies, requests
from api.snapshots.handlers import BASE, RETRY_SECONDS
from pipeline import errors
from pipeline.model.access import Role

_STORE: Final = (RunCrashed, errors.StoreUnusable)
_READ: Final = (TokenNeeded, TokenInvalid, NotLocal)
_WRITE: Final = (*_READ, NotAllowed, TooManyWrites)
_NO_BODY: Final = (InvalidRequest, *_STORE)
_WITH_BODY: Final = (
    MalformedBody,
    BodyTimeout,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    *_NO_BODY,
)
_POLLING: Final = {
    "Location": "The address of the snapshot.",
    "Retry-After": f"The seconds until the next look: {RETRY_SECONDS}.",
}
_ID_AT: Final = "/id"
_TAG: Final = {"ETag": "Changes with the body; send it back as If-None-Match to get 304."}


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to an operation that succeeded."""

    meaning: str
    body: type[Struct] | None
    examples: Mapping[str, object]
    headers: Mapping[str, str]
    id_at: str | None = None
    """The JSON pointer to the id of a snapshot in the body; None where clients can do no more."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, as OpenAPI names it."""

    id: str
    summary: str
    description: str
    replies: Mapping[int, Reply]
    failures: tuple[type[Exception], ...] = _NO_BODY
    of_snapshot: bool = False
    query: type[Struct] = requests.NoQuery
    body: type[Struct] | None = None
    example: object = None
    needs_body: bool = False
    needs: Role | None = None
    """The right that its caller needs; None where everybody may call it."""


OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    (BASE, "get"): Operation(
        "listSnapshots",
        "List the snapshots",
        "Filtered, sorted and in pages. A page behind the last one is empty.",
        {200: Reply("One page.", replies.Page, {"page": examples.PAGE}, _TAG, "/data/0/id")},
        failures=(*_READ, *_NO_BODY),
        query=requests.ListQuery,
        needs=Role.READ,
    ),
    (BASE, "post"): Operation(
        "createSnapshot",
        "Start the first run of a cell",
        "While the cell is being computed, the same snapshot is returned again. Once it has "
        "numbers, it is refreshed with PUT. Where its first run failed, this starts a new one.",
        {
            202: Reply(
                "It has started.",
                replies.Started,
                {"started": examples.STARTED},
                _POLLING,
                _ID_AT,
            )
        },
        failures=(
            errors.SnapshotExists,
            errors.PeriodNotBegun,
            errors.OrganisationUnknown,
            errors.TooManyOpenRuns,
            errors.TooManyFailed,
            *_WRITE,
            *_WITH_BODY,
        ),
        needs=Role.WRITE,
        body=requests.CreateBody,
        example=examples.CREATE,
        needs_body=True,
    ),
    (f"{BASE}/{{id}}", "get"): Operation(
        "getSnapshot",
        "One snapshot with its numbers",
        "Numbers are null while there is no version; a failed snapshot has `error` too.",
        {
            200: Reply(
                "The snapshot.",
                replies.Snapshot,
                {"completed": examples.SNAPSHOT, "failed": examples.FAILED},
                _TAG,
                _ID_AT,
            )
        },
        failures=(errors.SnapshotNotFound, *_READ, *_NO_BODY),
        of_snapshot=True,
        needs=Role.READ,
    ),
    (f"{BASE}/{{id}}", "put"): Operation(
        "refreshSnapshot",
        "Refresh a snapshot and wait for the end",
        "Where neither rows nor rules have changed, the published version is the reply, unless "
        "`force_refresh` is true. Without a body nothing is forced. A refresh that fails, or of a "
        "snapshot that is blocked until somebody acts, returns 409 and leaves the published "
        "version as it is.",
        {
            200: Reply(
                "It is fresh.", replies.Refreshed, {"fresh": examples.REFRESHED}, {}, _ID_AT
            ),
            202: Reply(
                "It takes longer than a request may wait; the run goes on.",
                replies.Refreshed,
                {"processing": examples.REFRESHING},
                _POLLING,
                _ID_AT,
            ),
        },
        failures=(
            errors.SnapshotNotFound,
            errors.CellMismatch,
            errors.RunFailed,
            SnapshotBlocked,
            *_WRITE,
            *_WITH_BODY,
        ),
        needs=Role.WRITE,
        of_snapshot=True,
        body=requests.RefreshBody,
        example=examples.REFRESH,
    ),
    (f"{BASE}/{{id}}", "delete"): Operation(
        "deleteSnapshot",
        "Delete a snapshot",
        "It is gone from every read. Operators can undelete it for some days, 30 by default; then "
        "its files are removed. Nightly runs do not compute its cell until a POST asks for it, "
        "which makes a new snapshot with a new id.",
        {200: Reply("It is deleted.", replies.Deleted, {"deleted": examples.DELETED}, {})},
        failures=(errors.SnapshotNotFound, *_WRITE, *_NO_BODY),
        of_snapshot=True,
        needs=Role.WRITE,
    ),
    (f"{BASE}/{{id}}/metrics", "get"): Operation(
        "getMetrics",
        "Every number of one snapshot",
        "Different people are counted once in the total and once in each category.",
        {200: Reply("The numbers.", replies.Metrics, {"metrics": examples.METRICS}, _TAG)},
        failures=(errors.SnapshotNotFound, errors.SnapshotNotReady, *_READ, *_NO_BODY),
        of_snapshot=True,
        needs=Role.READ,
    ),
    ("/livez", "get"): Operation(
        "isAlive",
        "Whether the server answers",
        "Restart it where this does not.",
        {200: Reply("It does.", health.Health, {"alive": {"status": "alive"}}, _TAG)},
        failures=(RunCrashed,),
    ),
    ("/readyz", "get"): Operation(
        "isReady",
        "Whether the catalog can be read",
        "Send no requests where it can't.",
        {200: Reply("It can.", health.Health, {"ready": {"status": "ready"}}, _TAG)},
        failures=(RunCrashed, NotReady),
    ),
    ("/metrics", "get"): Operation(
        "getServerMetrics",
        "Metrics of the server, for Prometheus",
        "Added up over all worker processes. A token must be for all organisations.",
        {200: Reply("Text as Prometheus reads it.", None, {}, _TAG)},
        failures=(*_READ, NotAllowed, RunCrashed),
        needs=Role.READ,
    ),
}
