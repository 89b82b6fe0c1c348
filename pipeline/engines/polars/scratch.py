"""Frames on disk for as long as one survey needs them, in a file without a name.

Nothing of it is left behind, however the process ends.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import IO, TYPE_CHECKING

import polars as pl

from pipeline.engines.polars import hashing
from pipeline.engines.polars.distinct import FramesInMemory, names_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from pipeline.engines.polars.distinct import DistinctIds
    from pipeline.engines.polars.partials import Partial
    from pipeline.engines.polars.statements import Statements


@dataclass(eq=False)
class Scratch:
    """A file of frames; where it can't be written they stay in memory."""

    folder: Path | None = None
    """The file is on the disk of this folder; where that can't be written, among the system's
    temporary files.
    """
    _file: IO[bytes] | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def put(self, frame: pl.DataFrame) -> Callable[[], pl.DataFrame]:
        """Write a frame, and give what reads it."""
        content = frame.write_ipc(None).getbuffer()
        try:
            descriptor, place = self._append(content)
        except OSError:  # such as a full disk
            return lambda: frame
        return lambda: pl.read_ipc(os.pread(descriptor, len(content), place))

    def put_ids(self, ids: DistinctIds) -> DistinctIds:
        """Write the frames of ids that are in memory."""
        if not isinstance(ids.frames, FramesInMemory):
            return ids
        frames = {name: self.put(frame) for name, frame in ids.frames.by_name.items()}
        return replace(ids, frames=_FramesInScratch(frames))

    def put_statements(self, statements: Statements) -> Statements:
        """Write the pieces of statements."""
        pieces = [self.put(statements.read_piece(piece)) for piece in range(statements.pieces)]
        return replace(statements, read_piece=lambda piece: pieces[piece]())

    def put_partial(self, found: Partial) -> Partial:
        """Write what is large of a batch."""
        keys = self.put(found.keys().to_frame())
        return replace(
            found,
            keys=lambda: keys().to_series(),
            ids={name: self.put_ids(one) for name, one in found.ids.items()},
            several=self.put_statements(found.several),
        )

    def _append(self, content: memoryview) -> tuple[int, int]:
        """Write at the end, and give the descriptor and the position of the first byte."""
        with self._lock:
            if self._file is None:
                self._file = self._opened()
            place = self._file.seek(0, os.SEEK_END)
            while content:
                content = content[self._file.write(content) :]
            return self._file.fileno(), place

    def _opened(self) -> IO[bytes]:
        try:
            return tempfile.TemporaryFile(dir=self.folder, buffering=0)
        except OSError:
            return tempfile.TemporaryFile(buffering=0)

    def close(self) -> None:
        """Give the disk space back; nothing can be read any longer."""
        if self._file is not None:
            self._file.close()


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
