"""Requests of this computer, while everybody on it may write: no web page and no proxy sends them.

A browser lets a page call addresses of its own host only. A page whose host's name leads to
127.0.0.1 (DNS rebinding) would so write here. Its requests name that host, and no others do.
"""

from __future__ import annotations

import ipaddress
import re
from enum import StrEnum
from typing import Final

from litestar.types import HTTPScope

from api.errors import NotLocal

_FORWARDED: Final = {
    b"x-forwarded-for": "X-Forwarded-For",
    b"forwarded": "Forwarded",
    b"via": "Via",
}
"""The headers that proxies add, in lower case and as they are written."""
_HOST: Final = re.compile(rb"(?:\[([0-9a-f:.]+)\]|([0-9a-z.]+))(?::[0-9]*)?", re.IGNORECASE)


class Openness(StrEnum):
    """The callers who may write while no token was made."""

    CLOSED = "closed"
    """None."""
    LOCAL = "local"
    """Programs of this computer."""
    PUBLIC = "public"
    """All who reach the server."""


def check_local(scope: HTTPScope) -> None:
    """Check that a request was sent to this computer, by its name or address, without a proxy.

    Raises:
        NotLocal: It names another host, or has a header of a proxy.
    """
    for name, value in scope["headers"]:
        if name == b"host" and not _is_local(value):
            raise NotLocal("it is for another host than localhost by its header Host")
        if name in _FORWARDED:
            raise NotLocal(f"it came through a proxy by its header {_FORWARDED[name]}")


def _is_local(host: bytes) -> bool:
    """Return whether a host is localhost or a loopback address, whatever its port."""
    parsed = _HOST.fullmatch(host)
    if parsed is None:
        return False
    address = (parsed[1] or parsed[2]).decode().lower()
    if address == "localhost":
        return True
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return found.is_loopback and (found.version == 6) == bool(parsed[1])  # noqa: PLR2004
