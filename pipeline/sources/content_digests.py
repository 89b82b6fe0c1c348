"""The SHA-256 of files' contents; a file is read once for its fingerprint.

Digests are in the cache and may be deleted at any time. Where the cache can't be read or written,
files are read again.
"""

from __future__ import annotations

import hashlib
import uuid
from contextlib import closing, suppress
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.sources.exports import File

_FILE: Final = "sha256.json"
_BLOCK: Final = 2**20
_Known = dict[str, tuple[tuple[int, ...], str]]
"""By name of the file, its fingerprint and its digest."""


@dataclass(slots=True)
class ContentDigests:
    """The digests of a data folder."""

    folder: Path
    """The folder of the cache."""
    writes: bool = True
    """Whether it may be written."""
    _known: _Known | None = field(default=None, init=False)
    _used: _Known = field(default_factory=dict, init=False)

    def of(self, file: File) -> str:
        """Give the digest of a file in hexadecimal digits.

        Raises:
            OSError: It can't be read.
        """
        if self._known is None:
            self._known = self._read()
        fingerprint = astuple(file.fingerprint)
        known = self._known.get(file.name)
        if known is None or known[0] != fingerprint:
            known = fingerprint, _digest(file)
        self._used[file.name] = known
        return known[1]

    def write(self) -> None:
        """Write the digests that were asked for, if any is new."""
        if not self.writes or self._known is None or self._used == self._known:
            return
        unfinished = self.folder / f".{uuid.uuid4().hex}"
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(msgspec.json.encode(self._used))
            unfinished.replace(self.folder / _FILE)
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)

    def _read(self) -> _Known:
        try:
            return msgspec.json.decode((self.folder / _FILE).read_bytes(), type=_Known)
        except (OSError, ValueError):
            return {}


def _digest(file: File) -> str:
    digest = hashlib.sha256()
    with closing(file.open()) as opened:
        while block := opened.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
