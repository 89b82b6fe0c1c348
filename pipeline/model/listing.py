"""The parameters of lists of snapshots, for the API and the command line alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["processing", "completed", "failed"]
Sort = Literal[
    "created_at",
    "-created_at",
    "refreshed_at",
    "-refreshed_at",
    "org_id",
    "-org_id",
    "reporting_period_id",
    "-reporting_period_id",
    "participant_count",
    "-participant_count",
]
"""The fields that lists can be sorted by; `-` reverses the order."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The filters, the order and the page of one list."""

    org_id: str | None = None
    reporting_period_id: str | None = None
    status: str | None = None
    sort: Sort = "created_at"
    offset: int = 0
    limit: int | None = None
