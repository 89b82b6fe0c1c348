"""The proposal of a source for one file, from the names of its columns and its first values."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from wcmatch import glob

from pipeline.errors import ExportRefused, NoProposal
from pipeline.model.columns import (
    CATEGORY,
    COLUMNS,
    COMPLETED,
    DELETED,
    HOURS,
    ORG_ID,
    PARTICIPANT_ID,
    STATUS,
    Kind,
)
from pipeline.model.ledger import ORGANISATION_PATTERN
from pipeline.model.states import Format
from pipeline.proposals import names, reading, values
from pipeline.proposals.proposal import Guess, Proposal, UnknownCategory
from pipeline.settings.formats import TextValues
from pipeline.settings.sources import SourceSettings
from pipeline.sources import formats, parquet
from pipeline.sources.exports import is_legible, legible
from pipeline.sources.folders import look_at
from pipeline.sources.selection import select_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.model.columns import Column
    from pipeline.proposals.sample import Sample
    from pipeline.settings import Settings

_MOST_CATEGORIES: Final = 50
"""More different values than categories have; they are then not shown."""
_LONGEST_CATEGORY: Final = 100
_LONGEST_NAME: Final = 32
_ORGANISATION: Final = re.compile(ORGANISATION_PATTERN)
_WORDS: Final = {
    "funksjonsnedsettelse": ("funksjon", "tilrettelagt", "disability"),
    "eldre": ("eldre", "senior", "pensjonist", "elderly"),
    "foreldre_barn": ("foreldre", "familie", "barn", "baby", "parent", "famil", "child"),
    "ungdom": ("ungdom", "ungdoms", "junior", "tenåring", "youth", "teen"),
}
"""Parts of words that suggest one of the usual codes, in the order in which they are tried."""
_KINDS: Final = {column.name: column for column in COLUMNS}
_ROMAN: Final = str.maketrans({"æ": "ae", "ø": "o", "å": "a"})


def propose(path: Path, settings: Settings, exports: Path) -> Proposal:
    """Propose the settings of a source that reads a file; writes nothing.

    Args:
        path: The file.
        settings: The settings so far.
        exports: The folder of the exports.

    Raises:
        NoProposal: There is no table in the file.
        OSError: It can't be read.
    """
    if not is_legible(path.as_posix()):
        problem = "its path has signs that can't be shown; rename it"
        raise NoProposal(legible(path.as_posix()), problem)
    sample = reading.read(path)
    notes = list(sample.notes)
    theirs = dict(_columns(sample, settings, notes))
    options = _options(sample, theirs, settings)
    columns = [_column(sample, ours, theirs[ours.name]) for ours in COLUMNS if ours.name in theirs]
    if sample.format is not Format.PARQUET:
        columns = _with_doubts(sample, columns, options, settings)
    source = _source(path, sample.format, settings, exports)
    missing = [one.name for one in COLUMNS if one.required and one.name not in theirs]
    if sample.format is Format.PARQUET and not missing:
        notes += _problems_of_types(path, theirs)
    notes += _notes_on_sources(path, settings)
    categories = _categories(sample, theirs, settings, notes)
    return Proposal(
        path.as_posix(),
        sample.format,
        sample.rows,
        sample.has_all_rows,
        source,
        columns,
        [*sample.options, *options],
        missing,
        [name for name in dict.fromkeys(sample.names) if name not in theirs.values()],
        categories,
        notes,
    )


def _columns(sample: Sample, settings: Settings, notes: list[str]) -> Iterator[tuple[str, str]]:
    """Choose the column for each of ours: of those that can be read, the most usual name."""
    for ours, fitting in names.fitting(sample.names).items():
        chosen = fitting[0]
        if len(fitting) > 1 and sample.format is not Format.PARQUET:
            chosen = min(fitting, key=lambda name: _share_lost(sample, ours, name, settings))
        problem = _problem(sample, ours, _given(sample, chosen))
        if problem is None:
            yield ours, chosen
        else:
            is_read = f"; it is read all the same, unless {ours} has another name here"
            rest = is_read if chosen == ours else ""
            notes.append(f'"{chosen}" is not proposed for {ours}, because {problem}{rest}')


def _share_lost(sample: Sample, ours: str, name: str, settings: Settings) -> float:
    """Compute the share of a column's values that can't be read as ours, such as times of a day."""
    found = _given(sample, name)
    meaning = _meaning(_options(sample, {ours: name}, settings))
    lost = values.unreadable(_KINDS[ours], found, meaning, settings.zone)
    return lost / len(found) if found else 1


def _problem(sample: Sample, ours: str, found: Sequence[Any]) -> str | None:
    """Give the reason for which a column would leave out rows that count."""
    if ours == STATUS and COMPLETED not in found:
        return f"it never is {COMPLETED}, and no other status counts"
    if ours == DELETED and sample.format is not Format.PARQUET and not _is_flag(found):
        return "it has other values than words for yes and no"
    return None


def _is_flag(found: Sequence[Any]) -> bool:
    texts = [one for one in found if not isinstance(one, bool)]
    return values.flags(texts, [*values.NULL_WORDS]) is not None and all(
        isinstance(one, str) for one in texts
    )


def _given(sample: Sample, name: str) -> list[Any]:
    return [one for one in sample.columns.get(name, ()) if one is not None]


def _column(sample: Sample, ours: Column, name: str) -> Guess:
    """Propose a column, with the reason and what is doubtful about its name."""
    fitting = names.fitting(sample.names)[ours.name]
    if len(fitting) > 1:
        others = ", ".join(f'"{one}"' for one in fitting if one != name)
        return Guess(ours.name, name, f"its name is usual, but so is {others}", is_certain=False)
    found = _given(sample, name)
    if ours.name == ORG_ID:
        odd = [one for one in found if not _ORGANISATION.match(str(one))]
        if odd:
            why = (
                f"its name is usual, but {len(odd):,} of {len(found):,} values have signs that ids "
                "of organisations don't have"
            )
            return Guess(ours.name, name, why, is_certain=False)
    if ours.name == STATUS and (others := sum(one != COMPLETED for one in found)):
        why = f"{others:,} of {len(found):,} values are not {COMPLETED}; their rows do not count"
        return Guess(ours.name, name, why, is_certain=False)
    return Guess(ours.name, name, "its name is usual")


def _options(sample: Sample, theirs: Mapping[str, str], settings: Settings) -> list[Guess]:
    """Propose the meaning of texts."""
    if sample.format is Format.PARQUET:
        return []
    of = {ours: sample.columns.get(name, ()) for ours, name in theirs.items()}
    found = values.null_words(of.values())
    null = (
        [str(one) for one in found[0].value]
        if found and not isinstance(found[0].value, int)
        else [""]
    )
    found += values.decimal(of.get(HOURS, ()), null)
    instants = {one: of[one.name] for one in COLUMNS if one.kind is Kind.INSTANT and one.name in of}
    found += values.dates(instants, null, settings.zone)
    return found + (values.flags(of.get(DELETED, ()), null) or [])


def _meaning(options: Sequence[Guess]) -> TextValues:
    return TextValues.model_validate({one.setting: one.value for one in options})


def _with_doubts(
    sample: Sample, columns: Sequence[Guess], options: Sequence[Guess], settings: Settings
) -> list[Guess]:
    """Mark the columns of which values are none of our column's type with these options."""
    meaning = _meaning(options)
    checked: list[Guess] = []
    for guess in columns:
        column, found = _KINDS[guess.setting], _given(sample, str(guess.value))
        problem = None
        if lost := values.unreadable(column, found, meaning, settings.zone):
            problem = f"{lost:,} of {len(found):,} values can't be read"
        elif not found:
            problem = "it has no value in these rows"
        elif column.name == HOURS:
            hours = values.read(column, found, meaning, settings.zone).get_column(HOURS)
            too_long = int((hours > settings.max_hours).sum())
            if too_long:
                problem = f"{too_long:,} of {len(found):,} are over max_hours; are they minutes?"
        if problem is None:
            checked.append(guess)
        else:
            why = (
                f"{guess.why}; {problem}"
                if not guess.is_certain
                else f"its name is usual, but {problem}"
            )
            checked.append(Guess(guess.setting, guess.value, why, is_certain=False))
    return checked


