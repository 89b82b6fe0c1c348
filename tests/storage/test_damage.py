"""A damaged byte in the catalog is refused with what to do, and reindexing repairs all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import StoreDamaged
from pipeline.model.listing import Listing
from pipeline.runs import reindex
from pipeline.storage import deletion_markers, deletions, nightly_record, run_queue
from pipeline.storage.catalog import Catalog
from tests.storage import released

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)
HEADER_FIELDS = (0, 16, 18, 19, 20, 21, 28, 32, 44, 52, 56, 60, 61, 63, 68, 71, 92)
"""One offset in each field of a SQLite file's header whose change has an effect."""


@pytest.fixture(params=["older schema", "present schema"])
def data(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    data = released.copy(tmp_path)
    if request.param == "present schema":
        Catalog.open(data).close()
    return data


def look(catalog: Catalog) -> None:
    catalog.list(Listing())
    catalog.entries()
    run_queue.open_runs(catalog)
    run_queue.last_nightly(catalog)
    nightly_record.read(catalog)


def write(catalog: Catalog) -> None:
    with catalog.transaction():
        catalog.create([("org-7", "rp-2024-q1")], NOW, above=0)
        deletions.delete(catalog, "agg-001", NOW, "local:kari")
        catalog.confirm([2, 3], "inputs")


def works_or_says_what_to_do(
    opening: Callable[[Path], Catalog], use: Callable[[Catalog], None], data: Path
) -> bool:
    """Use a catalog; return whether it was refused, in the one way that it may be."""
    refusal = ""
    try:
        with opening(data) as catalog:
            use(catalog)
    except StoreDamaged as error:
        refusal = str(error)
    assert not refusal or "bufdir reindex" in refusal
    return bool(refusal)


def flips(content: bytes) -> list[tuple[int, int]]:
    """List offsets and what the byte there is changed by, with a XOR."""
    random = Random(1)  # noqa: S311 (the same offsets each time)
    inside = [random.randrange(100, len(content)) for _ in range(12)]
    schema = [content.index(b"CREATE TABLE"), content.index(b"org_id TEXT")]
    rows = [content.index(b"completed"), content.index(b"rp-2024-q4") - 1]
    return [
        *((offset, bits) for offset in HEADER_FIELDS for bits in (3, 0x80)),
        *((offset, 0x84) for offset in (*inside, *schema, *rows)),
    ]


def test_after_any_damaged_byte_the_catalog_works_or_is_refused_and_reindexing_succeeds(
    data: Path,
) -> None:
    path = data / "catalog.sqlite"
    content = path.read_bytes()
    refusals = 0
    for offset, bits in flips(content):
        damaged = bytearray(content)
        damaged[offset] ^= bits
        path.write_bytes(damaged)
        refusals += works_or_says_what_to_do(Catalog.open_read_only, look, data)
        assert path.read_bytes() == damaged
        works_or_says_what_to_do(Catalog.open, write, data)
        path.write_bytes(damaged)
        deletion_markers.remove(data, 1)

        reindex.run(data, NOW)

        with Catalog.open(data) as catalog:
            catalog.check_integrity()
            assert released.numbers(catalog) == released.COMPLETED, (offset, bits)
    assert refusals > 10


def test_a_catalog_that_is_set_aside_keeps_its_bytes(data: Path) -> None:
    Catalog.open(data).close()
    path = data / "catalog.sqlite"
    content = bytearray(path.read_bytes())
    content[content.index(b"one_open_run") - 30] ^= 0xFF
    path.write_bytes(content)
    damaged = path.read_bytes()
    aside = reindex.run(data, NOW).set_aside
    assert aside is not None
    assert (data / aside).read_bytes() == damaged


def test_a_damaged_index_sets_the_catalog_aside_and_its_record_is_taken_over(
    data: Path,
) -> None:
    with Catalog.open(data) as catalog:
        ((page,),) = catalog.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'snapshots_by_period'"
        )
        ((size,),) = catalog.execute("PRAGMA page_size")
    path = data / "catalog.sqlite"
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)

    assert reindex.run(data, NOW).set_aside == "catalog.sqlite.20261201T033000Z"

    with Catalog.open(data) as catalog:
        record = nightly_record.read(catalog)
        assert not nightly_record.is_current(catalog)
    assert record is not None
    assert record.files["b.parquet"].organisations == ("org-2",)
