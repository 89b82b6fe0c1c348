"""Replies that a worker caches: never older than the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.http.change_counter import CatalogChangeCounter
from api.http.response_cache import ResponseCache
from tests.given import DataFolder, people, row

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = b"/here?"


def published(data: Path) -> DataFolder:
    (data / "exports").mkdir(parents=True)
    folder = DataFolder(data)
    folder.export([*people(2), row(org_id="org-2")])
    folder.nightly()
    return folder


def test_a_reply_is_cached_until_the_catalog_changes(tmp_path: Path) -> None:
    folder = published(tmp_path)
    cache = ResponseCache[str](CatalogChangeCounter(tmp_path).state)
    assert cache.get(REQUEST) is None
    cache.put(REQUEST, "two", 3, cache.state())
    assert cache.get(REQUEST) == "two"
    folder.export(people(3))
    folder.nightly()
    assert cache.get(REQUEST) is None


def test_every_single_commit_is_seen(tmp_path: Path) -> None:
    folder = published(tmp_path)
    counter = CatalogChangeCounter(tmp_path)
    states = [counter.state()]
    with folder.context() as context:
        for number in range(50):
            context.catalog.confirm([1], str(number))
            states.append(counter.state())
    assert len(set(states)) == 51


def test_a_reply_that_was_overtaken_by_a_change_is_not_cached(tmp_path: Path) -> None:
    folder = published(tmp_path)
    cache = ResponseCache[str](CatalogChangeCounter(tmp_path).state)
    cache.get(REQUEST)
    before = cache.state()
    folder.export(people(3))
    folder.nightly()
    cache.put(REQUEST, "two", 3, before)
    assert cache.get(REQUEST) is None


def test_without_a_catalog_nothing_is_cached(tmp_path: Path) -> None:
    cache = ResponseCache[str](CatalogChangeCounter(tmp_path).state)
    cache.get(REQUEST)
    cache.put(REQUEST, "one", 3, cache.state())
    assert cache.get(REQUEST) is None


def test_the_least_recently_used_reply_is_dropped_first(tmp_path: Path) -> None:
    published(tmp_path)
    cache = ResponseCache[int](CatalogChangeCounter(tmp_path).state)
    cache.get(b"0")
    for number in range(80):
        cache.put(str(number).encode(), number, 10**6, cache.state())
        assert cache.get(b"0") == 0
    assert cache.get(b"79") == 79
    assert cache.get(b"1") is None
