"""The least that Litestar can do: one handler that returns a constant dict."""

from __future__ import annotations

from typing import Any, Final

from litestar import Litestar, get

BODY: Final[dict[str, Any]] = {
    "id": "agg-001",
    "org_id": "org-00000",
    "reporting_period_id": "rp-2024-q1",
    "status": "completed",
    "participant_count": 480,
    "hours_delivered": 480,
    "activity_count": 24,
    "bufdir_category_breakdown": {
        "foreldre_barn": 120,
        "ungdom": 120,
        "eldre": 120,
        "funksjonsnedsettelse": 120,
    },
    "created_at": "2025-03-26T09:00:00Z",
    "refreshed_at": "2025-03-26T09:00:02Z",
}


@get("/constant", sync_to_thread=False)
def constant() -> dict[str, Any]:
    """Return the same body to every request."""
    return BODY


app: Final = Litestar([constant], openapi_config=None)
