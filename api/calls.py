"""The calls that the API answers: what each takes, what it gives, how it may fail. One table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from msgspec import Struct

from api import examples, reading, replies, requests
from api.problems import FaultOfOurs, NotReady
from api.routes import BASE, RETRY_SECONDS
from pipeline import errors

_NO_BODY: Final = (reading.InvalidRequest, FaultOfOurs)
_WITH_BODY: Final = (
    reading.Unreadable,
    reading.TooSlow,
    RequestEntityTooLarge,
    reading.WrongMediaType,
    *_NO_BODY,
)
_LATER: Final = {
    "Location": "Where the snapshot is.",
    "Retry-After": f"In how many seconds to look again: {RETRY_SECONDS}.",
}
_TAG: Final = {"ETag": "Changes with the body; send it back as If-None-Match, and get 304."}


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to a call that was done."""

    meaning: str
    body: type[Struct] | None
    examples: Mapping[str, object]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One call: what it takes, what it answers, and how it may fail."""

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


CALLS: Final[Mapping[tuple[str, str], Call]] = {
    (BASE, "get"): Call(
        "listSnapshots",
        "List the snapshots",
        "Filtered, sorted and in pages. A page behind the last one is empty.",
        {200: Reply("One page.", replies.Page, {"page": examples.PAGE}, _TAG)},
        query=requests.ListQuery,
    ),
    (BASE, "post"): Call(
        "createSnapshot",
        "Start the first run of a cell",
        "While the cell is being computed, the same snapshot is given again. Once it has numbers, "
        "it is refreshed with PUT. Where its first run failed, this starts a new one.",
        {202: Reply("It has started.", replies.Started, {"started": examples.STARTED}, _LATER)},
        failures=(errors.SnapshotExists, errors.PeriodNotBegun, *_WITH_BODY),
        body=requests.CreateBody,
        example=examples.CREATE,
        needs_body=True,
    ),
    (f"{BASE}/{{id}}", "get"): Call(
        "getSnapshot",
        "One snapshot with its numbers",
        "Numbers are null while there is no version; a failed snapshot has `error` besides.",
        {
            200: Reply(
                "The snapshot.",
                replies.Snapshot,
                {"completed": examples.SNAPSHOT, "failed": examples.FAILED},
                _TAG,
            )
        },
        failures=(errors.SnapshotNotFound, *_NO_BODY),
        of_snapshot=True,
    ),
    (f"{BASE}/{{id}}", "put"): Call(
        "refreshSnapshot",
        "Refresh a snapshot and wait for the end",
        "Where neither rows nor rules have changed, the version that stands is the answer, unless "
        "`force_refresh` is true. Without a body nothing is forced. A refresh that fails answers "
        "409 and leaves what was published as it is.",
        {
            200: Reply("It is fresh.", replies.Refreshed, {"fresh": examples.REFRESHED}, {}),
            202: Reply(
                "It takes longer than a call may wait; the run goes on.",
                replies.Refreshed,
                {"processing": examples.REFRESHING},
                _LATER,
            ),
        },
        failures=(errors.SnapshotNotFound, errors.CellMismatch, errors.RunFailed, *_WITH_BODY),
        of_snapshot=True,
        body=requests.RefreshBody,
        example=examples.REFRESH,
    ),
    (f"{BASE}/{{id}}", "delete"): Call(
        "deleteSnapshot",
        "Delete a snapshot and its files",
        "The next night makes a new one, with a new id, if exports still hold that cell.",
        {200: Reply("It is gone.", replies.Deleted, {"deleted": examples.DELETED}, {})},
        failures=(errors.SnapshotNotFound, *_NO_BODY),
        of_snapshot=True,
    ),
    (f"{BASE}/{{id}}/metrics", "get"): Call(
        "getMetrics",
        "Every number of one snapshot",
        "Different people are counted once in the total and once in each category.",
        {200: Reply("The numbers.", replies.Metrics, {"metrics": examples.METRICS}, _TAG)},
        failures=(errors.SnapshotNotFound, errors.SnapshotNotReady, *_NO_BODY),
        of_snapshot=True,
    ),
    ("/livez", "get"): Call(
        "isAlive",
        "Whether the server answers",
        "Restart it where this does not.",
        {200: Reply("It does.", replies.Health, {"alive": {"status": "alive"}}, _TAG)},
        failures=(FaultOfOurs,),
    ),
    ("/readyz", "get"): Call(
        "isReady",
        "Whether the catalog can be read",
        "Send no calls where it can't.",
        {200: Reply("It can.", replies.Health, {"ready": {"status": "ready"}}, _TAG)},
        failures=(FaultOfOurs, NotReady),
    ),
    ("/metrics", "get"): Call(
        "getServerMetrics",
        "Metrics of the server, for Prometheus",
        "Added up over all worker processes.",
        {200: Reply("Text as Prometheus reads it.", None, {}, _TAG)},
        failures=(FaultOfOurs,),
    ),
}
