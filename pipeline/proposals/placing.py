"""The name and the files of a proposed source, from where its file is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from wcmatch import glob

from pipeline.proposals.proposal import Guess
from pipeline.sources import formats
from pipeline.sources.folders import look_at
from pipeline.sources.selection import select_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.model.states import Format
    from pipeline.settings import Settings

_LONGEST_NAME: Final = 32
_ROMAN: Final = str.maketrans({"æ": "ae", "ø": "o", "å": "a"})


def source(path: Path, format_: Format, settings: Settings, exports: Path | None) -> list[Guess]:
    """Propose the name and the files of the source.

    Args:
        path: The file.
        format_: Its format.
        settings: The settings so far, with the names that are taken.
        exports: The folder of the exports; None where they are on another computer.
    """
    folders = _folders(path, exports)
    of_folder = _plain(folders[0]) if folders else None
    name = _free_name(of_folder or _plain(path.stem) or "source", settings)
    above = "folder" if of_folder else "file"
    ending = formats.ENDINGS[format_][0]
    odd = "" if path.suffix.lower() in formats.ENDINGS[format_] else f"; its ending is not {ending}"
    return [
        Guess("name", name, f"from the name of the {above}"),
        _files(path, name, folders, is_of_folder=of_folder is not None),
        Guess("format", str(format_), f"by its content{odd}"),
    ]


def _files(path: Path, name: str, folders: Sequence[str] | None, *, is_of_folder: bool) -> Guess:
    """Propose the pattern of the files, which has their ending."""
    ending = glob.escape(path.suffix, unix=True)
    if folders is None:
        why = f"the file is not among the exports; put it and its successors there into {name}/"
        return Guess("files", f"{name}/*{ending}", why, is_certain=False)
    if is_of_folder:
        place = glob.escape(folders[0], unix=True) + ("/**" if len(folders) > 1 else "")
        return Guess("files", f"{place}/*{ending}", "where the file is")
    beginning = glob.escape(re.split(r"\d", path.stem)[0], unix=True)
    why = "the beginning of its name; a folder for each source is better"
    return Guess("files", f"**/{beginning}*{ending}", why, is_certain=False)


def _folders(path: Path, exports: Path | None) -> Sequence[str] | None:
    """Name the folders of a file below the exports, the highest first; None if it is elsewhere."""
    if exports is None:
        return None
    try:
        return path.resolve().relative_to(exports.resolve()).parts[:-1]
    except ValueError:
        return None


def _plain(name: str) -> str:
    """Make a name of a source: letters, without dates and numbers."""
    letters = re.sub(r"[^a-z]+", "-", name.casefold().translate(_ROMAN))
    return letters.strip("-")[: _LONGEST_NAME - 3].strip("-")


def _free_name(name: str, settings: Settings) -> str:
    taken = {one.name for one in settings.sources}
    names_ = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
    return next(one for one in names_ if one not in taken)


def notes(path: Path, settings: Settings) -> Iterator[str]:
    """Name what this source changes for the others."""
    if "sources" not in settings.model_fields_set:
        yield (
            "so far all exports are one source; with this entry the others belong to none, unless "
            'they have an entry of their own below, such as [[sources]] and name = "exports"'
        )
        return
    file = look_at(path, path.as_posix())
    selection = select_named([file], settings.every_source)
    if file.name not in selection.others:
        first = selection.sources[file.name].name
        yield f"the source {first} has files of this path, too; put this entry above it"
