"""Version files: written in one step, and refused when damaged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.errors import StoreDamaged, StoreTooNew, StoreUnusable
from pipeline.model import versions
from pipeline.storage import durable_files, version_files
from tests.given import CELL, DataFolder, as_newer_release, people, row, settings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_version_file_is_indented_json_and_decodes_to_the_version(folder: DataFolder) -> None:
    folder.export([row(), row(participant_id="p2", bufdir_category="eldre")])
    folder.nightly()
    content = version_files.version_path(folder.data, 1, 1).read_bytes()
    version = versions.decode(content)
    assert version == folder.published()[CELL]
    assert versions.encode(version) == content
    assert content.startswith(b'{\n  "schema_version": 4,\n  "id": "agg-001",\n  "version": 1,\n')
    assert content.endswith(b"}\n")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"{}", b"[]", b"null", b"\xff\xfe", b'{"id": "agg-001", "version": "one"}'],
)
def test_a_damaged_version_file_is_named_with_what_to_do(
    folder: DataFolder, content: bytes
) -> None:
    folder.export(people(1))
    folder.nightly()
    path = version_files.version_path(folder.data, 1, 1)
    path.write_bytes(content)
    with pytest.raises(StoreDamaged) as damaged:
        version_files.read(folder.data, 1, 1)
    assert damaged.value.file == str(path)
    assert "restore it from a backup, or compute it again with run --force" in str(damaged.value)


def test_a_version_with_an_unknown_field_is_damaged(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    path = version_files.version_path(folder.data, 1, 1)
    content = msgspec.json.decode(path.read_bytes())
    del content["sha256"]
    content = {**content, "schema_version": 3, "digestion": content.pop("digest")}
    path.write_bytes(msgspec.json.encode(content))
    with pytest.raises(StoreDamaged, match=r"unknown field `digestion`|missing required"):
        version_files.read(folder.data, 1, 1)


def test_a_version_file_of_a_newer_release_is_refused_by_name(folder: DataFolder) -> None:
    folder.export(people(1))
    folder.nightly()
    path = version_files.version_path(folder.data, 1, 1)
    as_newer_release(path)
    with pytest.raises(StoreTooNew) as refused:
        version_files.read(folder.data, 1, 1)
    assert str(refused.value) == (
        f"{path} has schema version 5, and this release reads up to 4: use the release that wrote "
        "it, or restore an older backup"
    )


def test_a_missing_version_file_is_damaged_too(folder: DataFolder) -> None:
    with pytest.raises(StoreDamaged, match="it is missing"):
        version_files.read(folder.data, 1, 1)


def test_a_writer_that_fails_leaves_no_half_file(folder: DataFolder) -> None:
    path = folder.data / "snapshots" / "agg-001" / "v1.json"
    path.mkdir(parents=True)
    (path / "in the way").write_bytes(b"")
    with pytest.raises(StoreUnusable, match="v1"):
        durable_files.write({path: b"{}"})
    assert [entry.name for entry in path.parent.iterdir()] == ["v1.json"]


def test_a_version_names_the_exports_of_its_rows(local_engine: str, data: Path) -> None:
    folder = DataFolder(data, settings(engine={"name": local_engine}, periods=["quarter", "year"]))
    january = datetime(2024, 1, 10, 12, tzinfo=UTC)
    folder.export(people(3), "b.parquet")
    folder.export([*people(2), row(participant_id="p9", started_at=january)], "a.parquet")
    folder.export(people(1, org_id="org-2"), "c.parquet")
    folder.nightly()
    exports = {" ".join(cell): of.exports for cell, of in folder.published().items()}
    assert exports == {
        "org-1 rp-2024-q1": {"a.parquet": 1},
        "org-1 rp-2024-q4": {"a.parquet": 2, "b.parquet": 3},
        "org-1 rp-2024": {"a.parquet": 3, "b.parquet": 3},
        "org-2 rp-2024-q4": {"c.parquet": 1},
        "org-2 rp-2024": {"c.parquet": 1},
    }


@pytest.mark.parametrize("schema_version", [1, 2])
def test_a_version_file_of_an_earlier_schema_version_has_no_exports(
    folder: DataFolder, schema_version: int
) -> None:
    folder.export(people(2))
    folder.nightly()
    path = version_files.version_path(folder.data, 1, 1)
    content = msgspec.json.decode(path.read_bytes()) | {"schema_version": schema_version}
    del content["exports"], content["sha256"]
    path.write_bytes(msgspec.json.encode(content))
    found = version_files.read(folder.data, 1, 1)
    assert (found.schema_version, found.exports) == (versions.SCHEMA_VERSION, None)
    assert found.total["participations"] == 2
