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

from pipeline.model import numbers, periods
from pipeline.sources import exports
from pipeline.storage.catalog import DELETIONS, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from pipeline.settings import Settings
    from pipeline.sources.exports import File
    from pipeline.storage.catalog import Catalog, Entry

_READING: Final = "last_reading"
"""The fact that tells which files the last night read, and by which settings: a `_Reading`."""
_SAID: Final = "last_said"
"""The fact that tells what each file said to the last night, as long as nobody has published since
by what files say by now."""
_UNTIL: Final = "reading_until"
"""The fact that tells when a period begins whose rows the last night left for later."""


class _Reading(msgspec.Struct, frozen=True):
    """What decides a night's results."""

    terms: str
    """The settings and the programs, in short."""
    files: dict[str, str]
    """What the file system said of each file, by name."""


def deletions(catalog: Catalog) -> str:
    """How many snapshots were deleted so far: a night knows nothing of one deleted while it ran."""
    return catalog.fact(DELETIONS) or "0"


def remember(  # noqa: PLR0913, PLR0917 (each is one fact of the night)
    catalog: Catalog,
    settings: Settings,
    files: Iterable[File],
    deleted: str,
    until: datetime | None,
    said: Mapping[str, str],
) -> None:
    """A night has brought everything up to date with these files.

    Args:
        catalog: Where it is remembered.
        settings: By which they were read.
        files: All exports that there are, the refused ones too.
        deleted: What `deletions` said when the night began.
        until: When a period begins for which rows were left; None where there are none.
        said: What each file says, in short: the same for the same rows in any order.
    """
    catalog.remember(_READING, _text(_reading(settings, files, deleted)))
    catalog.remember(_UNTIL, text_of(until) if until else "")
    catalog.remember(_SAID, msgspec.json.encode(said).decode())


def remember_same(
    catalog: Catalog, settings: Settings, files: Iterable[File], deleted: str
) -> None:
    """Files that were written anew say what the last night read, and count as read."""
    catalog.remember(_READING, _text(_reading(settings, files, deleted)))


def is_known(catalog: Catalog) -> bool:
    """Whether the catalog knows of a last night; one that was built anew does not."""
    return catalog.fact(_READING) is not None


def nothing_changed(
    catalog: Catalog, settings: Settings, files: Iterable[File], now: datetime
) -> bool:
    """Whether a night over these files would come to what the last one came to."""
    found = _reading(settings, files, deletions(catalog))
    return catalog.fact(_READING) == _text(found) and not _has_come(catalog, now)


def _has_come(catalog: Catalog, now: datetime) -> bool:
    """Whether a period has begun whose rows the last night left for later."""
    until = catalog.fact(_UNTIL)
    return until is not None and "" < until <= text_of(now)


def written_anew(
    catalog: Catalog, settings: Settings, files: Sequence[File], now: datetime, deleted: str
) -> Sequence[File]:
    """The files that are no longer what the last night read, where there is no other news.

    Empty where something else has changed, too: files came or went, or one was refused.
    """
    known = catalog.fact(_READING)
    found = _reading(settings, files, deleted)
    if known is None or _has_come(catalog, now):
        return ()
    before = msgspec.json.decode(known, type=_Reading)
    if before.terms != found.terms or before.files.keys() != found.files.keys():
        return ()
    changed = [file for file in files if before.files[file.name] != found.files[file.name]]
    last = catalog.files()
    return changed if all(last[file.name].problem is None for file in changed) else ()


def said(catalog: Catalog) -> Mapping[str, str]:
    """What each file said to the last night; nothing where others have published since."""
    return msgspec.json.decode(catalog.fact(_SAID) or "{}", type=dict[str, str])


def forget_said(catalog: Catalog) -> None:
    """From now on something may be published that the last night did not read."""
    catalog.remember(_SAID, "{}")


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


def _reading(settings: Settings, files: Iterable[File], deleted: str) -> _Reading:
    by_name: dict[str, str] = {}
    for file in files:  # names that can't be shown may look alike
        fingerprint = "-".join(map(str, astuple(file.fingerprint)))
        by_name[file.name] = f"{by_name.get(file.name, '')}/{fingerprint}"
    chosen = settings.model_dump(exclude={"runs", "log"})
    terms = (numbers.DEFINITIONS, installed_version("polars"), chosen, deleted)
    return _Reading(
        hashlib.blake2b(msgspec.json.encode(terms), digest_size=16).hexdigest(),
        by_name,
    )


def _text(reading: _Reading) -> str:
    return msgspec.json.encode(reading, order="sorted").decode()
