"""Where nights lay the excerpts of the exports, so that the next night reads only what changed.

A zip file for each batch, with its frames as Arrow files, but hashes as they lie in memory, and an
index that names the batches of one night and what they are of. Everything here follows from the
exports: it is not flushed to disk, may be deleted at any time, and is forgotten as a whole where
any of it can't be trusted: every member of a zip file has its sum, and so has the index.
"""

from __future__ import annotations

import hashlib
import os
import struct
import uuid
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import polars as pl

from pipeline.engines.polars import hashing
from pipeline.engines.polars.distinct import COLUMNS, FramesInMemory, Ids, Layout, names_of
from pipeline.engines.polars.partials import Excerpt
from pipeline.engines.polars.scan import Split
from pipeline.model import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.engines import ScanRequest
    from pipeline.sources.parquet import Export

FOLDER: Final = "excerpts"
_AT_ONCE: Final = 2
"""Files that are read at a time."""
_EDITION: Final = 5
"""Raised whenever an excerpt holds something else than before."""
_INDEX: Final = "index.json"
_FACTS: Final = "facts.json"
_FRAMES: Final = ("placed", "sums", "contested", "left_out")
_KEYS: Final = "keys"
_NUMBERS: Final = "<u8"
"""How hashes are written: one column after the other."""
_DAMAGE: Final = (
    OSError,
    EOFError,
    KeyError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    msgspec.DecodeError,
    pl.exceptions.PolarsError,
)
"""What reading a file ends in that is not what was written."""


class CacheCorrupt(Exception):
    """What lies here is not what was laid here."""


class _Batch(msgspec.Struct, frozen=True):
    """One zip file, and the parts of exports that it is of."""

    name: str
    parts: list[tuple[str, int, int]]
    """The mark of the export, the first row, how many rows."""


class _Index(msgspec.Struct, frozen=True):
    edition: str
    batches: list[_Batch]


class _Facts(msgspec.Struct, frozen=True):
    """What is no frame: of the ids, and of each part."""

    organisations: list[str]
    layout: Layout
    ids: list[str]
    """The names of all frames of ids: none may be missing."""
    named: list[list[str]]
    digests: list[list[int]]


@dataclass(frozen=True, slots=True)
class Found:
    """What the last night laid down, held against the exports that there are now."""

    standing: Sequence[Excerpt] = ()
    """Of exports that are as they were."""
    keys_of_others: Sequence[Callable[[], pl.Series]] = ()
    """The hashed keys of each other batch."""


