"""The cache of sorted ids in one worker, so that page 4,000 of a list costs as much as page 1."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Final

from api.http.change_counter import State
from pipeline.model.listing import Listing
from pipeline.storage.catalog import Catalog, Entry

_MAX_ORDERS: Final = 64
"""The limit of one worker; one order of 100,000 snapshots takes 800 kB."""

Order = tuple[frozenset[str] | None, Listing]
"""The visible organisations, and a whole list."""


class SortedIdCache:
    """The numbers of all snapshots in each requested order, of the catalog's present state."""

    def __init__(self, state: Callable[[], State | None]) -> None:
        """Start empty.

        Args:
            state: The state of the catalog; differs after every change.
        """
        self._current_state = state
        self._state: State | None = None
        self._orders: OrderedDict[Order, array[int]] = OrderedDict()
        self._lock = Lock()

    def page(self, catalog: Catalog, listing: Listing) -> tuple[Sequence[Entry], int]:
        """Return one page of snapshots and the total over all pages, both of one moment."""
        with catalog.transaction("DEFERRED"):
            catalog.lock_for_reading()
            order = self._order(catalog, (catalog.visible, replace(listing, offset=0, limit=None)))
            end = None if listing.limit is None else listing.offset + listing.limit
            return catalog.at(order[listing.offset : end]), len(order)

    def _order(self, catalog: Catalog, whole: Order) -> array[int]:
        """Return all numbers in this order; the transaction prevents changes meanwhile."""
        state = self._current_state()
        with self._lock:
            if state is None or state != self._state:
                self._orders.clear()
                self._state = state
            order = self._orders.get(whole)
        if order is None:
            order = catalog.order(whole[1])
        with self._lock:
            if state is not None and state == self._state:
                self._orders[whole] = order
                self._orders.move_to_end(whole)
                if len(self._orders) > _MAX_ORDERS:
                    self._orders.popitem(last=False)
        return order
