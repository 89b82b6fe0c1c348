"""The account of a data folder: all that it has, apart from instants, ids and chosen names.

Two data folders with equal accounts published the same numbers by the same rows, and do the same
from now on.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from tests.power_cuts import disk

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

_CATALOG: Final = "catalog.sqlite"
_INSTANTS: Final = frozenset(
    {"created_at", "refreshed_at", "declared_at", "deleted_at", "at", "ended_at"}
)
_OF_ONE_RUN: Final = frozenset(
    # The checksum of a version file, and the hash of a token, too.
    {"run_id", "last_new", "id", "number", "claimed_by", "sha256", "digest"}
)
_TABLES: Final = (
    "snapshots",
    "blocked_cells",
    "followed_exports",
    "retired_exports",
    "accepted_falls",
    "nightly_record",
    "deletions",
    "fatal_exports",
    "tokens",
)
_VERSIONED: Final = re.compile(r"(snapshots|quarantine)/agg-(\d+)/v(\d+)\.jsonl?")
_MARKER: Final = re.compile(r"snapshots/agg-(\d+)/deleted\.json")
_FIXED: Final = re.compile(
    r"catalog\.sqlite(\.\d{8}T\d{6}Z(-journal)?)?|snapshots/highest-id|quarantine/unplaced\.jsonl|"
    r"bufdir\.toml|audit\.jsonl|exports(/.*)?|cache\.key|cache/CACHEDIR\.TAG|"
    r"cache/sha256\.json|cache/polars/manifest\.json|\.locks/write-limits|"
    r"snapshots/agg-\d+/v\d+\.json\.damaged"
)
_FOLDERS: Final = ("cache", "cache/polars", "cache/converted", ".locks", "snapshots", "quarantine")

Account = dict[str, object]


def of(data: Path, *, has_unfit_cache: bool = False) -> Account:
    """Give the account of a data folder.

    Args:
        data: The data folder.
        has_unfit_cache: Whether the cache could not be written. What is left in it goes when a
            nightly run next finds a change.

    Raises:
        AssertionError: The catalog is damaged, a run is open, or a file belongs to nothing.
    """
    state = disk.read(data)
    with closing(sqlite3.connect(data / _CATALOG)) as catalog:
        assert catalog.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        open_runs = "SELECT * FROM runs WHERE state IN ('queued', 'running')"
        assert catalog.execute(open_runs).fetchall() == []
        cells = {
            number: (f"{org_id} {period_id}", version)
            for number, org_id, period_id, version in catalog.execute(
                "SELECT number, org_id, reporting_period_id, version FROM snapshots"
            )
        }
        deleted = {
            number: (f"{org_id} {period_id}", version)
            for number, org_id, period_id, version in catalog.execute(
                "SELECT number, org_id, reporting_period_id, version FROM deletions"
            )
        }
        tables = {name: sorted(_rows(catalog, name, cells)) for name in _TABLES}
    passed_over = "cache/" if has_unfit_cache else "\0"
    known = {**cells, **deleted}
    orphans = [path for path in _orphans(state, known, deleted) if not path.startswith(passed_over)]
    assert orphans == [], orphans
    return {**tables, **dict(_versions(state, known))}


def _rows(
    catalog: sqlite3.Connection, table: str, cells: Mapping[int, tuple[str, int]]
) -> Iterator[str]:
    """Give the rows of a table, each as a text."""
    found = catalog.execute(f"SELECT * FROM {table}")  # noqa: S608 (a name of ours)
    names = [column[0] for column in found.description]
    for values in found:
        row = dict(zip(names, values, strict=True))
        cell = cells.get(row.get("number", 0), ("", 0))[0]
        yield f"{cell} {json.dumps(_plain(row), sort_keys=True)}"


def _plain(value: Any) -> Any:
    """Leave out instants, and what belongs to one run only."""
    if isinstance(value, str) and value.startswith("{"):
        return _plain(json.loads(value))
    if isinstance(value, dict):
        left_out = _INSTANTS | _OF_ONE_RUN
        revoked = {"revoked_at": bool(value["revoked_at"])} if "revoked_at" in value else {}
        plain = {name: _plain(one) for name, one in value.items() if name not in left_out}
        return {**plain, **revoked}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value


def _versions(
    state: disk.State, cells: Mapping[int, tuple[str, int]]
) -> Iterator[tuple[str, object]]:
    for path, content in state.items():
        form = _VERSIONED.fullmatch(path)
        if form is not None and isinstance(content, bytes):
            kind, number, version = form.groups()
            plain = _plain(json.loads(content)) if kind == "snapshots" else content
            yield f"{kind} {cells[int(number)][0]} v{version}", plain


def _orphans(
    state: disk.State, cells: Mapping[int, tuple[str, int]], deleted: Collection[int]
) -> Iterator[str]:
    """Give the files and folders that no reader and no later run needs."""
    cached = _cached(state)
    for path, content in state.items():
        form = _VERSIONED.fullmatch(path)
        if form is not None:
            kind, number, version = form[1], int(form[2]), int(form[3])
            current = cells.get(number, ("", 0))[1]
            is_needed = version <= current if kind == "snapshots" else version == current
        elif content is None:
            is_needed = path in _FOLDERS or any(one.startswith(f"{path}/") for one in state)
        else:
            marker = _MARKER.fullmatch(path)
            is_marker = marker is not None and int(marker[1]) in deleted
            is_needed = bool(_FIXED.fullmatch(path)) or path in cached or is_marker
        if not is_needed:
            yield path


def _cached(state: disk.State) -> set[str]:
    """Name the files of the cache that a run can find."""
    found = set()
    manifest = state.get("cache/polars/manifest.json")
    if isinstance(manifest, bytes) and manifest:
        batches = json.loads(manifest.rpartition(b"\n")[0])["batches"]
        found |= {f"cache/polars/{batch['name']}" for batch in batches}
    for path, content in state.items():
        if isinstance(content, str) and path.startswith("cache/converted/"):
            found |= {path, os.path.join(os.path.dirname(path), content)}
    return found
