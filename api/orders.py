"""The order of long lists, kept in a worker, so that page 4,000 costs what page 1 does."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Final

from api.kept import State
from pipeline.model.listing import Listing
from pipeline.storage.catalog import Catalog, Entry

_MOST: Final = 64
"""Orders that one worker keeps: of 100,000 snapshots each is 800 kB."""


class Orders:
    """The snapshots' numbers in each order that was asked for, while the catalog stands."""

    def __init__(self, state: Callable[[], State | None]) -> None:
        """Nothing is kept yet.

        Args:
            state: What the catalog is in; another after every change.
        """
        self._state = state
        self._of: State | None = None
        self._kept: OrderedDict[Listing, array[int]] = OrderedDict()
        self._lock = Lock()

    def page(self, catalog: Catalog, listing: Listing) -> tuple[Sequence[Entry], int]:
        """One page of snapshots, and how many there are on all pages; both of one moment."""
        with catalog.transaction("DEFERRED"):
            catalog.hold_still()
            order = self._order(catalog, replace(listing, offset=0, limit=None))
            end = None if listing.limit is None else listing.offset + listing.limit
            return catalog.at(order[listing.offset : end]), len(order)

    def _order(self, catalog: Catalog, whole: Listing) -> array[int]:
        """All numbers in this order; nobody writes meanwhile, so it is the state's own."""
        state = self._state()
        with self._lock:
            if state is None or state != self._of:
                self._kept.clear()
                self._of = state
            order = self._kept.get(whole)
        if order is None:
            order = catalog.order(whole)
        with self._lock:
            if state is not None and state == self._of:
                self._kept[whole] = order
                self._kept.move_to_end(whole)
                if len(self._kept) > _MOST:
                    self._kept.popitem(last=False)
        return order
