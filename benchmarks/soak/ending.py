"""What must hold once all callers have stopped: numbers, checks of the program, and files."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from benchmarks.soak import replies
from benchmarks.soak.calls import Site
from benchmarks.soak.record import Record
from benchmarks.soak.replies import WrongReply

_COMMANDS: Final = (("nightly",), ("verify",), ("audit", "--verify", "--limit", "1"))
_LASTING: Final = frozenset({"snapshots/highest-id", "quarantine/unplaced.jsonl"})
"""Files that are of no single version."""
_SEVERE: Final = frozenset({"error", "critical"})


def breaches_while_served(site: Site, record: Record) -> Iterator[str]:
    """Bring everything up to date, and compare it with the last exports and a second engine."""
    for command in _COMMANDS:
        ended = site.command(*command)
        if ended.returncode:
            yield f"{command[0]} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
    for item in site.call("GET", "?limit=200").body["data"]:
        try:
            cell, generation = replies.of_snapshot(site.call("GET", f"/{item['id']}").body)
        except WrongReply as error:
            yield str(error)
            continue
        if generation != record.written[cell.organisation]:
            yield f"{cell} ended with generation {generation}, not with the last export's"


def breaches_of_files(data: Path) -> Iterator[str]:
    """Compare the files of snapshots and quarantine with what the catalog names."""
    due = {f"snapshots/{name}": digest for name, digest in _versions(data).items()}
    due |= dict.fromkeys(_markers(data), "")
    rejected = {f"quarantine/{name}l" for name in _current(data)}
    found = {
        path.relative_to(data).as_posix(): path
        for folder in ("snapshots", "quarantine", ".locks", "crashes")
        for path in (data / folder).rglob("*")
        if path.is_file()
    }
    for name, path in found.items():
        digest = due.get(name)
        if digest and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            yield f"{name} has other bytes than the catalog names"
        # The counts of writes are no lock, and stay for the next server.
        if digest is None and name not in {*rejected, *_LASTING, ".locks/write-limits"}:
            yield f"{name} is left, and the catalog does not name it"
    yield from (f"{name} is missing" for name in due.keys() - found.keys())


def breaches_of_log(log: Path) -> Iterator[str]:
    """Yield the errors that the server logged."""
    for line in log.read_text("utf-8").splitlines():
        if line.startswith("{"):
            if json.loads(line).get("level") in _SEVERE:
                yield f"the server logged {line}"
        elif line:
            yield f"the server printed {line}"


def _versions(data: Path) -> dict[str, str]:
    rows = _selected(data, "SELECT number, version, sha256 FROM file_digests")
    return {_name(number, version): digest for number, version, digest in rows}


def _current(data: Path) -> list[str]:
    return [_name(*row) for row in _selected(data, "SELECT number, version FROM snapshots")]


def _markers(data: Path) -> list[str]:
    rows = _selected(data, "SELECT number FROM deletions")
    return [f"snapshots/agg-{number:03d}/deleted.json" for (number,) in rows]


def _name(number: int, version: int) -> str:
    return f"agg-{number:03d}/v{version}.json"


def _selected(data: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(data / "catalog.sqlite")) as connection:
        return list(connection.execute(query))