class Shelf:
    """The excerpts of one data folder, by one set of rules."""

    def __init__(self, data: Path, question: ScanRequest) -> None:
        """Look at nothing yet."""
        self._folder = data / FOLDER
        self._edition = _edition(question)
        self._names: dict[tuple[Split, ...], str] = {}

    def find(self, exports: Iterable[Export]) -> Found:
        """The excerpts that still hold, and the keys of those that don't.

        Raises:
            CacheCorrupt: Something has been damaged.
        """
        by_mark = {_mark(export): export for export in exports}
        lying: list[tuple[_Zip, tuple[Split, ...]]] = []
        others: list[Callable[[], pl.Series]] = []
        for batch in self._index().batches:
            member = _Zip(self._folder / batch.name)
            if all(mark in by_mark for mark, _, _ in batch.parts):
                parts = tuple(Split(by_mark[mark], *rows) for mark, *rows in batch.parts)
                self._names[parts] = batch.name
                lying.append((member, parts))
            else:
                others.append(member.keys)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            standing = list(pool.map(_load, *zip(*lying, strict=True))) if lying else []
        return Found(standing, others)

    def _index(self) -> _Index:
        """What the last night laid down; nothing where it went by other rules."""
        nothing = _Index(self._edition, [])
        try:
            content, _, checksum = (self._folder / _INDEX).read_bytes().rpartition(b"\n")
        except FileNotFoundError:
            return nothing
        if checksum != _checksum(content):
            raise CacheCorrupt(_INDEX)
        try:
            index = msgspec.json.decode(content, type=_Index)
        except msgspec.DecodeError as error:
            raise CacheCorrupt(_INDEX) from error
        return index if index.edition == self._edition else nothing

    def lay(self, excerpt: Excerpt) -> Excerpt:
        """Put an excerpt into a file; what comes back holds in memory only what all cells need."""
        ids = excerpt.ids
        if not isinstance(ids.frames, FramesInMemory):
            return excerpt  # it lies here
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{uuid.uuid4().hex}.zip"
        named, digests = list(map(list, excerpt.named)), list(map(list, excerpt.digests))
        of_months = ids.frames.by_name
        facts = _Facts(list(ids.organisations), ids.layout, list(of_months), named, digests)
        with zipfile.ZipFile(self._folder / name, "w", zipfile.ZIP_STORED) as file:
            file.writestr(_FACTS, msgspec.json.encode(facts))
            for frame_name in _FRAMES:
                with file.open(frame_name, "w", force_zip64=True) as member:
                    member.write(getattr(excerpt, frame_name).write_ipc(None).getbuffer())
            # As they lie in memory: most of what is written, and in half the time.
            for hashes_name, hashes in {_KEYS: excerpt.keys().to_frame(), **of_months}.items():
                with file.open(hashes_name, "w", force_zip64=True) as member:
                    for column in hashes:
                        member.write(column.to_numpy().astype(_NUMBERS, copy=False).data)
        self._names[tuple(excerpt.parts)] = name
        lying = _Zip(self._folder / name)
        lying_ids = replace(ids, frames=_FramesInZip(lying, facts.ids))
        return replace(excerpt, keys=lying.keys, ids=lying_ids)

    def keep(self, excerpts: Sequence[Excerpt]) -> None:
        """From now on these are what lies here; everything else is taken away."""
        self._folder.mkdir(parents=True, exist_ok=True)
        batches = [
            _Batch(
                self._names[tuple(excerpt.parts)],
                [(_mark(part.export), part.first, part.rows) for part in excerpt.parts],
            )
            for excerpt in excerpts
        ]
        temporary = self._folder / f".{os.getpid()}-{_INDEX}"
        content = msgspec.json.encode(_Index(self._edition, batches))
        temporary.write_bytes(content + b"\n" + _checksum(content))
        temporary.replace(self._folder / _INDEX)
        self._sweep({_INDEX, *(batch.name for batch in batches)})

    def _sweep(self, kept: set[str]) -> None:
        for path in self._folder.glob("*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Zip:
    """The frames in a zip file, each read when it is asked for."""

    path: Path

    def frames(self) -> Mapping[str, pl.DataFrame]:
        """All frames but those of hashes, by name.

        Raises:
            CacheCorrupt: The file is gone or damaged.
        """
        with self._opened() as file:
            return {name: pl.read_ipc(file.read(name)) for name in _FRAMES}

    def facts(self) -> _Facts:
        """What is no frame.

        Raises:
            CacheCorrupt: The file is gone or damaged.
        """
        with self._opened() as file:
            return msgspec.json.decode(file.read(_FACTS), type=_Facts)

    def keys(self) -> pl.Series:
        """The hashed keys of the batch.

        Raises:
            CacheCorrupt: The file is gone or damaged.
        """
        with self._opened() as file:
            return _hashes(file.read(_KEYS), (_KEYS,)).to_series()

    def ids(self, names: Iterable[str]) -> Sequence[pl.DataFrame]:
        """Frames of ids.

        Raises:
            CacheCorrupt: The file is gone or damaged.
        """
        with self._opened() as file:
            return [_hashes(file.read(name), COLUMNS) for name in names]

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.path) as file:
                yield file
        except _DAMAGE as error:
            raise CacheCorrupt(str(self.path)) from error


@dataclass(frozen=True, slots=True)
class _FramesInZip:
    """The frames of ids with these names."""

    file: _Zip
    names: Collection[str]

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.DataFrame]]:
        """By the column that the ids are of, those of these months in which a row counts.

        Raises:
            CacheCorrupt: The file is gone or damaged.
        """
        months = tuple(months)
        names = [names_of(column, months, self.names) for column in hashing.COUNTED]
        found = iter(self.file.ids(chain.from_iterable(names)))
        return {
            column: list(islice(found, len(of_column)))
            for column, of_column in zip(hashing.COUNTED, names, strict=True)
        }


def _hashes(content: bytes, columns: Sequence[str]) -> pl.DataFrame:
    in_columns = np.frombuffer(content, _NUMBERS).reshape(len(columns), -1)
    return pl.DataFrame(dict(zip(columns, in_columns, strict=True)))


def _load(lying: _Zip, parts: Sequence[Split]) -> Excerpt:
    facts = lying.facts()
    frames = _FramesInZip(lying, frozenset(facts.ids))
    ids = Ids(facts.organisations, facts.layout, frames)
    return Excerpt(parts, facts.named, facts.digests, lying.keys, ids=ids, **lying.frames())


def _mark(export: Export) -> str:
    """What an excerpt depends on of a file: equal only where it would be read alike."""
    shape = export.shape
    instants = {name: (ticks.unit.value, ticks.zoned) for name, ticks in shape.instants.items()}
    said = (
        export.file.name,
        astuple(export.file.fingerprint),
        export.rows,
        shape.sources,
        instants,
    )
    return _short(said)


def _edition(question: ScanRequest) -> str:
    """What all excerpts depend on: the rules, and the programs that go by them."""
    rules, zone, mapping = question.rules, question.zone.key, question.mapping
    programs = (_EDITION, numbers.DEFINITIONS, hashing.edition(), pl.__version__)
    return _short((programs, rules.categories, rules.max_hours, zone, sorted(mapping.items())))


def _short(said: object) -> str:
    return _checksum(msgspec.json.encode(said)).decode()


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).hexdigest().encode()
