"""`python -m benchmarks.bodies`: the processor time that the worst bodies of 64 KiB cost a worker.

Each kind of body repeats one piece until 64 KiB are full. The worst of very many pieces are listed.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from statistics import median
from typing import Final

from benchmarks import results_page
from benchmarks.served import Served, serving

_BASE: Final = "/api/v1/bufdir-aggregations"
_JSON: Final = {"Content-Type": "application/json"}
_SIZE: Final = 64 * 1024
_TIMES: Final = 7
_SHOWN: Final = 12
_MILLISECONDS: Final = 1000
_DEEP: Final = 400
_TOO_DEEP: Final = 32_000


def _filled(first: str, piece: str | Callable[[int], str], last: str, between: str = "") -> bytes:
    """Repeat a piece, or the piece of each number, until the body is full."""
    pieces: list[str] = []
    size = len(first) + len(last)
    while True:
        next_one = piece if isinstance(piece, str) else piece(len(pieces))
        size += len(next_one) + len(between)
        if size > _SIZE:
            return (first + between.join(pieces) + last).encode()
        pieces.append(next_one)


def _listed(piece: str) -> bytes:
    return _filled('{"org_id":[', piece, "]}", ",")


def _named(name: Callable[[int], str]) -> bytes:
    return _filled("{", lambda number: f"{json.dumps(name(number))}:0", "}", ",")


BODIES: Final[Mapping[str, bytes]] = {
    "one integer": _filled('{"org_id":', "9", "}"),
    "one fraction": _filled('{"org_id":0.', "9", "}"),
    "one exponent": _filled('{"org_id":1e', "9", "}"),
    "integers of 100 digits": _listed("9" * 100),
    "integers of 4,299 digits": _listed("9" * 4299),
    "integers of one digit": _listed("0"),
    "numbers 1e9": _listed("1e9"),
    "numbers 1e999999": _listed("1e999999"),
    "numbers between two doubles": _listed("2.2250738585072011e-308"),
    "fractions of 760 digits": _listed("0." + "9" * 760),
    "empty lists": _listed("[]"),
    "empty objects": _listed("{}"),
    "objects of one value": _listed('{"":0}'),
    "objects that repeat a name": _listed('{"":0,"":0}'),
    "lists 400 deep": _listed("[" * _DEEP + "]" * _DEEP),
    "objects 400 deep": _listed('{"":' * _DEEP + "0" + "}" * _DEEP),
    "one list 32,000 deep": b"[" * _TOO_DEEP + b"]" * _TOO_DEEP,
    "empty texts": _listed('""'),
    "escaped letters": _filled('{"org_id":"', "\\u0041", '"}'),
    "escaped pairs": _filled('{"org_id":"', "\\ud83d\\ude00", '"}'),
    "half pairs": _filled('{"org_id":"', "\\ud800", '"}'),
    "escaped letters in a name": _filled('{"', "\\u0041", '":1}'),
    "short names": _named(lambda number: f"{number:x}"),
    "long names": _named(lambda number: f"{number:064d}"),
    "names that need escapes": _named(lambda number: f"\x01{number:x}"),
    "names given twice": _named(lambda number: f"{number // 2:x}"),
    "one name": _named(lambda _: ""),
    "one long organisation": _filled('{"org_id":"', "a", '"}'),
    "one long period": _filled('{"reporting_period_id":"rp-', "1", '"}'),
    "spaces": _filled("{", " ", "}"),
}
"""The body of each kind."""
PARTS: Final = (1, 16, 64, 1024)
"""The bytes of a chunk, for bodies that come in chunks."""


def main() -> None:
    """Measure, print, and write the section of `RESULTS.md`."""
    with serving(1000, 2, 1, ACCESS__WRITES_PER_MINUTE="1000000") as server:
        costs = dict(_costs(server))
    worst = sorted(costs, key=lambda name: -costs[name])[:_SHOWN]
    section = "\n".join(
        (
            "## The worst bodies of 64 KiB",
            "",
            f"Milliseconds of a worker's processor time for one request, medians of {_TIMES}.",
            f"These are the worst of {len(costs)} kinds.",
            "`python -m benchmarks.bodies` writes this.",
            "",
            "| body | ms |",
            "| --- | ---: |",
            *(f"| {name} | {costs[name] * _MILLISECONDS:.1f} |" for name in worst),
            "",
        )
    )
    print(section)
    results_page.write_section("bodies", section)


def _costs(server: Served) -> Iterator[tuple[str, float]]:
    for name, body in BODIES.items():
        for method, path in (("PUT", f"{_BASE}/agg-001"), ("POST", _BASE)):
            yield f"{name}, by {method}", _cost(server, method, path, partial(bytes, body))
    body = _filled('{"org_id":"', "a", '"}')
    for size in PARTS:
        name = f"chunks of {size} bytes"
        yield name, _cost(server, "PUT", f"{_BASE}/agg-001", partial(_cut, body, size))


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[place : place + size] for place in range(0, len(body), size))


def _cost(
    server: Served, method: str, path: str, body: Callable[[], bytes | Iterator[bytes]]
) -> float:
    """Return the median processor time of one request."""
    spent = []
    for _ in range(_TIMES):
        before = server.processor_seconds()
        _send(server.port, method, path, body())
        spent.append(server.processor_seconds() - before)
    return median(spent)


def _send(port: int, method: str, path: str, body: bytes | Iterator[bytes]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    with suppress(BrokenPipeError):  # the server stops reading after too many chunks
        connection.request(method, path, body, _JSON)
    reply = connection.getresponse()
    with suppress(ConnectionResetError):
        reply.read()
    connection.close()
    if reply.status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        msg = f"a reply was {reply.status}"
        raise RuntimeError(msg)


if __name__ == "__main__":
    main()
