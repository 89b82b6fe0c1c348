"""The cache of partial aggregates: the next nightly run reads only what changed.

It has one zip file for each batch, with frames as Arrow files and hashes as in memory. A manifest
names the batches of one nightly run. Everything in it follows from the exports, so batches are not
flushed to disk, and it may be deleted at any time. The manifest is flushed: a power cut after a
nightly run leaves no batch that nothing names. Every member of a zip file has a checksum, and so
has the manifest. Where any of it is missing or corrupt, all of it is ignored. A cache that cannot
be written costs time and one event, never a run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

import msgspec
import polars as pl

from pipeline.engines import row_hash
from pipeline.engines.polars import room
from pipeline.engines.polars.scan import Split
from pipeline.model.terms import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from pipeline.engines import CacheAccess
    from pipeline.engines.polars.partials import Partial
    from pipeline.logs import EventSink
    from pipeline.model.terms import Terms
    from pipeline.sources.accepted import Export
from pipeline.engines.polars.batch_files import (
    BatchFile,
    CacheCorrupt,
    load,
    write_members,
)

FOLDER: Final = "polars"
"""The folder of this engine in the cache folder."""
SCHEMA_VERSION: Final = 11
"""Raised whenever a partial aggregate has other members; older caches are then ignored."""
_AT_ONCE: Final = 2
"""Files that are read at a time."""
_TAG: Final = "CACHEDIR.TAG"
_TAG_CONTENT: Final = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This folder is a cache of bufdir nightly: it may be deleted at any time.\n"
)
"""Backup programs skip such a folder (https://bford.info/cachedir/)."""
_OLD_FOLDERS: Final = ("excerpts",)
"""Folders of the data folder in which earlier releases had this cache."""
_MANIFEST: Final = "manifest.json"


class _Batch(msgspec.Struct, frozen=True):
    """One zip file, and the parts of exports that it sums up."""

    name: str
    splits: list[tuple[str, int, int]]
    """The mark of the export, the first row and the number of rows of each split."""


class _Manifest(msgspec.Struct, frozen=True):
    terms: str
    """The digest of all that every batch depends on."""
    batches: list[_Batch]


@dataclass(frozen=True, slots=True)
class Cached:
    """The batches of the last nightly run, compared with the exports that exist now."""

    valid: Sequence[Partial] = ()
    """Of exports that are unchanged."""
    keys_of_others: Sequence[Callable[[], pl.Series]] = ()
    """The hashed keys of each other batch."""


class Cache:
    """The partial aggregates of one data folder, by one set of terms."""

    def __init__(self, access: CacheAccess, terms: Terms, events: EventSink) -> None:
        """Open nothing yet."""
        self._access = access
        self._folder = access.folder / FOLDER
        self._terms = _digest(terms)
        self._events = events
        self._names: dict[tuple[Split, ...], str] = {}
        self._uncommitted: set[str] = set()
        self._is_writable = access.writes
        self._is_reported = False
        self._lock = Lock()

    @property
    def writes(self) -> bool:
        """Whether new batches are written."""
        return self._is_writable

    @property
    def disk(self) -> Path:
        """The data folder."""
        return self._access.folder.parent

    def report(self, error: Exception) -> None:
        """Report the first error of the cache; the run continues without it."""
        with self._lock:
            if self._is_reported:
                return
            self._is_reported = True
        self._events(
            "cache_unusable", folder=str(self._folder), problem=str(error) or type(error).__name__
        )

    def find(self, exports: Iterable[Export]) -> Cached:
        """Load the batches that are still valid, and the keys of the others.

        Raises:
            CacheCorrupt: A file is missing or corrupt.
        """
        if self._access.writes:
            self._sweep_others()
        if not self._access.reads:
            return Cached()
        by_mark = {_mark(export): export for export in exports}
        valid: list[tuple[BatchFile, tuple[Split, ...]]] = []
        others: list[Callable[[], pl.Series]] = []
        for batch in self._read_manifest().batches:
            file = BatchFile(self._folder / batch.name)
            if all(mark in by_mark for mark, _, _ in batch.splits):
                splits = tuple(Split(by_mark[mark], *rows) for mark, *rows in batch.splits)
                self._names[splits] = batch.name
                valid.append((file, splits))
            else:
                others.append(file.keys)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            loaded = list(pool.map(load, *zip(*valid, strict=True))) if valid else []
        return Cached(loaded, others)

    def _read_manifest(self) -> _Manifest:
        """Read the batches of the last nightly run; none, if its terms were others."""
        nothing = _Manifest(self._terms, [])
        try:
            content, _, checksum = (self._folder / _MANIFEST).read_bytes().rpartition(b"\n")
            if checksum != _checksum(content):
                raise CacheCorrupt(f"{_MANIFEST} is corrupt")
            manifest = msgspec.json.decode(content, type=_Manifest)
        except FileNotFoundError:
            return nothing
        except (OSError, msgspec.DecodeError) as error:
            raise CacheCorrupt(f"{_MANIFEST}: {error}") from error
        return manifest if manifest.terms == self._terms else nothing

    def put(self, partial: Partial) -> Partial | None:
        """Write a batch; the result has in memory only what all cells need.

        Where it can't be written, the result is None, and no other is tried.
        """
        if not self._is_writable:
            return None
        try:
            return self._written(partial)
        except OSError as error:
            self._is_writable = False
            self.report(error)
            return None

    def _written(self, partial: Partial) -> Partial:
        self._folder.mkdir(parents=True, exist_ok=True)
        room.check(self._folder)
        (self._access.folder / _TAG).write_text(_TAG_CONTENT, encoding="ascii")
        name = f"{uuid.uuid4().hex}.zip"
        path = self._folder / name
        self._uncommitted.add(name)
        try:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
                write_members(file, partial)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self._names[tuple(partial.splits)] = name
        # Its own frames would hold the texts of all rows that they were selected from.
        return load(BatchFile(path), partial.splits)

    def discard(self) -> None:
        """Delete the batches that were written and not committed."""
        for name in self._uncommitted:
            with suppress(OSError):
                (self._folder / name).unlink(missing_ok=True)
        self._uncommitted.clear()

    def commit(self, partials: Sequence[Partial]) -> None:
        """Make these batches the content of the cache, and delete all others."""
        if not self._is_writable:
            return
        try:
            self._commit(partials)
        except (OSError, KeyError) as error:
            self.report(error)

    def _commit(self, partials: Sequence[Partial]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        batches = [
            _Batch(
                self._names[tuple(partial.splits)],
                [(_mark(split.export), split.first, split.rows) for split in partial.splits],
            )
            for partial in partials
        ]
        temporary = self._folder / f".{os.getpid()}-{_MANIFEST}"
        content = msgspec.json.encode(_Manifest(self._terms, batches))
        temporary.write_bytes(content + b"\n" + _checksum(content))
        _flush(temporary)
        temporary.replace(self._folder / _MANIFEST)
        self._uncommitted.clear()
        self._sweep({_MANIFEST, *(batch.name for batch in batches)})
        _flush(self._folder)

    def _sweep_others(self) -> None:
        """Delete what the manifest does not name: a run that was killed has left it."""
        named: list[_Batch] = []
        with suppress(CacheCorrupt):
            named = self._read_manifest().batches
        with suppress(OSError):
            self._sweep({_MANIFEST, *(batch.name for batch in named)})

    def _sweep(self, current: set[str]) -> None:
        for path in self._folder.glob("*"):
            if path.name not in current:
                path.unlink(missing_ok=True)
        for name in _OLD_FOLDERS:
            shutil.rmtree(self._access.folder.parent / name, ignore_errors=True)


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mark(export: Export) -> str:
    """Give what a batch depends on of a file: equal only where it would be read alike."""
    fingerprint = astuple(export.file.fingerprint)
    return digest_of(
        export.file.name, export.parquet.name, fingerprint, export.rows, export.read_as
    )


def _digest(terms: Terms) -> str:
    """Give what every batch depends on: the terms, and the programs that go by them."""
    programs = (SCHEMA_VERSION, row_hash.SCHEMA_VERSION, pl.__version__)
    return digest_of(programs, terms.digest)


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()
