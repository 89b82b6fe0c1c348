"""Files that outlast a power cut: written under temporary names, flushed and renamed.

Their folders are flushed too, so that a name never leads to a part of a file.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.errors import StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

TEMPORARY: Final = ".tmp-"
"""The beginning of the names of files that are not complete yet."""
_MANY: Final = 16
"""The count of files from which on they are flushed together."""


@contextmanager
def translating_errors() -> Iterator[None]:
    """Raise `StoreUnusable` where the system refuses to write, such as on a full disk."""
    try:
        yield
    except OSError as error:
        path = error.filename2 or error.filename or "the data folder"
        raise StoreUnusable(os.fsdecode(path), str(error.strerror or error)) from error


@translating_errors()
def write(contents: Mapping[Path, bytes], temporaries: Path | None = None) -> None:
    """Write all these files so that each is complete or missing, also after a power cut.

    Args:
        contents: The contents by path.
        temporaries: The folder for temporary names; None is that of each file.

    Raises:
        StoreUnusable: They can't be written; none of them is there.
    """
    paths = {os.path.abspath(path): content for path, content in contents.items()}
    temporary = {_temporary_name(path, temporaries): path for path in paths}
    try:
        for written, path in temporary.items():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(written, "wb") as file:
                file.write(paths[path])
        flush(temporary)
        for written, path in temporary.items():
            os.replace(written, path)
    except BaseException:
        for written in temporary:
            with suppress(OSError):  # the first error is reported; the next run sweeps
                Path(written).unlink(missing_ok=True)
        raise
    flush(_folders(paths))


def _temporary_name(path: str, temporaries: Path | None) -> str:
    folder, name = os.path.split(path)
    place = folder if temporaries is None else os.path.abspath(temporaries)
    return os.path.join(place, f"{TEMPORARY}{os.getpid()}-{name}")


def _folders(paths: Iterable[str]) -> set[str]:
    """List the folders of the files, and the parents of those folders, which may be new."""
    own = {os.path.dirname(path) for path in paths}
    return own | {os.path.dirname(folder) for folder in own}


def flush(paths: Collection[str]) -> None:
    """Wait until all these files or folders are on disk."""
    if len(paths) < _MANY:
        for path in paths:
            with _opened(path) as descriptor:
                os.fsync(descriptor)
        return
    # To flush a whole file system once takes less time than to flush two small files.
    for path in {os.stat(path).st_dev: path for path in paths}.values():
        with _opened(path) as descriptor:
            _flush_file_system(descriptor)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    except OSError as error:
        error.filename = path
        raise
    finally:
        os.close(descriptor)


def _flush_file_system(descriptor: int) -> None:
    """Call syncfs(2), which Python does not offer; unlike sync(2) it reports failures."""
    if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders that are then empty, so that a power cut brings none back."""
    for path in paths:
        if path.parent.exists():
            path.unlink(missing_ok=True)
            flush({str(path.parent)})
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
