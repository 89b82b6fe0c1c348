"""Settings of the reverse proxy through which callers on a network reach the API."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final

from pydantic import AfterValidator

from pipeline.settings.sections import Section, distinct

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*", re.ASCII)


def _network(text: str) -> str:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        msg = "is no address and no network; name one such as 127.0.0.1 or 10.0.0.0/24"
        raise ValueError(msg) from None
    if found.prefixlen == 0:
        msg = "has every address, so each caller could choose its own; name the proxies alone"
        raise ValueError(msg)
    return text


def _path(prefix: str) -> str:
    if _PREFIX.fullmatch(prefix) is None:
        msg = "is no path as the API needs it; write it as /bufdir, without a slash at its end"
        raise ValueError(msg)
    return prefix


class ProxySettings(Section):
    """The reverse proxy before the API, where there is one."""

    trusted: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...], AfterValidator(distinct)
    ] = ()
    """The addresses and networks of proxies whose X-Forwarded-For is believed."""
    prefix: Annotated[str, AfterValidator(_path)] = ""
    """The path that the proxy removes from requests, and that addresses in replies begin with."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """The trusted proxies, each as a network."""
        return tuple(map(ipaddress.ip_network, self.trusted))

    @property
    def is_set(self) -> bool:
        """Whether callers come through a proxy, so that a local address is open to others."""
        return bool(self.trusted or self.prefix)
