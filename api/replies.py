"""The contract's bodies: exactly these keys, in this order; each a view of what is published.

Numbers come from one version, read whole; the list's from the catalog's rows of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Self, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

from pipeline.model import listing, versions
from pipeline.model.versions import Version
from pipeline.storage.catalog import COMPLETED, PROCESSING, Entry

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
Participations = Annotated[int, Meta(ge=0, description="Times somebody took part.")]
Activities = Annotated[int, Meta(ge=0, description="Different activities held.")]
State = Annotated[str, Meta(extra_json_schema={"enum": list(get_args(listing.Status))})]


class Snapshot(Struct, frozen=True):
    """A snapshot with its numbers, which are null while there is no version."""

    id: Id
    org_id: str
    reporting_period_id: str
    status: State
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
        """A snapshot that has numbers."""
        return cls(
            id=version.id,
            org_id=version.org_id,
            reporting_period_id=version.reporting_period_id,
            status=COMPLETED,
            participant_count=version.total.participations,
            hours_delivered=versions.hours(version.total.seconds),
            activity_count=version.total.activities,
            bufdir_category_breakdown={
                name: share.participations for name, share in version.categories.items()
            },
            created_at=version.created_at,
            refreshed_at=version.refreshed_at,
        )

    @classmethod
    def unpublished(cls, entry: Entry, error: str | None) -> Self:
        """A snapshot that has no numbers yet."""
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
    status: State
    participant_count: Participations | None
    hours_delivered: Hours | None
    activity_count: Activities | None
    created_at: Instant
    refreshed_at: Instant | None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """The view of one row of the catalog."""
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
    """Which part of the list this is."""

    page: int
    limit: int
    total: Annotated[int, Meta(description="How many there are on all pages.")]


class Page(Struct, frozen=True):
    """One page of the list."""

    data: Sequence[Listed]
    pagination: Pagination


class Share(Struct, frozen=True):
    """What one category comes to."""

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
        """The view of a version, with every category that it was computed by."""
        return cls(
            org_id=version.org_id,
            period_id=version.reporting_period_id,
            total_participants=version.total.participations,
            unique_participants=version.total.people,
            total_hours=versions.hours(version.total.seconds),
            total_activities=version.total.activities,
            category_distribution={
                name: Share(share.participations, versions.hours(share.seconds))
                for name, share in version.categories.items()
            },
        )


class Started(Struct, frozen=True):
    """A snapshot whose first version is on its way."""

    id: Id
    org_id: str
    reporting_period_id: str
    status: State
    created_at: Instant
    refreshed_at: Instant | None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """The view of one row of the catalog."""
        return cls(
            id=entry.id,
            org_id=entry.org_id,
            reporting_period_id=entry.reporting_period_id,
            status=entry.status,
            created_at=entry.created_at,
            refreshed_at=entry.refreshed_at,
        )


class Refreshed(Struct, frozen=True):
    """A snapshot after its refresh, or while that goes on, with the numbers that stand."""

    id: Id
    org_id: str
    reporting_period_id: str
    status: State
    participant_count: Participations | None
    hours_delivered: Hours | None
    refreshed_at: Instant | None

    @classmethod
    def of(cls, entry: Entry, *, ended: bool) -> Self:
        """The view of one row of the catalog."""
        return cls(
            id=entry.id,
            org_id=entry.org_id,
            reporting_period_id=entry.reporting_period_id,
            status=entry.status if ended else PROCESSING,
            participant_count=entry.participations,
            hours_delivered=_hours(entry),
            refreshed_at=entry.refreshed_at,
        )


class Deleted(Struct, frozen=True):
    """That a snapshot is gone."""

    deleted: bool
    id: Id


class Health(Struct, frozen=True):
    """That the server is well."""

    status: str


def _hours(entry: Entry) -> int | float | None:
    return None if entry.seconds is None else versions.hours(entry.seconds)
