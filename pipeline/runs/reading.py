"""Reading within bounds: what a run may spend on exports, and which of them it must not open.

An engine here decodes files with native libraries, which a hostile file can make abort, loop or
fill the memory. So a run names what it is about to read in a note that outlives its process.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self

import msgspec

from pipeline.confinement import limits
from pipeline.engines import UnreadableExports
from pipeline.errors import BufdirError
from pipeline.storage.fatal_exports import FileState

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pipeline.confinement.child import Note
    from pipeline.engines import Engine, RejectedRows, ScanRequest, Survey
    from pipeline.engines.participants import Participants
    from pipeline.model.cells import Cell, CellContent, CellNumbers
    from pipeline.model.states import EngineName
    from pipeline.sources.accepted import Export
    from pipeline.sources.exports import File

_SECONDS: Final = 10.0
_SECONDS_A_FILE: Final = 0.02
_SECONDS_A_MEBIBYTE: Final = 5.0
_SECONDS_A_ROW: Final = 20e-6
"""Processor time that reading may need: tens of times what it does need."""
_ROWS_A_BYTE: Final = 100
_OWN_ERRORS: Final = (BufdirError, UnreadableExports, KeyboardInterrupt, SystemExit)


@dataclass(slots=True)
class Reading:
    """The bounds of a run that reads exports."""

    note: Note | None = None
    """The note for the parent of this process; None where no bounds hold."""
    fatal: Mapping[FileState, str] = field(default_factory=dict)
    """The problems of exports that are not opened, because they ended an earlier process."""
    is_last: bool = False
    """Whether an unexpected error is a fault of the program, because no export is its cause."""
    is_due: bool = False
    """Whether exports that were fatal once may be read again."""
    _noted: Sequence[File] | None = None

    @contextmanager
    def of(self, files: Sequence[File], rows: int = 0) -> Iterator[None]:
        """Read these files during the block, with bounds on the processor time.

        Args:
            files: The files that the block may open.
            rows: Their rows, where they are known.
        """
        if self.note is None:
            yield
            return
        if files is not self._noted:
            self.note.write(msgspec.json.encode([state(file) for file in files]).decode())
            self._noted = files
        self.note.set(is_set=True)
        limits.limit_processor_time(_allowance(files, rows))
        try:
            yield
        except _OWN_ERRORS:
            self._end()
            raise
        # After any other error the note stays set: the parent looks for its cause.
        self._end()

    def is_broken_by(self, error: BaseException) -> bool:
        """Return whether an error may be the work of an export, for which the parent looks."""
        is_expected = isinstance(error, _OWN_ERRORS)
        return self.note is not None and self.note.is_set and not (self.is_last or is_expected)

    def mark(self, files: Iterable[File]) -> list[File]:
        """Give those files that must not be opened their problem."""
        if not self.fatal:
            return list(files)
        problems = ((file, self.fatal.get(state(file))) for file in files)
        return [
            file if problem is None else replace(file, problem=problem)
            for file, problem in problems
        ]

    def limited(self, engine: Engine) -> Engine:
        """Give an engine that keeps these bounds."""
        return engine if self.note is None else LimitedEngine(engine, self)

    def _end(self) -> None:
        if self.note is not None:
            limits.lift_processor_time()
            self.note.set(is_set=False)


def noted(note: Note) -> list[FileState]:
    """Read the files that a process was reading when it died."""
    return msgspec.json.decode(note.read(), type=list[FileState])


def state(file: File) -> FileState:
    """Give the name and the fingerprint of a file."""
    return file.name, file.fingerprint.values


def _allowance(files: Sequence[File], rows: int) -> float:
    size = sum(file.fingerprint.size for file in files)
    credible = min(rows, _ROWS_A_BYTE * size)  # a footer may claim any number
    of_content = max(_SECONDS_A_MEBIBYTE * size / limits.MEBIBYTE, _SECONDS_A_ROW * credible)
    return _SECONDS + _SECONDS_A_FILE * len(files) + of_content


@dataclass(frozen=True, slots=True)
class LimitedEngine:
    """An engine that reads exports within bounds."""

    engine: Engine
    reading: Reading

    @property
    def name(self) -> EngineName:
        """Its name in settings."""
        return self.engine.name

    def survey(self, request: ScanRequest) -> Survey:
        """Read the exports and validate every row, as `Engine.survey`."""
        bounds = _Bounds.of(self.reading, request.exports)
        with bounds():
            return LimitedSurvey(self.engine.survey(request), bounds)

    def organisations(self, request: ScanRequest) -> frozenset[str]:
        """Find the valid organisations that any row names, as `Engine.organisations`."""
        with _Bounds.of(self.reading, request.exports)():
            return self.engine.organisations(request)

    def participants(self, request: ScanRequest) -> Sequence[Participants]:
        """Read a sample of the participants of each export, as `Engine.participants`."""
        with _Bounds.of(self.reading, request.exports)():
            return self.engine.participants(request)

    def content_checksums(self, request: ScanRequest) -> Mapping[str, str]:
        """Give content checksums, as `Engine.content_checksums`."""
        with _Bounds.of(self.reading, request.exports)():
            return self.engine.content_checksums(request)


@dataclass(frozen=True, slots=True)
class _Bounds:
    """The bounds of everything that is read for one request."""

    reading: Reading
    files: Sequence[File]
    rows: int

    @classmethod
    def of(cls, reading: Reading, exports: Sequence[Export]) -> Self:
        return cls(reading, [one.file for one in exports], sum(one.rows for one in exports))

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self.reading.of(self.files, self.rows):
            yield


@dataclass(frozen=True, slots=True)
class LimitedSurvey:
    """A survey that reads within bounds; what each member gives is described at `Survey`."""

    survey: Survey
    bounds: _Bounds

    @property
    def rows_by_file(self) -> Sequence[int]:
        """Rows read of each export."""
        with self.bounds():
            return self.survey.rows_by_file

    @property
    def ledger(self) -> Mapping[str, int]:
        """Rows by ledger line."""
        with self.bounds():
            return self.survey.ledger

    @property
    def rows_without_cell(self) -> Mapping[str, int]:
        """Rows that are in no cell, by ledger line."""
        with self.bounds():
            return self.survey.rows_without_cell

    @property
    def organisations_by_file(self) -> Sequence[Sequence[str]]:
        """The organisations of each export."""
        with self.bounds():
            return self.survey.organisations_by_file

    @property
    def participants(self) -> Sequence[Participants]:
        """A sample of the participants of each export."""
        with self.bounds():
            return self.survey.participants

    @property
    def checksums(self) -> Mapping[str, str]:
        """The content checksum of each export by name."""
        with self.bounds():
            return self.survey.checksums

    def contents(self, kind: str) -> Mapping[Cell, CellContent]:
        """Sum up the rows of each cell of a kind."""
        with self.bounds():
            return self.survey.contents(kind)

    def count(self, kind: str, cells: Collection[Cell]) -> Iterator[Mapping[Cell, CellNumbers]]:
        """Count these cells of one kind, some at a time."""
        batches = iter(self.survey.count(kind, cells))
        while True:
            with self.bounds():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def rows_by_export(self, cells: Iterable[Cell]) -> Mapping[Cell, Mapping[str, int]]:
        """Count the rows of each of these cells in each export."""
        with self.bounds():
            return self.survey.rows_by_export(cells)

    def rejected_rows(self, cells: Iterable[Cell]) -> RejectedRows:
        """Give the rows of these cells for quarantine."""
        with self.bounds():
            return self.survey.rejected_rows(cells)

    def unplaced_rows(self) -> bytes:
        """Give the rows that are in no cell for quarantine."""
        with self.bounds():
            return self.survey.unplaced_rows()

    def look_alikes(self) -> Mapping[str, int]:
        """Count, by export, the participants whose ids look like another's."""
        with self.bounds():
            return self.survey.look_alikes()

    def commit(self) -> None:
        """Commit the cache for later surveys."""
        self.survey.commit()

    def __enter__(self) -> Self:
        """Give the survey."""
        self.survey.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Release the resources of the survey."""
        self.survey.__exit__(*error)
