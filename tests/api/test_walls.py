"""Walls: a token of one organisation sees only it, in whatever order callers ask."""

from __future__ import annotations

from contextlib import closing, contextmanager
from http.client import HTTPConnection
from itertools import permutations
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest

from pipeline.model.access import Role
from tests.api.serving import (
    BASE,
    DOUBLED,
    Server,
    audit_lines,
    export,
    nightly_run,
    serving,
    token,
    wait_for,
)
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import httpx

pytestmark = pytest.mark.no_cover

READS: Final = [
    *(
        f"{base}{path}"
        for base in (BASE, DOUBLED)
        for path in (
            "",
            "?limit=1",
            "?limit=1&page=2",
            "?sort=-participant_count",
            "?org_id=a",
            "?org_id=b",
            "?reporting_period_id=rp-2024-q1",
            "?status=failed",
            "?page=9",
            "?nonsense=1",
            "/agg-001",
            "/agg-002",
            "/agg-003",
            "/agg-999",
            "/agg-0001",
            "/nonsense",
            "/agg-001/metrics",
            "/agg-002/metrics",
            "/agg-999/metrics",
        )
    ),
    *("/livez", "/readyz", "/schema", "/schema/openapi.json", "/nowhere"),
]
Headers = dict[str, str]
Reply = tuple[int, Any, bytes]
_VARYING: Final = {"date", "server"}


def seen(reply: httpx.Response) -> Reply:
    """Return all of a reply that a client can see, but its date."""
    headers = {name: of for name, of in reply.headers.items() if name not in _VARYING}
    return reply.status_code, headers, reply.content


@pytest.fixture(scope="module")
def walled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Headers]]]:
    """A server over three snapshots of two organisations, and its callers."""
    data = tmp_path_factory.mktemp("walls") / "data"
    export(data, "a", 3)
    export(data, "b", 2)
    nightly_run(data)
    export(data, "c", 1)
    nightly_run(data)
    callers = {
        "a": token(data, "of-a", "a"),
        "b and c": token(data, "of-b-and-c", "b", "c"),
        "all": token(data, "of-all"),
        "anonymous": {},
    }
    with serving(data) as server:
        yield server, callers


@contextmanager
def connected(server: Server) -> Iterator[HTTPConnection]:
    """Connect with the standard library's client, which takes a tenth of the time of others."""
    address = urlsplit(server.url).netloc
    with closing(HTTPConnection(address, timeout=PATIENCE_SECONDS)) as connection:
        yield connection


def reply_to(connection: HTTPConnection, path: str, headers: Headers) -> Reply:
    """Return all of the reply to a request that a client can see, but its date."""
    connection.request("GET", path, headers={"Accept-Encoding": "gzip"} | headers)
    reply = connection.getresponse()
    shown = {name.lower(): of for name, of in reply.getheaders()}
    return reply.status, {n: of for n, of in shown.items() if n not in _VARYING}, reply.read()


def expected(data: Path, headers: Headers) -> Mapping[str, Reply]:
    """Return the replies of a server that has answered no other caller."""
    with serving(data) as fresh, connected(fresh) as connection:
        return {path: reply_to(connection, path, headers) for path in READS}


def test_every_reply_is_the_one_of_a_fresh_server_in_whatever_order_callers_ask(
    walled: tuple[Server, dict[str, Headers]],
) -> None:
    server, callers = walled
    wanted = {name: expected(server.data, headers) for name, headers in callers.items()}
    with connected(server) as connection:
        for number, order in enumerate(permutations(callers)):
            token(server.data, f"commit-{number}")  # so that no reply is cached
            for path in READS:
                for name in (*order, *order):
                    reply = reply_to(connection, path, callers[name])
                    assert reply == wanted[name][path], (order, name, path)


def test_a_list_counts_and_pages_only_what_its_caller_sees(
    walled: tuple[Server, dict[str, Headers]],
) -> None:
    server, callers = walled
    organisations = {"a": ["a"], "b and c": ["b", "c"], "all": ["a", "b", "c"]}
    with server.client() as client:
        for name, wanted in (organisations | {"anonymous": ["a", "b", "c"]}).items():
            body = client.get(BASE, headers=callers[name]).json()
            assert [one["org_id"] for one in body["data"]] == wanted
            assert body["pagination"]["total"] == len(wanted)
            last = client.get(f"{BASE}?limit=1&page={len(wanted)}", headers=callers[name]).json()
            assert [one["org_id"] for one in last["data"]] == wanted[-1:]


