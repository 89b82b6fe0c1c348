"""Tokens and the audit log as commands see them: make, list and revoke tokens; read the log."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

from pipeline.errors import InvalidValue
from pipeline.model import audit as audit_model
from pipeline.model import versions
from pipeline.model.access import Grant, check_name
from pipeline.model.audit import Act
from pipeline.storage import audit, logged_tokens, tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import date
    from zoneinfo import ZoneInfo

    from pipeline.model.access import Role
    from pipeline.model.audit import AuditLine, ChainProblem
    from pipeline.storage.catalog import Catalog


def grant(
    name: str, organisations: Sequence[str] | None, role: Role, now: datetime, end: datetime | None
) -> Grant:
    """Give the grant of a new token.

    Args:
        name: The name of the token.
        organisations: Those that it is for; None for all.
        role: Its rights.
        now: The present instant.
        end: The instant from which it is refused; None for none.

    Raises:
        InvalidValue: The name or an organisation has another form, or the end is past.
    """
    if end is not None and end <= now:
        raise InvalidValue("DATE", end.isoformat(), "it is past; give a later one")
    named = None
    if organisations is not None:
        named = tuple(sorted({versions.check_organisation(org_id) for org_id in organisations}))
    return Grant(check_name(name), named, role, now.replace(microsecond=0), end)


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """Give the instant at which a day ends."""
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


def create_token(catalog: Catalog, made: Grant) -> str:
    """Make a token, and return its text, which is kept nowhere.

    Raises:
        InvalidValue: A token of this name was made before.
        StoreUnusable: The audit log can't be read.
    """
    organisations = "all" if made.organisations is None else " ".join(made.organisations)
    logged = logged_tokens.read(catalog.data)
    with catalog.transaction():
        logged_tokens.follow(catalog, logged, made.created_at)  # a lost name is not given again
        token = tokens.create(catalog, made)
        catalog.record(Act.TOKEN_CREATE, f"{made.name}: {made.role} for {organisations}")
    return token


def revoke_token(catalog: Catalog, name: str, now: datetime) -> None:
    """Revoke a token.

    Raises:
        InvalidValue: There is no token of this name, or it is revoked already.
    """
    with catalog.transaction():
        tokens.revoke(catalog, name, now)
        catalog.record(Act.TOKEN_REVOKE, name)


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The audit log as it is read."""

    lines: Sequence[AuditLine]
    """Those that can be read, oldest first."""
    pending: int
    """Acts that the file does not have yet."""
    problems: Sequence[ChainProblem] | None
    """The places where the chain is broken; None where it was not checked."""


def read_audit_log(catalog: Catalog, *, verify: bool, limit: int | None = None) -> AuditLog:
    """Read the audit log.

    Args:
        catalog: The catalog, which knows its end.
        verify: Check the chain of all lines.
        limit: Return the last lines only.
    """
    wanted: deque[bytes] = deque(maxlen=limit)
    problems = None
    with audit.unchanging(catalog.data) as lines:
        pending = audit.pending(catalog)
        if verify:
            known, waiting = audit.tail(catalog), audit.waiting(catalog)
            problems = audit_model.problems_of(_also_to(wanted, lines), known, waiting)
        else:
            wanted.extend(lines)
    read = (audit_model.decoded(one.removesuffix(b"\n")) for one in wanted)
    return AuditLog([line for line in read if line is not None], pending, problems)


def _also_to(wanted: deque[bytes], lines: Iterable[bytes]) -> Iterator[bytes]:
    """Pass lines on one after the other, and add each to these, too."""
    for line in lines:
        wanted.append(line)
        yield line
