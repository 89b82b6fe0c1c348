"""The guard: each rule by a sentence, from values to values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipeline.model.states import Reason, Retirement
from pipeline.runs.guard import Fall, Guard
from pipeline.runs.successors import ExportChanges
from tests.given import accepted_fall, retired
from tests.runs.test_plan import published

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.storage.catalog import Entry


def entry(rows: int) -> Entry:
    """Make a snapshot whose version has this many rows."""
    from msgspec.structs import replace  # noqa: PLC0415

    return replace(published().entry, rows=rows)


def fall(
    before: Mapping[str, int],
    now: Mapping[str, int],
    *,
    present: str = "",
    accepted: int | None = None,
    **changes: object,
) -> Fall | None:
    """Judge a version of these rows by export against those of now."""
    known = ExportChanges({*now, *present.split()}, **changes)  # type: ignore[arg-type]
    guard = Guard(known, 0.1, {} if accepted is None else {1: accepted_fall(accepted)})
    return guard.fall(entry(sum(before.values())), before, now)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"a": 20}, {"a": 10}),  # ten rows may always go
        ({"a": 1000}, {"a": 900}),
        ({"a": 1000}, {"a": 2000}),
        ({"a": 1000, "b": 10}, {"a": 1000, "b": 0}),
        ({}, {}),
    ],
)
def test_a_small_fall_passes(before: Mapping[str, int], now: Mapping[str, int]) -> None:
    assert fall(before, now) is None


@pytest.mark.parametrize(
    ("before", "now", "exports"),
    [
        ({"a": 20}, {"a": 9}, ("a",)),
        ({"a": 1000}, {"a": 899}, ("a",)),
        ({"a": 11}, {"a": 0}, ("a",)),
        # New rows elsewhere do not hide what an export has lost.
        ({"a": 100, "b": 100}, {"a": 50, "b": 150, "c": 900}, ("a",)),
        ({"a": 100, "b": 100}, {"a": 89, "b": 89}, ("a", "b")),
    ],
)
def test_a_large_fall_is_found_with_the_exports_that_have_fewer_rows(
    before: Mapping[str, int], now: Mapping[str, int], exports: tuple[str, ...]
) -> None:
    found = fall(before, now)
    assert found == Fall(Reason.SHRUNK, exports, sum(before.values()), sum(now.values()))


def test_an_export_that_is_gone_is_missed_whatever_came_beside_it() -> None:
    assert fall({"a": 1, "b": 5}, {"b": 900}) == Fall(Reason.GONE, ("a",), 6, 900)


def test_an_export_that_was_renamed_is_not_missed() -> None:
    assert fall({"a": 100}, {"z": 100}, copies={"a": "z"}) is None


def test_an_export_that_was_renamed_and_then_shrank_is_found() -> None:
    assert fall({"a": 100}, {"z": 50}, copies={"a": "z"}) == Fall(Reason.SHRUNK, ("z",), 100, 50)


def test_a_copy_that_was_removed_is_not_missed() -> None:
    assert fall({"a": 100, "b": 100}, {"b": 100}, copies={"a": "b"}) is None


def test_exports_that_were_merged_are_not_missed() -> None:
    merged = {"a": ["c"], "b": ["c"]}
    assert fall({"a": 60, "b": 60}, {"c": 120}, merged=merged) is None


def test_a_newer_dump_is_compared_with_the_one_before_it() -> None:
    replaced = {"1": ("2",)}
    assert fall({"1": 100}, {"2": 95}, replaced=replaced) is None
    assert fall({"1": 100}, {"2": 80}, replaced=replaced) == Fall(Reason.SHRUNK, ("2",), 100, 80)


def test_a_retracted_export_is_not_missed() -> None:
    known = {"a": retired(Retirement.RETRACT)}
    assert fall({"a": 100, "b": 5}, {"b": 5}, retired=known) is None


def test_a_version_that_rests_on_an_export_deleted_by_law_is_retained() -> None:
    known = {"a": retired(Retirement.KEEP)}
    found = fall({"a": 1, "b": 2}, {"b": 2}, retired=known)
    assert found == Fall(Reason.RETIRED, ("a",), 3, 2)
    assert fall({"b": 2}, {"b": 1}, retired=known) is None


def test_an_accepted_fall_passes_and_a_further_one_does_not() -> None:
    assert fall({"a": 100}, {"a": 50}, accepted=50) is None
    assert fall({"a": 100}, {"a": 45}, accepted=50) is None
    assert fall({"a": 100}, {"a": 30}, accepted=50) == Fall(Reason.SHRUNK, ("a",), 100, 30)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        ({"a": 100}, None),
        ({"a": 95}, None),
        ({"a": 50}, Fall(Reason.SHRUNK, (), 100, 50)),
    ],
)
def test_a_version_of_an_earlier_release_is_compared_as_a_whole(
    now: Mapping[str, int], found: Fall | None
) -> None:
    assert Guard(ExportChanges(now)).fall(entry(100), None, now) == found


def test_a_version_of_an_earlier_release_misses_an_export_that_named_its_organisation() -> None:
    changes = ExportChanges(["b"], organisations_of_gone={"a": ["org-1"], "c": ["org-2"]})
    found = Guard(changes).fall(entry(100), None, {"b": 99})
    assert found == Fall(Reason.GONE, ("a",), 100, 99)


def test_a_declaration_counts_as_a_cause_only_where_it_was_needed() -> None:
    guard = Guard(
        ExportChanges({"b"}, {"c": "b"}, retired={"a": retired(Retirement.RETRACT)}),
        accepted={1: accepted_fall(5)},
    )
    assert guard.declared(entry(100), {"b": 100}, {"b": 99}) == ()
    assert guard.declared(entry(100), {"c": 100}, {"b": 100}) == ()
    assert guard.declared(entry(100), None, {"b": 100}) == ()
    found = guard.declared(entry(100), {"a": 20, "b": 80}, {"b": 5})
    assert [(one.kind, one.exports) for one in found] == [("retired", ("a",)), ("accepted", ("b",))]


@pytest.mark.parametrize("rows", [1, 8, 10])
def test_an_export_without_any_row_may_take_nothing(rows: int) -> None:
    found = fall({"a": rows, "b": 90}, {"b": 90}, present="a", empty=["a"])
    assert found == Fall(Reason.SHRUNK, ("a",), rows + 90, 90)
    assert fall({"a": rows, "b": 90}, {"b": 90}, present="a") is None


def test_an_export_without_any_row_may_take_what_is_accepted() -> None:
    assert fall({"a": 8}, {}, present="a", empty=["a"], accepted=0) is None
    further = fall({"a": 8}, {}, present="a", empty=["a"], accepted=3)
    assert further == Fall(Reason.SHRUNK, ("a",), 8, 0)


def test_a_dump_of_several_exports_is_not_empty_while_one_has_rows() -> None:
    replaced = {"1/a": ("2/a", "2/b")}
    assert fall({"1/a": 8}, {"2/b": 7}, replaced=replaced, present="2/a", empty=["2/a"]) is None
    found = fall({"1/a": 8}, {}, replaced=replaced, present="2/a", empty=["2/a", "2/b"])
    assert found == Fall(Reason.SHRUNK, ("2/a",), 8, 0)


@pytest.mark.parametrize(
    ("before", "now", "followed"),
    [
        ({"a": 20, "b": 4}, {"z": 24}, {"z": 24}),
        ({"a": 20, "b": 4}, {"z": 12}, {"a": 20, "b": 4}),  # rows are missing: names stay
        ({"a": 20, "c": 3}, {"z": 20}, {"z": 20, "c": 3}),
        ({"a": 20}, {"z": 24}, {"a": 20}),  # the others of z came from elsewhere
    ],
)
def test_rows_are_followed_to_other_exports_only_where_they_all_are(
    before: Mapping[str, int], now: Mapping[str, int], followed: Mapping[str, int]
) -> None:
    changes = ExportChanges(now, merged={"a": ["z"], "b": ["z"]})
    assert changes.followed(before, now) == followed


def test_a_copy_of_an_export_is_followed_as_one() -> None:
    changes = ExportChanges(["z"], copies={"a": "z", "a (1)": "z"})
    assert changes.followed({"a": 20, "a (1)": 20}, {"z": 20}) == {"z": 20}


@pytest.mark.parametrize(
    ("copies", "now", "left"),
    [
        ({"1/a": "2/a"}, {"2/a": 50, "2/b": 30}, 80),  # a file that did not change
        ({"1/a": "z"}, {"2/a": 50, "2/b": 30, "z": 50}, 130),  # a copy of one file of two
        ({"1/a": "z", "1/b": "2/b"}, {"2/b": 50, "z": 30}, 80),  # a copy that then shrank
    ],
)
def test_a_dump_is_compared_as_a_whole_whichever_of_its_files_has_a_copy(
    copies: Mapping[str, str], now: Mapping[str, int], left: int
) -> None:
    newer = ("2/a", "2/b")
    found = fall(
        {"1/a": 50, "1/b": 50},
        now,
        copies=copies,
        present="2/a",
        replaced={"1/a": newer, "1/b": newer},
    )
    assert found == Fall(Reason.SHRUNK, ("2/a",), 100, left)


def test_a_dump_of_which_every_file_has_a_copy_elsewhere_loses_nothing() -> None:
    newer = ("2/a",)
    copies, replaced = {"1/a": "y", "1/b": "z"}, {"1/a": newer, "1/b": newer}
    now = {"y": 50, "z": 50, "2/a": 20}
    assert fall({"1/a": 50, "1/b": 50}, now, copies=copies, replaced=replaced) is None
