"""The file for nginx, in the real nginx, before the real server, as callers on a network see it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import httpx
import pytest

from pipeline.model.access import Role
from tests.api.serving import (
    BASE,
    PROBLEM,
    audit_lines,
    export,
    nightly_run,
    serving,
    settled,
    token,
    wait_for,
)
from tests.nginx import HOST, SITE, Site, proxied

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not (shutil.which("nginx") and shutil.which("openssl")), reason="needs nginx and openssl"
)

PREFIX: Final = "/bufdir"
TRUSTED: Final = '["127.0.0.1"]'
ONE: Final = f"{PREFIX}{BASE}/agg-001"


def published(data: Path) -> Path:
    for organisation in ("a", "b", "c", "d"):
        export(data, organisation, 3)
    nightly_run(data)
    return data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    data = published(folder / "data")
    with (
        serving(
            data, ACCESS__WRITES_PER_MINUTE=3, PROXY__TRUSTED=TRUSTED, PROXY__PREFIX=PREFIX
        ) as server,
        proxied(folder / "nginx", server) as site,
    ):
        yield site


def test_nginx_accepts_the_file_and_warns_of_nothing(site: Site) -> None:
    assert "[warn]" not in (site.folder / "error.log").read_text()
    with site.client() as client:
        assert client.get(f"{PREFIX}/livez").json() == {"status": "alive"}


def test_only_the_prefix_leads_to_the_api_and_metrics_stay_on_this_computer(site: Site) -> None:
    elsewhere = (f"{BASE}/agg-001", "/")
    metrics = [f"{PREFIX}{one}" for one in ("/metrics", "//metrics", "/metrics/", "/metrics%2F")]
    with site.client() as client:
        assert client.get(ONE).status_code == 200
        assert client.get(f"{ONE}/metrics").status_code == 200
        found = {path: client.get(path).status_code for path in (*elsewhere, *metrics)}
    assert found == dict.fromkeys(found, 404)


def test_every_address_in_a_reply_leads_through_the_proxy_again(site: Site) -> None:
    body = {"org_id": "a", "reporting_period_id": "rp-2024-q2"}
    with site.client("127.0.0.21") as client:
        started = client.post(f"{PREFIX}{BASE}", json=body)
        assert started.status_code == 202, started.text
        assert started.headers["location"] == f"{PREFIX}{BASE}/{started.json()['id']}"
        assert client.get(started.headers["location"]).status_code == 200

        for missing in (client.get(f"{ONE}9"), client.get(f"{PREFIX}/nowhere")):
            assert missing.headers["content-type"] == PROBLEM
            page, _, anchor = missing.json()["type"].partition("#")
            assert f"id='{anchor}'" in client.get(page).text

    with site.server.client() as direct:
        settled(direct, started.json()["id"])


def test_the_documentation_and_its_links_work_under_the_prefix(site: Site) -> None:
    with site.client() as client:
        page = client.get(f"{PREFIX}/schema")
        (link,) = re.findall(r"href='([^']+)'", page.text)
        document = client.get(link).json()
        listed = f"{document['servers'][0]['url']}{next(iter(document['paths']))}"
        assert client.get(listed).json()["pagination"]["total"] >= 4
    problem = document["paths"][f"{BASE}/{{id}}"]["get"]["responses"]["404"]
    (example,) = problem["content"][PROBLEM]["examples"].values()
    assert example["value"]["type"] == f"{PREFIX}/schema#snapshot-not-found"


def test_no_reply_repeats_the_host_that_a_caller_names(site: Site) -> None:
    with site.client(headers={"Host": "evil.example"}) as client:
        for path in (ONE, f"{PREFIX}/schema", f"{PREFIX}/schema/openapi.json", f"{PREFIX}/none"):
            reply = client.get(path)
            assert "evil" not in reply.text + str(reply.headers)
    plain = httpx.get(f"http://127.0.0.1:{site.plain_port}{ONE}", headers={"Host": "evil.example"})
    assert (plain.status_code, plain.headers["location"]) == (301, f"https://{HOST}{ONE}")


def test_limits_and_the_audit_log_have_the_address_of_each_caller(site: Site) -> None:
    invented = "198.51.100.7"
    with site.client("127.0.0.2") as one, site.client("127.0.0.3") as other:
        forged = {"X-Forwarded-For": f"{invented}, 127.0.0.1"}
        replies = [one.put(ONE, headers=forged) for _ in range(4)]
        assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
        assert other.put(ONE).status_code == 200

    def addresses() -> set[str]:
        lines = audit_lines(site.server.data)
        return {str(line["from"]) for line in lines if line["act"] in {"refresh", "refuse"}}

    wait_for(lambda: {"127.0.0.2", "127.0.0.3"} <= addresses())
    assert invented not in addresses()


def test_a_compressed_reply_has_a_weak_tag_by_which_it_is_304_later(site: Site) -> None:
    with site.client() as client:
        compressed = client.get(f"{PREFIX}/schema/openapi.json")
        plain = client.get(f"{PREFIX}/schema/openapi.json", headers={"Accept-Encoding": "identity"})
        listed = client.get(f"{PREFIX}{BASE}")
        again = client.get(f"{PREFIX}{BASE}", headers={"If-None-Match": listed.headers["etag"]})
        other = client.get(
            f"{PREFIX}{BASE}?limit=1", headers={"If-None-Match": again.headers["etag"]}
        )

    assert compressed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert compressed.json() == plain.json()
    assert listed.headers["content-encoding"] == "gzip"
    assert listed.headers["etag"].startswith('W/"')
    assert again.status_code == 304
    assert again.headers["etag"] == listed.headers["etag"].removeprefix("W/")
    assert other.status_code == 200


def test_replies_are_for_their_caller_alone_whatever_is_compressed(site: Site) -> None:
    with site.client() as client:
        listed = client.get(f"{PREFIX}{BASE}")
    varying = {name.strip() for name in listed.headers["vary"].split(",")}
    assert varying == {"Authorization", "Accept-Encoding"}
    assert listed.headers["cache-control"] == "no-cache"
    assert listed.headers["strict-transport-security"] == "max-age=31536000"
    assert listed.headers["server"] in {"nginx", "granian"}


def test_old_tls_is_refused(site: Site) -> None:
    def version(most: ssl.TLSVersion) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = most
        with (
            socket.create_connection(("127.0.0.1", site.port)) as connection,
            context.wrap_socket(connection, server_hostname=HOST) as wrapped,
        ):
            return wrapped.version()

    assert version(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert version(ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
    with pytest.warns(DeprecationWarning, match="TLSv1"), pytest.raises(ssl.SSLError):
        version(ssl.TLSVersion.TLSv1_1)


def test_the_api_refuses_a_body_that_is_too_large_and_nginx_one_that_is_far_too_large(
    site: Site,
) -> None:
    with site.client("127.0.0.22", headers={"Content-Type": "application/json"}) as client:
        large = client.post(f"{PREFIX}{BASE}", content=b" " * 70_000)
        huge = client.post(f"{PREFIX}{BASE}", content=b" " * 200_000)
    assert (large.status_code, large.headers["content-type"]) == (413, PROBLEM)
    assert (huge.status_code, huge.headers["content-type"]) == (413, "text/html")


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose server needs tokens, and whose proxy waits for seconds only."""
    folder = tmp_path_factory.mktemp("closed")
    data = published(folder / "data")
    token(data, "first")
    changes = (
        ("proxy_read_timeout 60s", "proxy_read_timeout 5s"),
        ("client_body_timeout 10s", "client_body_timeout 1s"),
    )
    with (
        serving(
            data, ACCESS__READS="token", PROXY__TRUSTED=TRUSTED, PROXY__PREFIX=PREFIX
        ) as server,
        proxied(folder / "nginx", server, *changes) as site,
    ):
        yield site


