"""The files of the cache: one zip file a batch, written whole, read member by member.

Frames are Arrow files, hashes are as they are in memory. Every member has its checksum; a file that
is missing or corrupt raises `CacheCorrupt`.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Literal

import msgspec
import numpy as np
import polars as pl

from pipeline.engines.polars import hashing
from pipeline.engines.polars.distinct import COLUMNS, DistinctIds, FramesInMemory, Layout, names_of
from pipeline.engines.polars.partials import Partial
from pipeline.engines.polars.statements import HASHES, Statements

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.engines.polars.scan import Split


_METADATA: Final = "metadata.json"
FRAMES: Final = ("participants", "odd_ids", "months", "sums", "rejected")
"""The members of a batch that are small frames."""
_SEVERAL: Final = "several"
_HASHES_OF_SEVERAL: Final = "hashes_of_several"
_KEYS: Final = "keys"
_NUMBERS: Final = "<u8"
"""The form in which hashes are written: one column after the other."""
_READ_ERRORS: Final = (
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
"""The errors in which reading a file ends that is missing or corrupt."""


class CacheCorrupt(Exception):
    """A cache file is missing or corrupt."""


class _Ids(msgspec.Struct, frozen=True):
    """The distinct ids of one breakdown, apart from their frames."""

    organisations: list[str]
    values: list[str]
    layout: Layout
    frames: list[str]
    """The names of all frames: none may be missing."""


class _Metadata(msgspec.Struct, frozen=True):
    """The members of a batch that are no frame."""

    ids: dict[str, _Ids]
    shares: list[str]
    several: list[int]
    """The rows of each piece of the statements."""
    rows_read: list[int]
    named: list[list[str]]
    checksums: list[int]


def write_members(file: zipfile.ZipFile, partial: Partial) -> None:
    """Write the members of a batch."""
    frames = {name: ids.frames for name, ids in partial.ids.items()}
    of_months = {
        _member(breakdown, name): frame
        for breakdown, found in frames.items()
        if isinstance(found, FramesInMemory)
        for name, frame in found.by_name.items()
    }
    metadata = _Metadata(
        {
            breakdown: _Ids(
                list(ids.organisations),
                list(ids.values),
                ids.layout,
                list(ids.frames.by_name) if isinstance(ids.frames, FramesInMemory) else [],
            )
            for breakdown, ids in partial.ids.items()
        },
        list(partial.shares),
        list(partial.several.rows_of_pieces),
        list(partial.rows_read),
        list(map(list, partial.named)),
        list(partial.checksums),
    )
    file.writestr(_METADATA, msgspec.json.encode(metadata))
    named = {name: getattr(partial, name) for name in FRAMES}
    shares = {_member("shares", name): share for name, share in partial.shares.items()}
    for name, frame in {**named, **shares}.items():
        _write_frame(file, name, frame)
    for number, piece in enumerate(partial.several.read(range(partial.several.pieces))):
        _write_frame(file, _member(_SEVERAL, str(number)), piece.drop(HASHES), "lz4")
        _write_hashes(file, _member(_HASHES_OF_SEVERAL, str(number)), piece.select(HASHES))
    for name, hashes in {_KEYS: partial.keys().to_frame(), **of_months}.items():
        _write_hashes(file, name, hashes)


def _write_frame(
    file: zipfile.ZipFile,
    name: str,
    frame: pl.DataFrame,
    compression: Literal["uncompressed", "lz4"] = "uncompressed",
) -> None:
    """Write a frame; statements are many, and compressed they need half the room on disk."""
    with file.open(name, "w", force_zip64=True) as member:
        frame.write_ipc(member, compression=compression)


def _write_hashes(file: zipfile.ZipFile, name: str, hashes: pl.DataFrame) -> None:
    """Write hashes as they are in memory: most of what is written, and in half the time."""
    with file.open(name, "w", force_zip64=True) as member:
        for column in hashes:
            member.write(column.to_numpy().astype(_NUMBERS, copy=False).data)


def _member(group: str, name: str) -> str:
    return f"{group}/{name}"


@dataclass(frozen=True, slots=True)
class BatchFile:
    """The members of a zip file, each read when it is asked for.

    Every method raises `CacheCorrupt` where the file is missing or corrupt.
    """

    path: Path

    def frames(self, names: Iterable[str]) -> Mapping[str, pl.DataFrame]:
        """Read these frames."""
        with self._opened() as file:
            return {name: pl.read_ipc(file.read(name)) for name in names}

    def metadata(self) -> _Metadata:
        """Read what is no frame."""
        with self._opened() as file:
            return msgspec.json.decode(file.read(_METADATA), type=_Metadata)

    def keys(self) -> pl.Series:
        """Read the hashed keys of the batch."""
        with self._opened() as file:
            return _hashes(file.read(_KEYS), (_KEYS,)).to_series()

    def hashes(self, names: Iterable[str], columns: Sequence[str]) -> Sequence[pl.DataFrame]:
        """Read frames of hashes that have these columns."""
        with self._opened() as file:
            return [_hashes(file.read(name), columns) for name in names]

    @contextmanager
    def _opened(self) -> Iterator[zipfile.ZipFile]:
        try:
            with zipfile.ZipFile(self.path) as file:
                yield file
        except _READ_ERRORS as error:
            raise CacheCorrupt(f"{self.path.name}: {error}") from error


@dataclass(frozen=True, slots=True)
class _FramesInFile:
    """The frames of ids of one breakdown that have these names."""

    file: BatchFile
    breakdown: str
    names: Collection[str]

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.DataFrame]]:
        """Read, by the column that the ids are of, the frames of these months.

        Raises:
            CacheCorrupt: The file is missing or corrupt.
        """
        months = tuple(months)
        names = [names_of(column, months, self.names) for column in hashing.COUNTED]
        members = (_member(self.breakdown, name) for name in chain.from_iterable(names))
        found = iter(self.file.hashes(members, COLUMNS))
        return {
            column: list(islice(found, len(of_column)))
            for column, of_column in zip(hashing.COUNTED, names, strict=True)
        }


def _hashes(content: bytes, columns: Sequence[str]) -> pl.DataFrame:
    in_columns = np.frombuffer(content, _NUMBERS).reshape(len(columns), -1)
    return pl.DataFrame(dict(zip(columns, in_columns, strict=True)))


def _several_in(file: BatchFile, metadata: _Metadata) -> Statements:
    def read_hashes(pieces: range) -> Sequence[pl.DataFrame]:
        return file.hashes((_member(_HASHES_OF_SEVERAL, str(piece)) for piece in pieces), HASHES)

    def read(pieces: range) -> list[pl.DataFrame]:
        rest = file.frames(_member(_SEVERAL, str(piece)) for piece in pieces).values()
        return [one.hstack(own) for one, own in zip(rest, read_hashes(pieces), strict=True)]

    return Statements(metadata.several, read, lambda piece: read_hashes(range(piece, piece + 1))[0])


def _ids_in(file: BatchFile, metadata: _Metadata) -> dict[str, DistinctIds]:
    return {
        breakdown: DistinctIds(
            ids.organisations,
            ids.values,
            ids.layout,
            _FramesInFile(file, breakdown, frozenset(ids.frames)),
        )
        for breakdown, ids in metadata.ids.items()
    }


def load(file: BatchFile, splits: Sequence[Split]) -> Partial:
    """Load a batch; keys, ids and statements are left to the file."""
    metadata = file.metadata()
    shares = file.frames(_member("shares", name) for name in metadata.shares)
    return Partial(
        splits,
        metadata.rows_read,
        metadata.named,
        metadata.checksums,
        keys=file.keys,
        ids=_ids_in(file, metadata),
        several=_several_in(file, metadata),
        shares=dict(zip(metadata.shares, shares.values(), strict=True)),
        **file.frames(FRAMES),
    )
