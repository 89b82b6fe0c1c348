"""The health of a server for those who watch it: whether it answers, and whether it can work."""

from __future__ import annotations

from typing import Final

from litestar import get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from api.errors import NotReady
from api.snapshots.service import Service
from pipeline.errors import StoreDamaged, StoreTooNew, StoreUnusable
from pipeline.model.listing import Listing

_BUSY_SECONDS: Final = 2
"""The longest time that another writer may block the catalog while the server counts as ready."""


class Health(Struct, frozen=True):
    """The state of a healthy server."""

    status: str


@get("/livez", sync_to_thread=False)
def livez() -> Health:
    """Confirm that this process answers."""
    return Health("alive")


@get("/readyz", sync_to_thread=True)
def readyz(service: Service) -> Health:
    """Confirm that the catalog can be read.

    Raises:
        NotReady: It can't.
    """
    try:
        with service.catalog(busy_seconds=_BUSY_SECONDS) as catalog:
            catalog.list(Listing(limit=1))
    except (StoreDamaged, StoreTooNew, StoreUnusable) as error:
        raise NotReady from error
    return Health("ready")


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (livez, readyz)
