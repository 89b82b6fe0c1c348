"""Frames on disk for as long as one survey needs them, in a file without a name.

Nothing of it is left behind, however the process ends.
"""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.engines.polars import hashing, room
from pipeline.engines.polars.batch_files import FRAMES
from pipeline.engines.polars.distinct import FramesInMemory, names_of
from pipeline.engines.polars.statements import HASHES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.engines.polars.distinct import DistinctIds
    from pipeline.engines.polars.partials import Partial
    from pipeline.engines.polars.statements import Statements


class Scratch:
    """A file of frames; where it can't be written they stay in memory."""

    def __init__(self, folder: Path | None) -> None:
        """Open nothing yet.

        Args:
            folder: The file is on the disk of this folder; where that can't be written, among the
                system's temporary files.
        """
        self._folder = folder
        self._descriptor: int | None = None
        self._size = 0
        self._lock = Lock()

    def put(self, frame: pl.DataFrame) -> Callable[[], pl.DataFrame]:
        """Write a frame, and give what reads it until the file is closed."""
        content = frame.write_ipc(None).getbuffer()
        length = len(content)  # what reads the frame must not hold the content itself
        try:
            place = self._append(content)
        except OSError:  # such as a full disk
            return lambda: frame
        return lambda: pl.read_ipc(self._read(place, length))

    def _append(self, content: memoryview) -> int:
        """Write at the end, and give the position of the first byte."""
        with self._lock:
            if self._descriptor is None:
                self._descriptor = self._opened()
                weakref.finalize(self, os.close, self._descriptor)
            room.check(self._descriptor)
            place = self._size
            while content:
                written = os.pwrite(self._descriptor, content, self._size)
                content, self._size = content[written:], self._size + written
            return place

    def _opened(self) -> int:
        for folder in (self._folder, None):
            with suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
                return os.dup(file.fileno())
        raise OSError(errno.EACCES, "no folder for temporary files")

    def _read(self, place: int, length: int) -> bytes:
        assert self._descriptor is not None  # noqa: S101 (frames are in it)
        return os.pread(self._descriptor, length, place)

    def empty(self) -> None:
        """Give the disk space back; no frame can be read any longer."""
        with suppress(OSError):
            if self._descriptor is not None:
                os.truncate(self._descriptor, 0)

    def put_ids(self, ids: DistinctIds) -> DistinctIds:
        """Write the frames of ids that are in memory."""
        if not isinstance(ids.frames, FramesInMemory):
            return ids
        frames = {name: self.put(frame) for name, frame in ids.frames.by_name.items()}
        return replace(ids, frames=_FramesInScratch(frames))

    def put_statements(self, statements: Statements) -> Statements:
        """Write the pieces of statements."""
        pieces = [
            (self.put(piece.select(HASHES)), self.put(piece.drop(HASHES)))
            for piece in statements.read(range(statements.pieces))
        ]

        def read(some: range) -> list[pl.DataFrame]:
            return [rest().hstack(hashes()) for hashes, rest in map(pieces.__getitem__, some)]

        return replace(statements, read=read, read_hashes=lambda piece: pieces[piece][0]())

    def put_partial(self, found: Partial) -> Partial:
        """Write a batch; only its small frames are read again."""
        keys = self.put(found.keys().to_frame())
        # As they are, they would hold the texts of all rows that they were selected from.
        small: dict[str, Any] = {name: self.put(getattr(found, name))() for name in FRAMES}
        return replace(
            found,
            **small,
            shares={name: self.put(one)() for name, one in found.shares.items()},
            keys=lambda: keys().to_series(),
            ids={name: self.put_ids(one) for name, one in found.ids.items()},
            several=self.put_statements(found.several),
        )


@dataclass(frozen=True, slots=True)
class _FramesInScratch:
    """The frames of ids of one breakdown, by `name_of`."""

    by_name: Mapping[str, Callable[[], pl.DataFrame]]

    def of_months(self, months: Iterable[int]) -> Mapping[str, Sequence[pl.DataFrame]]:
        """Read, by the column that the ids are of, the frames of these months."""
        months = tuple(months)
        return {
            column: [self.by_name[name]() for name in names_of(column, months, self.by_name)]
            for column in hashing.COUNTED
        }
