"""The version file as a type: the published numbers of one cell. Every reply is a view of it.

Owns snapshot ids, the digest that decides whether a version is stale, the format of hours, and the
upgrade from each earlier schema version. Refuses files of a later one by name.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipeline.errors import InvalidValue
from pipeline.model import checksummed
from pipeline.model.declarations import Declaration
from pipeline.model.ledger import ORGANISATION_PATTERN
from pipeline.model.metrics import Numbers
from pipeline.model.states import EngineName, Reason
from pipeline.model.terms import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.model.cells import Cell, CellContent, CellNumbers
    from pipeline.model.terms import Terms

SCHEMA_VERSION: Final = 4
"""Raised whenever a version file gains, loses or changes a field; `_UPGRADES` then gains a step."""
_FIRST_WITH_CHECKSUM: Final = 4
ID_PATTERN: Final = r"^agg-[0-9]{3,12}$"
_SECONDS_AN_HOUR: Final = 3600
_DECIMALS: Final = 10_000


class NewerSchema(Exception):
    """A version file that a later release wrote."""

    def __init__(self, schema_version: int) -> None:
        super().__init__(f"schema version {schema_version}")
        self.schema_version = schema_version


class Version(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One immutable computation of one snapshot, as stored in its file."""

    schema_version: int
    id: str
    version: int
    org_id: str
    reporting_period_id: str
    period_start: datetime
    """The period's first instant, UTC."""
    period_end: datetime
    """The first instant after the period, UTC."""
    created_at: datetime
    """The instant at which the snapshot was created, UTC."""
    refreshed_at: datetime
    """The instant at which this version was computed, UTC."""
    engine: EngineName
    """The engine that counted it."""
    cause: Reason | None
    """The reason for which it was computed; null where an earlier release wrote none."""
    digest: str
    """Equal for two versions only if rows, terms and definitions were equal."""
    row_digest: str | None
    """The part of the digest for the rows; null in files of schema version 1."""
    terms_digest: str | None
    """The part of the digest for the terms; null in files of schema version 1."""
    total: Numbers
    categories: dict[str, Numbers]
    """By category, zeros included, in the configured order."""
    breakdowns: dict[str, dict[str, Numbers]]
    """The further breakdowns by name, then by value, sorted; "" is for rows without a value."""
    ledger: dict[str, int]
    """Rows by ledger line, zeros included; their sum is all rows of the cell."""
    exports: dict[str, int] | None
    """Rows of the cell by export, as `ledger`; null in files of schema versions 1 and 2."""
    declarations: tuple[Declaration, ...] = ()
    """The acts of operators that led to it; the file has the field only where there are any."""


class ListedVersion(msgspec.Struct, frozen=True):
    """The part of a version that the catalog lists; other fields of the file are not read."""

    id: str
    version: int
    org_id: str
    reporting_period_id: str
    created_at: datetime
    refreshed_at: datetime
    digest: str
    total: Numbers
    ledger: dict[str, int]
    row_digest: str | None = None
    terms_digest: str | None = None


def _from_schema_1(content: dict[str, Any]) -> dict[str, Any]:
    """Add what schema version 2 added: engine, cause, the parts of the digest, breakdowns."""
    added: dict[str, Any] = {
        "cause": None,
        "row_digest": None,
        "terms_digest": None,
        "breakdowns": {},
    }
    # No other engine published anything before.
    return {"engine": EngineName.POLARS, **added, **content}


def _from_schema_2(content: dict[str, Any]) -> dict[str, Any]:
    """Add what schema version 3 added: the exports; declarations may be missing in every file."""
    return {**content, "exports": None}


def _from_schema_3(content: dict[str, Any]) -> dict[str, Any]:
    """Change nothing: schema version 4 added the checksum at the end of the file."""
    return content


_UPGRADES: Final[Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    1: _from_schema_1,
    2: _from_schema_2,
    3: _from_schema_3,
}
"""By schema version, the step to the next one."""


def snapshot_id(number: int) -> str:
    """Give the id of a snapshot: `agg-` and its number, at least three digits."""
    return f"agg-{number:03d}"


