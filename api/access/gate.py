"""The gate before every handler and every cached reply: decides by the head of a request alone.

Only a few paths need no right. All others need the right to read or, by their method, to write.
Which snapshots a caller sees is decided by the catalog, which is opened on the caller's behalf.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from litestar.types import HTTPScope

from api.access.forwarding import TrustedProxies
from api.access.known_tokens import KnownTokens, Tokens
from api.access.local_requests import Openness, check_local
from api.access.write_limits import WriteLimits
from api.errors import NotAllowed, TokenInvalid, TokenNeeded, TooManyWrites
from api.http.admission import Admission
from pipeline.errors import BufdirError
from pipeline.model.access import ANONYMOUS, Caller, Role, caller_of
from pipeline.settings import AccessSettings
from pipeline.storage.tokens import digest_of

_PUBLIC: Final = frozenset({"/livez", "/readyz", "/schema", "/schema/openapi.json"})
"""Exactly these paths are for everybody: they show nothing of any organisation."""
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_SCHEME: Final = b"bearer"


@dataclass(frozen=True, slots=True)
class Gate:
    """The decisions about requests to one worker."""

    tokens: KnownTokens
    limits: WriteLimits
    settings: AccessSettings
    openness: Openness
    """The callers who may write while no token was made."""
    proxies: TrustedProxies

    async def admit(self, scope: HTTPScope) -> Admission:
        """Decide who calls, and whether the request is refused.

        Raises:
            StoreUnusable, StoreDamaged, StoreTooNew: The catalog can't be read.
        """
        address = self.proxies.caller(scope)
        if scope["path"] in _PUBLIC:
            return Admission(_blind(address))
        known = await self.tokens.current()
        try:
            caller = self._caller(scope, known, address)
        except BufdirError as error:
            return Admission(_blind(address), error)
        return Admission(caller, self._refusal(scope, caller))

    def _caller(self, scope: HTTPScope, known: Tokens, address: str | None) -> Caller:
        """Find the caller by the token that the request shows.

        Raises:
            TokenInvalid: It shows none that is accepted.
            TokenNeeded: It shows none at all, and reads need one.
            NotLocal: Programs of this computer need none, and it is of no such program.
        """
        is_closed = self.openness is Openness.CLOSED
        open_role = open_role_of(self.settings, are_made=self.tokens.are_made or is_closed)
        if open_role is Role.WRITE:
            if self.openness is Openness.LOCAL:
                check_local(scope)
            return Caller(ANONYMOUS, address, None, Role.WRITE)
        shown = _shown_token(scope)
        if shown is not None:
            grant = known.get(digest_of(shown))
            if grant is None or not grant.is_valid(datetime.now(UTC)):
                raise TokenInvalid
            return caller_of(grant, address)
        if open_role is None:
            raise TokenNeeded
        return Caller(ANONYMOUS, address, None, Role.READ)

    def _refusal(self, scope: HTTPScope, caller: Caller) -> BufdirError | None:
        """Decide whether a caller may do what the method asks for, and as often."""
        if scope["method"] in _READING:
            return None
        if not caller.role.includes(Role.WRITE):
            if caller.name == ANONYMOUS:
                return TokenNeeded()
            return NotAllowed("this token may only read")
        wait = self.limits.count(caller)
        return TooManyWrites(self.settings.writes_per_minute, wait) if wait else None


def open_role_of(settings: AccessSettings, *, are_made: bool) -> Role | None:
    """Return the role of callers without a token; None where they may not even read.

    Args:
        settings: The settings of access.
        are_made: Whether any token was ever made.
    """
    if settings.reads != "public":
        return None
    return Role.READ if are_made else Role.WRITE


def _blind(address: str | None) -> Caller:
    """Give the caller without a token who sees no organisation."""
    return Caller(ANONYMOUS, address, frozenset(), Role.READ)


def _shown_token(scope: HTTPScope) -> str | None:
    """Return the token that a request shows; None without one.

    Raises:
        TokenInvalid: It has several, or one that is no text.
    """
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) > 1:
        raise TokenInvalid
    scheme, _, token = given[0].partition(b" ") if given else (b"", b"", b"")
    if scheme.lower() != _SCHEME:
        return None  # another scheme is the proxy's, which has checked it
    try:
        return token.strip().decode("ascii")
    except UnicodeDecodeError:
        raise TokenInvalid from None
