"""Whether anything has changed: compares what is published with the exports and settings of now.

Opens no export and loads no engine: the names and fingerprints of files, the settings and the
catalog are enough, so the API can ask and a quiet nightly run costs nothing.
"""

from __future__ import annotations

from dataclasses import astuple
from typing import TYPE_CHECKING

from pipeline.model.terms import digest_of
from pipeline.sources import locations
from pipeline.sources.selection import select
from pipeline.storage import blocked_cells, version_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pipeline.settings import Settings
    from pipeline.sources.exports import File
    from pipeline.storage.catalog import Catalog, Entry
    from pipeline.storage.nightly_record import FileRecord, NightlyRecord


def settings_digest(settings: Settings) -> str:
    """Sum up the settings and definitions that decide what a nightly run publishes."""
    sources = [source.model_dump(mode="json") for source in settings.every_source]
    guard = {"most_fall": settings.guard.most_fall}  # other bounds only warn
    limits = settings.limits.model_dump(mode="json")
    privacy = settings.privacy.model_dump(mode="json")
    return digest_of(settings.terms.digest, sources, guard, limits, privacy, settings.periods)


def inputs_digest(settings: Settings, files: Iterable[File]) -> str:
    """Sum up what numbers follow from: the settings, and the state of every export."""
    found = sorted((file.name, astuple(file.fingerprint)) for file in files)
    return digest_of(settings_digest(settings), found)


def is_fresh(catalog: Catalog, settings: Settings, entry: Entry) -> bool:
    """Return whether a snapshot's version certainly follows from the exports and settings of now.

    False is no more than a doubt: a run looks at the rows.

    Raises:
        ExportsMissing: There is no exports folder.
        ExportsUnreadable: A folder cannot be listed.
        ExportsUnreachable: The location of the exports can't be reached.
    """
    if not entry.version or entry.inputs is None:
        return False
    if blocked_cells.find(catalog, entry.org_id, entry.reporting_period_id) is not None:
        return False
    listed = locations.of(catalog.data, settings.exports.location).list_files()
    selection = select(listed, settings.every_source)
    return entry.inputs == inputs_digest(settings, selection.inputs)


def is_published(catalog: Catalog, record: NightlyRecord, now: datetime) -> bool:
    """Return whether all that the last nightly run decided is what is published now.

    No other run has published since, no version file is missing, and no period has begun whose
    rows were deferred.
    """
    if record.until is not None and record.until <= now:
        return False
    return catalog.all_follow_from(record.inputs) and version_files.all_exist(
        catalog.data, catalog.current_versions()
    )


def rewritten(record: NightlyRecord, settings: Settings, files: Sequence[File]) -> Sequence[File]:
    """Select the files that are no longer as the last nightly run read them.

    Empty where something else has changed too: settings, files that came or went, a refused one.
    """
    if record.terms != settings_digest(settings) or record.files.keys() != {f.name for f in files}:
        return ()
    changed = [file for file in files if not _is_same(file, record.files[file.name])]
    return changed if all(record.files[file.name].problem is None for file in changed) else ()


def _is_same(file: File, known: FileRecord) -> bool:
    return astuple(file.fingerprint) == tuple(known.fingerprint)
