"""The bodies of POST and PUT: which are accepted, and how every other one is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.api.serving import BASE, PROBLEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

JSON = {"Content-Type": "application/json"}
GOOD = {"org_id": "absent", "reporting_period_id": "rp-2024-q1"}
MOST = 64 * 1024


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"org_id": "a",}',
        b"{} {}",
        b"org_id=a",
        b"\xff\xfe",
        b'{"org_id": "\xff"}',
        b'{"org_id": NaN}',
        b'{"org_id": ' + b"9" * 5000 + b"}",
        b'{"padding": -' + b"9" * 65_000 + b"}",
        b'{"org_id": "\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"org_id": "\xed\xa0\x80"}',
        b'{"org_id": "\x00"}',
        b'{"padding": Infinity}',
        b"[-Infinity]",
        b"{'org_id': 'a'}",
        '{"org_id": "a"}'.encode("utf-16"),
        b"\xef\xbb\xbf{}",
        b"[" * 60_000,
        b"[" * 30_000 + b"]" * 30_000,
        b'{"a":' * 10_000,
    ],
)
def test_what_can_not_be_parsed_is_400(reader: httpx.Client, content: bytes) -> None:
    reply = reader.post(BASE, content=content, headers=JSON)

    assert reply.status_code == 400
    assert reply.headers["content-type"] == PROBLEM
    assert reply.json()["title"] == "Bad Request"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["org_id", "reporting_period_id"]),
        ([], ["body"]),
        ("text", ["body"]),
        (17, ["body"]),
        ({**GOOD, "force": True}, ["force"]),
        ({**GOOD, "org_id": 42}, ["org_id"]),
        ({**GOOD, "org_id": None}, ["org_id"]),
        ({**GOOD, "org_id": ""}, ["org_id"]),
        ({**GOOD, "org_id": "-a"}, ["org_id"]),
        ({**GOOD, "org_id": "a" * 65}, ["org_id"]),
        ({**GOOD, "org_id": "a\n"}, ["org_id"]),
        ({**GOOD, "org_id": "å"}, ["org_id"]),
        ({**GOOD, "reporting_period_id": "rp-2024-q5"}, ["reporting_period_id"]),
        ({**GOOD, "reporting_period_id": "rp-1999"}, ["reporting_period_id"]),
        ({**GOOD, "reporting_period_id": "rp-2100-q4"}, ["reporting_period_id"]),
        ({"org_id": 1, "x" * 100: 1}, ["org_id", "reporting_period_id", "x" * 64]),
        ({**GOOD, "org_id": 2**64}, ["org_id"]),
        ({**GOOD, "org_id": -(2**63) - 1}, ["org_id"]),
        ({**GOOD, "org_id": 0.1}, ["org_id"]),
        ({**GOOD, "org_id": {"org_id": "a"}}, ["org_id"]),
        ({**GOOD, "org_id": "a\0"}, ["org_id"]),
        ({**GOOD, "": 1}, [""]),
    ],
)
def test_what_can_be_parsed_and_is_wrong_is_422_and_names_each_field(
    reader: httpx.Client, body: object, fields: list[str]
) -> None:
    reply = reader.post(BASE, json=body)

    assert reply.status_code == 422
    assert reply.headers["content-type"] == PROBLEM
    assert [error["field"] for error in reply.json()["errors"]] == fields


def test_null_is_parsed_and_wrong(reader: httpx.Client) -> None:
    assert reader.post(BASE, content=b"null", headers=JSON).status_code == 422


def test_a_period_that_has_not_begun_is_refused(reader: httpx.Client) -> None:
    reply = reader.post(BASE, json={**GOOD, "reporting_period_id": "rp-2100-q4"})

    assert reply.status_code == 422
    assert reply.json()["title"] == "Period has not begun"
    assert reply.json()["errors"][0]["field"] == "reporting_period_id"
    assert "2100-10-01" in reply.json()["detail"]


@pytest.mark.parametrize(
    "label",
    [
        None,
        "text/plain",
        "text/json",
        "application/problem+json",
        "application/x-www-form-urlencoded",
        "application/json; charset=iso-8859-1",
        "multipart/form-data; boundary=x",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_that_is_not_labelled_json_is_415(
    reader: httpx.Client, method: str, label: str | None
) -> None:
    path = BASE if method == "POST" else f"{BASE}/agg-001"
    headers = {} if label is None else {"Content-Type": label}

    reply = reader.request(method, path, content=json.dumps(GOOD), headers=headers)

    assert reply.status_code == 415
    assert reply.headers["content-type"] == PROBLEM
    assert reply.json()["title"] == "Unsupported Media Type"


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_name_that_is_given_twice_is_422(writer: httpx.Client, method: str) -> None:
    path = BASE if method == "POST" else f"{BASE}/agg-001"
    reply = writer.request(
        method,
        path,
        content='{"org_id": "one", "reporting_period_id": "rp-2024-q1", "org_id": "two"}',
        headers={"Content-Type": "application/json"},
    )

    assert reply.status_code == 422
    assert reply.json()["errors"] == [
        {"field": "org_id", "problem": "is given twice; give it once"}
    ]


@pytest.mark.parametrize("repeated", ["0", "dac", "1b57"])
def test_one_repeated_name_among_thousands_is_found(reader: httpx.Client, repeated: str) -> None:
    names = [*(f"{number:x}" for number in range(7000)), repeated]
    content = "{" + ",".join(f'"{name}":1' for name in names) + "}"

    reply = reader.post(BASE, content=content, headers=JSON)

    assert reply.status_code == 422
    assert reply.json()["errors"] == [
        {"field": repeated, "problem": "is given twice; give it once"}
    ]


def test_a_number_that_no_type_holds_is_wrong_in_every_field(reader: httpx.Client) -> None:
    for number in (b"1e999999", b"0." + b"9" * 60_000, b"1e" + b"9" * 60_000):
        reply = reader.post(BASE, content=b'{"org_id": ' + number + b"}", headers=JSON)
        assert reply.status_code in {400, 422}
        assert reply.headers["content-type"] == PROBLEM


def test_a_reply_names_twenty_unknown_or_repeated_names_at_most(reader: httpx.Client) -> None:
    unknown = ",".join(f'"{number:x}":0' for number in range(6000))
    repeated = ",".join(f'"{number // 2:x}":0' for number in range(6000))
    for content in (unknown, repeated):
        reply = reader.put(f"{BASE}/agg-001", content="{" + content + "}", headers=JSON)
        assert reply.status_code == 422
        assert len(reply.json()["errors"]) == 20
    parameters = "&".join(f"a{number}=1" for number in range(5000))
    assert len(reader.get(f"{BASE}?{parameters}").json()["errors"]) == 20


def test_a_body_in_more_than_128_parts_is_400(reader: httpx.Client) -> None:
    """Each part costs what a thousand bytes cost, so 64 KiB of them would take seconds."""

    def parts(count: int) -> Iterator[bytes]:
        yield b'{"padding": "'
        yield from (b"x" for _ in range(count - 2))
        yield b'"}'

    few = reader.put(f"{BASE}/agg-001", content=parts(100), headers=JSON)
    assert few.status_code == 422
    reply = reader.put(f"{BASE}/agg-001", content=parts(150), headers=JSON)
    assert reply.status_code == 400
    assert "more than 128 parts" in reply.json()["detail"]


def test_a_compressed_body_is_415(reader: httpx.Client) -> None:
    reply = reader.post(BASE, content=b"\x1f\x8b", headers={**JSON, "Content-Encoding": "gzip"})

    assert reply.status_code == 415


@pytest.mark.parametrize("label", ["APPLICATION/JSON", "application/json; charset=UTF-8"])
def test_json_may_be_labelled_in_any_case_and_with_its_charset(
    reader: httpx.Client, label: str
) -> None:
    reply = reader.post(BASE, content=b"{}", headers={"Content-Type": label})

    assert reply.status_code == 422


def padded(size: int) -> bytes:
    start = b'{"force_refresh": 1, "padding": "'
    return start + b"x" * (size - len(start) - 2) + b'"}'


def in_pieces(content: bytes) -> Iterator[bytes]:
    for place in range(0, len(content), 4096):
        yield content[place : place + 4096]


@pytest.mark.parametrize("size", [MOST + 1, 1_000_000])
def test_a_body_of_more_than_64_kib_is_413_whole_or_in_chunks(
    reader: httpx.Client, size: int
) -> None:
    for content in (padded(size), in_pieces(padded(size))):
        reply = reader.put(f"{BASE}/agg-001", content=content, headers=JSON)
        assert reply.status_code == 413
        assert reply.headers["content-type"] == PROBLEM
        assert reply.json()["title"] == "Content Too Large"


def test_the_reply_to_a_body_that_is_refused_unread_always_arrives(reader: httpx.Client) -> None:
    """A connection that is closed while the client still sends would take the reply with it."""
    for _ in range(100):
        for content in (padded(200_000), in_pieces(padded(200_000))):
            assert reader.put(f"{BASE}/agg-001", content=content, headers=JSON).status_code == 413


def test_a_body_of_64_kib_is_read(reader: httpx.Client) -> None:
    for content in (padded(MOST), in_pieces(padded(MOST))):
        reply = reader.put(f"{BASE}/agg-001", content=content, headers=JSON)
        assert reply.status_code == 422
        assert [error["field"] for error in reply.json()["errors"]] == ["force_refresh", "padding"]


@pytest.mark.parametrize(
    ("body", "title"),
    [
        ({"org_id": "other"}, "Snapshot is of another cell"),
        ({"reporting_period_id": "rp-2024-q3"}, "Snapshot is of another cell"),
    ],
)
def test_a_refresh_of_another_cell_is_409(
    reader: httpx.Client, body: dict[str, str], title: str
) -> None:
    reply = reader.put(f"{BASE}/agg-001", json=body)

    assert reply.status_code == 409
    assert reply.json()["title"] == title


@pytest.mark.parametrize(
    "body",
    [{"force_refresh": "true"}, {"force_refresh": None}, {"org_id": None}, {"force": True}, []],
)
def test_a_wrong_refresh_is_422(reader: httpx.Client, body: object) -> None:
    assert reader.put(f"{BASE}/agg-001", json=body).status_code == 422


def test_parameters_beside_a_body_are_unknown(reader: httpx.Client) -> None:
    assert reader.post(f"{BASE}?dry_run=1", json=GOOD).status_code == 422
    assert reader.put(f"{BASE}/agg-001?force_refresh=true").status_code == 422
    assert reader.delete(f"{BASE}/agg-001?force=1").status_code == 422


def test_every_problem_has_a_type_a_title_a_status_and_a_detail(reader: httpx.Client) -> None:
    replies = [
        reader.get("/nowhere"),
        reader.get(f"{BASE}/agg-999"),
        reader.patch(BASE),
        reader.post(BASE, content=b"{", headers=JSON),
        reader.post(BASE, json={}),
    ]
    for reply in replies:
        problem = reply.json()
        assert list(problem)[:4] == ["status", "type", "title", "detail"]
        assert problem["status"] == reply.status_code
        page, _, anchor = problem["type"].partition("#")
        assert f"id='{anchor}'" in reader.get(page).text
