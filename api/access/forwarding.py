"""The address of a caller, also behind a reverse proxy.

A proxy adds the address from which a request came to the end of the header X-Forwarded-For. All
before that may be the caller's own invention. So only what trusted proxies have added is believed.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from litestar.types import HTTPScope

from pipeline.settings.proxy import Network

_HEADER: Final = b"x-forwarded-for"
_IPV6_NETWORK_BITS: Final = 64
"""One customer of a network has at least so many addresses of IPv6, so they count as one."""
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The proxies that are believed; none of them by default."""

    networks: tuple[Network, ...] = ()

    def caller(self, scope: HTTPScope) -> str | None:
        """Return the address of the caller: the last one that is no trusted proxy.

        Where the header has no address before a trusted proxy, that proxy is the caller.
        """
        client = scope.get("client")
        if client is None:
            return None
        found = _address_of(client[0])
        if found is None:
            return client[0]
        if not self.networks:
            return str(found)
        values = [value for name, value in scope["headers"] if name == _HEADER]
        added = b",".join(values).decode("latin-1").split(",")
        while self._trusts(found) and added:
            before = _forwarded(added.pop())
            if before is None:
                break
            found = before
        return str(found)

    def _trusts(self, address: _Address) -> bool:
        return any(address in network for network in self.networks)


def network_of(address: str) -> str:
    """Give the network of an address of IPv6, and any other address as it is."""
    with suppress(ValueError):
        found = ipaddress.ip_address(address)
        if found.version == 6:  # noqa: PLR2004 (the version of the protocol)
            return str(ipaddress.ip_network((int(found), _IPV6_NETWORK_BITS), strict=False))
    return address


def _forwarded(text: str) -> _Address | None:
    """Parse an address, as proxies write it; None for any other text.

    Some add the port. A zone names an interface of one computer, so it means nothing to others, and
    would make many addresses of one.
    """
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return None if "%" in text else _address_of(text)


def _address_of(text: str) -> _Address | None:
    """Parse an address; one of IPv4 within IPv6, as `--host ::` gives it, is one of IPv4."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
