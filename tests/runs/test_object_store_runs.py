"""Runs over exports in an object store: the numbers of a folder, and only lists without changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipeline.engines import ScanRequest, UnreadableExports
from pipeline.errors import ExportsUnreachable
from pipeline.runs import check, gather, verify
from pipeline.runs.run import run_cells
from pipeline.sources import locations, opening
from tests import s3
from tests.given import (
    OTHER,
    Q2,
    Q3,
    Q4,
    QUARTER,
    SPRING,
    SUMMER,
    DataFolder,
    blocking,
    computed,
    conversions,
    outcomes_by_cell,
    people,
    row,
    selected,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.engines import Engine, Survey
    from tests.s3 import Bucket

SUMMER_ROWS = [
    row(participant_id="s1", started_at=SUMMER),
    row(participant_id="s2", started_at=SPRING),
]


@pytest.fixture
def stored(bucket: Bucket, data: Path) -> DataFolder:
    """A data folder with four cells in three objects, before its first nightly run."""
    bucket.put(people(3), "autumn.parquet")
    bucket.put(SUMMER_ROWS, "2024/summer.parquet")
    bucket.put(people(2, org_id="org-2"), "other.parquet")
    return bucket.folder(data)


def opened(bucket: Bucket, before: int) -> list[str]:
    """Return the requests for objects, after so many requests."""
    paths = [request.split("?")[0] for request in bucket.server.requests()[before:]]
    return [path for path in paths if path.startswith(f"GET /{bucket.name}/")]


def numbers(folder: DataFolder) -> dict[tuple[str, str], Any]:
    return {
        cell: (version.total, version.ledger, version.row_digest, version.digest)
        for cell, version in folder.published().items()
    }


def test_every_engine_publishes_the_numbers_of_the_same_files_in_a_folder(
    local_engine: str, bucket: Bucket, stored: DataFolder, tmp_path: Path
) -> None:
    stored.settings = bucket.folder(stored.data, engine={"name": local_engine}).settings
    assert computed(stored.nightly()) == {Q2, Q3, Q4, OTHER}
    local = DataFolder(tmp_path / "local")
    local.export(people(3), "autumn.parquet")
    local.export(SUMMER_ROWS, "2024/summer.parquet")
    local.export(people(2, org_id="org-2"), "other.parquet")
    local.nightly()
    assert numbers(stored) == numbers(local)
    with stored.context() as context:
        result = verify.verify(context)
        assert {one.verdict for one in result.snapshots} == {"match"}
        assert {one.engine for one in result.snapshots} == {"polars", "duckdb"} - {local_engine}


def test_a_nightly_run_without_changes_opens_no_object(bucket: Bucket, stored: DataFolder) -> None:
    stored.nightly()
    assert len(opened(bucket, 0)) >= 3
    before = len(bucket.server.requests())
    result = stored.nightly()
    assert (result.changed, result.files, result.rows) == (False, 3, 7)
    assert opened(bucket, before) == []
    assert len(bucket.server.requests()) == before + 1


def test_a_changed_object_makes_only_its_cell_stale(bucket: Bucket, stored: DataFolder) -> None:
    stored.nightly()
    before = len(bucket.server.requests())
    bucket.put(people(3, org_id="org-2"), "other.parquet")
    assert computed(stored.nightly()) == {OTHER}
    assert stored.published()["org-2", "rp-2024-q4"].total["participations"] == 3
    assert any(path.endswith("/other.parquet") for path in opened(bucket, before))


def test_an_object_with_the_same_rows_in_other_bytes_makes_nothing_stale(
    bucket: Bucket, stored: DataFolder
) -> None:
    stored.nightly()
    bucket.put(people(3), "autumn.parquet", compression="zstd")
    assert not stored.nightly().changed
    assert set(stored.versions().values()) == {1}


def test_without_any_object_every_snapshot_is_blocked(bucket: Bucket, stored: DataFolder) -> None:
    stored.nightly()
    before = stored.published()
    for name in ("autumn.parquet", "2024/summer.parquet", "other.parquet"):
        bucket.delete(name)
    assert set(outcomes_by_cell(stored.nightly()).values()) == {"blocked"}
    assert stored.published() == before


def test_a_torn_object_is_refused_and_its_organisation_is_blocked(
    bucket: Bucket, stored: DataFolder
) -> None:
    stored.nightly()
    bucket.put_bytes(b"torn", "other.parquet")
    result = stored.nightly()
    assert set(result.refused) == {"other.parquet"}
    assert blocking(result) == {"org-2": "other.parquet"}
    assert stored.versions()[OTHER] == 1


def test_a_run_and_a_check_read_the_bucket(bucket: Bucket, stored: DataFolder) -> None:
    with stored.context() as context:
        outcomes = run_cells(context, [QUARTER], None).outcomes
        assert [one.org_id for one in outcomes] == ["org-1", "org-2"]
        bucket.put(people(5), "autumn.parquet")
        found = check.check(context)
        assert [file.name for file in found.files] == [
            *("2024/summer.parquet", "autumn.parquet", "other.parquet")
        ]
        assert found.plan == {"compute": 3, "leave": 1}


def test_a_store_that_is_gone_changes_no_number_and_the_next_run_goes_on(
    bucket: Bucket, stored: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.nightly()
    before = stored.published()
    bucket.put(people(4), "autumn.parquet")
    with monkeypatch.context() as gone:
        gone.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        with pytest.raises(ExportsUnreachable):
            stored.nightly()
        with stored.context() as context, pytest.raises(ExportsUnreachable):
            run_cells(context, [QUARTER], ["org-1"], force=True)
    assert stored.published() == before
    assert computed(stored.nightly()) == {Q4}


def test_a_store_that_goes_while_its_objects_are_read_refuses_none_of_them(
    local_engine: str,
    s3_server: s3.Server,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    del s3_server
    (tmp_path / "server").mkdir()
    with s3.running(tmp_path / "server") as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        bucket = s3.Bucket(server)
        bucket.put(people(3))
        location = locations.of(data, bucket.location)
        folder = bucket.folder(data, engine={"name": local_engine})
        files = location.list_files()
        found = opening.read(selected(files), folder.settings.terms.columns, conversions(data))
    with folder.context() as context, pytest.raises(UnreadableExports):
        context.engine().survey(ScanRequest(found.accepted, folder.settings.terms))
    with pytest.raises(ExportsUnreachable, match="the store can't be reached"):
        location.changed(files)


@dataclass
class Interrupted:
    """An engine, and what happens before its first survey."""

    engine: Engine
    happens: Callable[[], object]
    surveys: int = 0

    def survey(self, request: ScanRequest) -> Survey:
        """Let it happen, and survey."""
        self.surveys += 1
        if self.surveys == 1:
            self.happens()
        return self.engine.survey(request)


def test_an_object_that_changes_while_it_is_read_is_read_again(
    bucket: Bucket, stored: DataFolder
) -> None:
    with stored.context() as context:
        engine = Interrupted(context.engine(), lambda: bucket.put(people(5), "autumn.parquet"))
        with gather.gather(context, cast("Engine", engine)) as inputs:
            assert inputs.exports.rows == 9
    assert stored.events == [
        ("exports_changed_while_read", {"files": ("autumn.parquet",)}),
        ("exports_read", {"files": 3, "rows": 9}),
    ]
