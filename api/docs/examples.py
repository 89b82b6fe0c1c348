"""The examples of requests, replies and problems: the contract's own values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from api import errors as api_errors
from api.errors import FieldProblem
from api.http import parsing
from pipeline import errors

CREATE: Final = {"org_id": "org-bufdir-42", "reporting_period_id": "rp-2025-q1"}

REFRESH: Final = {
    "org_id": "org-bufdir-42",
    "reporting_period_id": "rp-2024-q4",
    "force_refresh": True,
}

SNAPSHOT: Final = {
    "id": "agg-001",
    "org_id": "org-bufdir-42",
    "reporting_period_id": "rp-2024-q4",
    "status": "completed",
    "participant_count": 1842,
    "hours_delivered": 9310.5,
    "activity_count": 274,
    "bufdir_category_breakdown": {
        "foreldre_barn": 312,
        "ungdom": 580,
        "eldre": 210,
        "funksjonsnedsettelse": 740,
    },
    "created_at": "2025-01-05T08:00:00Z",
    "refreshed_at": "2025-01-05T08:12:43Z",
}

FAILED: Final = {
    "id": "agg-010",
    "org_id": "org-bufdir-7",
    "reporting_period_id": "rp-2025-q1",
    "status": "failed",
    "participant_count": None,
    "hours_delivered": None,
    "activity_count": None,
    "bufdir_category_breakdown": None,
    "created_at": "2025-03-26T09:00:00Z",
    "refreshed_at": None,
    "error": "no export names org-bufdir-7",
}

PAGE: Final = {
    "data": [
        {name: SNAPSHOT[name] for name in SNAPSHOT if name != "bufdir_category_breakdown"},
    ],
    "pagination": {"page": 1, "limit": 20, "total": 3},
}

METRICS: Final = {
    "org_id": "org-bufdir-42",
    "period_id": "rp-2024-q4",
    "total_participants": 1842,
    "unique_participants": 1601,
    "total_hours": 9310.5,
    "total_activities": 274,
    "category_distribution": {
        "foreldre_barn": {"participants": 312, "hours": 1560},
        "ungdom": {"participants": 580, "hours": 3100},
        "eldre": {"participants": 210, "hours": 1050.5},
        "funksjonsnedsettelse": {"participants": 740, "hours": 3600},
    },
}

STARTED: Final = {
    "id": "agg-009",
    "org_id": "org-bufdir-42",
    "reporting_period_id": "rp-2025-q1",
    "status": "processing",
    "created_at": "2025-03-26T09:00:00Z",
    "refreshed_at": None,
}

REFRESHED: Final = {
    "id": "agg-001",
    "org_id": "org-bufdir-42",
    "reporting_period_id": "rp-2024-q4",
    "status": "completed",
    "participant_count": 1855,
    "hours_delivered": 9402,
    "refreshed_at": "2025-03-26T09:15:00Z",
}

REFRESHING: Final = REFRESHED | {
    "status": "processing",
    "participant_count": 1842,
    "hours_delivered": 9310.5,
    "refreshed_at": "2025-01-05T08:12:43Z",
}

DELETED: Final = {"deleted": True, "id": "agg-001"}

FAILURES: Final[Mapping[type[Exception], Exception]] = {
    type(failure): failure
    for failure in (
        api_errors.MalformedBody("JSON is malformed: expected ',' or '}' (byte 31)"),
        api_errors.BodyTimeout(parsing.MAX_BODY_SECONDS),
        api_errors.UnsupportedMediaType("Content-Type", "text/plain", parsing.JSON),
        api_errors.InvalidRequest((FieldProblem("limit", "Expected `int` <= 200"),)),
        RequestEntityTooLarge(),
        errors.SnapshotNotFound("agg-999"),
        errors.SnapshotExists("agg-001", "org-bufdir-42", "rp-2024-q4"),
        errors.SnapshotNotReady("agg-009", "processing"),
        errors.CellMismatch("agg-001", "reporting_period_id", "rp-2024-q3", "rp-2024-q4"),
        errors.PeriodNotBegun("rp-2099-q1", "2099-01-01"),
        errors.RunFailed("agg-010", "no export names org-bufdir-7"),
        api_errors.SnapshotBlocked(
            "agg-001",
            "export 2024/q4.parquet is gone, and 0 of 1,842 rows are left; put it back, or declare "
            "why: bufdir retire 2024/q4.parquet --keep (or --retract)",
        ),
        errors.OrganisationUnknown("org-bufdir-7"),
        errors.TooManyOpenRuns(100),
        errors.TooManyFailed(100),
        api_errors.TokenNeeded(),
        api_errors.TokenInvalid(),
        api_errors.NotAllowed("this token may only read"),
        api_errors.NotLocal("it came through a proxy by its header Via"),
        api_errors.TooManyWrites(120, 1),
        errors.StoreUnusable("catalog.sqlite", "database is locked"),
        api_errors.RunCrashed("agg-001"),
        api_errors.NotReady(),
    )
}
"""One failure of each class that operations can end in."""
