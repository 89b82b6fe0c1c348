"""An older catalog is brought to this schema in one transaction; a newer one is refused."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import StoreDamaged, StoreTooNew
from pipeline.runs import reindex
from pipeline.storage.catalog import Catalog
from pipeline.storage.migrations import MIGRATIONS, SCHEMA_VERSION
from tests.storage import released

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)

KILLED = """
import os, signal, sqlite3, sys
from functools import partial
from pathlib import Path

from pipeline.storage.catalog import Catalog

countdown = [int(sys.argv[2])]


def statement(sql):
    countdown[0] -= 1
    if countdown[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


class Watched(sqlite3.Connection):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.execute("PRAGMA cache_spill = 1")
        self.execute("PRAGMA cache_size = 1")
        self.set_trace_callback(statement)


sqlite3.connect = partial(sqlite3.connect, factory=Watched)
Catalog.open(Path(sys.argv[1])).close()
os._exit(0)  # no statement of another's, such as of what measures coverage, counts
"""
"""The opening of a catalog by a process that is killed just before its nth statement."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return released.copy(tmp_path)


def pragma(data: Path, sql: str) -> Any:
    with closing(sqlite3.connect(data / "catalog.sqlite")) as connection:
        found = connection.execute(sql).fetchone()
        connection.commit()
    return found and found[0]


def schema(data: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Read the columns of every table, and the indexes."""
    with closing(sqlite3.connect(data / "catalog.sqlite")) as connection:
        names = connection.execute("SELECT name, type FROM sqlite_schema ORDER BY name").fetchall()
        return {
            f"{kind} {name}": connection.execute(f"PRAGMA table_xinfo({name})").fetchall()
            for name, kind in names
        }


def test_there_is_a_step_from_every_earlier_schema_version() -> None:
    assert sorted(MIGRATIONS) == list(range(1, SCHEMA_VERSION))


def test_a_migrated_catalog_has_the_schema_of_a_new_one(data: Path, tmp_path: Path) -> None:
    Catalog.open(data).close()
    Catalog.open(tmp_path / "new").close()
    assert schema(data) == schema(tmp_path / "new")
    assert pragma(data, "PRAGMA user_version") == SCHEMA_VERSION


def test_a_migrated_catalog_is_sound(data: Path) -> None:
    with Catalog.open(data) as catalog:
        catalog.check_integrity()


def test_a_migration_that_is_killed_anywhere_starts_again_at_the_next_opening(
    data: Path, tmp_path: Path
) -> None:
    kills = 0
    while True:
        copy = copied(data, tmp_path / f"copy-{kills}")
        arguments = [sys.executable, "-c", KILLED, str(copy), str(kills + 1)]
        ended = subprocess.run(arguments, capture_output=True, check=False, text=True)
        assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
        if ended.returncode == 0:
            break
        kills += 1
        assert pragma(copy, "PRAGMA user_version") in (1, SCHEMA_VERSION)
        with Catalog.open(copy) as catalog:
            assert released.numbers(catalog) == released.NUMBERS
            catalog.check_integrity()
    assert kills > 15  # the statements of the migration, each with a process that died there


def copied(data: Path, target: Path) -> Path:
    return type(target)(shutil.copytree(data, target))


def test_many_processes_that_open_an_older_catalog_at_once_migrate_it_once(data: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.storage.catalog import Catalog\n"
        "Catalog.open(Path(sys.argv[1])).close()"
    )
    openers = [subprocess.Popen([sys.executable, "-c", code, str(data)]) for _ in range(4)]
    assert [opener.wait() for opener in openers] == [0] * 4
    with Catalog.open(data) as catalog:
        assert released.numbers(catalog) == released.NUMBERS


def newer(data: Path) -> bytes:
    """Change the catalog to one of the next schema version, as its release would mark it."""
    Catalog.open(data).close()
    mark = pragma(data, "PRAGMA application_id")
    pragma(data, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    pragma(data, f"PRAGMA application_id = {mark + 1}")
    return (data / "catalog.sqlite").read_bytes()


def test_a_catalog_of_a_newer_release_is_refused_by_name(data: Path) -> None:
    newer(data)
    sentence = f"catalog.sqlite has schema version {SCHEMA_VERSION + 1}, and this release reads up"
    for opening in (Catalog.open, Catalog.open_read_only):
        with pytest.raises(StoreTooNew, match=sentence):
            opening(data)


def test_a_catalog_of_a_newer_release_is_not_set_aside_by_reindexing(data: Path) -> None:
    content = newer(data)
    with pytest.raises(StoreTooNew, match="use the release that wrote it, or restore"):
        reindex.run(data, NOW)
    assert (data / "catalog.sqlite").read_bytes() == content
    assert [path.name for path in data.glob("catalog.sqlite*")] == ["catalog.sqlite"]


def test_a_damaged_schema_version_is_not_mistaken_for_a_newer_release(data: Path) -> None:
    Catalog.open(data).close()
    pragma(data, "PRAGMA user_version = 99")
    with pytest.raises(StoreDamaged, match=r"newer than .*; use the release .* bufdir reindex"):
        Catalog.open(data)
    assert reindex.run(data, NOW).set_aside is not None
