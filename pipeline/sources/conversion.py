"""Conversion at the door: a file that is not Parquet becomes a Parquet file, once for its content.

Converted files are in the cache, named by the content and by all that decides how it is read. They
follow from exports and may be deleted at any time. Where the cache can't be written, or a command
may write nothing, they are in a temporary folder of this process. Either way they are encrypted.
"""

from __future__ import annotations

import atexit
import fcntl
import shutil
import tempfile
import uuid
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from pipeline import redaction
from pipeline.errors import ExportRefused
from pipeline.model.terms import digest_of
from pipeline.settings.limits import DEFAULTS
from pipeline.sources import encryption, formats, header, parquet
from pipeline.sources.folders import look_at
from pipeline.sources.footer_bytes import FooterRefused
from pipeline.sources.formats import converting

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from zoneinfo import ZoneInfo

    from pipeline.logs import EventSink
    from pipeline.model.columns import Column
    from pipeline.settings import SourceSettings
    from pipeline.settings.limits import LimitSettings
    from pipeline.sources.accepted import Export
    from pipeline.sources.exports import File

FOLDER: Final = "converted"
"""The folder of converted files in the cache folder."""
SCHEMA_VERSION: Final = 1
"""Raised whenever a file would be converted otherwise; older converted files are then ignored."""
_UNFINISHED: Final = "."
"""The beginning of the names of files that are being written; their processes lock them."""
_TEMPORARY: Final[dict[Path, _Place]] = {}
"""The temporary folder of each folder that could or must not be written."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder of converted files, and the key of these files."""

    folder: Path
    key: bytes = field(repr=False)

    def file(self, name: str) -> File:
        """Look at the converted file of this name."""
        return replace(look_at(self.folder / name, name), key=self.key)


@dataclass(frozen=True, slots=True)
class Conversions:
    """The converted files of a data folder."""

    folder: Path
    """The folder in the cache."""
    key_file: Path
    """The file with their key."""
    zone: ZoneInfo
    """The zone of times without one."""
    events: EventSink
    writes: bool = True
    """Whether the folder may be written."""
    reads: bool = True
    """Whether files in it are used; false converts each file once more."""

    def accept(
        self,
        file: File,
        source: SourceSettings,
        columns: Sequence[Column],
        limits: LimitSettings = DEFAULTS,
    ) -> Export:
        """Convert a file unless it has been, and read the footer of the converted one.

        Args:
            file: The file to open.
            source: Its source, with its format.
            columns: The columns that are read.
            limits: The bounds that the converted file must keep.

        Raises:
            ExportRefused: The file is refused.
        """
        original = _Original(file, source, tuple(columns), self.zone)
        for converted in self._known(original):
            with suppress(pa.ArrowException, OSError, ValueError, KeyError):
                return parquet.accept_converted(file, converted, source, columns, limits)
        converted = self._convert(original)
        try:
            return parquet.accept_converted(file, converted, source, columns, limits)
        except FooterRefused as error:
            raise ExportRefused(file.name, f"converted to Parquet, {error}") from error

    def prune(self, current: Iterable[Export]) -> None:
        """Delete the converted files of all but these exports."""
        used = {export.converted.name for export in current if export.converted}
        with suppress(OSError):
            encryption.sweep(self.key_file)
            for path in self.folder.iterdir():
                name = str(path.readlink()) if path.is_symlink() else path.name
                is_in_use = name.startswith(_UNFINISHED) and _is_locked(path)
                if name not in used and not is_in_use:
                    path.unlink(missing_ok=True)

    def _known(self, original: _Original) -> Iterator[File]:
        """Find the converted file of a file: by its fingerprint, else by its content."""
        key = encryption.read_key(self.key_file) if self.reads else None
        places = [] if key is None else [_Place(self.folder, key)]
        places += [_TEMPORARY[self.folder]] if self.folder in _TEMPORARY else []
        name = None
        for place in places:
            folder = place.folder
            link = folder / original.link
            if link.is_file():
                name = str(link.readlink())
            elif name is None and any(folder.glob(original.name("*"))):
                name = original.name(original.digest_of_content())
            if name is not None and (folder / name).is_file():
                if self.writes:
                    original.link_to(name, folder)
                yield place.file(name)

    def _convert(self, original: _Original) -> File:
        """Convert a file, in the cache if that is possible."""
        if self.writes:
            try:
                key = encryption.make_key(self.key_file)
                return original.convert_in(_Place(self.folder, key))
            except OSError as error:
                name = original.file.name
                self.events("conversion_not_cached", file=name, problem=redaction.summary(error))
        try:
            return original.convert_in(_temporary(self.folder))
        except OSError as error:
            where, why = tempfile.gettempdir(), error.strerror or error
            problem = f"there is no room to convert it in {where} ({why}); make room there"
            raise ExportRefused(original.file.name, problem) from error


@dataclass(frozen=True)
class _Original:
    """A file that is not Parquet, with all that decides how it is converted."""

    file: File
    source: SourceSettings
    columns: tuple[Column, ...]
    zone: ZoneInfo

    @cached_property
    def _reading(self) -> str:
        """The digest of all but the content."""
        read = [(column.name, column.kind.name) for column in self.columns]
        names = header.names_of(self.source, self.columns)
        options = formats.options_of(self.source).model_dump(mode="json")
        format_ = self.source.format
        return digest_of(SCHEMA_VERSION, format_, options, read, names, self.zone.key)

    @property
    def link(self) -> str:
        """The name of the link that leads from its fingerprint to the converted file.

        A file with a known fingerprint is not read.
        """
        return digest_of(astuple(self.file.fingerprint), self._reading)

    def name(self, content: str) -> str:
        """Name the converted file of this content; a size is found more quickly than a digest."""
        return f"{self.file.fingerprint.size}-{content}-{self._reading}.parquet"

    def digest_of_content(self) -> str:
        """Read the file, and sum up its content."""
        with closing(converting.digested(self.file)) as opened:
            return opened.finish()

    def link_to(self, name: str, folder: Path) -> None:
        """Link the fingerprint to the converted file of this name."""
        with suppress(OSError):
            (folder / self.link).symlink_to(name)

    def convert_in(self, place: _Place) -> File:
        """Convert the file in this folder.

        Raises:
            ExportRefused: It is refused.
            OSError: The folder can't be written.
        """
        folder = place.folder
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = folder / f"{_UNFINISHED}{uuid.uuid4().hex}"
        try:
            target = encryption.EncryptedFile(unfinished, place.key)
            with _locked(unfinished):
                content = converting.write(target, self.file, self.source, self.columns, self.zone)
            name = self.name(content)
            unfinished.replace(folder / name)
        finally:
            unfinished.unlink(missing_ok=True)
        self.link_to(name, folder)
        return place.file(name)


def _temporary(folder: Path) -> _Place:
    """Give a folder that is used in place of this one, until the process ends; so is its key."""
    if folder not in _TEMPORARY:
        temporary = Path(tempfile.mkdtemp(prefix="bufdir-"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        _TEMPORARY[folder] = _Place(temporary, encryption.new_key())
    return _TEMPORARY[folder]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Make a file, and lock it for as long as the block lasts or this process lives."""
    with path.open("xb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_locked(path: Path) -> bool:
    """Return whether a living process writes a file."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
