"""The record of the last nightly run is written compare-and-set, and trusted only while current."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.errors import SnapshotNotFound, StoreDamaged
from pipeline.storage import deletions, nightly_record
from pipeline.storage.catalog import Catalog
from pipeline.storage.nightly_record import FileRecord, NightlyRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.model.deletions import Deletion

NOW = datetime(2025, 2, 1, 3, 30, tzinfo=UTC)
FILE = FileRecord((100, 1, 2, 3), 5, None, ("org-1",), "00ff")
REFUSED = FileRecord((90, 1, 2, 4), None, "it is torn", ("org-2",), None)


def record(run_id: int) -> NightlyRecord:
    return NightlyRecord(
        run_id=run_id,
        ended_at=NOW,
        terms="t",
        inputs="i",
        files={"a.parquet": FILE, "b.parquet": REFUSED},
        until=datetime(2025, 3, 31, 22, tzinfo=UTC),
        ignored_columns=("shoe_size",),
    )


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog.open(tmp_path) as opened:
        yield opened


def delete(catalog: Catalog) -> Deletion:
    """Create a snapshot and delete it."""
    (entry,) = catalog.create([("org-1", "rp-2024-q4")], NOW, above=0)
    return deletions.delete(catalog, entry.id, NOW, "local:kari")


def undelete_and_fail(catalog: Catalog, deletion: Deletion) -> None:
    deletions.undelete(catalog, deletion, None)
    catalog.get("agg-999")


def claimed_and_written(catalog: Catalog, run_id: int) -> bool:
    nightly_record.claim(catalog, run_id)
    return nightly_record.write(catalog, record(run_id))


def test_before_the_first_nightly_run_there_is_no_record(catalog: Catalog) -> None:
    assert nightly_record.read(catalog) is None
    assert not nightly_record.is_current(catalog)


def test_a_record_reads_as_it_was_written(catalog: Catalog) -> None:
    assert claimed_and_written(catalog, 1)
    assert nightly_record.read(catalog) == record(1)
    assert nightly_record.is_current(catalog)


def test_a_record_is_not_current_from_when_the_next_nightly_run_begins(catalog: Catalog) -> None:
    claimed_and_written(catalog, 1)
    nightly_record.claim(catalog, 2)
    assert nightly_record.read(catalog) == record(1)
    assert not nightly_record.is_current(catalog)
    assert nightly_record.write(catalog, record(2))
    assert nightly_record.is_current(catalog)


def test_a_nightly_run_that_never_ends_leaves_the_record_before_it_and_none_current(
    catalog: Catalog,
) -> None:
    claimed_and_written(catalog, 1)
    nightly_record.claim(catalog, 2)
    nightly_record.claim(catalog, 3)
    assert nightly_record.read(catalog) == record(1)
    assert claimed_and_written(catalog, 3)


def test_a_run_that_no_longer_owns_the_record_stores_it_and_is_told(catalog: Catalog) -> None:
    nightly_record.claim(catalog, 1)
    nightly_record.claim(catalog, 2)
    assert not nightly_record.write(catalog, record(1))
    assert nightly_record.read(catalog) == record(1)
    assert not nightly_record.is_current(catalog)
    assert nightly_record.write(catalog, record(2))


def test_a_run_that_claimed_nothing_owns_nothing(catalog: Catalog) -> None:
    assert not nightly_record.write(catalog, record(1))
    assert not nightly_record.is_current(catalog)


def test_an_undeletion_during_a_nightly_run_voids_its_claim(catalog: Catalog) -> None:
    deletion = delete(catalog)
    nightly_record.claim(catalog, 1)
    deletions.undelete(catalog, deletion, None)
    assert not nightly_record.write(catalog, record(1))
    assert nightly_record.read(catalog) == record(1)
    assert not nightly_record.is_current(catalog)


def test_an_undeletion_after_a_nightly_run_voids_its_record(catalog: Catalog) -> None:
    deletion = delete(catalog)
    claimed_and_written(catalog, 1)
    deletions.undelete(catalog, deletion, None)
    assert not nightly_record.is_current(catalog)


def test_a_deletion_voids_nothing_because_no_run_computes_its_cell(catalog: Catalog) -> None:
    claimed_and_written(catalog, 1)
    delete(catalog)
    assert nightly_record.is_current(catalog)


def test_an_undeletion_that_is_rolled_back_voids_nothing(catalog: Catalog) -> None:
    deletion = delete(catalog)
    claimed_and_written(catalog, 1)
    with pytest.raises(SnapshotNotFound), catalog.transaction():
        undelete_and_fail(catalog, deletion)
    assert nightly_record.is_current(catalog)


def test_an_undeletion_by_another_process_is_seen(catalog: Catalog) -> None:
    deletion = delete(catalog)
    nightly_record.claim(catalog, 1)
    with Catalog.open(catalog.data) as other:
        deletions.undelete(other, deletion, None)
    assert not nightly_record.write(catalog, record(1))


def test_organisations_that_a_run_found_are_added_to_their_files(catalog: Catalog) -> None:
    claimed_and_written(catalog, 1)
    nightly_record.add_organisations(catalog, {"a.parquet": ["org-3", "org-1"], "c.parquet": {"x"}})
    after = nightly_record.read(catalog)
    assert after is not None
    assert after.files["a.parquet"] == msgspec.structs.replace(
        FILE, organisations=("org-1", "org-3")
    )
    assert after.files["b.parquet"] == REFUSED
    assert after.files["c.parquet"].organisations == ("x",)
    assert nightly_record.is_current(catalog)


def test_organisations_are_kept_before_the_first_nightly_run_too(catalog: Catalog) -> None:
    nightly_record.add_organisations(catalog, {"a.parquet": ["org-1"]})
    after = nightly_record.read(catalog)
    assert after is not None
    assert after.files["a.parquet"].organisations == ("org-1",)
    assert not nightly_record.is_current(catalog)


@pytest.mark.parametrize("body", ["{", "{}", "[]", "null", '{"run_id": "one"}'])
def test_a_record_that_is_none_is_damage(catalog: Catalog, body: str) -> None:
    claimed_and_written(catalog, 1)
    catalog.execute("UPDATE nightly_record SET body = ?", (body,))
    with pytest.raises(StoreDamaged, match=r"record of the last nightly run: .*bufdir reindex"):
        nightly_record.read(catalog)


def test_snapshots_that_stand_are_confirmed_by_their_inputs(catalog: Catalog) -> None:
    entries = catalog.create([(f"org-{n}", "rp-2024-q4") for n in range(2_000)], NOW, above=0)
    catalog.confirm([entry.number for entry in entries[1:]], "inputs")
    inputs = [entry.inputs for entry in catalog.entries().values()]
    assert inputs == [None, *["inputs"] * 1_999]
