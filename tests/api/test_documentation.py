"""The OpenAPI document and its page: true of the served routes, and complete offline."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from api.docs.operations import OPERATIONS
from api.http import problems
from api.snapshots import replies
from tests.api.serving import BASE, DOUBLED, PROBLEM, ROOT, serving, token
from tests.api.test_contract import LISTED, METRICS, SNAPSHOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

_ROUTES = """
import json, sys, tempfile
from pathlib import Path
from api.app import create_app
from pipeline.settings import Settings
app = create_app(Path(tempfile.gettempdir()), Settings())
print(json.dumps([[route.path_format, sorted(route.methods)] for route in app.routes]))
"""


@pytest.fixture
def document(reader: httpx.Client) -> dict[str, Any]:
    reply = reader.get("/schema/openapi.json")
    assert reply.status_code == 200
    body: dict[str, Any] = reply.json()
    return body


def everything_in(value: object) -> Iterator[tuple[str, object]]:
    """Find every key and its value at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from everything_in(inner)
    if isinstance(value, list):
        for inner in value:
            yield from everything_in(inner)


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for found in document["paths"].values():
        yield from found.values()


def test_it_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"]
    assert document["info"]["version"]


def test_it_has_every_route_and_no_other(document: dict[str, Any]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ROUTES], cwd=ROOT, capture_output=True, text=True, check=True
    )
    served = {
        (path, method.lower())
        for path, methods in json.loads(done.stdout)
        for method in methods
        if method != "OPTIONS" and not path.startswith((DOUBLED, "/schema"))
    }

    assert served == {
        (path, method) for path in document["paths"] for method in document["paths"][path]
    }


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    references = {str(value) for key, value in everything_in(document) if key == "$ref"}

    assert references == {f"#/components/schemas/{name}" for name in schemas}


def test_every_error_is_a_problem_and_shows_one(document: dict[str, Any]) -> None:
    for operation in operations(document):
        errors = {
            status: reply for status, reply in operation["responses"].items() if status >= "4"
        }
        assert "500" in errors
        for status, reply in errors.items():
            (media_type,) = reply["content"]
            assert media_type == PROBLEM
            shown = reply["content"][PROBLEM]
            assert shown["schema"] == {"$ref": "#/components/schemas/Problem"}
            for example in shown["examples"].values():
                problem = msgspec.convert(example["value"], problems.Problem)
                assert str(problem.status) == status


def test_every_operation_names_the_token_and_the_refusals_that_its_callers_meet(
    document: dict[str, Any],
) -> None:
    schemes = document["components"]["securitySchemes"]
    assert [(one["type"], one["scheme"]) for one in schemes.values()] == [("http", "bearer")]
    for path, found in document["paths"].items():
        for method, operation in found.items():
            replies = operation["responses"]
            is_public = path in {"/livez", "/readyz"}
            assert operation["security"] == ([] if is_public else [{}, {"token": []}])
            assert ("401" in replies) != is_public
            assert ("429" in replies) == (method in {"post", "put", "delete"})
            assert ("403" in replies) != is_public
            for status, name in (
                ("401", "WWW-Authenticate"),
                ("403", "WWW-Authenticate"),
                ("429", "Retry-After"),
            ):
                assert status not in replies or list(replies[status]["headers"]) == [name]


@pytest.mark.parametrize(
    ("reads", "has_token", "without_token"),
    [
        ("public", False, {"get", "post", "put", "delete"}),
        ("public", True, {"get"}),
        ("token", False, set()),
        ("token", True, set()),
    ],
)
def test_the_document_names_the_operations_that_need_a_token_at_present(
    data: Path, reads: str, has_token: bool, without_token: set[str]
) -> None:
    if has_token:
        token(data, "friend")
    with serving(data, ACCESS__READS=reads) as server, server.client() as client:
        document = client.get("/schema/openapi.json").json()
        for path, found in document["paths"].items():
            for method, operation in found.items():
                if path in {"/livez", "/readyz"}:
                    assert operation["security"] == []
                    continue
                assert ({} in operation["security"]) == (method in without_token)
                reply = client.request(method, path.replace("{id}", "agg-999"))
                assert (reply.status_code == 401) == (method not in without_token)


