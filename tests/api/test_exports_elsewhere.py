"""Refreshes of snapshots whose exports are in another folder or in an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from tests.api.serving import BASE, nightly_run, runs, serving
from tests.given import people, table

if TYPE_CHECKING:
    from pathlib import Path

    from tests.s3 import Bucket


def test_a_refresh_counts_what_has_changed_in_a_bucket(bucket: Bucket, data: Path) -> None:
    (data / "bufdir.toml").write_text(f'[exports]\nlocation = "{bucket.location}"\n')
    bucket.put(people(3))
    nightly_run(data)
    with serving(data) as server, server.client() as client:
        assert client.put(f"{BASE}/agg-001", json={}).json()["participant_count"] == 3
        assert len(runs(data)) == 1
        bucket.put(people(5))
        changed = client.put(f"{BASE}/agg-001", json={})
        assert (changed.status_code, changed.json()["participant_count"]) == (200, 5)
        assert len(runs(data)) == 2
        bucket.put_bytes(b"torn", "a.parquet")
        failed = client.put(f"{BASE}/agg-001", json={})
        assert failed.status_code == 409
        assert client.get(f"{BASE}/agg-001").json()["participant_count"] == 5


def test_a_store_that_can_not_be_listed_fails_a_refresh_without_its_address(
    bucket: Bucket, data: Path
) -> None:
    (data / "bufdir.toml").write_text(f'[exports]\nlocation = "{bucket.location}"\n')
    bucket.put(people(3))
    nightly_run(data)
    with serving(data) as server, server.client() as client, bucket.server.refusing():
        failed = client.put(f"{BASE}/agg-001", json={})
        assert failed.status_code == 409
        detail = failed.json()["detail"]
        assert "the exports in exports can't be read: access is denied" in detail
        assert bucket.name not in detail
        assert client.get(f"{BASE}/agg-001").json()["participant_count"] == 3


def test_a_refresh_counts_what_has_changed_in_another_folder(data: Path, tmp_path: Path) -> None:
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    (data / "bufdir.toml").write_text(f'[exports]\nlocation = "file://{mounted}"\n')
    pq.write_table(table(people(3)), mounted / "a.parquet")
    nightly_run(data)
    with serving(data) as server, server.client() as client:
        pq.write_table(table(people(4)), mounted / "a.parquet")
        assert client.put(f"{BASE}/agg-001", json={}).json()["participant_count"] == 4
        (mounted / "a.parquet").unlink()
        mounted.rmdir()
        failed = client.put(f"{BASE}/agg-001", json={})
        assert failed.status_code == 409
        assert "no folder exports: put the exports there" in failed.json()["detail"]
