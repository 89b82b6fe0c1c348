"""A catalog that is opened to look writes nothing at all, in any state of the folder."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import SnapshotNotFound, StoreDamaged, StoreUnusable
from pipeline.model.listing import Listing
from pipeline.storage import deletions, nightly_record, run_queue
from pipeline.storage.catalog import Catalog
from tests.storage import released

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)


def look(data: Path) -> None:
    """Read everything that a command which only looks may ask for."""
    with Catalog.open_read_only(data) as catalog:
        catalog.list(Listing())
        catalog.entries()
        run_queue.open_runs(catalog)
        run_queue.last_nightly(catalog)
        nightly_record.read(catalog)
        nightly_record.is_current(catalog)


def test_looking_at_a_catalog_changes_no_byte_and_no_time_in_its_folder(tmp_path: Path) -> None:
    data = released.copy(tmp_path)
    Catalog.open(data).close()
    before = released.contents(data)
    look(data)
    assert released.contents(data) == before


def test_looking_at_an_older_catalog_migrates_a_copy_in_memory(tmp_path: Path) -> None:
    data = released.copy(tmp_path)
    before = released.contents(data)
    look(data)
    with Catalog.open_read_only(data) as catalog:
        assert released.numbers(catalog) == released.NUMBERS
    assert released.contents(data) == before


def test_where_no_catalog_is_an_empty_one_is_seen(tmp_path: Path) -> None:
    before = released.contents(tmp_path)
    with Catalog.open_read_only(tmp_path) as catalog:
        assert catalog.list(Listing()) == ([], 0)
        with pytest.raises(SnapshotNotFound):
            catalog.get("agg-001")
    look(tmp_path)
    assert released.contents(tmp_path) == before


def test_where_no_folder_is_none_is_made(tmp_path: Path) -> None:
    look(tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_in_the_place_of_a_catalog_stays_empty(tmp_path: Path) -> None:
    (tmp_path / "catalog.sqlite").touch()
    look(tmp_path)
    assert (tmp_path / "catalog.sqlite").read_bytes() == b""


def test_a_lost_catalog_is_named_and_not_replaced(tmp_path: Path) -> None:
    data = released.copy(tmp_path)
    (data / "catalog.sqlite").unlink()
    before = released.contents(data)
    with pytest.raises(StoreDamaged, match="it is lost, and snapshots are there; rebuild it with"):
        Catalog.open_read_only(data)
    assert released.contents(data) == before


@pytest.mark.parametrize("state", ["older", "present", "missing"])
def test_a_write_is_refused(tmp_path: Path, state: str) -> None:
    data = tmp_path / "empty" if state == "missing" else released.copy(tmp_path)
    if state == "present":
        Catalog.open(data).close()
    with Catalog.open_read_only(data) as catalog, pytest.raises(StoreUnusable, match="readonly"):
        catalog.create([("org-1", "rp-2024-q1")], NOW, above=0)


def test_looking_at_a_file_that_can_not_be_written_works(tmp_path: Path) -> None:
    data = released.copy(tmp_path)
    Catalog.open(data).close()
    (data / "catalog.sqlite").chmod(0o400)
    look(data)
    assert (data / "catalog.sqlite").stat().st_mode & 0o777 == 0o400


def test_a_transaction_that_a_power_cut_interrupted_is_undone_before_looking(
    tmp_path: Path,
) -> None:
    """The files are copied while a transaction has written some pages, as a cut leaves them."""
    data = released.copy(tmp_path)
    Catalog.open(data).close()
    cut = tmp_path / "cut"
    with closing(sqlite3.connect(data / "catalog.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE snapshots SET participations = 99, error = hex(zeroblob(9000))")
        connection.execute("DELETE FROM runs")
        shutil.copytree(data, cut)
        connection.execute("ROLLBACK")
    assert (cut / "catalog.sqlite-journal").stat().st_size > 512
    assert (cut / "catalog.sqlite").read_bytes() != (data / "catalog.sqlite").read_bytes()
    with Catalog.open_read_only(cut) as catalog:
        assert released.numbers(catalog) == released.NUMBERS
    assert not os.path.lexists(cut / "catalog.sqlite-journal")


def test_others_may_write_while_a_command_looks(tmp_path: Path) -> None:
    data = released.copy(tmp_path)
    Catalog.open(data).close()
    with Catalog.open_read_only(data) as reader, Catalog.open(data) as writer:
        reader.entries()
        deletions.delete(writer, "agg-001", NOW, "local:kari")
        with pytest.raises(SnapshotNotFound):
            reader.get("agg-001")
