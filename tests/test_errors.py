"""One rule translates expected failures, to replies and to exit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import BufdirError, StoreDamaged, StoreTooNew, lookup

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE: Mapping[type[Exception], str] = {BufdirError: "any", StoreDamaged: "damaged"}


class IndexDamaged(StoreDamaged):
    """A failure that no table names."""


def test_an_error_of_a_named_class_gets_the_entry_of_that_class() -> None:
    assert lookup(TABLE, StoreDamaged("f", "p")) == "damaged"


def test_an_error_of_an_unnamed_class_gets_the_entry_of_its_nearest_base() -> None:
    assert lookup(TABLE, IndexDamaged("f", "p")) == "damaged"
    assert lookup(TABLE, StoreTooNew("f", 3, 2)) == "any"


def test_an_error_that_no_base_of_is_named_gets_nothing() -> None:
    assert lookup(TABLE, KeyError()) is None
    assert lookup(TABLE, KeyboardInterrupt()) is None


def test_a_store_that_is_too_new_says_what_to_do() -> None:
    assert str(StoreTooNew("catalog.sqlite", 3, 2)) == (
        "catalog.sqlite has schema version 3, and this release reads up to 2: use the release "
        "that wrote it, or restore an older backup"
    )