def snapshot_number(snapshot_id_: str) -> int:
    """Read the number in a snapshot's id.

    Raises:
        InvalidValue: It has another form.
    """
    if not re.fullmatch(ID_PATTERN, snapshot_id_, re.ASCII):
        raise InvalidValue("id", snapshot_id_, "ids are written agg-001, three to twelve digits")
    return int(snapshot_id_.removeprefix("agg-"))


def check_organisation(org_id: str) -> str:
    """Give the organisation's id as it is.

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
    """Show whole seconds as hours: an integer where whole, else at most 4 decimals, half up."""
    if seconds % _SECONDS_AN_HOUR == 0:
        return seconds // _SECONDS_AN_HOUR
    shown = (seconds * _DECIMALS * 2 + _SECONDS_AN_HOUR) // (_SECONDS_AN_HOUR * 2)
    return shown // _DECIMALS if shown % _DECIMALS == 0 else shown / _DECIMALS


def digest(cell: Cell, content: CellContent, terms_digest: str) -> str:
    """Sum up what a version of this cell is computed from, in 32 hexadecimal digits."""
    return digest_of(cell.org_id, cell.period.id, content.digest, terms_digest)


def version(  # noqa: PLR0913 (each is one field of the version)
    *,
    number: int,
    version_number: int,
    cell: Cell,
    created_at: datetime,
    refreshed_at: datetime,
    engine: EngineName,
    cause: Reason,
    content: CellContent,
    terms: Terms,
    counted: CellNumbers,
    exports: Mapping[str, int],
    declarations: Sequence[Declaration],
) -> Version:
    """Make the version of a cell that has these numbers, from these rows of each export."""
    names = terms.further_breakdowns
    return Version(
        schema_version=SCHEMA_VERSION,
        id=snapshot_id(number),
        version=version_number,
        org_id=cell.org_id,
        reporting_period_id=cell.period.id,
        period_start=cell.period.start(terms.zone),
        period_end=cell.period.end(terms.zone),
        created_at=created_at,
        refreshed_at=refreshed_at,
        engine=engine,
        cause=cause,
        digest=digest(cell, content, terms.digest),
        row_digest=content.digest,
        terms_digest=terms.digest,
        total=counted.total,
        categories=dict(counted.categories),
        breakdowns={name: dict(counted.breakdowns[name]) for name in names},
        ledger=dict(counted.ledger),
        exports=dict(exports),
        declarations=tuple(declarations),
    )


def encode(published: Version) -> bytes:
    """Write a version file: indented JSON with a checksum, so that people can read it too."""
    return checksummed.encode(published)


def decode_listed(content: bytes) -> ListedVersion:
    """Read the part of a version file that the catalog lists, without a look at its checksum.

    Raises:
        msgspec.DecodeError: It is no version file.
    """
    return msgspec.json.decode(content, type=ListedVersion)


def decode(content: bytes) -> Version:
    """Read a version file of this or an earlier schema version.

    Raises:
        msgspec.DecodeError: It is no version file, or its content does not have its checksum.
        NewerSchema: A later release wrote it.
    """
    body = checksummed.body(content)
    try:
        return _decoded(content, body)
    except UnicodeDecodeError as error:  # in the name of a field msgspec does not translate it
        raise msgspec.DecodeError(str(error)) from error


def _decoded(content: bytes, body: bytes | None) -> Version:
    try:
        found = msgspec.json.decode(content if body is None else body, type=Version)
    except msgspec.ValidationError:
        found = None
    if found is None or body is None or found.schema_version != SCHEMA_VERSION:
        found = msgspec.convert(_upgraded(content, body), Version)
    return found


def _upgraded(content: bytes, body: bytes | None) -> dict[str, Any]:
    """Bring what an earlier release wrote to the present schema version.

    Args:
        content: The whole file.
        body: The file without its checksum, if it has one.
    """
    found = msgspec.json.decode(content if body is None else body, type=dict[str, Any])
    schema_version = msgspec.convert(found.get("schema_version", 1), int)
    if schema_version > SCHEMA_VERSION:
        raise NewerSchema(schema_version)
    if (body is not None) != (schema_version >= _FIRST_WITH_CHECKSUM):
        problem = "it has no checksum" if body is None else "it has a checksum that it can't have"
        raise msgspec.ValidationError(problem)
    for step in range(schema_version, SCHEMA_VERSION):
        found = _UPGRADES[step](found)
    return found | {"schema_version": SCHEMA_VERSION}
