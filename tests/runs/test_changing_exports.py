"""Exports that change while a run reads them."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread
from time import sleep
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import ExportsChanged
from pipeline.runs import gather, nightly
from tests.given import CELL, Q4, DataFolder, computed, people

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def restless(path: Path) -> Iterator[Event]:
    """Touch a file until the event is set."""
    stop = Event()

    def touch() -> None:
        while not stop.is_set():
            os.utime(path)

    toucher = Thread(target=touch)
    toucher.start()
    try:
        yield stop
    finally:
        stop.set()
        toucher.join()


def test_a_file_that_changes_while_it_is_read_is_read_again(folder: DataFolder) -> None:
    path = folder.export(people(2))
    with folder.context() as context, restless(path) as stop:

        def end_it(event: str, **fields: object) -> None:
            folder.record(event, **fields)
            stop.set()
            sleep(0.05)

        watched = replace(context, events=end_it)
        with gather.gather(watched, watched.engine()) as inputs:
            assert inputs.exports.rows == 2
    assert folder.events == [
        ("exports_changed_while_read", {"files": ("a.parquet",)}),
        ("exports_read", {"files": 1, "rows": 2}),
    ]


def test_a_file_that_changes_at_every_reading_stops_the_nightly_run(folder: DataFolder) -> None:
    path = folder.export(people(2))
    with (
        restless(path),
        pytest.raises(ExportsChanged, match=r"changed while they were read: a\.parquet"),
    ):
        folder.nightly()
    assert folder.published() == {}
    assert computed(folder.nightly()) == {Q4}


def test_a_file_that_changes_before_its_numbers_are_counted_publishes_nothing(
    folder: DataFolder,
) -> None:
    folder.export(people(2, hours=1.0))
    with folder.context() as context:

        def change(event: str, **_: object) -> None:
            if event == "exports_read":
                folder.export(people(2, hours=3.0))

        with pytest.raises(ExportsChanged, match=r"a\.parquet"):
            nightly.run(replace(context, events=change))
    assert folder.published() == {}
    assert computed(folder.nightly()) == {Q4}
    assert folder.published()[CELL].total["seconds"] == 2 * 3 * 3600
