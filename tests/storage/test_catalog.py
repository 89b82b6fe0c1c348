"""The catalog file: its durability, and how a damaged one is refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys

import pytest

from pipeline.errors import InvalidValue, StoreDamaged, StoreUnusable
from pipeline.storage.catalog import Catalog
from tests.given import DataFolder, people


@pytest.mark.parametrize("content", [b"no catalog at all, but long enough to be one" * 99, b"SQL"])
def test_a_damaged_catalog_is_named_with_what_to_do(folder: DataFolder, content: bytes) -> None:
    folder.export(people(1))
    folder.nightly()
    (folder.data / "catalog.sqlite").write_bytes(content)
    with pytest.raises(StoreDamaged) as damaged:
        folder.nightly()
    assert damaged.value.file.endswith("catalog.sqlite")
    assert "rebuild it with bufdir reindex" in str(damaged.value)


def test_a_catalog_of_a_schema_version_that_its_mark_contradicts_is_refused(
    folder: DataFolder,
) -> None:
    folder.nightly()
    with sqlite3.connect(folder.data / "catalog.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreDamaged, match="its schema version is 99, newer than this release"):
        folder.nightly()


def test_a_folder_in_place_of_the_catalog_is_reported(folder: DataFolder) -> None:
    (folder.data / "catalog.sqlite").mkdir()
    with pytest.raises(StoreUnusable, match="can't be used: unable to open database file"):
        folder.nightly()


def test_the_catalog_is_flushed_to_disk_and_has_no_write_ahead_log(folder: DataFolder) -> None:
    with folder.context() as context:
        ask = context.catalog.connection.execute
        assert ask("PRAGMA journal_mode").fetchone()[0] == "delete"
        assert ask("PRAGMA synchronous").fetchone()[0] == 3  # EXTRA: the folder is flushed, too


def test_a_catalog_opens_for_many_at_once(folder: DataFolder) -> None:
    opener = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.storage.catalog import Catalog\n"
        "Catalog.open(Path(sys.argv[1])).close()"
    )
    openers = [subprocess.Popen([sys.executable, "-c", opener, str(folder.data)]) for _ in range(6)]
    assert [process.wait() for process in openers] == [0] * 6
    with Catalog.open(folder.data) as catalog:
        assert catalog.entries() == {}


@pytest.mark.parametrize(
    "wrong",
    ["", "agg-1", "agg-01", "AGG-001", "agg-001\n", "agg-1234567890123", "agg-\u0660\u0660\u0661"],
)
def test_malformed_ids_are_refused(catalog: Catalog, wrong: str) -> None:
    with pytest.raises(InvalidValue, match="ids are written agg-001"):
        catalog.get(wrong)
