"""The prefix of a reverse proxy: addresses in replies begin with it, paths of requests do not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.api.serving import BASE, export, nightly_run, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

PREFIX = "/bufdir"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    data: Path = tmp_path_factory.mktemp("prefix") / "data"
    export(data, "a", 3)
    nightly_run(data)
    with serving(data, PROXY__PREFIX=PREFIX) as server, server.client() as client:
        yield client


def test_a_run_that_was_started_is_polled_under_the_prefix(client: httpx.Client) -> None:
    reply = client.post(BASE, json={"org_id": "a", "reporting_period_id": "rp-2024-q2"})

    assert reply.status_code == 202
    assert reply.headers["location"] == f"{PREFIX}{BASE}/{reply.json()['id']}"


@pytest.mark.parametrize(
    ("method", "path", "slug"),
    [
        ("GET", f"{BASE}/agg-999", "snapshot-not-found"),
        ("GET", "/nowhere", "no-such-path"),
        ("PATCH", BASE, "method-not-allowed"),
        ("GET", f"{PREFIX}{BASE}", "no-such-path"),
    ],
)
def test_the_type_of_a_problem_begins_with_the_prefix(
    client: httpx.Client, method: str, path: str, slug: str
) -> None:
    assert client.request(method, path).json()["type"] == f"{PREFIX}/schema#{slug}"


def test_the_documentation_links_and_describes_addresses_under_the_prefix(
    client: httpx.Client,
) -> None:
    document = client.get("/schema/openapi.json").json()

    assert re.findall(r"href='([^']+)'", client.get("/schema").text) == [
        f"{PREFIX}/schema/openapi.json"
    ]
    assert document["servers"] == [{"url": PREFIX}]
    assert BASE in document["paths"]
    types = re.findall(r'"type":"([^"]*/schema#[^"]+)"', client.get("/schema/openapi.json").text)
    assert types
    assert {one.partition("#")[0] for one in types} == {f"{PREFIX}/schema"}
