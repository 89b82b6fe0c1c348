"""Export files as values: names, fingerprints, and the way to open each.

The name of a file is its path below the location of the exports. Files with the same `Fingerprint`
have the same bytes.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass, field
from io import FileIO
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SKIPPED: Final = (".", "_", "~$")
"""The beginnings of names that are no exports; `~$` is Excel's mark of a workbook that is open."""
CHECKSUM_LIST: Final = "SHA256SUMS"
"""The name of lists of checksums, in any folder."""
_ILLEGIBLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The account of a file that its location gives; it differs after every change to its content.

    Programs can't set the change time of a file system back. It reveals a copy with the old size
    and modification time. An ETag reveals an object that was replaced within a second.
    """

    size: int
    modified_ns: int
    change: int = 0
    """The change time in nanoseconds; in an object store, half of the hash of the ETag."""
    identity: int = 0
    """The inode; in an object store, the other half of the hash of the ETag."""

    @property
    def values(self) -> tuple[int, int, int, int]:
        """The same as a tuple."""
        return self.size, self.modified_ns, self.change, self.identity


class Readable(Protocol):
    """Bytes that can be read once, from the first to the last."""

    def read(self, size: int = -1, /) -> bytes:
        """Read up to this many bytes; fewer only at the end."""


class Opened(Readable, Protocol):
    """A file that is open for reading."""

    def seek(self, position: int, /) -> int:
        """Read from this position next."""

    def close(self) -> None:
        """Close the file."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of the exports, unopened."""

    name: str
    """Its path below the location of the exports, with `/`; the later name wins ties."""
    location: str
    """Its address for libraries: a local path as UTF-8, or the URL that a cluster is given."""
    fingerprint: Fingerprint
    problem: str | None = None
    """The reason why it may not be opened."""
    is_folder: bool = False
    """Whether it is a folder, which is refused: a link that leads out of the exports."""
    opener: Callable[[], Opened] | None = field(default=None, compare=False, repr=False)
    """Opens a file that is on another computer; None for a local one."""
    key: bytes | None = field(default=None, compare=False, repr=False)
    """The key with which it is encrypted; None where it is not."""

    @property
    def is_remote(self) -> bool:
        """Whether it is on another computer, so that only its location can open it."""
        return self.opener is not None

    def open(self) -> Opened:
        """Open the file for reading.

        Raises:
            OSError: It can't be opened.
        """
        if self.opener is not None:
            return self.opener()
        # Another process may put a pipe in the place of the file: opening that must not wait.
        descriptor = os.open(_encoded(self.location), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), self.location)
        return FileIO(descriptor)

    def for_arrow(self) -> str | Opened:
        """Give what Arrow reads: the path of a local file, or a remote file that is open.

        Raises:
            OSError: A remote file can't be opened.
        """
        return self.open() if self.is_remote else self.location


def is_checksum_list(name: str) -> bool:
    """Return whether a file with this name is a list of checksums, and no export."""
    return name.rpartition("/")[2] == CHECKSUM_LIST


def is_skipped(name: str) -> bool:
    """Return whether a file, or any folder above it, has the name of an unfinished copy."""
    return any(part.startswith(SKIPPED) for part in name.split("/"))


def is_legible(name: str) -> bool:
    """Return whether a name can be printed: it is text, and has no control characters."""
    return _ILLEGIBLE.search(name) is None


def legible(name: str) -> str:
    """Give a name that can be printed, with other signs as Python writes them."""
    return "".join(sign if is_legible(sign) else ascii(sign)[1:-1] for sign in name)


def changed(files: Iterable[File], now: Iterable[File]) -> tuple[str, ...]:
    """List the names of files that another listing has otherwise, or does not have."""
    found = {file.name: file.fingerprint for file in now}
    return tuple(file.name for file in files if found.get(file.name) != file.fingerprint)


def os_problem(error: OSError) -> str:
    """Give the reason why the system did not open a file, as the middle of a sentence."""
    return f"it can't be opened ({os.strerror(error.errno or 0)})"


def _encoded(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
