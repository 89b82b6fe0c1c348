"""Pages of long lists: the same from the cache of sorted ids as from the catalog."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from api.http.change_counter import CatalogChangeCounter
from api.snapshots.sorted_ids import SortedIdCache
from pipeline.model.listing import Listing
from tests.given import DataFolder, people, row

if TYPE_CHECKING:
    from pathlib import Path


def test_pages_from_a_cached_order_are_those_of_the_catalog(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    (tmp_path / "exports").mkdir()
    folder.export([*people(2), row(org_id="org-2")])
    folder.nightly()
    sorted_ids = SortedIdCache(CatalogChangeCounter(tmp_path).state)
    sorts = ("created_at", "-participant_count", "-org_id", "reporting_period_id")
    filters: tuple[dict[str, Any], ...] = (
        {},
        {"org_id": "org-2"},
        {"status": "completed"},
        {"status": "failed"},
    )
    for hours in (1.0, 2.0):
        folder.export([*people(2, hours=hours), row(org_id=f"org-{hours}")], f"{hours}.parquet")
        folder.nightly()
        with folder.context() as context:
            for sort, filtered, offset in itertools.product(sorts, filters, (0, 1, 7)):
                listing = Listing(**filtered, sort=sort, offset=offset, limit=2)
                assert sorted_ids.page(context.catalog, listing) == context.catalog.list(listing)