def _categories(
    sample: Sample, theirs: Mapping[str, str], settings: Settings, notes: list[str]
) -> list[UnknownCategory]:
    """List the categories that are none of ours; never those that look like anything else."""
    if CATEGORY not in theirs:
        return []
    people = {str(one) for one in _given(sample, theirs.get(PARTICIPANT_ID, ""))}
    found = Counter(str(one) for one in _given(sample, theirs[CATEGORY]))
    known = {*settings.categories, *settings.export.categories}
    unknown = {
        one: rows
        for one, rows in found.items()
        if one.strip() and one not in {*known, *values.NULL_WORDS}
    }
    shown = {
        one: rows
        for one, rows in unknown.items()
        if one not in people and len(one) <= _LONGEST_CATEGORY
    }
    if len(unknown) > _MOST_CATEGORIES or len(shown) < len(unknown):
        notes.append(
            f'"{theirs[CATEGORY]}" has {len(unknown):,} values that are no codes, and may be no '
            "column of categories; they are not shown"
        )
        return []
    return [
        UnknownCategory(one, _suggested(one, settings.categories), rows)
        for one, rows in sorted(shown.items(), key=lambda item: (-item[1], item[0]))
    ]


def _suggested(theirs: str, codes: Sequence[str]) -> str | None:
    words = theirs.casefold()
    for code, parts in _WORDS.items():
        if code in codes and any(part in words for part in parts):
            return code
    return None


def _source(path: Path, format_: Format, settings: Settings, exports: Path) -> list[Guess]:
    """Propose the name and the files of the source."""
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
        why = f"the file is not in exports/; put it and its successors into exports/{name}/"
        return Guess("files", f"{name}/*{ending}", why, is_certain=False)
    if is_of_folder:
        place = glob.escape(folders[0], unix=True) + ("/**" if len(folders) > 1 else "")
        return Guess("files", f"{place}/*{ending}", "where the file is")
    beginning = glob.escape(re.split(r"\d", path.stem)[0], unix=True)
    why = "the beginning of its name; a folder for each source is better"
    return Guess("files", f"**/{beginning}*{ending}", why, is_certain=False)


def _folders(path: Path, exports: Path) -> Sequence[str] | None:
    """Name the folders of a file below the exports, the highest first; None if it is elsewhere."""
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


def _notes_on_sources(path: Path, settings: Settings) -> Iterator[str]:
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


def _problems_of_types(path: Path, theirs: Mapping[str, str]) -> Iterator[str]:
    """Find the reason for which a Parquet file would be refused."""
    source = SourceSettings(name="proposed", columns=dict(theirs))
    try:
        parquet.accept(look_at(path, path.as_posix()), source, COLUMNS)
    except ExportRefused as error:
        yield f"the file would be refused: {error.problem}"
