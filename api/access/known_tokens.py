"""The tokens as one worker knows them: read again whenever the catalog has changed.

A token that is made or revoked takes effect at the next request, without a restart. While the
catalog can't be read, the last tokens count: nothing but metrics is served then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from anyio.to_thread import run_sync
from structlog.typing import FilteringBoundLogger

from api.http.change_counter import State
from pipeline.errors import BufdirError, StoreUnusable
from pipeline.model.access import Grant
from pipeline.storage import logged_tokens, tokens
from pipeline.storage.catalog import Catalog

Tokens = Mapping[str, Grant]
"""All tokens that were ever made, by their hashes."""


class KnownTokens:
    """The tokens of a data folder."""

    def __init__(self, data: Path, state: Callable[[], State | None]) -> None:
        """Read the tokens as they are; where that fails, the first request reads them.

        Args:
            data: The data folder.
            state: The state of the catalog; differs after every change.
        """
        self._data = data
        self._current_state = state
        self._state: State | None = None
        self._tokens: Tokens | None = None
        self._are_made = False
        self._reading = asyncio.Lock()
        with suppress(BufdirError):
            self._read()

    @property
    def are_made(self) -> bool:
        """Whether any token was ever seen; a catalog that is lost later makes nothing public."""
        return self._are_made

    async def current(self) -> Tokens:
        """Return the tokens of the catalog's present state.

        Raises:
            StoreUnusable, StoreDamaged, StoreTooNew: The catalog could never be read.
        """
        if self._tokens is not None and self._is_current():
            return self._tokens
        async with self._reading:
            if not self._is_current():
                before = self._current_state()
                try:
                    await run_sync(self._read)
                    self._state = before
                except BufdirError:
                    if self._tokens is None:
                        raise
            return self._tokens or {}

    def _is_current(self) -> bool:
        return self._state is not None and self._state == self._current_state()

    def _read(self) -> None:
        with Catalog.open_read_only(self._data) as catalog:
            self._tokens = tokens.by_digest(catalog)
        self._are_made |= bool(self._tokens)


def follow_audit_log(catalog: Catalog, logger: FilteringBoundLogger) -> None:
    """Revoke the tokens that the audit log revokes; a log that can't be read stops no server."""
    try:
        logged = logged_tokens.read(catalog.data)
    except StoreUnusable as error:
        logger.warning("audit_unreadable", problem=str(error))
        return
    behind = logged_tokens.follow(catalog, logged, datetime.now(UTC))
    if behind.all_names:
        logger.warning("tokens_revoked", tokens=behind.all_names)