def test_tokens_pass_and_their_replies_are_stored_nowhere(closed: Site) -> None:
    mine = token(closed.server.data, "mine", "a", can=Role.READ)
    all_of_them = token(closed.server.data, "all")
    with closed.client() as client:
        totals = [
            client.get(f"{PREFIX}{BASE}", headers=headers).json()["pagination"]["total"]
            for headers in (mine, all_of_them, mine)
        ]
        refused = client.get(f"{PREFIX}{BASE}")
        private = client.get(f"{PREFIX}{BASE}", headers=mine).headers["cache-control"]

    assert totals == [1, 4, 1]
    assert private == "private, no-cache"
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert refused.headers["cache-control"] == "no-store"
    assert refused.json()["type"] == f"{PREFIX}/schema#token-needed"
    secret = mine["Authorization"].partition(" ")[2].encode()
    written = [path for path in closed.folder.rglob("*") if path.is_file()]
    assert [path for path in written if secret in path.read_bytes()] == []


def test_a_slow_body_is_given_up_before_it_reaches_the_api(closed: Site) -> None:
    context = ssl.create_default_context(cafile=closed.folder / "certificate.pem")
    head = f"POST {PREFIX}{BASE} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", closed.port)) as connection,
        context.wrap_socket(connection, server_hostname=HOST) as caller,
    ):
        caller.settimeout(30)
        caller.sendall(head.encode() + b"{")
        started = time.monotonic()
        answer = caller.recv(4096)
    assert time.monotonic() - started < 20
    assert not answer or b" 408 " in answer.partition(b"\r\n")[0]


