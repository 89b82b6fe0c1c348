"""The examination of an installation: the data folder, and what it depends on, at a glance.

Writes nothing. Every subject is examined even where another one is broken; an expected failure of
one is its finding.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from pipeline.errors import BufdirError
from pipeline.model.findings import Finding, Health
from pipeline.model.states import EngineName, RunState
from pipeline.runs import access, file_checks, surroundings
from pipeline.runs.status import status
from pipeline.sources import locations
from pipeline.sources.selection import select
from pipeline.storage import audit, logged_tokens, tokens
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.runs.status import Status
    from pipeline.settings import Settings

_LATE: Final = timedelta(hours=26)
"""The age of the last nightly run from which on one was missed: a day, and time to end."""
_SOON: Final = timedelta(days=14)
"""The time before its end in which a token is named."""
_PACKAGES: Final = {
    EngineName.POLARS: "polars",
    EngineName.DUCKDB: "duckdb",
    EngineName.SPARK: "pyspark",
}


def examine(data: Path, settings: Settings, now: datetime) -> Sequence[Finding]:
    """Examine an installation.

    Args:
        data: The data folder.
        settings: Its settings.
        now: The present.

    Returns:
        At least one finding for each subject, in a fixed order.
    """
    found: list[Finding] = []

    def add(subject: str, examined: Callable[[], Iterator[Finding]]) -> None:
        try:
            found.extend(examined())
        except (BufdirError, OSError) as error:
            found.append(Finding(subject, Health.PROBLEM, str(error)))

    add("data folder", lambda: surroundings.data_folder(data))
    add("disk", lambda: surroundings.disk(data))
    add("permissions", lambda: surroundings.permissions(data))
    add("engine", lambda: _engine(settings))
    add("exports", lambda: _exports(data, settings, now))
    add("catalog", lambda: _catalog(data, settings, now))
    add("systemd", surroundings.timer)
    return found


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _engine(settings: Settings) -> Iterator[Finding]:
    package = _PACKAGES[settings.engine.name]
    if find_spec(package) is None:
        detail = f"the setting engine.name is {settings.engine.name}, and {package} is missing"
        yield Finding("engine", Health.PROBLEM, detail, "install it, or choose another engine")
    else:
        yield Finding("engine", Health.FINE, f"{settings.engine.name} is installed")


def _exports(data: Path, settings: Settings, now: datetime) -> Iterator[Finding]:
    """List the exports; opens none."""
    location = locations.of(data, settings.exports.location)
    location.check()
    selection = select(location.list_files(), settings.every_source)
    unfit = [file for file in selection.files if file.problem is not None]
    for file in unfit:
        yield Finding("exports", Health.PROBLEM, f"{file.name}: {file.problem}")
    if not selection.files:
        where = f"no export is in {settings.exports.location}"
        yield Finding("exports", Health.NOTICE, where, "copy exports there, see bufdir init")
        return
    newest = max(file.fingerprint.modified_ns for file in selection.files) / 1_000_000_000
    days = int((now.timestamp() - newest) // 86_400)
    age = f"{_counted(days, 'day')} old" if days > 0 else "of today"
    detail = f"{_counted(len(selection.files), 'file')}, the newest is {age}"
    yield Finding("exports", Health.FINE, detail)
    if selection.others:
        others = f"exports of no source: {_counted(len(selection.others), 'file')}"
        yield Finding("exports", Health.NOTICE, others, "see bufdir config, and [[sources]]")


def _catalog(data: Path, settings: Settings, now: datetime) -> Iterator[Finding]:
    """Compare the catalog with itself and with all version files, and read what it records."""
    with Catalog.open_read_only(data) as catalog:
        catalog.check_integrity(quick=True)
        damaged = file_checks.all_damage(catalog)
        for one in damaged:
            yield Finding("versions", Health.PROBLEM, f"{one.file}: {one.problem}", one.remedy)
        found = status(catalog)
        if not damaged:
            published = _counted(found.snapshots, "snapshot")
            detail = f"{published}, all files are as they were published"
            yield Finding("versions", Health.FINE, detail)
        yield from _runs(found, now)
        yield from _audit(catalog)
        yield from _tokens(catalog, settings, now)
        yield from _clock(catalog, now)


def _runs(found: Status, now: datetime) -> Iterator[Finding]:
    if found.nightly is None:
        how = "bufdir nightly starts one"
        yield Finding("nightly run", Health.NOTICE, "there was none yet", how)
    elif found.nightly.state is RunState.FAILED:
        detail = f"the last one failed: {found.nightly.error}"
        yield Finding("nightly run", Health.PROBLEM, detail, "end the cause; start bufdir nightly")
    elif found.last_success_at is not None and now - found.last_success_at > _LATE:
        hours = int((now - found.last_success_at).total_seconds() // 3600)
        detail = f"the last one that succeeded ended {hours:,} hours ago"
        yield Finding("nightly run", Health.PROBLEM, detail, "see the timer, or cron and its mail")
    else:
        yield Finding("nightly run", Health.FINE, "the last one succeeded within 26 hours")
    if found.blocked:
        detail = f"blocked: {_counted(len(found.blocked), 'snapshot')}"
        yield Finding("blocks", Health.PROBLEM, detail, "bufdir status names what ends each")
    if found.queue:
        yield Finding("queue", Health.NOTICE, f"{_counted(len(found.queue), 'run')} not ended")


def _audit(catalog: Catalog) -> Iterator[Finding]:
    log = access.read_audit_log(catalog, verify=True, limit=0)
    if log.problems:
        detail = f"the chain is broken in {_counted(len(log.problems), 'place')}"
        yield Finding("audit log", Health.PROBLEM, detail, "bufdir audit --verify names them")
    elif log.pending:
        detail = f"not in the file yet: {_counted(log.pending, 'act')}"
        yield Finding("audit log", Health.PROBLEM, detail, "see that audit.jsonl can be written")
    else:
        end = audit.tail(catalog)
        detail = f"{_counted(end.line if end else 0, 'line')}, the chain is whole"
        yield Finding("audit log", Health.FINE, detail)


def _tokens(catalog: Catalog, settings: Settings, now: datetime) -> Iterator[Finding]:
    if behind := logged_tokens.disagreement(catalog, logged_tokens.read(catalog.data)).all_names:
        detail = f"the catalog is older than the audit log, by which these end: {', '.join(behind)}"
        how = "start bufdir reindex, or the server again: either revokes them"
        yield Finding("tokens", Health.PROBLEM, detail, how)
    made = tokens.grants(catalog)
    if not made:
        detail = "none was made: every caller that reaches the API may write"
        health = Health.PROBLEM if settings.proxy.is_set else Health.NOTICE
        yield Finding("tokens", health, detail, "bufdir token create, see Access")
        return
    valid = [one for one in made if one.is_valid(now)]
    yield Finding("tokens", Health.FINE, f"{len(valid):,} of {len(made):,} are valid")
    walled = [one.name for one in valid if one.organisations is not None]
    if walled and settings.access.reads == "public":
        detail = f"of some organisations: {', '.join(walled)}; yet all read all without a token"
        how = 'set access.reads = "token", or leave it if everybody may read'
        yield Finding("tokens", Health.NOTICE, detail, how)
    for one in valid:
        if one.expires_at is not None and one.expires_at - now < _SOON:
            detail = f"{one.name} ends at {one.expires_at:%Y-%m-%d}"
            yield Finding("tokens", Health.NOTICE, detail, "make another one in time")


def _clock(catalog: Catalog, now: datetime) -> Iterator[Finding]:
    """Compare the clock with the newest version: a clock that is behind gives wrong instants."""
    published = [one.refreshed_at for one in catalog.entries().values() if one.refreshed_at]
    newest = max(published, default=None)
    if newest is not None and newest > now + timedelta(minutes=5):
        detail = f"it is {now:%Y-%m-%d %H:%M} UTC, and a version is from {newest:%Y-%m-%d %H:%M}"
        yield Finding("clock", Health.PROBLEM, detail, "correct the clock of this computer")
    else:
        yield Finding("clock", Health.FINE, f"{now.astimezone(UTC):%Y-%m-%d %H:%M} UTC")
