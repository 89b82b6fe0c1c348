"""The owners of runs: names that processes acquire runs under, each alive while its file is locked.

The system releases the lock of a process that dies, so no clock decides which process is alive. A
run whose owner's lock is free was abandoned.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pipeline.errors import StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOLDER: Final = ".locks"
_SUFFIX: Final = ".lock"


@dataclass(frozen=True, slots=True)
class Owner:
    """A name to acquire runs under, and the descriptor that holds its lock.

    It lives as long as any process has the descriptor open: a child that inherits it, and the
    process that supervises that child. So no run is requeued whose end is yet to be recorded.
    """

    name: str
    descriptor: int


def create(data: Path) -> Owner:
    """Make a new owner, alive until `close` or until its last process ends.

    Raises:
        StoreUnusable: Its file can't be made.
    """
    try:
        (data / FOLDER).mkdir(parents=True, exist_ok=True)
        while (owner := _created(data)) is None:
            pass
    except OSError as error:
        place = os.fsdecode(error.filename or data / FOLDER)
        raise StoreUnusable(place, str(error.strerror or error)) from error
    return owner


def _created(data: Path) -> Owner | None:
    """Make and lock the file of an owner; None where a sweep came in between."""
    name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
    path = _path(data, name)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if path.exists():
        return Owner(name, descriptor)
    os.close(descriptor)
    return None


def close(data: Path, owner: Owner) -> None:
    """Give up an owner; runs that it still has are abandoned.

    What frees the lock is the descriptor. A file that can't be removed is swept later.
    """
    with suppress(OSError):
        _path(data, owner.name).unlink(missing_ok=True)
    os.close(owner.descriptor)


@contextmanager
def temporary(data: Path) -> Iterator[str]:
    """Give this process a name to acquire runs under, for as long as the block lasts."""
    owner = create(data)
    try:
        yield owner.name
    finally:
        close(data, owner)


def process_of(name: str) -> str:
    """Give the id of the process that made an owner, for messages."""
    return name.partition("-")[0]


def is_alive(data: Path, name: str) -> bool:
    """Return whether a process has this owner open; writes nothing."""
    try:
        with _probed(_path(data, name)) as is_free:
            return not is_free
    except FileNotFoundError:
        return False
    except PermissionError:
        return True  # the file of another user, so unknown; to wait is safe


def sweep(data: Path) -> None:
    """Remove the lock files that no process holds: those of processes that were killed."""
    for path in (data / FOLDER).glob(f"*{_SUFFIX}"):
        with suppress(FileNotFoundError, PermissionError), _probed(path) as is_free:
            if is_free:
                path.unlink()  # while it is locked here, so that `create` notices


@contextmanager
def _probed(path: Path) -> Iterator[bool]:
    """Lock a file during the block unless an owner holds the lock; return whether it was free."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


def _path(data: Path, name: str) -> Path:
    return data / FOLDER / f"{name}{_SUFFIX}"
