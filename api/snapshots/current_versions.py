"""The cache of current versions in one worker: one for each snapshot, the last that was read.

A version that another one has replaced is in no reply any more, so it must not take memory.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Final

from pipeline.model.versions import Version
from pipeline.storage import version_files
from pipeline.storage.catalog import Entry

_MAX_VERSIONS: Final = 1024
"""The limit of one worker; above it the least recently used versions are dropped."""

_Identity = tuple[int, datetime | None, str | None]
"""The number, the instant and the digest of a version."""


class CurrentVersionCache:
    """The versions of a data folder that were read last, by snapshot."""

    def __init__(self, data: Path, most: int = _MAX_VERSIONS) -> None:
        """Start empty."""
        self._data = data
        self._most = most
        self._versions: OrderedDict[int, tuple[_Identity, Version]] = OrderedDict()
        self._lock = Lock()

    def read(self, entry: Entry, sha256: str | None) -> Version:
        """Return the version that an entry of the catalog names, and compare its file's digest.

        A version never changes. Its instant and its digest are compared all the same, because a
        restored backup may have another version of this number.

        Raises:
            StoreDamaged: It can't be read.
        """
        identity = entry.version, entry.refreshed_at, sha256
        with self._lock:
            found = self._versions.get(entry.number)
            if found is not None and found[0] == identity:
                self._versions.move_to_end(entry.number)
                return found[1]
        version = version_files.read(self._data, entry.number, entry.version, sha256)
        with self._lock:
            self._versions[entry.number] = identity, version
            self._versions.move_to_end(entry.number)
            if len(self._versions) > self._most:
                self._versions.popitem(last=False)
        return version

    def __len__(self) -> int:
        """Count the versions in memory."""
        return len(self._versions)
