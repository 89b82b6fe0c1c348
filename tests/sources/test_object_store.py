"""Exports in an object store: which there are, their fingerprints, and what is read of them."""

from __future__ import annotations

import struct
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.engines import UnreadableExports
from pipeline.sources import locations, pages
from pipeline.sources.pages import PageCorrupt
from tests.given import (
    CELL,
    cached_survey,
    cells,
    export,
    files_of,
    ledger,
    people,
    read,
    row,
    selected,
    settings,
    survey_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.s3 import Bucket

PLAIN: dict[str, Any] = {"use_dictionary": False, "compression": "none", "write_statistics": False}


def chosen(bucket: Bucket) -> Any:
    return settings(exports={"location": bucket.location})


def test_objects_are_found_at_any_depth_in_the_order_of_their_names(
    bucket: Bucket, data: Path
) -> None:
    names = ["b.parquet", "a/z.parquet", "a/b/c/d.parquet", "Å.parquet", "A.PARQUET", "a-1.parquet"]
    for name in names:
        bucket.put_bytes(b"x", name)
    bucket.store.put("elsewhere/a.parquet", b"x")
    bucket.store.put(f"{bucket.prefix}-2/a.parquet", b"x")
    assert [file.name for file in files_of(data, chosen(bucket))] == sorted(names)


def test_more_objects_than_one_reply_lists_are_found(bucket: Bucket, data: Path) -> None:
    names = [f"{number:04}.parquet" for number in range(1003)]
    for name in names:
        bucket.put_bytes(b"x", name)
    assert [file.name for file in files_of(data, chosen(bucket))] == names


def test_objects_that_begin_with_a_dot_or_an_underscore_are_skipped_at_any_depth(
    bucket: Bucket, data: Path
) -> None:
    skipped = (".a.parquet", ".hidden/a.parquet", "_a.parquet", "_SUCCESS", "_delta_log/0.parquet")
    for name in (*skipped, "org_id=org-9/_temporary/0/part.parquet", "org_id=org-9/a.parquet"):
        bucket.put_bytes(b"x", name)
    found = selected(locations.of(data, bucket.location).list_files())
    assert [file.name for file in found.files] == ["org_id=org-9/a.parquet"]
    assert found.others == ()


def test_other_objects_are_named_and_empty_ones_that_mark_folders_are_not(
    bucket: Bucket, data: Path
) -> None:
    for name in ("a.parquet.tmp", "a.csv", "2024/README.md"):
        bucket.put_bytes(b"x", name)
    for name in ("2024", "2025", "folder.parquet"):
        bucket.put_bytes(b"", name)
    bucket.put_bytes(b"x", "folder.parquet/b.parquet")
    bucket.put_bytes(b"x", "both.parquet")
    for name in ("both.parquet/", "marked.parquet/", "a.csv/", ""):
        bucket.put_directly(name, b"")
    found = selected(locations.of(data, bucket.location).list_files())
    names = [(file.name, file.fingerprint.size) for file in found.files]
    assert names == [("both.parquet", 1), ("folder.parquet/b.parquet", 1), ("marked.parquet", 0)]
    assert found.others == ("2024/README.md", "a.csv", "a.parquet.tmp")


def test_an_object_has_the_address_that_a_cluster_is_given(bucket: Bucket, data: Path) -> None:
    bucket.put_bytes(b"x", "b c/%20#1/*.parquet")
    (file,) = files_of(data, chosen(bucket))
    assert file.location == f"s3a://{bucket.name}/100% +/å/b c/%20#1/*.parquet"
    assert file.is_remote
    other = settings(exports={"location": bucket.location.replace("s3a:", "s3:") + "/"})
    assert files_of(data, other) == (file,)


def test_a_whole_bucket_may_be_the_location(bucket: Bucket, data: Path) -> None:
    bucket.put(people(2))
    whole = settings(exports={"location": f"s3a://{bucket.name}"})
    (file,) = files_of(data, whole)
    assert file.name == f"{bucket.prefix}/a.parquet"
    assert file.location == f"s3a://{bucket.name}/{file.name}"
    assert cells("polars", data, chosen=whole)[CELL].total["participations"] == 2


def test_an_object_of_the_same_size_within_the_same_second_has_another_fingerprint(
    bucket: Bucket, data: Path
) -> None:
    location = locations.of(data, bucket.location)
    bucket.put_bytes(b"one", "a.parquet")
    bucket.put_bytes(b"one", "b.parquet")
    before = location.list_files()
    bucket.put_bytes(b"two", "a.parquet")
    assert location.changed(before)[0] == "a.parquet"
    seen = {file.name: file.fingerprint.values for file in location.list_files()}
    assert seen["a.parquet"][2:] != before[0].fingerprint.values[2:]
    assert seen["b.parquet"] == before[1].fingerprint.values
    assert all(0 <= value < 2**63 for value in seen["a.parquet"])


def test_an_object_that_is_gone_has_changed(bucket: Bucket, data: Path) -> None:
    location = locations.of(data, bucket.location)
    bucket.put_bytes(b"one", "a.parquet")
    before = location.list_files()
    assert location.changed(before) == ()
    bucket.delete("a.parquet")
    assert location.changed(before) == ("a.parquet",)


def test_footers_are_accepted_or_refused_by_name(bucket: Bucket, data: Path) -> None:
    whole = bucket.put(people(3), "good.parquet")
    bucket.put_bytes(b"", "empty.parquet")
    bucket.put_bytes(whole[:-20], "torn.parquet")
    bucket.put_bytes(b"no Parquet at all", "text.parquet")
    bucket.put_bytes(whole, "two\u2028lines.parquet")
    found = read(data, chosen(bucket))
    (accepted,) = found.accepted
    assert (accepted.file.name, accepted.rows) == ("good.parquet", 3)
    assert (accepted.is_exact, accepted.is_native) == (True, False)
    problems = {file.name: error.problem for file, error in found.refused.items()}
    assert problems["empty.parquet"] == "it is empty; export it again"
    assert "can't be read as Parquet" in problems["torn.parquet"]
    assert "can't be read as Parquet" in problems["text.parquet"]
    assert problems["two\\u2028lines.parquet"].startswith("its path has signs")
    assert len(problems) == 4


def test_an_object_that_goes_before_it_is_opened_is_refused_by_name(
    bucket: Bucket, data: Path
) -> None:
    bucket.put(people(3))
    (file,) = files_of(data, chosen(bucket))
    bucket.delete("a.parquet")
    with pytest.raises(FileNotFoundError):
        file.open().read()


def test_an_object_is_read_as_it_was_listed_or_not_at_all(bucket: Bucket, data: Path) -> None:
    bucket.put_bytes(b"one", "a.parquet")
    (file,) = files_of(data, chosen(bucket))
    with closing(file.open()) as opened:
        assert (opened.read(2), opened.read(), opened.read()) == (b"on", b"e", b"")
    bucket.put_bytes(b"two", "a.parquet")
    with closing(file.open()) as opened, pytest.raises(OSError, match="Stale"):
        opened.read(1)


def test_engines_give_the_numbers_of_the_same_files_in_a_folder(
    local_engine: str, bucket: Bucket, data: Path
) -> None:
    mixed = [
        row(participant_id=f"p{n % 40}", hours=n / 8, activity_id=f"a{n % 7}") for n in range(90)
    ]
    exported: dict[str, Any] = {
        "a.parquet": {"row_group_size": 7},
        "b/c.parquet": {"use_deprecated_int96_timestamps": True, "row_group_size": 20},
        "b/d.parquet": {"write_page_checksum": True, "compression": "zstd"},
    }
    for number, (name, options) in enumerate(exported.items()):
        rows = [*mixed, row(org_id="org-2", participant_id=f"q{number}", hours=None)]
        export(data, rows, name, **options)
        bucket.put(rows, name, **options)
    with (
        survey_of(data, engine=local_engine) as here,
        survey_of(data, chosen(bucket), engine=local_engine) as there,
    ):
        assert there.checksums == here.checksums
        assert there.ledger == here.ledger
        assert there.contents("quarter") == here.contents("quarter")
    assert cells(local_engine, data, chosen=chosen(bucket)) == cells(local_engine, data)


def test_one_organisation_can_be_asked_for(bucket: Bucket, data: Path) -> None:
    bucket.put([*people(3), *people(2, org_id="org-2")])
    with cached_survey(data, chosen(bucket), {"org-2"}) as survey:
        assert ledger(survey.ledger) == {"counted": 2}
        assert list(survey.rows_by_file) == [5]


def test_many_small_objects_are_read_in_no_long_time(
    local_engine: str, bucket: Bucket, data: Path
) -> None:
    for number in range(150):
        bucket.put(people(2, activity_id=str(number)), f"{number}.parquet")
    begin = time.monotonic()
    counted = cells(local_engine, data, chosen=chosen(bucket))[CELL]
    assert counted.total["participations"] == 300
    assert time.monotonic() - begin < 60


def test_pages_are_compared_with_their_checksums(
    local_engine: str, bucket: Bucket, data: Path
) -> None:
    content = bucket.put([row(hours=4.5)], write_page_checksum=True, **PLAIN)
    (accepted,) = read(data, chosen(bucket)).accepted
    pages.verify(accepted, 0, 1)
    hours = struct.pack("<d", 4.5)
    assert content.count(hours) == 1
    bucket.put_bytes(content.replace(hours, struct.pack("<d", 23.5)), "a.parquet")
    (accepted,) = read(data, chosen(bucket)).accepted
    with pytest.raises(PageCorrupt):
        pages.verify(accepted, 0, 1)
    with pytest.raises(UnreadableExports):
        survey_of(data, chosen(bucket), local_engine)
