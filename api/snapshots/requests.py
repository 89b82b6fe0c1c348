"""The request types: parameters and bodies, with their limits and meanings."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from pipeline.model import listing
from pipeline.model.ledger import ORGANISATION_PATTERN

MAX_PAGE: Final = 1_000_000_000
MAX_LIMIT: Final = 200

Organisation = Annotated[
    str,
    Meta(
        description="The organisation, as exports name it.",
        examples=["org-bufdir-42"],
        extra_json_schema={"pattern": ORGANISATION_PATTERN},
    ),
]
PeriodId = Annotated[
    str,
    Meta(
        description="Year, half-year, tertial, quarter or month: "
        "rp-2024, rp-2024-h2, rp-2024-t3, rp-2024-q4, rp-2024-m10.",
        examples=["rp-2024-q4"],
        extra_json_schema={
            "pattern": r"^rp-(20[0-9]{2}|2100)(-(h[12]|t[123]|q[1-4]|m([1-9]|1[0-2])))?$"
        },
    ),
]
Status = Annotated[
    listing.Status,
    Meta(description="The first version is being computed, is published, or failed."),
]
Sort = Annotated[
    listing.Sort,
    Meta(description="The field to sort by; '-' before it reverses the order. Ties go by id."),
]


class ListQuery(Struct, frozen=True):
    """The snapshots to list, and their order."""

    org_id: Organisation | UnsetType = UNSET
    reporting_period_id: PeriodId | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    page: Annotated[int, Meta(ge=1, le=MAX_PAGE, description="The page, from 1.")] = 1
    limit: Annotated[
        int, Meta(ge=1, le=MAX_LIMIT, description="The number of snapshots on a page.")
    ] = 20
    sort: Sort = "created_at"


class NoQuery(Struct, frozen=True):
    """The parameters of operations that take none."""


class CreateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The cell whose snapshot is to be made."""

    org_id: Organisation
    reporting_period_id: PeriodId


class RefreshBody(Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a refresh; a cell that is named must be the snapshot's own."""

    org_id: Organisation | UnsetType = UNSET
    reporting_period_id: PeriodId | UnsetType = UNSET
    force_refresh: Annotated[
        bool, Meta(description="Compute a new version even if nothing has changed.")
    ] = False
