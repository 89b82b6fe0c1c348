"""SQLite's errors become this program's in one place, also those that arise between rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import StoreDamaged, StoreUnusable
from pipeline.storage import deletions
from pipeline.storage.catalog import Catalog
from tests.storage import released

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(released.copy(tmp_path), busy_seconds=0) as opened:
        yield opened


def test_a_catalog_that_another_process_writes_is_unusable_for_now(catalog: Catalog) -> None:
    with closing(sqlite3.connect(catalog.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(
            StoreUnusable, match=r"catalog.sqlite can't be used: database is locked"
        ):
            catalog.entries()
    assert released.numbers(catalog) == released.NUMBERS


def test_a_commit_that_a_reader_keeps_waiting_is_rolled_back(catalog: Catalog) -> None:
    with closing(sqlite3.connect(catalog.path, isolation_level=None)) as other:
        other.execute("BEGIN")
        other.execute("SELECT * FROM snapshots").fetchone()
        with pytest.raises(StoreUnusable, match="locked"):
            deletions.delete(catalog, "agg-001", NOW, "local:kari")
    assert released.numbers(catalog) == released.NUMBERS
    deletions.delete(catalog, "agg-001", NOW, "local:kari")
    assert "agg-001" not in released.numbers(catalog)


def test_a_full_disk_is_unusable_for_now_and_nothing_is_written(catalog: Catalog) -> None:
    catalog.execute("PRAGMA max_page_count = 1")  # SQLite takes that for a full disk
    cells = [(f"org-{n}", "rp-2020") for n in range(2_000)]
    with pytest.raises(StoreUnusable, match="database or disk is full; see that there is room"):
        catalog.create(cells, NOW, above=0)
    assert released.numbers(catalog) == released.NUMBERS


def test_a_missing_table_is_damage(catalog: Catalog) -> None:
    catalog.execute("DROP TABLE snapshots")
    with pytest.raises(StoreDamaged, match="no such table: snapshots; rebuild it with bufdir rei"):
        catalog.entries()


def test_damage_that_is_met_while_rows_are_fetched_is_translated(catalog: Catalog) -> None:
    cells = [(f"org-{n}", "rp-2020") for n in range(2_000)]
    catalog.create(cells, NOW, above=0)
    content = bytearray(catalog.path.read_bytes())
    content[-4096:] = b"\xff" * 4096  # a page of the last rows; the first ones can be read
    catalog.path.write_bytes(content)
    with Catalog.open(catalog.data) as opened, pytest.raises(StoreDamaged, match="malformed"):
        opened.entries()


@pytest.mark.parametrize(
    "change",
    ["status = 'complete'", "created_at = 'yesterday'", "version = x'00'", "org_id = x'ff'"],
)
def test_a_value_that_its_column_can_not_hold_is_damage(catalog: Catalog, change: str) -> None:
    catalog.execute(f"UPDATE snapshots SET {change} WHERE number = 1")  # noqa: S608 (our own text)
    with pytest.raises(StoreDamaged, match="bufdir reindex"):
        catalog.get("agg-001")


def test_text_that_is_no_utf_8_is_damage(catalog: Catalog) -> None:
    catalog.execute("UPDATE snapshots SET error = CAST(x'ff' AS TEXT) WHERE number = 1")
    with pytest.raises(StoreDamaged, match="bufdir reindex"):
        catalog.get("agg-001")


def test_a_wrong_call_of_ours_keeps_its_own_error(catalog: Catalog) -> None:
    catalog.close()
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        catalog.entries()


def test_a_name_with_signs_that_addresses_use_opens_the_right_file(tmp_path: Path) -> None:
    data = tmp_path / "100 % ? mode=ro # of é"
    Catalog.open(data).close()
    assert (data / "catalog.sqlite").exists()
    Catalog.open_read_only(data).close()
    assert [path.name for path in tmp_path.iterdir()] == [data.name]
