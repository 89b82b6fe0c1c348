"""Access as values: roles, the grant of a token, and the caller on whose behalf something is done.

Decides by values alone. Owns no token, no clock and no file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Collection

ANONYMOUS: Final = "anonymous"
"""The name of callers without a token."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)


class Role(StrEnum):
    """The rights of a token; each role includes those before it."""

    READ = "read"
    WRITE = "write"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        """Return whether this role has all rights of another one."""
        order = list(Role)
        return order.index(self) >= order.index(other)


class Grant(msgspec.Struct, frozen=True):
    """A token without its secret: who has it, for which organisations, for what, and until when."""

    name: str
    """Unique among all tokens, revoked ones too: the audit log names tokens by it."""
    organisations: tuple[str, ...] | None
    """None for all organisations."""
    role: Role
    created_at: datetime
    expires_at: datetime | None
    """The instant from which the token is refused."""
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether the token is accepted at this instant."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Caller:
    """A person or program on whose behalf something is read or done."""

    name: str
    """The name of the token, `anonymous`, or `local:` and the user of this computer."""
    address: str | None
    """The address of the client; None on this computer's command line."""
    organisations: frozenset[str] | None
    """The organisations whose snapshots the caller sees; None for all."""
    role: Role

    @property
    def visibility(self) -> bytes:
        """The same bytes for callers to whom the same snapshots are visible."""
        if self.organisations is None:
            return b"*"
        return ",".join(sorted(self.organisations)).encode()

    def covers(self, org_id: str) -> bool:
        """Return whether the caller may see and change snapshots of this organisation."""
        return self.organisations is None or org_id in self.organisations


def caller_of(grant: Grant, address: str | None) -> Caller:
    """Give the caller that shows this token."""
    organisations = None if grant.organisations is None else frozenset(grant.organisations)
    return Caller(grant.name, address, organisations, grant.role)


def check_name(name: str) -> str:
    """Give the name of a token as it is.

    Raises:
        InvalidValue: It has another form, or is the name of callers without a token.
    """
    if _NAME.fullmatch(name) is None or name == ANONYMOUS:
        problem = (
            "tokens are named with letters, digits, '.', '_' and '-', at most 64, beginning with "
            f"a letter or digit, and none is named {ANONYMOUS}"
        )
        raise InvalidValue("NAME", name, problem)
    return name


def named_organisations(grants: Collection[Grant], now: datetime) -> frozenset[str]:
    """Collect the organisations that valid tokens name."""
    return frozenset(
        org_id for grant in grants if grant.is_valid(now) for org_id in grant.organisations or ()
    )
