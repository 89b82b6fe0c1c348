"""The exports that ended a process which read them; none is read again until it changes.

An entry holds under the conditions of its time: another release of a library, or more memory, may
read the same file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipeline.storage.catalog import Catalog

FileState = tuple[str, tuple[int, int, int, int]]
"""The name of a file, and the values of its fingerprint."""


def is_empty(catalog: Catalog) -> bool:
    """Return whether there are no entries."""
    return not catalog.execute("SELECT 1 FROM fatal_exports LIMIT 1")


def read(catalog: Catalog, conditions: str) -> Mapping[FileState, str]:
    """Give the problem of each file that is not to be read under these conditions."""
    rows = catalog.execute("SELECT * FROM fatal_exports WHERE conditions = ?", (conditions,))
    return {_state(row["name"], row["fingerprint"]): row["problem"] for row in rows}


def may_be_read_again(catalog: Catalog, conditions: str) -> bool:
    """Return whether there are entries of other conditions."""
    statement = "SELECT 1 FROM fatal_exports WHERE conditions <> ? LIMIT 1"
    return bool(catalog.execute(statement, (conditions,)))


def add(catalog: Catalog, found: Mapping[FileState, str], conditions: str) -> None:
    """Enter these files with their problems."""
    with catalog.transaction():
        for (name, fingerprint), problem in found.items():
            catalog.execute(
                "INSERT OR REPLACE INTO fatal_exports (name, fingerprint, problem, conditions) "
                "VALUES (?, ?, ?, ?)",
                (name, msgspec.json.encode(fingerprint).decode(), problem, conditions),
            )


def prune(catalog: Catalog, present: Collection[FileState], conditions: str) -> None:
    """Remove the entries of files that have changed or gone, and those of other conditions."""
    with catalog.transaction():
        rows = catalog.execute("SELECT * FROM fatal_exports")
        _remove(
            catalog,
            (
                row["name"]
                for row in rows
                if row["conditions"] != conditions
                or _state(row["name"], row["fingerprint"]) not in present
            ),
        )


def _remove(catalog: Catalog, names: Iterable[str]) -> None:
    for name in names:
        catalog.execute("DELETE FROM fatal_exports WHERE name = ?", (name,))


def _state(name: str, fingerprint: str) -> FileState:
    return name, msgspec.json.decode(fingerprint, type=tuple[int, int, int, int])
