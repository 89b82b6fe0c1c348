"""The address of a caller behind proxies: only what a trusted proxy has added is believed."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from api.access.forwarding import TrustedProxies
from pipeline.settings.proxy import ProxySettings
from tests.api.serving import BASE, audit_lines, serving, token, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from litestar.types import HTTPScope

TRUSTED = ("127.0.0.1", "10.0.0.0/24", "::1")


def caller(client: str | None, *forwarded: str, trusted: tuple[str, ...] = TRUSTED) -> str | None:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    scope = {"client": None if client is None else (client, 1), "headers": headers}
    proxies = TrustedProxies(ProxySettings(trusted=trusted).networks)
    return proxies.caller(cast("HTTPScope", scope))


@pytest.mark.parametrize(
    ("client", "forwarded", "found"),
    [
        ("127.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.7, 192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1, 10.0.0.7"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1", "10.0.0.7"], "192.0.2.1"),
        ("127.0.0.1", ["198.51.100.7", "192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("127.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("127.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("::ffff:127.0.0.1", ["::ffff:192.0.2.1"], "192.0.2.1"),
        ("127.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    ],
)
def test_the_caller_is_the_last_address_that_is_no_trusted_proxy(
    client: str, forwarded: list[str], found: str
) -> None:
    assert caller(client, *forwarded) == found


@pytest.mark.parametrize("forwarded", ["192.0.2.1", "127.0.0.1", "192.0.2.1, 127.0.0.1", ""])
def test_a_stranger_who_forwards_is_not_believed(forwarded: str) -> None:
    assert caller("203.0.113.5", forwarded) == "203.0.113.5"


@pytest.mark.parametrize(
    "forwarded",
    ["", "unknown", "192.0.2.1, _hidden", "192.0.2.1,", "1.2.3", "\xff", ":", "fe80::1%a"],
)
def test_where_a_proxy_names_no_address_it_is_the_caller(forwarded: str) -> None:
    assert caller("127.0.0.1", forwarded) == "127.0.0.1"


def test_without_the_header_a_proxy_is_the_caller() -> None:
    assert caller("10.0.0.7") == "10.0.0.7"
    assert caller(None, "192.0.2.1") is None


def test_without_trusted_proxies_the_header_is_ignored() -> None:
    assert caller("127.0.0.1", "192.0.2.1", trusted=()) == "127.0.0.1"


@pytest.mark.parametrize("trusted", [(), TRUSTED])
def test_an_address_of_ipv4_within_ipv6_is_one_of_ipv4(trusted: tuple[str, ...]) -> None:
    assert caller("::ffff:192.0.2.7", trusted=trusted) == "192.0.2.7"
    assert caller("2001:db8::7", trusted=trusted) == "2001:db8::7"
    assert caller("no address", trusted=trusted) == "no address"


def test_a_zone_makes_no_other_caller_of_a_forwarded_address() -> None:
    forwarded = [caller("127.0.0.1", f"2001:db8::7%{zone}") for zone in "ab"]
    assert forwarded == ["127.0.0.1", "127.0.0.1"]


def test_a_header_of_thousands_of_addresses_is_read_from_its_end() -> None:
    assert caller("127.0.0.1", ", ".join(["192.0.2.9"] * 5000 + ["192.0.2.1"])) == "192.0.2.1"


def test_the_audit_log_has_what_a_trusted_proxy_forwards_and_no_other(tmp_path: Path) -> None:
    data = tmp_path / "data"
    token(data, "first")
    forwarded = {"X-Forwarded-For": "192.0.2.1"}

    def refused() -> set[str]:
        return {line["from"] for line in audit_lines(data) if line["act"] == "refuse"}

    with serving(data) as server, server.client() as client:
        assert client.delete(f"{BASE}/agg-001", headers=forwarded).status_code == 401
        wait_for(lambda: refused() == {"127.0.0.1"})
    with serving(data, PROXY__TRUSTED='["127.0.0.1"]') as server, server.client() as client:
        assert client.delete(f"{BASE}/agg-001", headers=forwarded).status_code == 401
        wait_for(lambda: refused() == {"127.0.0.1", "192.0.2.1"})
