"""The deletion of a snapshot as a value, as its marker file and the catalog have it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from pipeline.model import checksummed

SCHEMA_VERSION: Final = 1
"""Raised whenever a marker file gains, loses or changes a field."""


class Deletion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A snapshot that was deleted on purpose."""

    id: str
    org_id: str
    reporting_period_id: str
    version: int
    """The version that was current; 0 where there was none."""
    created_at: datetime
    """The instant at which the snapshot was created, UTC."""
    deleted_at: datetime
    deleted_by: str
    """`local:` and the user of the computer, or `api`."""
    removed_at: datetime | None = None
    """The instant at which its files were removed; None while it can be undone."""

    @property
    def key(self) -> tuple[str, str]:
        """Its organisation and period."""
        return self.org_id, self.reporting_period_id

    def until(self, days: int) -> datetime:
        """Give the instant from which on it can't be undone any more."""
        return self.deleted_at + timedelta(days=days)

    def can_be_undone(self, now: datetime, days: int) -> bool:
        """Return whether its files are there and the days are not over."""
        return self.removed_at is None and now < self.until(days)


class _Marker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: int
    deletion: Deletion


def encode(deletion: Deletion) -> bytes:
    """Write a marker file."""
    return checksummed.encode(_Marker(SCHEMA_VERSION, deletion))


def decode(content: bytes) -> Deletion:
    """Read a marker file.

    Raises:
        msgspec.DecodeError: It is no marker file, or damaged.
    """
    found = checksummed.body(content)
    if found is None:
        raise checksummed.WrongChecksum
    return msgspec.json.decode(found, type=_Marker).deletion


def in_words(deletion: Deletion, days: int) -> dict[str, Any]:
    """Describe a deletion for programs, with the instant until which it can be undone."""
    until = None if deletion.removed_at else deletion.until(days)
    return {**msgspec.structs.asdict(deletion), "can_be_undone_until": until}
