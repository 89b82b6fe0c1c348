"""Lists, single snapshots and HTTP's rules for every reply: HEAD, ETag, 404, 405."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from tests.api.serving import BASE, DOUBLED, PROBLEM

if TYPE_CHECKING:
    import httpx

READABLE = [
    BASE,
    f"{BASE}/agg-001",
    f"{BASE}/agg-001/metrics",
    f"{DOUBLED}/agg-001",
    "/livez",
    "/readyz",
    "/schema",
    "/schema/openapi.json",
]


def listed(reader: httpx.Client, **query: object) -> list[dict[str, Any]]:
    reply = reader.get(BASE, params={name: str(value) for name, value in query.items()})
    assert reply.status_code == 200, reply.text
    data: list[dict[str, Any]] = reply.json()["data"]
    return data


def ids(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["id"] for entry in entries]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("org_id", "org-bufdir-42"),
        ("reporting_period_id", "rp-2024-q4"),
        ("status", "completed"),
        ("status", "failed"),
        ("org_id", "absent"),
    ],
)
def test_a_filter_leaves_what_fits_and_nothing_else(
    reader: httpx.Client, field: str, value: str
) -> None:
    everything = listed(reader)

    assert listed(reader, **{field: value}) == [row for row in everything if row[field] == value]


def test_filters_hold_together(reader: httpx.Client) -> None:
    found = listed(reader, org_id="org-bufdir-42", reporting_period_id="rp-2024-q4")

    assert ids(found) == ["agg-001"]


@pytest.mark.parametrize(
    "field", ["created_at", "refreshed_at", "org_id", "reporting_period_id", "participant_count"]
)
def test_a_list_is_sorted_and_ties_go_by_id_in_both_directions(
    reader: httpx.Client, field: str
) -> None:
    everything = sorted(listed(reader), key=lambda row: row["id"])

    upwards = listed(reader, sort=field)
    downwards = listed(reader, sort=f"-{field}")

    assert upwards == sorted(everything, key=lambda row: row[field])
    assert downwards == sorted(everything, key=lambda row: row[field], reverse=True)


def test_pages_are_the_list_in_pieces(reader: httpx.Client) -> None:
    everything = ids(listed(reader))
    pages = [ids(listed(reader, limit=3, page=page)) for page in range(1, 5)]

    assert [*chain.from_iterable(pages)] == everything
    assert [len(page) for page in pages] == [3, 3, len(everything) - 6, 0]
    assert reader.get(BASE, params={"limit": 3, "page": 4}).json()["pagination"] == {
        "page": 4,
        "limit": 3,
        "total": len(everything),
    }


def test_the_limits_of_pages_are_allowed(reader: httpx.Client) -> None:
    assert listed(reader, limit=200, page=1)
    assert listed(reader, page=1_000_000_000) == []


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("limit=201", ["limit"]),
        ("limit=0", ["limit"]),
        ("limit=-1", ["limit"]),
        ("limit=x", ["limit"]),
        ("limit=", ["limit"]),
        ("limit=1.0", ["limit"]),
        ("limit=1e2", ["limit"]),
        ("page=0", ["page"]),
        (f"page={10**30}", ["page"]),
        (f"page={'9' * 5000}", ["page"]),
        ("page=%D9%A3", ["page"]),
        ("status=done", ["status"]),
        ("sort=hours", ["sort"]),
        ("sort=--org_id", ["sort"]),
        ("org_id=a%20b", ["org_id"]),
        ("org_id=%FF", ["org_id"]),
        ("org_id=a%0A", ["org_id"]),
        ("org_id=", ["org_id"]),
        ("reporting_period_id=2024", ["reporting_period_id"]),
        ("limt=1", ["limt"]),
        ("limit=1&limit=1", ["limit"]),
        ("page=0&limit=0&sort=x&nonsense=1", ["limit", "nonsense", "page", "sort"]),
    ],
)
def test_a_wrong_parameter_is_named(reader: httpx.Client, query: str, fields: list[str]) -> None:
    reply = reader.get(f"{BASE}?{query}")

    assert reply.status_code == 422
    assert reply.json()["title"] == "Unprocessable Content"
    assert [error["field"] for error in reply.json()["errors"]] == fields
    assert all(error["problem"] for error in reply.json()["errors"])


def test_a_wrong_choice_is_told_what_there_is(reader: httpx.Client) -> None:
    (error,) = reader.get(f"{BASE}?status=done").json()["errors"]

    assert error["problem"].endswith("it may be completed, failed, processing")


@pytest.mark.parametrize("page", ["", "-1", "one", "1.5", "+1", "0x1"])
def test_a_page_that_is_no_whole_number_is_told_what_to_be(reader: httpx.Client, page: str) -> None:
    reply = reader.get(BASE, params={"page": page})

    assert reply.status_code == 422
    assert reply.json()["errors"] == [{"field": "page", "problem": "must be a whole number"}]


def test_other_calls_take_no_parameters(reader: httpx.Client) -> None:
    for path in (f"{BASE}/agg-001", f"{BASE}/agg-001/metrics"):
        assert reader.get(path, params={"verbose": "1"}).status_code == 422


@pytest.mark.parametrize("path", ["", "/metrics"])
@pytest.mark.parametrize("bad", ["agg-1", "agg-01", "AGG-001", "agg-0000000000001", "1", "agg-00x"])
def test_an_id_of_another_form_is_invalid(reader: httpx.Client, bad: str, path: str) -> None:
    reply = reader.get(f"{BASE}/{bad}{path}")

    assert reply.status_code == 422
    assert [error["field"] for error in reply.json()["errors"]] == ["id"]


@pytest.mark.parametrize("unknown", ["agg-999", "agg-999999999999", "agg-0001"])
def test_an_unknown_id_is_not_found(reader: httpx.Client, unknown: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        reply = reader.request(method, f"{BASE}/{unknown}")
        assert reply.status_code == 404
        assert reply.json()["title"] == "Snapshot not found"
        assert unknown in reply.json()["detail"]
    assert reader.get(f"{BASE}/{unknown}/metrics").status_code == 404


@pytest.mark.parametrize("path", READABLE)
def test_head_tells_what_get_would_without_the_body(reader: httpx.Client, path: str) -> None:
    get, head = reader.get(path), reader.head(path)

    assert head.status_code == get.status_code == 200
    assert head.content == b""
    for name in ("content-type", "content-length", "etag", "cache-control"):
        assert head.headers[name] == get.headers[name]


def test_head_works_on_the_metrics_of_the_server_and_on_errors(reader: httpx.Client) -> None:
    assert reader.head("/metrics").status_code == 200
    assert reader.head(f"{BASE}/agg-999").status_code == 404
    assert reader.head(f"{BASE}/agg-999").content == b""
    assert reader.head("/nowhere").status_code == 404


@pytest.mark.parametrize("path", READABLE)
def test_a_reply_that_is_already_there_is_not_sent_again(reader: httpx.Client, path: str) -> None:
    tag = reader.get(path).headers["etag"]

    assert tag.startswith('"')
    assert tag.endswith('"')
    for asked in (tag, f"W/{tag}", f'"other", {tag}', f'W/"a,b",{tag}', "*"):
        for method in ("GET", "HEAD"):
            reply = reader.request(method, path, headers={"If-None-Match": asked})
            assert reply.status_code == 304, asked
            assert reply.content == b""
            assert reply.headers["etag"] == tag
            assert "content-type" not in reply.headers


def test_another_tag_gets_the_reply(reader: httpx.Client) -> None:
    tag = reader.get(f"{BASE}/agg-001").headers["etag"]

    for asked in ('"other"', tag.strip('"'), "", f'"{tag[1:-2]}"'):
        reply = reader.get(f"{BASE}/agg-001", headers={"If-None-Match": asked})
        assert reply.status_code == 200, asked
        assert reply.json()["id"] == "agg-001"


def test_different_replies_have_different_tags(reader: httpx.Client) -> None:
    tags = [
        reader.get(path).headers["etag"] for path in (BASE, *(f"{BASE}/agg-00{n}" for n in "12"))
    ]

    assert len(set(tags)) == 3


def test_an_error_has_no_tag_and_is_never_304(reader: httpx.Client) -> None:
    reply = reader.get(f"{BASE}/agg-999", headers={"If-None-Match": "*"})

    assert reply.status_code == 404
    assert "etag" not in reply.headers


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/api/v1", f"{BASE}/agg-001/nothing", f"{DOUBLED}{BASE}", "/schema/x"]
)
def test_a_path_at_which_nothing_answers_is_a_problem(reader: httpx.Client, path: str) -> None:
    reply = reader.get(path)

    assert reply.status_code == 404
    assert reply.headers["content-type"] == PROBLEM
    assert reply.json()["title"] == "Not Found"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (BASE, ["GET", "HEAD", "OPTIONS", "POST"]),
        (DOUBLED, ["GET", "HEAD", "OPTIONS", "POST"]),
        (f"{BASE}/agg-001", ["DELETE", "GET", "HEAD", "OPTIONS", "PUT"]),
        (f"{BASE}/agg-001/metrics", ["GET", "HEAD", "OPTIONS"]),
        ("/livez", ["GET", "HEAD", "OPTIONS"]),
        ("/schema", ["GET", "HEAD", "OPTIONS"]),
        ("/metrics", ["GET", "HEAD", "OPTIONS"]),
    ],
)
def test_a_method_that_does_nothing_is_told_which_do(
    reader: httpx.Client, path: str, allowed: list[str]
) -> None:
    refused, asked = reader.patch(path), reader.options(path)

    assert refused.status_code == 405
    assert refused.headers["content-type"] == PROBLEM
    assert refused.json()["title"] == "Method Not Allowed"
    assert asked.status_code == 204
    for reply in (refused, asked):
        assert reply.headers["allow"].split(", ") == allowed


def test_a_slash_at_the_end_changes_nothing(reader: httpx.Client) -> None:
    for path in (BASE, f"{BASE}/agg-001", f"{BASE}/agg-001/metrics"):
        assert reader.get(f"{path}/").content == reader.get(path).content


def test_a_path_that_is_no_text_is_a_problem(reader: httpx.Client) -> None:
    assert reader.get("/%FF%0A").status_code == 404
    assert reader.get(f"{BASE}/%FF").status_code == 422
    assert reader.get(f"{BASE}/agg-001%00").status_code == 422


def test_the_server_reports_its_health(reader: httpx.Client) -> None:
    assert reader.get("/livez").json() == {"status": "alive"}
    assert reader.get("/readyz").json() == {"status": "ready"}
