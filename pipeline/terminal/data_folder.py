"""Search for the data folder, where neither `--data` nor `BUFDIR_DATA` names one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path("data")
"""The data folder where the search finds none."""
_NAME: Final = "data"
_OWN_FILES: Final = ("catalog.sqlite", "bufdir.toml")
_EXPORTS: Final = "exports"


class DataFolderRule(StrEnum):
    """The rule that chose the data folder."""

    OPTION = "--data"
    VARIABLE = "BUFDIR_DATA"
    FOUND = "found"
    DEFAULT = "default"


class DataFolder(NamedTuple):
    """A data folder and the rule that chose it."""

    path: Path
    rule: DataFolderRule


def find(start: Path) -> DataFolder:
    """Find the nearest data folder, from this directory upwards.

    In each directory, in this order: a folder `data` in it with `exports/`,
    `catalog.sqlite` or `bufdir.toml`; the directory itself, if one of the two files is in it.
    The first directory also counts for its `exports/`. A parent does not: a folder
    `/exports` makes no data folder of `/`.
    """
    for directory in (start, *start.parents):
        if _is_data_folder(directory / _NAME):
            path = HERE if directory == start else directory / _NAME
            return DataFolder(path, DataFolderRule.FOUND)
        if _has_own_file(directory) or (directory == start and _is_data_folder(directory)):
            return DataFolder(directory, DataFolderRule.FOUND)
    return DataFolder(HERE, DataFolderRule.DEFAULT)


def _is_data_folder(folder: Path) -> bool:
    return _has_own_file(folder) or (folder / _EXPORTS).is_dir()


def _has_own_file(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _OWN_FILES)
