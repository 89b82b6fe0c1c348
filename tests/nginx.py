"""The real nginx with the file of `deploy/`, before a real server."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from tests.api.serving import Server, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

SITE: Final = Path(__file__).parent.parent / "deploy" / "nginx.conf"
HOST: Final = "bufdir.example.no"
AROUND: Final = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""
"""What the system's own nginx.conf has around the file of a site."""


@dataclass(frozen=True)
class Site:
    """The proxy and the server behind it."""

    port: int
    plain_port: int
    folder: Path
    server: Server

    def client(self, address: str = "127.0.0.1", **options: Any) -> httpx.Client:
        """Open a client on the network, at this address."""
        context = ssl.create_default_context(cafile=self.folder / "certificate.pem")
        # The name of the host is checked, though the address is this computer's.
        context.check_hostname = False
        transport = httpx.HTTPTransport(verify=context, local_address=address)
        headers = {"Host": HOST, **options.pop("headers", {})}
        url = f"https://127.0.0.1:{self.port}"
        return httpx.Client(
            transport=transport, base_url=url, headers=headers, timeout=30, **options
        )


def free_ports(count: int) -> list[int]:
    """Find ports that no program listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def made_certificate(folder: Path) -> None:
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"),
            *("-keyout", folder / "key.pem", "-out", folder / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    """Replace places of the file for another computer; each must be there."""
    for before, after in pairs:
        assert before in text, before
        text = text.replace(before, after)
    return text


@contextmanager
def proxied(folder: Path, server: Server, *changes: tuple[str, str]) -> Iterator[Site]:
    """Run nginx with a copy of the file during the block, on ports of this computer."""
    folder.mkdir()
    made_certificate(folder)
    plain, port = free_ports(2)
    letsencrypt = f"/etc/letsencrypt/live/{HOST}"
    site = replaced(
        SITE.read_text(),
        ("    listen [::]:80;\n", ""),
        ("    listen [::]:443 ssl;\n", ""),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        (f"{letsencrypt}/fullchain.pem", f"{folder}/certificate.pem"),
        (f"{letsencrypt}/privkey.pem", f"{folder}/key.pem"),
        ("http://127.0.0.1:8000/", f"{server.url.rstrip('/')}/"),
        *changes,
    )
    (folder / "site.conf").write_text(site)
    # The folders of tests are closed to the user that nginx would choose.
    user = "" if os.geteuid() else "user root;"
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as nginx:
        try:
            wait_for(lambda: nginx.poll() is not None or listens(port))
            yield Site(port, plain, folder, server)
        finally:
            nginx.send_signal(signal.SIGQUIT)
            nginx.wait(30)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
