"""The place where exports are: its interface, and the choice of the one that an address means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pipeline.model import addresses
from pipeline.sources.folders import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.sources.exports import File


class Location(Protocol):
    """A place with files at any depth; it opens none of them by itself.

    Files and folders whose names begin with `.` or `_` are skipped, with all below them.
    """

    def check(self) -> None:
        """See that a folder of this computer is there; other places are not asked.

        Raises:
            ExportsMissing: It is not.
        """

    def list_files(self) -> tuple[File, ...]:
        """List the files, in the order of names.

        Raises:
            ExportsMissing: There is no such folder.
            ExportsUnreadable: A folder can't be listed, so that files may be missing.
            ExportsUnreachable: A place on other computers can't be listed.
        """

    def changed(self, files: Iterable[File]) -> tuple[str, ...]:
        """List the names of files that have changed since they were listed.

        Raises:
            ExportsUnreachable: The place can't be listed, or could not be reached while one of
                its files was read.
        """


def folder_of(data: Path, address: str) -> Path | None:
    """Give the folder of an address; None where it is of another computer."""
    parsed = addresses.parse(address)
    return data / parsed.path if parsed.is_folder else None


def of(data: Path, address: str) -> Location:
    """Give the location of an address; loads a library only where the address needs one.

    Args:
        data: The data folder, from which the path of a folder counts.
        address: The address, as the setting `exports.location` has it.

    Raises:
        PackageMissing: The address needs a package that is not installed.
        ExportsUnreachable: The place can't be set up from the environment.
    """
    folder = folder_of(data, address)
    if folder is not None:
        return Folder(folder)
    parsed = addresses.parse(address)
    if parsed.scheme == addresses.HDFS:
        from pipeline.sources import arrow_file_systems  # noqa: PLC0415 (few installations need it)

        return arrow_file_systems.hadoop(parsed)
    from pipeline.sources import object_stores  # noqa: PLC0415 (as above)

    return object_stores.connect(parsed)