def test_an_api_that_hangs_holds_few_connections_of_an_address_and_none_for_long(
    closed: Site,
) -> None:
    def status(_: int) -> int:
        with closed.client("127.0.0.30") as client:
            return client.get(f"{PREFIX}/livez").status_code

    workers = closed.server.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(30) as callers:
            found = sorted(callers.map(status, range(30)))
    finally:
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
    assert set(found) == {429, 504}
    assert found.count(504) <= 20
    wait_for(lambda: status(0) == 200)


def test_a_flood_of_one_address_is_refused_and_others_are_answered(closed: Site) -> None:
    with closed.client("127.0.0.40") as flood, closed.client("127.0.0.41") as other:
        found = [flood.get(f"{PREFIX}/livez").status_code for _ in range(400)]
        assert other.get(f"{PREFIX}/livez").status_code == 200
    assert set(found) <= {200, 429}
    assert found[:100] == [200] * 100


def test_an_api_that_is_not_there_is_a_502_of_nginx(tmp_path: Path) -> None:
    data = published(tmp_path / "data")
    token(data, "first")
    with (
        serving(data, PROXY__TRUSTED=TRUSTED, PROXY__PREFIX=PREFIX) as server,
        proxied(tmp_path / "nginx", server) as site,
    ):
        server.stop()
        with site.client() as client:
            reply = client.get(ONE)
    assert (reply.status_code, reply.headers["content-type"]) == (502, "text/html")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("proxy_read_timeout 60s;", "within 60 s (504)"),
        ("client_max_body_size 128k;", "more than 128 KiB (413)"),
        ("limit_conn bufdir_connections 20;", "over 20 requests at once"),
        ("rate=50r/s;", "or 50 a second (429)"),
        ("client_body_timeout 10s;", "nothing of a body for 10 s (408)"),
    ],
)
def test_the_readme_has_the_bounds_of_the_file(line: str, words: str) -> None:
    readme = (SITE.parent.parent / "README.md").read_text()
    assert line in SITE.read_text()
    assert words in " ".join(readme.split())


def test_the_settings_that_the_file_names_are_those_of_the_test() -> None:
    text = SITE.read_text()
    assert f"trusted = {TRUSTED}" in text
    assert f'prefix = "{PREFIX}"' in text