@pytest.mark.parametrize("tail", ["", "/metrics"])
def test_a_snapshot_of_another_organisation_is_not_told_apart_from_a_missing_one(
    walled: tuple[Server, dict[str, Headers]], tail: str
) -> None:
    server, callers = walled
    with server.client(headers=callers["b and c"]) as client:
        for method in ("GET", "HEAD"):
            foreign = client.request(method, f"{BASE}/agg-001{tail}")
            missing = client.request(method, f"{BASE}/agg-998{tail}")
            assert foreign.status_code == missing.status_code == 404
            assert seen(missing)[1:] == (
                seen(foreign)[1],
                foreign.content.replace(b"agg-001", b"agg-998"),
            )


def test_nor_is_it_by_writes(walled: tuple[Server, dict[str, Headers]]) -> None:
    server, _ = walled
    shown = token(server.data, "writer-of-b", "b", can=Role.WRITE)
    bodies = [{}, {"force_refresh": True}, {"org_id": "a"}, {"reporting_period_id": "rp-2024-q4"}]
    with server.client(headers=shown) as client:
        for body in bodies:
            foreign = client.put(f"{BASE}/agg-001", json=body)
            missing = client.put(f"{BASE}/agg-998", json=body)
            assert foreign.status_code == missing.status_code == 404
            assert foreign.content.replace(b"agg-001", b"agg-998") == missing.content
        assert client.delete(f"{BASE}/agg-001").status_code == 404
        assert client.delete(f"{BASE}/agg-998").status_code == 404
        assert client.get(f"{BASE}/agg-002").status_code == 200
    with server.client() as client:
        assert client.get(f"{BASE}/agg-001").status_code == 200


def test_writes_to_foreign_and_to_missing_snapshots_are_on_record_alike(
    walled: tuple[Server, dict[str, Headers]],
) -> None:
    server, _ = walled

    for name, id_ in (("foreign", "agg-001"), ("missing", "agg-998")):
        with server.client(headers=token(server.data, name, "b", can=Role.WRITE)) as client:
            for method in ("GET", "PUT", "DELETE"):
                assert client.request(method, f"{BASE}/{id_}").status_code == 404

    def recorded(name: str) -> list[tuple[str, str, str]]:
        return [
            (line["act"], line["what"], line["end"])
            for line in audit_lines(server.data)
            if line["who"] == name
        ]

    wanted = [("refuse", method, "snapshot-not-found") for method in ("PUT", "DELETE")]
    wait_for(lambda: recorded("foreign") == recorded("missing") == wanted)


def test_an_etag_of_one_caller_confirms_nothing_to_another(
    walled: tuple[Server, dict[str, Headers]],
) -> None:
    server, callers = walled
    with server.client() as client:
        for path in (BASE, f"{BASE}/agg-001", f"{BASE}/agg-001/metrics"):
            tag = client.get(path, headers=callers["a"]).headers["etag"]
            asked = {"If-None-Match": tag}
            again = client.get(path, headers=callers["a"] | asked)
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["vary"] == "Authorization"
            assert again.headers["cache-control"] == "private, no-cache"
            other = client.get(path, headers=callers["b and c"] | asked)
            assert other.status_code in (200, 404)
            star = callers["b and c"] | {"If-None-Match": "*"}
            assert client.get(path, headers=star).status_code == (304 if path == BASE else 404)


def test_replies_name_what_they_depend_on(walled: tuple[Server, dict[str, Headers]]) -> None:
    server, callers = walled
    with server.client() as client:
        for path in READS:
            for name, headers in callers.items():
                reply = client.get(path, headers=headers)
                assert reply.headers["vary"] == "Authorization"
                is_private = "private" in reply.headers["cache-control"]
                needs_token = name != "anonymous" and path not in (
                    "/livez",
                    "/readyz",
                    "/schema",
                    "/schema/openapi.json",
                )
                assert is_private == needs_token, (path, name)
