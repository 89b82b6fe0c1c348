"""What the last night read, so that nothing need be read to know that nothing has changed.

Compares what the file system says of the exports, the settings that decide numbers, and the
programs that make them. Opens no export and loads no engine, so that the API can ask.
"""

from __future__ import annotations

import hashlib
from dataclasses import astuple
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Final

import msgspec

from pipeline import exports, numbers, periods
from pipeline.catalog import DELETIONS, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pipeline.catalog import Catalog, Entry
    from pipeline.exports import File
    from pipeline.settings import Settings

_READING: Final = "reading"
"""The fact that tells which files the last night read, and by which settings."""
_UNTIL: Final = "reading_until"
"""The fact that tells when a period begins whose rows the last night left for later."""


def deletions(catalog: Catalog) -> str:
    """How many snapshots were deleted so far: a night knows nothing of one deleted while it ran."""
    return catalog.fact(DELETIONS) or "0"


def remember(
    catalog: Catalog,
    settings: Settings,
    files: Iterable[File],
    deleted: str,
    until: datetime | None,
) -> None:
    """A night has brought everything up to date with these files.

    Args:
        catalog: Where it is remembered.
        settings: By which they were read.
        files: All exports that there are, the refused ones too.
        deleted: What `deletions` said when the night began.
        until: When a period begins for which rows were left; None where there are none.
    """
    catalog.remember(_READING, _reading(settings, files, deleted))
    catalog.remember(_UNTIL, text_of(until) if until else "")


def is_known(catalog: Catalog) -> bool:
    """Whether the catalog knows of a last night; one that was built anew does not."""
    return catalog.fact(_READING) is not None


def nothing_changed(
    catalog: Catalog, settings: Settings, files: Iterable[File], now: datetime
) -> bool:
    """Whether a night over these files would come to what the last one came to."""
    until = catalog.fact(_UNTIL)
    if until and until <= text_of(now):
        return False
    return catalog.fact(_READING) == _reading(settings, files, deletions(catalog))


def stands(catalog: Catalog, settings: Settings, entry: Entry, now: datetime) -> bool:
    """Whether a snapshot's version is certainly what the exports say now.

    False is no more than a doubt: the snapshot is of a kind that nights don't compute, or one of
    the files that name its organisation is refused, or something has changed for someone.

    Raises:
        ExportsMissing: There is no exports folder.
        ExportsUnreadable: A folder can't be listed.
    """
    kind = periods.parse(entry.reporting_period_id).kind
    if not entry.version or kind not in settings.periods:
        return False
    refused = (file for file in catalog.files().values() if file.problem is not None)
    if any(entry.org_id in file.organisations for file in refused):
        return False
    return nothing_changed(catalog, settings, exports.find(catalog.data), now)


def _reading(settings: Settings, files: Iterable[File], deleted: str) -> str:
    """What decides a night's results, in short: the files, the settings, the programs."""
    chosen = settings.model_dump(exclude={"runs", "log"})
    by_name = sorted(files, key=lambda file: file.name)
    fingerprints = [(file.name, astuple(file.fingerprint)) for file in by_name]
    parts = (numbers.DEFINITIONS, installed_version("polars"), chosen, fingerprints, deleted)
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()
