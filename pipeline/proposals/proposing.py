"""The proposal of a source for one file, from the names of its columns and its first values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from pipeline.errors import ExportRefused, NoProposal
from pipeline.model.columns import (
    ACTIVITY_ID,
    CATEGORY,
    COLUMNS,
    COMPLETED,
    DELETED,
    HOURS,
    KEY,
    ORG_ID,
    PARTICIPANT_ID,
    STARTED_AT,
    STATUS,
    Kind,
)
from pipeline.model.ledger import ORGANISATION_PATTERN
from pipeline.model.states import Format
from pipeline.proposals import categories, names, placing, reading, values
from pipeline.proposals.proposal import Guess, Proposal
from pipeline.settings.formats import TextValues
from pipeline.settings.sources import SourceSettings
from pipeline.sources import parquet
from pipeline.sources.exports import is_legible, legible
from pipeline.sources.folders import look_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipeline.model.columns import Column
    from pipeline.proposals.proposal import UnknownCategory
    from pipeline.proposals.sample import Sample
    from pipeline.settings import Settings

_ORGANISATION: Final = re.compile(ORGANISATION_PATTERN)
_KINDS: Final = {column.name: column for column in COLUMNS}


def propose(path: Path, settings: Settings, exports: Path | None) -> Proposal:
    """Propose the settings of a source that reads a file; writes nothing.

    Args:
        path: The file.
        settings: The settings so far.
        exports: The folder of the exports; None where they are on another computer.

    Raises:
        NoProposal: There is no table in the file.
        OSError: It can't be read.
    """
    if not is_legible(path.as_posix()):
        problem = "its path has signs that can't be shown; rename it"
        raise NoProposal(legible(path.as_posix()), problem)
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
        raise NoProposal(path.as_posix(), "it is no regular file; name a file")
    sample = reading.read(path)
    notes = list(sample.notes)
    theirs = dict(_columns(sample, settings, notes))
    options = _options(sample, theirs, settings)
    columns = [_column(sample, ours, theirs[ours.name]) for ours in COLUMNS if ours.name in theirs]
    if sample.format is not Format.PARQUET:
        columns = _with_doubts(sample, columns, options, settings)
    source = placing.source(path, sample.format, settings, exports)
    missing = [one.name for one in COLUMNS if one.required and one.name not in theirs]
    if sample.format is Format.PARQUET and not missing:
        notes += _problems_of_types(path, theirs)
    notes += placing.notes(path, settings)
    notes += _problems_of_keys(sample, theirs)
    unknown = _unknown_categories(sample, theirs, settings)
    if isinstance(unknown, int):
        notes.append(
            f'"{theirs[CATEGORY]}" has {unknown:,} values that are no codes, and may be no column '
            "of categories; they are not shown"
        )
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
        [] if isinstance(unknown, int) else unknown,
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
    delimiter = next((one.value for one in sample.options if one.setting == "delimiter"), None)
    found += values.decimal(of.get(HOURS, ()), null, has_semicolons=delimiter == ";")
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


def _unknown_categories(
    sample: Sample, theirs: Mapping[str, str], settings: Settings
) -> list[UnknownCategory] | int:
    if CATEGORY not in theirs:
        return []
    people = _given(sample, theirs.get(PARTICIPANT_ID, ""))
    return categories.unknown(_given(sample, theirs[CATEGORY]), people, settings)


def _problems_of_keys(sample: Sample, theirs: Mapping[str, str]) -> Iterator[str]:
    """Find rows of one participation at several times: an activity may be no single meeting."""
    if not {*KEY, STARTED_AT} <= theirs.keys():
        return
    columns = [sample.columns.get(theirs[name], ()) for name in (*KEY, STARTED_AT)]
    times: dict[tuple[str, ...], set[str]] = {}
    for row in zip(*columns, strict=True):
        if None not in row:
            *key, started = map(str, row)
            times.setdefault(tuple(key), set()).add(started)
    superseded = sum(len(of) - 1 for of in times.values())
    if superseded:
        yield (
            f'{superseded:,} rows have the organisation, "{theirs[ACTIVITY_ID]}" and the '
            "participant of a row with another time; of these only the latest statement counts. "
            "If they are different meetings, activity_id needs a column that differs between them"
        )


def _problems_of_types(path: Path, theirs: Mapping[str, str]) -> Iterator[str]:
    """Find the reason for which a Parquet file would be refused."""
    source = SourceSettings(name="proposed", columns=dict(theirs))
    try:
        parquet.accept(look_at(path, path.as_posix()), source, COLUMNS)
    except ExportRefused as error:
        yield f"the file would be refused: {error.problem}"
