"""Any damage to the catalog: reindexing makes it again, with all snapshots, ids and deletions."""

from __future__ import annotations

import shutil
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import BufdirError
from pipeline.runs import lifecycle, reindex
from pipeline.runs.run import run_cells
from pipeline.storage import deletions, file_digests
from pipeline.storage.catalog import Catalog
from tests.given import NOW, QUARTER, DataFolder, computed, people, row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.storage.catalog import Entry

SEEDS = range(40)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    """Forty snapshots, one with two versions, one deleted, one deleted and removed, one remade."""
    folder = DataFolder(tmp_path_factory.mktemp("whole") / "data")
    others = [row(org_id=f"org-{n}") for n in range(2, 40)]
    folder.export([*people(1), *others])
    folder.nightly()
    folder.export([*people(2), *others])
    folder.nightly()
    with folder.context() as context:
        lifecycle.delete(context.catalog, "agg-003", NOW - timedelta(days=40), "local:kari")
        lifecycle.delete(context.catalog, "agg-004", NOW, "api")
        lifecycle.delete(context.catalog, "agg-005", NOW, "api")
        entry = run_cells(context, [QUARTER], ["org-13"]).outcomes[0]
    assert entry.id
    folder.nightly()
    return folder


def drawn_by(seed: int) -> Random:
    return Random(seed)  # noqa: S311 (the same damage in each run)


def copied(whole: DataFolder, tmp_path: Path) -> DataFolder:
    return DataFolder(shutil.copytree(whole.data, tmp_path / "data"))


def zeroed(content: bytearray, random: Random) -> bytearray:
    begin = random.randrange(len(content))
    end = min(len(content), begin + random.randrange(1, 5_000))
    content[begin:end] = bytes(end - begin)
    return content


def flipped(content: bytearray, random: Random) -> bytearray:
    for _ in range(random.choice([1, 1, 3, 200])):
        content[random.randrange(len(content))] ^= random.randrange(1, 256)
    return content


def flipped_header(content: bytearray, random: Random) -> bytearray:
    content[random.randrange(108)] ^= random.randrange(1, 256)
    return content


def cut(content: bytearray, random: Random) -> bytearray:
    return content[: random.randrange(len(content))]


def lengthened(content: bytearray, random: Random) -> bytearray:
    return content + random.randbytes(random.randrange(1, 9_000))


def random_bytes(content: bytearray, random: Random) -> bytearray:
    return bytearray(random.randbytes(len(content)))


def swapped(content: bytearray, random: Random) -> bytearray:
    pages = len(content) // 4096
    one, other = (random.randrange(pages) * 4096 for _ in range(2))
    page = content[one : one + 4096]
    content[one : one + 4096] = content[other : other + 4096]
    content[other : other + 4096] = page
    return content


DAMAGE: list[Callable[[bytearray, Random], bytearray]] = [
    *(zeroed, flipped, flipped_header, cut, lengthened, random_bytes, swapped),
]


def snapshots(catalog: Catalog) -> list[tuple[object, ...]]:
    def listed(one: Entry) -> tuple[object, ...]:
        return (
            *(one.id, one.org_id, one.reporting_period_id, one.status, one.version),
            *(one.created_at, one.refreshed_at, one.digest, one.rows, one.participations),
            *(one.seconds, one.activities, one.row_digest, one.terms_digest),
        )

    return [listed(entry) for entry in catalog.entries().values()]


@pytest.mark.parametrize("damage", DAMAGE)
def test_after_any_damage_reindexing_gives_the_same_snapshots_versions_and_deletions(
    whole: DataFolder, tmp_path: Path, damage: Callable[[bytearray, Random], bytearray]
) -> None:
    with whole.context() as context:
        before = snapshots(context.catalog), deletions.read(context.catalog)
        digests = file_digests.read(context.catalog)
    folder = copied(whole, tmp_path)
    path = folder.data / "catalog.sqlite"
    content = path.read_bytes()
    for seed in SEEDS:
        path.write_bytes(damage(bytearray(content), drawn_by(seed)))

        assert list(reindex.run(folder.data, NOW).damaged) == [], seed

        with Catalog.open(folder.data) as catalog:
            catalog.check_integrity()
            assert (snapshots(catalog), deletions.read(catalog)) == before, seed
            assert file_digests.read(catalog) == digests, seed


@pytest.mark.parametrize("suffix", ["", "-journal"])
def test_after_the_loss_of_the_catalog_the_next_nightly_run_finds_all_as_it_was(
    whole: DataFolder, tmp_path: Path, suffix: str
) -> None:
    folder = copied(whole, tmp_path)
    before = folder.published()
    (folder.data / "catalog.sqlite").unlink()
    if suffix:
        (folder.data / f"catalog.sqlite{suffix}").write_bytes(b"\xd9\xd5\x05\xf9 left over")
    reindex.run(folder.data, NOW)
    result = folder.nightly()
    assert (computed(result), list(result.damaged)) == (set(), [])
    assert folder.published() == before
    with folder.context() as context:
        made = run_cells(context, [QUARTER], ["org-new"]).outcomes
    assert [one.id for one in made] == ["agg-041"]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_nightly_run_over_a_damaged_catalog_reports_it_or_finds_all_as_it_was(
    whole: DataFolder, tmp_path: Path, damage: Callable[[bytearray, Random], bytearray]
) -> None:
    folder = copied(whole, tmp_path)
    path = folder.data / "catalog.sqlite"
    content = path.read_bytes()
    before = folder.published()
    for seed in SEEDS[:8]:
        path.write_bytes(damage(bytearray(content), drawn_by(seed)))
        try:
            reported = bool(folder.nightly().damaged)
        except BufdirError:
            reported = True
        assert reported or folder.published() == before, seed
