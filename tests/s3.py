"""An S3 server on this computer, and buckets with exports in them."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx
import pyarrow.parquet as pq
import pytest

from tests.given import DataFolder, settings, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.given import Row

REASON: Final = "tests with an object store need the packages obstore and moto"
SECRET: Final = "a-secret-that-no-message-has"  # noqa: S105 (no password of anything)
_REQUEST: Final = re.compile(r"([A-Z]+ /\S*) HTTP/1\.1")
_NUMBERS: Final = count(1)


@dataclass(frozen=True)
class Server:
    """A running S3 server."""

    port: int
    log: Path

    @property
    def endpoint(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables with which programs find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def requests(self) -> list[str]:
        """List all requests so far: method and path."""
        return _REQUEST.findall(self.log.read_text())

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Accept no credentials until the end of the block."""
        httpx.post(f"{self.endpoint}/moto-api/reset-auth", content=b"0").raise_for_status()
        try:
            yield
        finally:
            far = b"1000000000"
            httpx.post(f"{self.endpoint}/moto-api/reset-auth", content=far).raise_for_status()


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server until the end of the block."""
    pytest.importorskip("obstore", reason=REASON)
    if find_spec("moto") is None:
        pytest.skip(REASON)
    server = Server(_free_port(), folder / "requests.log")
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-p", str(server.port)]
    with server.log.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ))
    try:
        _wait(server, process)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert process.poll() is None, server.log.read_text()
        try:
            httpx.get(f"{server.endpoint}/moto-api/data.json").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the S3 server was not ready in 30 s")


@dataclass
class Bucket:
    """A bucket with exports below a prefix that needs escapes in a URL."""

    server: Server
    name: str = field(default_factory=lambda: f"bucket-{next(_NUMBERS)}-{os.getpid()}")
    prefix: str = "100% +/å"

    def __post_init__(self) -> None:
        httpx.put(f"{self.server.endpoint}/{self.name}").raise_for_status()

    @property
    def location(self) -> str:
        """The address of the exports."""
        return f"s3a://{self.name}/{self.prefix}"

    @property
    def store(self) -> Any:
        """The bucket, for obstore."""
        store = pytest.importorskip("obstore.store", reason=REASON)
        return store.S3Store(self.name, client_options={"allow_http": True})

    def put(self, rows: Sequence[Row], name: str = "a.parquet", **options: object) -> bytes:
        """Write an export, and return its bytes."""
        content = io.BytesIO()
        pq.write_table(table(rows), content, **options)
        self.put_bytes(content.getvalue(), name)
        return content.getvalue()

    def put_bytes(self, content: bytes, name: str) -> None:
        """Write an object below the prefix."""
        self.store.put(f"{self.prefix}/{name}", content)

    def put_directly(self, name: str, content: bytes = b"x") -> None:
        """Write an object of a name that obstore refuses, by a request without a signature."""
        url = f"{self.server.endpoint}/{self.name}/{quote(f'{self.prefix}/{name}')}"
        httpx.put(url, content=content).raise_for_status()

    def delete(self, name: str) -> None:
        """Delete an object below the prefix."""
        self.store.delete(f"{self.prefix}/{name}")

    def folder(self, data: Path, **chosen: object) -> DataFolder:
        """Give a data folder whose exports are here."""
        return DataFolder(data, settings(exports={"location": self.location}, **chosen))
