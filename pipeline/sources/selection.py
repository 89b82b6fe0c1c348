"""The selection of exports: the source of each file, and the newest dump of sources with dumps.

Pure: from names and times to names; opens no file.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from operator import attrgetter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from wcmatch import glob

from pipeline.model.states import Mode
from pipeline.sources import dumps, formats
from pipeline.sources.exports import is_checksum_list

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.settings.sources import SourceSettings
    from pipeline.sources.exports import File

_WILD: Final = frozenset("*?[]{}|")
_FLAGS: Final = glob.GLOBSTAR | glob.BRACE | glob.FORCEUNIX | glob.CASE


@dataclass(frozen=True, slots=True)
class Selection:
    """The files that count, and the names of those that don't."""

    files: tuple[File, ...]
    """The exports that are read, in the order of their names."""
    sources: Mapping[str, SourceSettings]
    """The source of each export, by its name; those that are set aside, too."""
    set_aside: tuple[File, ...] = ()
    """The exports of older dumps."""
    same_date: Mapping[str, str] = field(default_factory=dict)
    """By the dump that counts, another one of the same date that is set aside."""
    others: tuple[str, ...] = ()
    """The names of files that are the export of no source."""
    lists: tuple[File, ...] = ()
    """The lists of checksums, which are no exports."""

    def of(self, files: Iterable[File]) -> Selection:
        """Select only these of the files."""
        return replace(self, files=tuple(files), set_aside=())

    @property
    def exports(self) -> tuple[File, ...]:
        """All exports, those that are set aside too."""
        return (*self.files, *self.set_aside)

    @property
    def inputs(self) -> tuple[File, ...]:
        """All files that decide what is published."""
        return (*self.exports, *self.lists)

    @property
    def names(self) -> frozenset[str]:
        """The names of all files that were listed."""
        return frozenset((*self.sources, *self.others, *(file.name for file in self.lists)))


def select(files: Iterable[File], sources: Sequence[SourceSettings]) -> Selection:
    """Give each file to the first source whose pattern and ending it has, and choose dumps.

    Args:
        files: The files of a location.
        sources: The sources, in the order in which they are tried.
    """
    of_source: dict[str, list[File]] = {source.name: [] for source in sources}
    found: dict[str, SourceSettings] = {}
    others: list[str] = []
    lists: list[File] = []
    for file in files:
        if is_checksum_list(file.name):
            lists.append(file)
            continue
        source = source_of(file, sources)
        if source is None:
            others.append(file.name)
        else:
            found[file.name] = source
            of_source[source.name].append(file)
    chosen: list[File] = []
    set_aside: list[File] = []
    same_date: dict[str, str] = {}
    for source in sources:
        files_of = of_source[source.name]
        if source.mode is Mode.DUMP:
            divided = dumps.divide(files_of, source.files)
            chosen += divided.newest
            set_aside += divided.older
            same_date |= divided.same_date
        else:
            chosen += files_of
    by_name = attrgetter("name")
    return Selection(
        tuple(sorted(chosen, key=by_name)),
        found,
        tuple(sorted(set_aside, key=by_name)),
        same_date,
        tuple(sorted(others)),
        tuple(lists),
    )


def select_named(files: Iterable[File], sources: Sequence[SourceSettings]) -> Selection:
    """Give each file that is named by its path a source, wherever it is; all of them count.

    The source is the first whose pattern and ending any end of the path has, else the first; the
    name of the file is then one of `others` as well.
    """
    named = tuple(files)
    found = {file.name: _source_of_path(file, sources) for file in named}
    others = sorted(name for name, source in found.items() if source is None)
    chosen = {name: source or sources[0] for name, source in found.items()}
    return Selection(named, chosen, others=tuple(others))


def select_all(files: Iterable[File], source: SourceSettings) -> Selection:
    """Give all files this source, whatever their names; all of them count."""
    named = tuple(files)
    return Selection(named, {file.name: source for file in named})


def _source_of_path(file: File, sources: Sequence[SourceSettings]) -> SourceSettings | None:
    parts = file.name.split("/")
    ends = [replace(file, name="/".join(parts[first:])) for first in range(len(parts))]
    return next(filter(None, (source_of(end, sources) for end in ends)), None)


def source_of(file: File, sources: Iterable[SourceSettings]) -> SourceSettings | None:
    """Find the source of a file by its name: the first whose pattern and ending it has."""
    return next((source for source in sources if _matches(file, source)), None)


def _matches(file: File, source: SourceSettings) -> bool:
    """Return whether a file is an export of a source.

    A link to a folder outside is one, so that it is refused by name.
    """
    if not glob.globmatch(file.name, source.files, flags=_FLAGS):
        return False
    has_ending = file.name.lower().endswith(formats.ENDINGS[source.format])
    return file.is_folder or _names_ending(source.files) or has_ending


def _names_ending(pattern: str) -> bool:
    """Return whether a pattern names an ending itself, as `register/*.dat` does."""
    suffix = PurePosixPath(pattern).suffix
    return len(suffix) > 1 and not _WILD.intersection(suffix)
