"""Replies that a worker keeps, and the order of its lists: never older than the catalog."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from api.kept import CatalogChangeCounter, ResponseCache
from api.orders import Orders
from pipeline import logs
from pipeline.model.listing import Listing
from tests.pipeline.given import House, people, row

if TYPE_CHECKING:
    from pathlib import Path

ASKED = b"/here?"


def published(folder: Path) -> House:
    (folder / "exports").mkdir(parents=True)
    house = House(folder)
    house.export([*people(2), row(org_id="org-2")])
    house.night()
    return house


def test_a_reply_is_kept_until_the_catalog_changes(tmp_path: Path) -> None:
    house = published(tmp_path)
    keeper = ResponseCache[str](CatalogChangeCounter(tmp_path).state)
    assert keeper.find(ASKED) is None
    keeper.keep(ASKED, "two", 3, keeper.state())
    assert keeper.find(ASKED) == "two"
    house.export(people(3))
    house.night()
    assert keeper.find(ASKED) is None


def test_every_single_commit_is_seen(tmp_path: Path) -> None:
    house = published(tmp_path)
    watch = CatalogChangeCounter(tmp_path)
    states = [watch.state()]
    with house.work() as work:
        for number in range(50):
            work.catalog.remember("number", str(number))
            states.append(watch.state())
    assert len(set(states)) == 51


def test_a_reply_that_was_overtaken_is_not_kept(tmp_path: Path) -> None:
    house = published(tmp_path)
    keeper = ResponseCache[str](CatalogChangeCounter(tmp_path).state)
    keeper.find(ASKED)
    before = keeper.state()
    house.export(people(3))
    house.night()
    keeper.keep(ASKED, "two", 3, before)
    assert keeper.find(ASKED) is None


def test_without_a_catalog_nothing_is_kept(tmp_path: Path) -> None:
    keeper = ResponseCache[str](CatalogChangeCounter(tmp_path).state)
    keeper.find(ASKED)
    keeper.keep(ASKED, "one", 3, keeper.state())
    assert keeper.find(ASKED) is None


def test_what_was_not_asked_for_the_longest_goes_first(tmp_path: Path) -> None:
    published(tmp_path)
    keeper = ResponseCache[int](CatalogChangeCounter(tmp_path).state)
    keeper.find(b"0")
    for number in range(80):
        keeper.keep(str(number).encode(), number, 10**6, keeper.state())
        assert keeper.find(b"0") == 0
    assert keeper.find(b"79") == 79
    assert keeper.find(b"1") is None


def test_pages_cut_from_a_kept_order_are_those_that_the_catalog_gives(tmp_path: Path) -> None:
    house = published(tmp_path)
    orders = Orders(CatalogChangeCounter(tmp_path).state)
    sorts = ("created_at", "-participant_count", "-org_id", "reporting_period_id")
    filters: tuple[dict[str, Any], ...] = (
        {},
        {"org_id": "org-2"},
        {"status": "completed"},
        {"status": "failed"},
    )
    for hours in (1.0, 2.0):
        house.export([*people(2, hours=hours), row(org_id=f"org-{hours}")], f"{hours}.parquet")
        house.night()
        with house.work() as work:
            for sort, filtered, offset in itertools.product(sorts, filters, (0, 1, 7)):
                listing = Listing(**filtered, sort=sort, offset=offset, limit=2)
                assert orders.page(work.catalog, listing) == work.catalog.list(listing)


def test_a_line_of_text_is_laid_out_as_the_console_renderer_does() -> None:
    console = structlog.dev.ConsoleRenderer(colors=False, sort_keys=False)
    *_, line = logs.events("text")["processors"]
    events: tuple[dict[str, Any], ...] = (
        {"path": "/a%20b", "status": 200, "milliseconds": 0.3, "none": None},
        {"detail": "it's here", "empty": "", "equal": "a=b", "quoted": 'a"b', "ø": "å\n"},
        {},
    )
    for event in events:
        written = line(None, "info", {"event": "request", **event})
        timestamp, _, _ = written.partition(" ")
        assert datetime.fromisoformat(timestamp).tzinfo is UTC
        said = {"timestamp": timestamp, "level": "info", "event": "request", **event}
        assert written == console(None, "info", said)
