"""Converted files are encrypted, with a key that only the user of the program can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.sources import encryption
from pipeline.sources.encryption import make_key, new_key, read_key
from pipeline.sources.folders import look_at
from tests.formats import HEADER, converted, csv_settings
from tests.given import conversions

if TYPE_CHECKING:
    from pipeline.sources.accepted import Export

PERSON = "a-person-whose-id-is-long-enough-to-be-found"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.csv"
    rows = f"org-1,a1,{PERSON},ungdom,2024-11-05T18:00:00,1.5\n"
    file.write_text(",".join(HEADER) + "\n" + rows * 3, encoding="utf-8")
    return file


def accept(path: Path) -> Export:
    chosen = csv_settings()
    (source,) = chosen.every_source
    one = conversions(path.parent, chosen)
    return one.accept(look_at(path, path.name), source, chosen.terms.columns)


def test_a_converted_file_has_no_value_that_can_be_read_without_the_key(path: Path) -> None:
    content = Path(accept(path).parquet.location).read_bytes()
    assert PERSON.encode() not in content
    assert b"participant_id" not in content
    assert [row["participant_id"] for row in converted(path, csv_settings()).rows] == [PERSON] * 3


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_only_the_user_can_read_the_key(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        make_key(tmp_path / "cache.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "cache.key").stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["cache.key"]


def test_a_key_is_made_once(tmp_path: Path) -> None:
    key = make_key(tmp_path / "cache.key")
    assert make_key(tmp_path / "cache.key") == read_key(tmp_path / "cache.key") == key
    assert len(key) == 32


def test_a_torn_key_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "cache.key"
    path.write_bytes(b"torn")
    assert read_key(path) is None
    assert make_key(path) == read_key(path)


def test_two_keys_are_different() -> None:
    assert new_key() != new_key()


def test_a_lost_key_costs_a_conversion_and_no_row(path: Path) -> None:
    accept(path)
    (path.parent / encryption.KEY_FILE).unlink()
    assert len(converted(path, csv_settings()).rows) == 3


def test_another_key_costs_a_conversion_and_no_row(path: Path) -> None:
    accept(path)
    (path.parent / encryption.KEY_FILE).write_bytes(new_key())
    assert len(converted(path, csv_settings()).rows) == 3


def test_a_converted_file_that_was_not_encrypted_is_made_once_more(path: Path) -> None:
    export = accept(path)
    Path(export.parquet.location).write_bytes(b"PAR1" + bytes(64) + b"PAR1")
    assert len(converted(path, csv_settings()).rows) == 3


def test_the_key_is_not_in_the_text_of_values(path: Path) -> None:
    export = accept(path)
    assert export.parquet.key is not None
    assert repr(export.parquet.key) not in repr(export)
