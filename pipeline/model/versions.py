"""The version file as a type: the published numbers of one cell. Every reply is a view of it.

Owns ids, the digest that tells whether a version is stale, and how hours are shown.
"""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import InvalidValue
from pipeline.model.ledger import ORGANISATION_PATTERN
from pipeline.model.numbers import Numbers

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from pipeline.model.cells import Breakdown, Cell
    from pipeline.model.terms import Rules

ID_PATTERN: Final = r"^agg-[0-9]{3,12}$"
_SECONDS_AN_HOUR: Final = 3600
_DECIMALS: Final = 10_000


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One immutable computation of one snapshot, as it lies on disk."""

    id: str
    version: int
    org_id: str
    reporting_period_id: str
    period_start: datetime
    """The period's first instant, UTC."""
    period_end: datetime
    """The first instant after the period, UTC."""
    created_at: datetime
    """When the snapshot first came to be, UTC."""
    refreshed_at: datetime
    """When this version was computed, UTC."""
    digest: str
    """Equal for two versions only if rows, rules and definitions were equal."""
    total: Numbers
    categories: dict[str, Numbers]
    """By category, zeros included, in the configured order."""
    ledger: dict[str, int]
    """Rows by what became of them, zeros included; their sum is all rows of the cell."""


def snapshot_id(number: int) -> str:
    """The id of a snapshot: `agg-` and its number, at least three digits."""
    return f"agg-{number:03d}"


def snapshot_number(snapshot_id_: str) -> int:
    """The number in a snapshot's id.

    Raises:
        InvalidValue: It has another form.
    """
    if not re.fullmatch(ID_PATTERN, snapshot_id_, re.ASCII):
        raise InvalidValue("id", snapshot_id_, "ids are written agg-001, three to twelve digits")
    return int(snapshot_id_.removeprefix("agg-"))


def check_organisation(org_id: str) -> str:
    """The organisation's id as it is.

    Raises:
        InvalidValue: It breaks the pattern of organisations.
    """
    if not re.fullmatch(ORGANISATION_PATTERN.removesuffix("$"), org_id, re.ASCII):
        problem = (
            "organisations are written with letters, digits, '.', '_' and '-', at most 64, "
            "beginning with a letter or digit"
        )
        raise InvalidValue("org_id", org_id, problem)
    return org_id


def hours(seconds: int) -> int | float:
    """Whole seconds as hours: an integer where whole, else at most 4 decimals, half up."""
    if seconds % _SECONDS_AN_HOUR == 0:
        return seconds // _SECONDS_AN_HOUR
    shown = (seconds * _DECIMALS * 2 + _SECONDS_AN_HOUR) // (_SECONDS_AN_HOUR * 2)
    return shown // _DECIMALS if shown % _DECIMALS == 0 else shown / _DECIMALS


def digest(cell: Cell, row_digest: str, deciding: Rules, zone: ZoneInfo, definitions: str) -> str:
    """What a version of this cell is computed from, in 32 hexadecimal digits.

    Args:
        cell: The organisation and the period.
        row_digest: The rows, as an engine sums them up.
        deciding: The settings that decide what counts.
        zone: Where the period's midnights lie.
        definitions: The edition of what the numbers mean and of how rows are summed up.
    """
    parts = (
        definitions,
        cell.org_id,
        cell.period.id,
        zone.key,
        list(deciding.categories),
        float(deciding.max_hours),
        row_digest,
    )
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


def version(  # noqa: PLR0913 (each is one fact of the version)
    *,
    number: int,
    version_number: int,
    cell: Cell,
    zone: ZoneInfo,
    created_at: datetime,
    refreshed_at: datetime,
    content_digest: str,
    counted: Breakdown,
) -> Version:
    """The version of a cell that these numbers make."""
    return Version(
        id=snapshot_id(number),
        version=version_number,
        org_id=cell.org_id,
        reporting_period_id=cell.period.id,
        period_start=cell.period.start(zone),
        period_end=cell.period.end(zone),
        created_at=created_at,
        refreshed_at=refreshed_at,
        digest=content_digest,
        total=counted.total,
        categories=dict(counted.categories),
        ledger=dict(counted.ledger),
    )


def encode(published: Version) -> bytes:
    """The bytes of a version file: indented JSON, so that people can read it too."""
    return msgspec.json.format(msgspec.json.encode(published), indent=2) + b"\n"


def decode(content: bytes) -> Version:
    """Read a version file's bytes.

    Raises:
        msgspec.DecodeError: They are not a version.
    """
    return msgspec.json.decode(content, type=Version)
