"""The reply types of the contract: exactly these keys, in this order, from published values.

The numbers of a snapshot come from one version; those of a list from one state of the catalog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Self

from msgspec import UNSET, Meta, Struct, UnsetType

from pipeline.model import versions
from pipeline.model.states import SnapshotStatus
from pipeline.model.versions import Version
from pipeline.storage.catalog import Entry

Id = Annotated[
    str,
    Meta(
        description="The snapshot's id; never given to another.",
        extra_json_schema={"pattern": versions.ID_PATTERN},
    ),
]
Hours = Annotated[
    int | float, Meta(description="Hours; whole ones as an integer, else at most 4 decimals.")
]
Instant = Annotated[datetime, Meta(tz=True, description="UTC, to the second.")]
Participations = Annotated[int, Meta(ge=0, description="One person in one activity counts one.")]
Activities = Annotated[int, Meta(ge=0, description="Different activities held.")]
Status = Annotated[str, Meta(extra_json_schema={"enum": sorted(SnapshotStatus)})]


class Snapshot(Struct, frozen=True):
    """A snapshot with its numbers, which are null while there is no version."""

    id: Id
    org_id: str
    reporting_period_id: str
    status: Status
    participant_count: Participations | None
    hours_delivered: Hours | None
    activity_count: Activities | None
    bufdir_category_breakdown: Annotated[
        Mapping[str, int] | None, Meta(description="Participations of each category.")
    ]
    created_at: Instant
    refreshed_at: Instant | None
    error: Annotated[
        str | UnsetType, Meta(description="Why the first run failed, where it did.")
    ] = UNSET

    @classmethod
    def published(cls, version: Version) -> Self:
        """Build the view of a snapshot that has numbers."""
        return cls(
            id=version.id,
            org_id=version.org_id,
            reporting_period_id=version.reporting_period_id,
            status=SnapshotStatus.COMPLETED,
            participant_count=version.total["participations"],
            hours_delivered=versions.hours(version.total["seconds"]),
            activity_count=version.total["activities"],
            bufdir_category_breakdown={
                name: share["participations"] for name, share in version.categories.items()
            },
            created_at=version.created_at,
            refreshed_at=version.refreshed_at,
        )

    @classmethod
    def unpublished(cls, entry: Entry, error: str | None) -> Self:
        """Build the view of a snapshot that has no numbers yet."""
        return cls(
            id=entry.id,
            org_id=entry.org_id,
            reporting_period_id=entry.reporting_period_id,
            status=entry.status,
            participant_count=None,
            hours_delivered=None,
            activity_count=None,
            bufdir_category_breakdown=None,
            created_at=entry.created_at,
            refreshed_at=None,
            error=UNSET if error is None else error,
        )


class Listed(Struct, frozen=True):
    """A snapshot as lists show it."""

    id: Id
    org_id: str
    reporting_period_id: str
    status: Status
    participant_count: Participations | None
    hours_delivered: Hours | None
    activity_count: Activities | None
    created_at: Instant
    refreshed_at: Instant | None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Build the view of one row of the catalog."""
        return cls(
            id=entry.id,
            org_id=entry.org_id,
            reporting_period_id=entry.reporting_period_id,
            status=entry.status,
            participant_count=entry.participations,
            hours_delivered=_hours(entry),
            activity_count=entry.activities,
            created_at=entry.created_at,
            refreshed_at=entry.refreshed_at,
        )


class Pagination(Struct, frozen=True):
    """The part of the list that a page is."""

    page: int
    limit: int
    total: Annotated[int, Meta(description="The number of snapshots on all pages.")]


class Page(Struct, frozen=True):
    """One page of the list."""

    data: Sequence[Listed]
    pagination: Pagination


class Share(Struct, frozen=True):
    """The numbers of one category."""

    participants: Participations
    hours: Hours


class Metrics(Struct, frozen=True):
    """Every number of a snapshot."""

    org_id: str
    period_id: str
    total_participants: Participations
    unique_participants: Annotated[int, Meta(ge=0, description="Different people who took part.")]
    total_hours: Hours
    total_activities: Activities
    category_distribution: Mapping[str, Share]

    @classmethod
    def of(cls, version: Version) -> Self:
        """Build the view of a version, with every category that it was computed by."""
        return cls(
            org_id=version.org_id,
            period_id=version.reporting_period_id,
            total_participants=version.total["participations"],
            unique_participants=version.total["people"],
            total_hours=versions.hours(version.total["seconds"]),
            total_activities=version.total["activities"],
            category_distribution={
                name: Share(share["participations"], versions.hours(share["seconds"]))
                for name, share in version.categories.items()
            },
        )


class Started(Struct, frozen=True):
    """A snapshot whose first version is being computed."""

    id: Id
    org_id: str
    reporting_period_id: str
    status: Status
    created_at: Instant
    refreshed_at: Instant | None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Build the view of one row of the catalog."""
        return cls(
            id=entry.id,
            org_id=entry.org_id,
            reporting_period_id=entry.reporting_period_id,
            status=entry.status,
            created_at=entry.created_at,
            refreshed_at=entry.refreshed_at,
        )


class Refreshed(Struct, frozen=True):
    """A snapshot after its refresh, or during it, with its published numbers."""

    id: Id
    org_id: str
    reporting_period_id: str
    status: Status
    participant_count: Participations | None
    hours_delivered: Hours | None
    refreshed_at: Instant | None

    @classmethod
    def of(cls, entry: Entry, *, ended: bool) -> Self:
        """Build the view of one row of the catalog."""
        return cls(
            id=entry.id,
            org_id=entry.org_id,
            reporting_period_id=entry.reporting_period_id,
            status=entry.status if ended else SnapshotStatus.PROCESSING,
            participant_count=entry.participations,
            hours_delivered=_hours(entry),
            refreshed_at=entry.refreshed_at,
        )


class Deleted(Struct, frozen=True):
    """The confirmation that a snapshot was deleted."""

    deleted: bool
    id: Id


def _hours(entry: Entry) -> int | float | None:
    return None if entry.seconds is None else versions.hours(entry.seconds)
