"""The cache of current versions: what it returns, and that replaced versions leave the memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from api.snapshots.current_versions import CurrentVersionCache
from pipeline.errors import StoreDamaged
from pipeline.storage import file_digests
from tests.given import DataFolder, people, row

if TYPE_CHECKING:
    from pipeline.model.versions import Version


def current(folder: DataFolder, cache: CurrentVersionCache, snapshot_id: str) -> Version:
    with folder.context() as context:
        entry = context.catalog.get(snapshot_id)
        sha256 = file_digests.find(context.catalog, entry.number, entry.version)
    return cache.read(entry, sha256)


def test_only_the_current_version_of_a_snapshot_is_in_memory(folder: DataFolder) -> None:
    cache = CurrentVersionCache(folder.data)
    for hours in (1.0, 2.0, 3.0):
        folder.export(people(2, hours=hours), "a.parquet")
        folder.nightly()
        found = current(folder, cache, "agg-001")
        assert found.total["seconds"] == 2 * hours * 3600
        assert current(folder, cache, "agg-001") is found
        assert len(cache) == 1


def test_the_least_recently_used_are_dropped(folder: DataFolder) -> None:
    cache = CurrentVersionCache(folder.data, most=2)
    folder.export([row(org_id=f"org-{number}") for number in range(3)])
    folder.nightly()
    first = current(folder, cache, "agg-001")
    current(folder, cache, "agg-002")
    assert current(folder, cache, "agg-001") is first
    current(folder, cache, "agg-003")
    assert len(cache) == 2
    assert current(folder, cache, "agg-001") is first


def test_a_damaged_version_is_not_cached(folder: DataFolder) -> None:
    cache = CurrentVersionCache(folder.data)
    folder.export(people(2))
    folder.nightly()
    path = folder.data / "snapshots" / "agg-001" / "v1.json"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"org-1", b"org-2"))
    with pytest.raises(StoreDamaged):
        current(folder, cache, "agg-001")
    path.write_bytes(content)
    assert current(folder, cache, "agg-001").org_id == "org-1"
