"""The inputs of a run: the exports as they were at one time, accepted or refused, and surveyed."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from pipeline.engines import ScanRequest, UnreadableExports
from pipeline.errors import ExportsChanged, LedgerBroken
from pipeline.model.ledger import QUARANTINED
from pipeline.runs import identity_guard
from pipeline.runs.context import CACHE
from pipeline.runs.published import Published, cell_of
from pipeline.sources import opening
from pipeline.sources.content_digests import ContentDigests
from pipeline.storage import file_digests, followed_exports, version_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from pipeline.engines import Engine, Survey
    from pipeline.engines.participants import Participants
    from pipeline.model.cells import Cell
    from pipeline.runs.context import RunContext
    from pipeline.settings import Settings
    from pipeline.sources.accepted import Exports
    from pipeline.sources.locations import Location
    from pipeline.sources.selection import Selection
    from pipeline.storage.catalog import Entry

Found = TypeVar("Found")

_ATTEMPTS: Final = 3
"""How often exports are read that change while they are read."""


@dataclass(frozen=True, slots=True)
class RunInputs:
    """The exports as they were at one time, and the survey of their rows."""

    exports: Exports
    survey: Survey
    location: Location
    selection: Selection
    """The exports as they were listed, with their sources."""
    is_complete: bool = True
    """Whether the survey has the rows of all organisations."""

    @property
    def organisations_by_name(self) -> Mapping[str, Sequence[str]]:
        """The organisations that each accepted file names, among those that were asked for."""
        files = (export.file.name for export in self.exports.accepted)
        return dict(zip(files, self.survey.organisations_by_file, strict=True))

    def missing_columns(self, settings: Settings) -> Mapping[str, str]:
        """Find the columns of breakdowns that no accepted export has, by breakdown."""
        known = {ours for export in self.exports.accepted for ours in export.mapping.sources}
        of_breakdown = zip(settings.terms.further_columns, settings.breakdowns.items(), strict=True)
        return {
            name: theirs
            for ours, (name, theirs) in of_breakdown
            if self.exports.accepted and ours.name not in known
        }

    def check_unchanged(self) -> None:
        """See that the exports are still as they were read.

        Raises:
            ExportsChanged: They are not.
            ExportsUnreachable: Their location can't be reached.
        """
        changed = self.location.changed(self.selection.inputs)
        if changed:
            raise ExportsChanged(changed)


@contextmanager
def gather(
    context: RunContext, engine: Engine, organisations: Collection[str] | None = None
) -> Iterator[RunInputs]:
    """Read the exports, of these organisations or of all, and check the ledger.

    The engine commits its cache for the next run only after that check.

    Raises:
        ExportsMissing: There is no exports folder.
        ExportsUnreadable: A folder cannot be listed.
        ExportsUnreachable: Their location can't be reached.
        ExportsChanged: Files changed each time they were read.
        LedgerBroken: Rows were read that are not accounted for.
    """
    changed: tuple[str, ...] = ()
    location = context.location
    for _ in range(_ATTEMPTS):
        selection = context.select(location.list_files())
        try:
            found, survey = survey_files(context, engine, selection, organisations)
        except Exception:
            # An error that a changed file causes is no fault of the program.
            changed = location.changed(selection.inputs)
            if not changed:
                raise
        else:
            with survey:
                changed = location.changed(selection.inputs)
                if not changed:
                    check_ledger(found, survey, is_complete=organisations is None)
                    survey.commit()
                    context.events("exports_read", files=len(found.accepted), rows=found.rows)
                    is_complete = organisations is None
                    yield RunInputs(found, survey, location, selection, is_complete)
                    return
        context.events("exports_changed_while_read", files=changed)
    raise ExportsChanged(changed)


def survey_files(
    context: RunContext,
    engine: Engine,
    selection: Selection,
    organisations: Collection[str] | None = None,
) -> tuple[Exports, Survey]:
    """Survey these files; refuse those that are damaged or name people, and use the others."""
    terms = context.settings.terms

    def read(found: Exports) -> Survey:
        survey = engine.survey(ScanRequest(found.accepted, terms, organisations))
        try:
            _refuse_identity_numbers(context, found, survey.participants)
        except UnreadableExports:
            survey.__exit__(None, None, None)
            raise
        return survey

    return read_exports(context, selection, read)


def named_organisations(
    context: RunContext, engine: Engine, selection: Selection
) -> tuple[Exports, Collection[str]]:
    """Find the organisations that any of these files names, except those that are refused."""
    terms = context.settings.terms

    def read(found: Exports) -> Collection[str]:
        request = ScanRequest(found.accepted, terms)
        _refuse_identity_numbers(context, found, engine.participants(request))
        return engine.organisations(request)

    return read_exports(context, selection, read)


def _refuse_identity_numbers(
    context: RunContext, found: Exports, participants: Sequence[Participants]
) -> None:
    """Refuse the exports that name people by identity numbers.

    Raises:
        UnreadableExports: There are any.
    """
    most = context.settings.privacy.most_identity_numbers
    if refused := identity_guard.refused(found.accepted, participants, most):
        raise UnreadableExports(refused, is_damaged=False)


def read_exports(
    context: RunContext, selection: Selection, read: Callable[[Exports], Found]
) -> tuple[Exports, Found]:
    """Open these files and read them; refuse the damaged ones and continue with the others.

    Where a converted file is damaged, the export may be whole: all are converted once more.

    Args:
        context: The place and settings.
        selection: The files.
        read: Reads the accepted ones; it may raise `UnreadableExports`.
    """
    found = open_files(context, selection)
    is_converted_again = False
    while True:
        try:
            return found, read(found)
        except UnreadableExports as error:
            is_cached = error.is_damaged and any(one.converted for one in error.refused)
            if is_cached and not is_converted_again:
                is_converted_again = True
                found = open_files(context, selection, reads_converted=False)
            else:
                found = found.without(error.refused)


def open_files(
    context: RunContext, selection: Selection, *, reads_converted: bool = True
) -> Exports:
    """Accept or refuse these files.

    Args:
        context: The place and settings.
        selection: The files.
        reads_converted: Use files that were converted before.
    """
    conversions = context.conversions(reads=reads_converted)
    settings, digests = context.settings, ContentDigests(context.data / CACHE, context.writes)
    with context.reading.of(selection.files):
        return opening.read(
            selection, settings.terms.columns, conversions, settings.limits, digests
        )


def check_ledger(found: Exports, survey: Survey, *, is_complete: bool) -> None:
    """See that every row of the accepted exports was read and is on the ledger.

    Args:
        found: The exports, with the number of rows in their footers.
        survey: The survey of them.
        is_complete: Whether all organisations were asked for.

    Raises:
        LedgerBroken: A file gave fewer or more rows, or rows are not accounted for.
    """
    for export, rows in zip(found.accepted, survey.rows_by_file, strict=True):
        if rows != export.rows:
            raise LedgerBroken(f"export {export.file.name}", export.rows, rows)
    accounted = sum(survey.ledger.values())
    if is_complete and accounted != found.rows:
        raise LedgerBroken("the exports", found.rows, accounted)


def find_published(context: RunContext, entries: Iterable[Entry]) -> dict[Cell, Published]:
    """Look at the version files of these snapshots."""
    found = list(entries)
    followed = followed_exports.read(context.catalog)
    digests = file_digests.all_of(context.catalog, [entry.number for entry in found])
    return {
        cell_of(entry): _published(
            context, entry, followed, digests.get((entry.number, entry.version)) or None
        )
        for entry in found
    }


def _published(
    context: RunContext,
    entry: Entry,
    followed: Mapping[tuple[int, int], Mapping[str, int]],
    sha256: str | None,
) -> Published:
    if not entry.version:
        return Published(entry)
    state, version = version_files.examine(context.data, entry.number, entry.version, sha256)
    if version is None:
        return Published(entry, state)
    left_out = {line: rows for line in QUARANTINED if (rows := version.ledger.get(line))}
    exports = followed.get((entry.number, entry.version), version.exports)
    return Published(entry, state, exports, left_out or None)
