"""What has become of exports that versions rest on: gone, renamed, copied, merged, or replaced.

Contents are compared by checksum: equal ones have the same rows, in any order. A checksum is a sum
over rows, so that those of several exports add up to that of an export into which they were merged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from pipeline.engines import ScanRequest
from pipeline.engines.row_hash import MODULUS, parse_checksum
from pipeline.model.states import Mode
from pipeline.runs.guard import Guard
from pipeline.runs.successors import ExportChanges
from pipeline.sources import dumps
from pipeline.sources.exports import File, Fingerprint
from pipeline.sources.selection import source_of
from pipeline.storage import declarations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pipeline.engines import Engine
    from pipeline.model.cells import Cell
    from pipeline.runs.context import RunContext
    from pipeline.runs.gather import RunInputs
    from pipeline.runs.published import Published
    from pipeline.settings import SourceSettings
    from pipeline.sources.selection import Selection
    from pipeline.storage.declarations import RetiredExport
    from pipeline.storage.nightly_record import FileRecord, NightlyRecord


def guard_of(
    context: RunContext, engine: Engine, record: NightlyRecord, inputs: RunInputs
) -> Guard:
    """Compare the exports of a run with those before, and read what operators have declared.

    A run of some organisations reads exports that are new or changed once more, whole, but only
    where others are gone.
    """
    settings, catalog = context.settings, context.catalog
    selection = inputs.selection
    is_missing_any = bool(gone(record, selection))
    checksums = (
        inputs.survey.checksums
        if inputs.is_complete
        else _known_checksums(context, engine, record, inputs, reads=is_missing_any)
    )
    retired = declarations.retired(catalog)
    changes = replace(
        find(record, selection, checksums, retired, settings.every_source),
        empty={export.file.name for export in inputs.exports.accepted if not export.rows},
    )
    return Guard(changes, settings.guard.most_fall, declarations.accepted(catalog))


def _known_checksums(
    context: RunContext,
    engine: Engine,
    record: NightlyRecord,
    inputs: RunInputs,
    *,
    reads: bool,
) -> Mapping[str, str]:
    """Give the content checksum of each accepted export; empty where it is not needed."""
    found, others = {}, []
    for export in inputs.exports.accepted:
        known = record.files.get(export.file.name)
        is_same = known is not None and known.fingerprint == export.file.fingerprint.values
        if known is not None and is_same and known.checksum is not None:
            found[export.file.name] = known.checksum
        else:
            found[export.file.name] = ""
            others.append(export)
    if reads and others:
        request = ScanRequest(others, context.settings.terms)
        found |= engine.content_checksums(request)
    return found


def recorded(
    record: NightlyRecord,
    last: NightlyRecord,
    changes: ExportChanges,
    published: Mapping[Cell, Published],
) -> NightlyRecord:
    """Add to a record what the next run needs of exports that are gone and that versions rest on.

    Args:
        record: The record of this run.
        last: The one before.
        changes: What has become of exports between the two.
        published: The snapshots as the run found them.
    """
    named = {name for one in published.values() for name in one.exports or ()}
    needed = {*named, *changes.organisations_of_gone}
    absent = {**last.gone, **last.files}
    return msgspec.structs.replace(
        record,
        gone={
            name: file
            for name, file in absent.items()
            if name not in record.files and name in needed
        },
    )


def gone(record: NightlyRecord, selection: Selection) -> Mapping[str, FileRecord]:
    """Find the exports that a nightly run has read and that are no longer listed, by name."""
    listed = {file.name for file in selection.exports}
    known = {**record.gone, **record.files}
    return {name: file for name, file in known.items() if name not in listed}


def find(
    record: NightlyRecord,
    selection: Selection,
    checksums: Mapping[str, str],
    retired: Mapping[str, RetiredExport],
    sources: Sequence[SourceSettings],
) -> ExportChanges:
    """Compare the exports of now with those that nightly runs have read.

    Args:
        record: The last nightly run.
        selection: The exports of now.
        checksums: The content checksum of each accepted export of now.
        retired: The exports that are gone on purpose.
        sources: The sources of the settings.
    """
    absent = gone(record, selection)
    former = {**absent, **_set_aside(record, selection)}
    copies = _copies(former, checksums)
    listed = {file.name for file in selection.exports}
    still_retired = {name: one for name, one in retired.items() if name not in listed}
    missing = {name: file for name, file in absent.items() if name not in {*copies, *still_retired}}
    newer = _newer_dumps(missing, selection, sources)
    outdated = {
        name: newer[source.name]
        for name, source in _sources_of({*checksums, *former}, selection, sources)
        if source.name in newer
    }
    present = checksums.keys() - outdated.keys()
    replaced = _replaced(former, selection, present, sources)
    merged = _merged(record, missing.keys() - replaced.keys(), checksums, copies)
    rewritten = {
        name
        for name, checksum in checksums.items()
        if name in record.files and record.files[name].checksum != checksum
    }
    explained = {*copies, *replaced, *merged, *still_retired}
    return ExportChanges(
        present,
        copies,
        merged,
        replaced,
        still_retired,
        {name: file.organisations for name, file in absent.items() if name not in explained},
        {*former, *rewritten},
        outdated,
    )


def _sources_of(
    names: Iterable[str], selection: Selection, sources: Sequence[SourceSettings]
) -> Iterator[tuple[str, SourceSettings]]:
    """Give the source of each of these exports, listed or gone; those of none are left out."""
    for name in names:
        listed = selection.sources.get(name)
        source = listed or source_of(File(name, name, Fingerprint(0, 0)), sources)
        if source is not None:
            yield name, source


def _newest(selection: Selection) -> Mapping[str, Sequence[File]]:
    """Give the exports that count by source."""
    newest: dict[str, list[File]] = {}
    for file in selection.files:
        newest.setdefault(selection.sources[file.name].name, []).append(file)
    return newest


def _newer_dumps(
    missing: Mapping[str, FileRecord], selection: Selection, sources: Sequence[SourceSettings]
) -> Mapping[str, str]:
    """Find, for each source whose newest dump is missing, an export of it.

    The dump that counts now is then an older one.
    """
    newest = _newest(selection)
    found = {}
    for name, source in _sources_of(missing, selection, sources):
        now = newest.get(source.name, [])
        file = File(name, name, Fingerprint(*missing[name].fingerprint))
        if source.mode is Mode.DUMP and now:
            divided = dumps.divide([*now, file], source.files)
            if file in divided.newest and not set(now).intersection(divided.newest):
                found[source.name] = name
    return found


def _copies(former: Mapping[str, FileRecord], checksums: Mapping[str, str]) -> dict[str, str]:
    """Find, for each export that is not read any longer, one that has its rows."""
    by_checksum = {checksum: name for name, checksum in checksums.items() if checksum}
    return {
        name: by_checksum[file.checksum]
        for name, file in former.items()
        if file.checksum is not None and file.checksum in by_checksum
    }


def _set_aside(record: NightlyRecord, selection: Selection) -> Mapping[str, FileRecord]:
    known = {**record.gone, **record.files}
    return {file.name: known[file.name] for file in selection.set_aside if file.name in known}


def _replaced(
    former: Mapping[str, FileRecord],
    selection: Selection,
    present: Collection[str],
    sources: Sequence[SourceSettings],
) -> dict[str, tuple[str, ...]]:
    """Find the exports of dumps that a newer dump of their source has replaced."""
    newest = _newest(selection)
    found = {}
    for name, source in _sources_of(former, selection, sources):
        now = newest.get(source.name, [])
        file = File(name, name, Fingerprint(*former[name].fingerprint))
        if source.mode is Mode.DUMP and file in dumps.divide([*now, file], source.files).older:
            found[name] = tuple(one.name for one in now if one.name in present)
    return {name: heirs for name, heirs in found.items() if heirs}


def _merged(
    record: NightlyRecord,
    unexplained: Iterable[str],
    checksums: Mapping[str, str],
    copies: Mapping[str, str],
) -> dict[str, tuple[str, ...]]:
    """Find the exports whose rows, all together, are now those of others.

    They are all that are gone or were written again, and all that are new or were written again.
    """
    before = {name: file.checksum for name, file in record.files.items()}
    former = {name: before[name] for name in unexplained if name in before}
    former |= {
        name: before[name]
        for name, checksum in checksums.items()
        if name in before and before[name] != checksum
    }
    heirs = set(copies.values())
    latter = {
        name: checksum
        for name, checksum in checksums.items()
        if name in former or (name not in before and name not in heirs)
    }
    if former and _total(former.values()) == _total(latter.values()):
        return dict.fromkeys(former, tuple(sorted(latter)))
    return {}


def _total(checksums: Iterable[str | None]) -> tuple[int, int] | None:
    """Add up contents: the rows, and the sum of their checksums; None if one is not known."""
    rows = total = 0
    for checksum in checksums:
        if not checksum:
            return None
        parsed = parse_checksum(checksum)
        rows, total = rows + parsed[0], (total + parsed[1]) % MODULUS
    return rows, total
