"""Exports in a file system that Arrow reads, such as HDFS.

The tests use Arrow's own local file system. The connection to a real HDFS has not been tested. It
needs a Hadoop client: `libhdfs`, Java, and the variables `HADOOP_HOME` and `CLASSPATH`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import fs

from pipeline.errors import ExportsUnreachable
from pipeline.sources import exports
from pipeline.sources.exports import File, Fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.model.addresses import Address
    from pipeline.sources.exports import Opened

_REMEDY = "see that the setting exports.location is right and that this user may read it"


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A folder of a file system, with exports at any depth."""

    address: str
    """The address of the folder, as a cluster knows it, without a slash at its end."""
    file_system: Any
    """A `pyarrow.fs.FileSystem`."""
    folder: str
    """The path of the folder in it."""

    def check(self) -> None:
        """Do nothing: `list_files` asks the file system."""

    def list_files(self) -> tuple[File, ...]:
        """List the files of the folder at any depth, in the order of names.

        Raises:
            ExportsUnreachable: The folder can't be listed.
        """
        try:
            found = self.file_system.get_file_info(fs.FileSelector(self.folder, recursive=True))
        except (pa.ArrowException, OSError) as error:
            raise self._unreachable(error) from error
        named = [(info, self._name(info.path)) for info in found]
        files = [
            self._file(info, name)
            for info, name in named
            if info.type != fs.FileType.Directory and not exports.is_skipped(name)
        ]
        return tuple(sorted(files, key=attrgetter("name")))

    def changed(self, files: Iterable[File]) -> tuple[str, ...]:
        """List the names of files that have another size or time by now, or are gone.

        Raises:
            ExportsUnreachable: The folder can't be listed.
        """
        return exports.changed(files, self.list_files())

    def _file(self, info: Any, name: str) -> File:  # noqa: ANN401 (pyarrow ships no types)
        return File(
            exports.legible(name),
            f"{self.address}/{name}",
            Fingerprint(info.size or 0, info.mtime_ns or 0),
            opener=partial(self._open, info.path),
        )

    def _name(self, path: str) -> str:
        """Give the path below the folder; some file systems leave out the first slash."""
        above, inner = self.folder.strip("/"), path.lstrip("/")
        if above and not inner.startswith(f"{above}/"):
            problem = f"it listed {exports.legible(path)}, which is not in the folder"
            raise ExportsUnreachable(self.address, problem, _REMEDY)
        return inner[len(above) :].lstrip("/")

    def _open(self, path: str) -> Opened:
        opened: Opened = self.file_system.open_input_file(path)
        return opened

    def _unreachable(self, error: Exception) -> ExportsUnreachable:
        return ExportsUnreachable(self.address, _problem(error), _REMEDY)


def hadoop(address: Address) -> FileSystem:
    """Connect to the HDFS of an address.

    Raises:
        ExportsUnreachable: There is no Hadoop client here, or the name node does not reply.
    """
    host, _, port = address.authority.partition(":")
    try:
        file_system = fs.HadoopFileSystem(host, int(port or 0))
    except (pa.ArrowException, OSError) as error:
        remedy = "see that a Hadoop client is installed here and that the name node runs"
        raise ExportsUnreachable(str(address), _problem(error), remedy) from error
    return FileSystem(str(address), file_system, f"/{address.path}")


def _problem(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno)
    return exports.legible(str(error).partition("\n")[0].rstrip(". ")) or type(error).__name__
