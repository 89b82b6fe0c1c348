"""The socket that workers share, with the limits of connections that the system itself enforces."""

from __future__ import annotations

import errno
import resource
import socket
from typing import Final

from pipeline.errors import InvalidValue

READ_SECONDS: Final = 10
"""The longest time for which a client may take nothing of a reply that waits for it."""
SEND_BYTES: Final = 128 * 1024
"""The memory for replies that a client has not taken; the system would allow it megabytes."""
MAX_CONNECTIONS: Final = 2048
"""The most connections of one worker; further ones wait until one ends."""
BACKLOG: Final = 1024
"""The most connections that wait for a worker."""
_OTHER_DESCRIPTORS: Final = 256
"""The descriptors that a worker needs for the catalog, files, pipes and threads."""
_FEWEST_CONNECTIONS: Final = 64


def bind(host: str, port: int) -> socket.socket:
    """Reserve an address and a port, 0 for any, and refuse a port that is taken.

    Raises:
        InvalidValue: Nothing can listen on this host and port.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit both. A client that takes nothing would keep its connection for ever.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, READ_SECONDS * 1000)
        listener.bind(address)
        listener.set_inheritable(True)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = "another program listens there; stop it, or give another port"
            raise InvalidValue("port", str(port), problem) from error
        problem = f"nothing can listen there ({error.strerror})"
        raise InvalidValue("address", f"{host}:{port}", problem) from error
    return listener


def most_connections() -> int:
    """Raise the limit of open descriptors as far as allowed; return the connections of a worker."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + _OTHER_DESCRIPTORS
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return max(_FEWEST_CONNECTIONS, min(MAX_CONNECTIONS, allowed - _OTHER_DESCRIPTORS))