def test_the_document_asks_for_tokens_where_they_can_not_be_read(data: Path) -> None:
    with serving(data) as server, server.client() as client:
        (data / "catalog.sqlite").write_bytes(b"damaged" * 1000)
        document = client.get("/schema/openapi.json").json()

    assert document["paths"][BASE]["get"]["security"] == [{}, {"token": []}]
    assert document["paths"][BASE]["post"]["security"] == [{"token": []}]


def test_every_reply_with_a_snapshot_links_to_what_can_be_done_with_it(
    document: dict[str, Any],
) -> None:
    linked = {
        (operation["operationId"], status): reply["links"]
        for operation in operations(document)
        for status, reply in operation["responses"].items()
        if "links" in reply
    }

    assert set(linked) == {
        ("listSnapshots", "200"),
        ("createSnapshot", "202"),
        ("getSnapshot", "200"),
        ("refreshSnapshot", "200"),
        ("refreshSnapshot", "202"),
    }
    for links in linked.values():
        names = {link["operationId"] for link in links.values()}
        assert names == {"getSnapshot", "getMetrics", "refreshSnapshot", "deleteSnapshot"}


def test_bodies_with_unknown_names_are_documented_as_wrong(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    assert schemas["CreateBody"]["additionalProperties"] is False
    assert schemas["RefreshBody"]["additionalProperties"] is False


def test_every_reply_shows_an_example_that_is_one() -> None:
    for operation in OPERATIONS.values():
        for reply in operation.replies.values():
            for example in reply.examples.values():
                assert reply.body is not None
                built = msgspec.convert(example, reply.body)
                assert json.loads(msgspec.json.encode(built)) == example


def test_the_examples_are_the_contract(document: dict[str, Any]) -> None:
    def example(path: str, method: str, status: str) -> object:
        content = document["paths"][path][method]["responses"][status]["content"]
        return next(iter(content["application/json"]["examples"].values()))["value"]

    one = f"{BASE}/{{id}}"
    assert json.dumps(example(one, "get", "200")) == json.dumps(SNAPSHOT)
    assert json.dumps(example(f"{one}/metrics", "get", "200")) == json.dumps(METRICS)
    assert json.dumps(example(one, "delete", "200")) == '{"deleted": true, "id": "agg-001"}'
    assert json.dumps(example(BASE, "get", "200")) == json.dumps(
        {"data": [LISTED], "pagination": {"page": 1, "limit": 20, "total": 3}}
    )


def test_real_replies_are_of_the_documented_types(reader: httpx.Client) -> None:
    for path, body in (
        (BASE, replies.Page),
        (f"{BASE}/agg-001", replies.Snapshot),
        (f"{BASE}/agg-001/metrics", replies.Metrics),
    ):
        assert isinstance(msgspec.json.decode(reader.get(path).content, type=body), body)


class Addresses(HTMLParser):
    """Collects the addresses that a page would load or links to."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.found |= {value or "" for name, value in attrs if name in {"src", "href"}}


def test_the_page_loads_nothing(reader: httpx.Client) -> None:
    reply = reader.get("/schema")
    page = Addresses()
    page.feed(reply.text)

    assert reply.headers["content-type"].startswith("text/html")
    assert page.found == {"/schema/openapi.json"}
    assert not page.tags & {"script", "link", "img", "iframe", "object"}
    assert "://" not in reply.text
    assert "@import" not in reply.text
    assert "url(" not in reply.text


def test_the_page_describes_every_operation_and_every_problem(
    reader: httpx.Client, document: dict[str, Any]
) -> None:
    page = reader.get("/schema").text

    for operation in operations(document):
        assert operation["summary"] in page
    for kind in problems.KINDS.values():
        assert f"id='{kind.type.partition('#')[2]}'" in page
