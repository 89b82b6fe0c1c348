"""Damage to what is stored is reported by the next nightly run, and repaired where it can be."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from pipeline.errors import StoreDamaged
from pipeline.model import versions
from pipeline.runs import lifecycle, reindex
from pipeline.runs.status import status
from pipeline.runs.verify import verify
from pipeline.storage import file_digests, version_files
from tests.given import CELL, NOW, DataFolder, computed, people, row, settings
from tests.storage import released

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.model.damage import DamagedFile
    from pipeline.runs.context import NightlyResult
    from pipeline.storage.catalog import Catalog

Q4 = "org-1 rp-2024-q4"


@pytest.fixture
def two(folder: DataFolder) -> DataFolder:
    """Two snapshots: agg-001 with two versions, and agg-002."""
    for count in (1, 2):
        folder.export([*people(count), row(org_id="org-2")])
        folder.nightly()
    return folder


def flip(path: Path, offset: int = 300, bits: int = 1) -> bytes:
    """Change a byte of a file; return what it was."""
    content = path.read_bytes()
    changed = bytearray(content)
    changed[offset % len(content)] ^= bits
    path.write_bytes(changed)
    return content


def version_path(folder: DataFolder, number: int, version: int) -> Path:
    return version_files.version_path(folder.data, number, version)


def listed(folder: DataFolder) -> list[DamagedFile]:
    """Return what the status shows."""
    with folder.context() as context:
        return list(status(context.catalog).damaged)


def sentences(result: NightlyResult) -> list[str]:
    return [one.sentence for one in result.damaged]


def test_whole_files_are_no_damage(two: DataFolder) -> None:
    result = two.nightly()
    assert (result.changed, list(result.damaged), listed(two)) == (False, [], [])


@drawn(
    place=st.sampled_from([(1, 1), (1, 2), (2, 1)]),
    offset=st.integers(0, 5_000),
    bits=st.integers(1, 255),
)
def test_a_byte_changed_anywhere_in_any_version_file_is_reported_by_the_next_nightly_run(
    two: DataFolder, place: tuple[int, int], offset: int, bits: int
) -> None:
    path = version_path(two, *place)
    catalog = (two.data / "catalog.sqlite").read_bytes()
    content = flip(path, offset, bits)
    try:
        (one,) = two.nightly().damaged
        assert one.file == f"snapshots/{path.parent.name}/{path.name}"
        assert listed(two) == [one]
    finally:
        for left in path.parent.glob("*.damaged*"):
            left.unlink()
        for newer in ((1, 3), (2, 2)):
            version_path(two, *newer).unlink(missing_ok=True)
        path.write_bytes(content)
        (two.data / "catalog.sqlite").write_bytes(catalog)


def test_a_damaged_current_version_is_computed_again_and_set_aside(two: DataFolder) -> None:
    before = two.published()[CELL]
    path = version_path(two, 1, 2)
    flip(path)

    result = two.nightly()

    assert computed(result) == {Q4}
    after = two.published()[CELL]
    assert (after.version, after.digest, after.total) == (3, before.digest, before.total)
    (sentence,) = sentences(result)
    assert sentence == (
        "snapshots/agg-001/v2.json is damaged: its content is not what was published; "
        "version 3 was computed in its place, and the damaged file is "
        "snapshots/agg-001/v2.json.damaged now"
    )
    assert listed(two) == list(result.damaged)
    assert not path.exists()
    assert list(two.nightly().damaged) == listed(two) == []


def test_a_missing_current_version_is_computed_again(two: DataFolder) -> None:
    version_path(two, 2, 1).unlink()
    (one,) = two.nightly().damaged
    assert one.sentence == (
        "snapshots/agg-002/v1.json is damaged: it is missing; version 2 was computed in its place"
    )
    assert list(two.nightly().damaged) == []


def test_a_damaged_current_version_whose_rows_are_gone_fails_until_it_is_restored(
    two: DataFolder,
) -> None:
    (two.data / "exports" / "a.parquet").unlink()
    two.export(people(2), "b.parquet")
    content = flip(version_path(two, 2, 1))
    for _ in range(2):
        result = two.nightly()
        (failed,) = [one for one in result.outcomes if one.problem]
        assert (failed.id, failed.reason) == ("agg-002", "unreadable_version")
        (one,) = result.damaged
        assert one.remedy.startswith("restore it from a backup; ")
        with two.context() as context, pytest.raises(StoreDamaged, match=r"v1\.json is damaged"):
            lifecycle_read(context.catalog, 2, 1)
    version_path(two, 2, 1).write_bytes(content)
    assert list(two.nightly().damaged) == []


def lifecycle_read(catalog: Catalog, number: int, version: int) -> None:
    sha256 = file_digests.find(catalog, number, version)
    version_files.read(catalog.data, number, version, sha256)


def test_a_damaged_older_version_is_reported_until_it_is_restored(two: DataFolder) -> None:
    content = flip(version_path(two, 1, 1))
    for _ in range(2):
        result = two.nightly()
        assert not result.changed
        (sentence,) = sentences(result)
        assert sentence == (
            "snapshots/agg-001/v1.json is damaged: its content is not what was published; "
            "restore it from a backup, or let bufdir reindex set it aside"
        )
    version_path(two, 1, 1).write_bytes(content)
    assert list(two.nightly().damaged) == []


def test_reindexing_sets_a_damaged_older_version_aside(two: DataFolder) -> None:
    flip(version_path(two, 1, 1))
    (problem,) = reindex.run(two.data, NOW).damaged
    assert "v1.json is damaged: " in problem
    assert (version_path(two, 1, 1).parent / "v1.json.damaged").exists()
    assert two.published()[CELL].version == 2
    assert list(two.nightly().damaged) == []


def test_a_damaged_version_of_a_deleted_snapshot_is_reported(two: DataFolder) -> None:
    with two.context() as context:
        lifecycle.delete(context.catalog, "agg-001", NOW, "local:kari")
    flip(version_path(two, 1, 2))
    (one,) = two.nightly().damaged
    assert one.file == "snapshots/agg-001/v2.json"
    assert one.remedy.startswith("restore it from a backup, or")


def test_a_damaged_marker_is_reported_and_repaired(two: DataFolder) -> None:
    with two.context() as context:
        lifecycle.delete(context.catalog, "agg-001", NOW, "local:kari")
    flip(two.data / "snapshots" / "agg-001" / "deleted.json", 60)
    (sentence,) = sentences(two.nightly())
    assert sentence == (
        "snapshots/agg-001/deleted.json is damaged: it was written again from the catalog; "
        "nothing has to be done"
    )
    assert list(two.nightly().damaged) == []


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE snapshots SET participations = 3 WHERE number = 2",
        "UPDATE snapshots SET seconds = seconds + 1 WHERE number = 2",
        "UPDATE snapshots SET activities = 9 WHERE number = 2",
        "UPDATE snapshots SET rows = 0 WHERE number = 2",
        "UPDATE snapshots SET org_id = 'org-3' WHERE number = 2",
        "UPDATE snapshots SET reporting_period_id = 'rp-2024-q3' WHERE number = 2",
        "UPDATE snapshots SET refreshed_at = '2020-01-01T00:00:00Z' WHERE number = 2",
        "UPDATE snapshots SET created_at = '2020-01-01T00:00:00Z' WHERE number = 2",
        "UPDATE snapshots SET row_digest = 'x' WHERE number = 2",
    ],
)
def test_numbers_that_the_catalog_lists_otherwise_are_reported(
    two: DataFolder, change: str
) -> None:
    with two.context() as context:
        context.catalog.execute(change)
    (sentence,) = sentences(two.nightly())
    assert sentence == (
        "catalog.sqlite is damaged: what it lists of agg-002 is not what version 1 has; "
        "rebuild the catalog with bufdir reindex"
    )
    reindex.run(two.data, NOW)
    assert list(two.nightly().damaged) == []


def test_a_snapshot_that_the_catalog_has_lost_is_reported_and_keeps_its_files(
    two: DataFolder,
) -> None:
    before = two.published()
    with two.context() as context:
        context.catalog.execute("DELETE FROM snapshots WHERE number = 1")
        context.catalog.execute("DELETE FROM nightly_record")
    two.export([*people(2, org_id="org-5")], "b.parquet")
    (one,) = two.nightly().damaged
    assert one.sentence == (
        "catalog.sqlite is damaged: it has version files of agg-001, and no snapshot agg-001; "
        "rebuild the catalog with bufdir reindex"
    )
    assert version_path(two, 1, 2).exists()
    assert before


def test_a_damaged_structure_of_the_catalog_ends_the_nightly_run_with_what_to_do(
    folder: DataFolder,
) -> None:
    folder.export([row(org_id=f"org-{n}") for n in range(300)])
    folder.nightly()
    path = folder.data / "catalog.sqlite"
    content = bytearray(path.read_bytes())
    at = content.rindex(b"org-250")
    content[at - at % 4096 + 3 : at - at % 4096 + 5] = b"\xff\xff"
    path.write_bytes(content)
    with pytest.raises(StoreDamaged, match="bufdir reindex"):
        folder.nightly()


def test_all_files_are_checked_within_the_days_of_the_setting(folder: DataFolder) -> None:
    folder.settings = settings(guard={"verify_days": 3})
    folder.export([row(org_id=f"org-{n}") for n in range(7)])
    folder.nightly()
    contents = {n: flip(version_path(folder, n, 1)) for n in range(1, 8)}
    assert contents
    found: set[str] = set()
    for _ in range(3):
        folder.now += timedelta(days=1)
        with folder.context() as context:
            due = file_checks_due(context.catalog, folder)
        found |= due
    assert found == {versions.snapshot_id(n) for n in range(1, 8)}


def file_checks_due(catalog: Catalog, folder: DataFolder) -> set[str]:
    from pipeline.runs import file_checks  # noqa: PLC0415
    from pipeline.runs.context import RunContext  # noqa: PLC0415

    context = RunContext(folder.data, folder.settings, catalog, lambda: folder.now, folder.record)
    return {str(one.id) for one in file_checks.check(context).damaged}


def test_after_missed_nightly_runs_more_files_are_due(folder: DataFolder) -> None:
    folder.settings = settings(guard={"verify_days": 30})
    folder.export([row(org_id=f"org-{n}") for n in range(6)])
    folder.nightly()
    flip(version_path(folder, 6, 1))
    folder.now += timedelta(days=30)
    assert [one.id for one in folder.nightly().damaged] == ["agg-006"]


def test_files_of_an_earlier_release_get_their_digests_in_the_first_nightly_run(
    tmp_path: Path,
) -> None:
    folder = DataFolder(released.copy(tmp_path))
    path = version_path(folder, 1, 1)
    content = path.read_bytes()
    first = folder.nightly()
    assert list(first.damaged) == []
    with folder.context() as context:
        known = file_digests.read(context.catalog)
    assert set(known) == set(version_files.all_versions(folder.data))
    assert known[1, 1] == file_digests.digest_of(content)
    path.write_bytes(content.replace(b"org-1", b"org-7"))
    assert [one.file for one in folder.nightly().damaged] == ["snapshots/agg-001/v1.json"]


def test_a_damaged_file_of_an_earlier_release_is_reported_until_it_is_restored(
    tmp_path: Path,
) -> None:
    folder = DataFolder(released.copy(tmp_path))
    path = version_path(folder, 1, 1)
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    for _ in range(2):
        assert [one.file for one in folder.nightly().damaged] == ["snapshots/agg-001/v1.json"]
    path.write_bytes(content)
    assert list(folder.nightly().damaged) == []


def test_verify_calls_a_version_corrupt_that_is_another_whole_file(two: DataFolder) -> None:
    path = version_path(two, 2, 1)
    found = versions.decode(path.read_bytes())
    other = msgspec.structs.replace(found, total={**found.total, "people": 5})
    path.write_bytes(versions.encode(other))
    with two.context() as context:
        verdicts = [one.verdict for one in verify(context).snapshots]
    assert verdicts == ["match", "corrupt"]
