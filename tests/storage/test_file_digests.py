"""Digests of version files: written when a version is published, and compared when it is read."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import msgspec
import pytest

from pipeline.errors import StoreDamaged, StoreTooNew
from pipeline.model import checksummed, versions
from pipeline.storage import file_digests, version_files
from tests.given import NOW, DataFolder, as_newer_release, people
from tests.storage import released

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.storage.catalog import Catalog


@pytest.fixture
def published(folder: DataFolder) -> Path:
    """A version file that was published."""
    folder.export(people(3))
    folder.nightly()
    return version_files.version_path(folder.data, 1, 1)


def decode_changed(content: bytes, offset: int, bits: int) -> None:
    changed = bytearray(content)
    changed[offset] ^= bits
    versions.decode(bytes(changed))


def test_a_version_file_ends_with_the_checksum_of_its_own_content(published: Path) -> None:
    content = published.read_text()
    form = r'(?s)\{\n  "schema_version": 4,\n.*,\n  "sha256": "[0-9a-f]{64}"\n\}\n'
    assert re.fullmatch(form, content)
    script = """sed 's/"sha256": "[0-9a-f]*"/"sha256": ""/' "$1" | sha256sum"""
    printed = subprocess.run(
        ["sh", "-c", script, "sh", published], capture_output=True, text=True, check=True
    ).stdout
    assert f'"sha256": "{printed.split()[0]}"' in content


def test_a_byte_changed_anywhere_in_a_version_file_is_damage_without_a_catalog(
    published: Path,
) -> None:
    content = published.read_bytes()
    for offset in range(len(content)):
        with pytest.raises(msgspec.DecodeError):
            decode_changed(content, offset, 1 << offset % 7)


def test_a_file_that_is_cut_or_longer_anywhere_is_damage(published: Path) -> None:
    content = published.read_bytes()
    for end in range(len(content)):
        with pytest.raises(msgspec.DecodeError):
            versions.decode(content[:end])
    for added in (b"\n", b" ", b"\x00", b"{}"):
        with pytest.raises(msgspec.DecodeError):
            versions.decode(content + added)


def test_a_checksum_is_needed_from_its_schema_version_on(published: Path) -> None:
    content = msgspec.json.decode(published.read_bytes())
    del content["sha256"]
    with pytest.raises(msgspec.DecodeError, match="it has no checksum"):
        versions.decode(msgspec.json.encode(content))
    older = versions.decode(msgspec.json.encode(content | {"schema_version": 3}))
    assert older == versions.decode(published.read_bytes())


def test_a_file_of_a_newer_release_is_refused_by_name_and_a_damaged_one_is_none(
    published: Path,
) -> None:
    content = published.read_bytes()
    with pytest.raises(checksummed.WrongChecksum):
        versions.decode(content.replace(b'"schema_version": 4', b'"schema_version": 5'))
    as_newer_release(published)
    with pytest.raises(versions.NewerSchema):
        versions.decode(published.read_bytes())


def test_version_files_of_every_earlier_release_are_read(tmp_path: Path) -> None:
    data = released.copy(tmp_path)
    for number, version in version_files.all_versions(data):
        assert version_files.read(data, number, version).schema_version == 4


def test_publishing_writes_the_digest_of_the_file(folder: DataFolder, published: Path) -> None:
    with folder.context() as context:
        found = file_digests.read(context.catalog)
    assert found == {(1, 1): file_digests.digest_of(published.read_bytes())}


def test_digests_of_older_versions_stay(folder: DataFolder, published: Path) -> None:
    folder.export(people(4))
    folder.nightly()
    with folder.context() as context:
        assert file_digests.find(context.catalog, 1, 1) == file_digests.digest_of(
            published.read_bytes()
        )
        assert list(file_digests.read(context.catalog)) == [(1, 1), (1, 2)]


def test_another_whole_version_file_is_not_the_one_that_was_published(
    folder: DataFolder, published: Path
) -> None:
    with folder.context() as context:
        digest = file_digests.find(context.catalog, 1, 1)
    found = versions.decode(published.read_bytes())
    other = msgspec.structs.replace(found, total={**found.total, "participations": 99})
    published.write_bytes(versions.encode(other))
    assert version_files.read(folder.data, 1, 1).total["participations"] == 99
    with pytest.raises(StoreDamaged, match="its content is not what was published"):
        version_files.read(folder.data, 1, 1, digest)


def test_a_newer_release_is_named_also_where_the_digest_is_right(
    folder: DataFolder, published: Path
) -> None:
    as_newer_release(published)
    digest = file_digests.digest_of(published.read_bytes())
    with pytest.raises(StoreTooNew):
        version_files.read(folder.data, 1, 1, digest)


def test_digests_are_given_in_turn_and_after_the_last_comes_the_first(catalog: Catalog) -> None:
    digests = {(number, version): f"{number}{version}" for number in (1, 2) for version in (1, 2)}
    file_digests.write(catalog, digests)
    assert list(file_digests.after(catalog, (0, 0), 3)) == [(1, 1), (1, 2), (2, 1)]
    assert list(file_digests.after(catalog, (2, 1), 3)) == [(2, 2), (1, 1), (1, 2)]
    assert list(file_digests.after(catalog, (2, 2), 9)) == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert file_digests.count(catalog) == 4


def test_digests_without_a_snapshot_name_what_the_catalog_has_lost(catalog: Catalog) -> None:
    (entry,) = catalog.create([("org-1", "rp-2024-q4")], NOW, above=0)
    file_digests.write(catalog, {(entry.number, 1): "a", (7, 1): "b", (7, 2): "c"})
    assert file_digests.without_snapshot(catalog) == {7: 2}


def test_a_digest_that_is_not_known_is_none(catalog: Catalog) -> None:
    file_digests.write(catalog, {(1, 1): file_digests.UNKNOWN})
    assert file_digests.find(catalog, 1, 1) is None
    assert file_digests.find(catalog, 1, 2) is None


def test_a_field_whose_name_is_no_text_is_damage(published: Path) -> None:
    content = published.read_bytes().replace(b'"sha256"', b'"\xff"')
    with pytest.raises(msgspec.DecodeError):
        versions.decode(content)
