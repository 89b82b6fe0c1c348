"""Requests without a token, while programs of this computer need none."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from api.access.local_requests import check_local
from api.errors import NotLocal
from tests.api.serving import BASE, PROBLEM, audit_lines, serving, token

if TYPE_CHECKING:
    from pathlib import Path

    from litestar.types import HTTPScope

ONE = f"{BASE}/agg-001"


def check(**headers: str) -> None:
    sent = [(name.replace("_", "-").encode(), of.encode()) for name, of in headers.items()]
    check_local(cast("HTTPScope", {"headers": sent}))


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LocalHost:1", "localhost:", "127.0.0.1"),
        *("127.0.0.1:8000", "127.8.9.1", "[::1]", "[::1]:8000", "[0:0:0:0:0:0:0:1]"),
    ],
)
def test_a_request_for_this_computer_is_accepted(host: str) -> None:
    check(host=host, accept="*/*")


def test_a_request_without_a_host_is_accepted_for_browsers_send_one() -> None:
    check(accept="*/*")


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "a.localhost", "x"),
        *("127.0.0.1.evil.example", "192.0.2.1", "[2001:db8::1]", "::1", "[127.0.0.1]"),
        *("localhost, evil.example", "localhost:8000:1", "localhost.", "127.1", "2130706433"),
        *("", " ", "localhost@evil.example", "evil.example/localhost", "[::1%lo]", "[::1]x"),
    ],
)
def test_a_request_for_another_host_is_refused(host: str) -> None:
    with pytest.raises(NotLocal, match="its header Host"):
        check(host=host)


def test_each_of_several_hosts_must_be_this_computer() -> None:
    hosts = [(b"host", b"localhost"), (b"host", b"evil.example")]
    with pytest.raises(NotLocal):
        check_local(cast("HTTPScope", {"headers": hosts}))


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "Via"])
def test_a_request_through_a_proxy_is_refused_by_the_name_of_its_header(header: str) -> None:
    with pytest.raises(NotLocal, match=f"its header {header}, and no token was made; make one"):
        check(host="localhost", **{header.lower(): "127.0.0.1"})


def test_until_a_token_is_made_a_server_of_this_computer_serves_no_other_host(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    rebound = {"Host": "evil.example"}
    with serving(data, is_public=False) as server, server.client() as client:
        assert client.get(BASE).status_code == 200
        for method, path in (("GET", BASE), ("POST", BASE), ("DELETE", ONE), ("GET", "/metrics")):
            reply = client.request(method, path, headers=rebound)
            assert (reply.status_code, reply.headers["content-type"]) == (403, PROBLEM)
            assert reply.json()["type"] == "/schema#not-local"
            assert reply.headers["www-authenticate"] == 'Bearer realm="bufdir"'
        assert client.get("/livez", headers=rebound).status_code == 200
        shown = token(data, "kari")
        assert client.get(BASE, headers=rebound | shown).status_code == 200
    refused = [line["end"] for line in audit_lines(data) if line["act"] == "refuse"]
    assert set(refused) == {"not-local"}


def test_a_server_that_is_public_on_purpose_serves_under_every_name(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server, server.client() as client:
        assert client.get(BASE, headers={"Host": "bufdir.example"}).status_code == 200
