"""The writing of counted versions: their files are whole and flushed before one is current."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from pipeline.errors import StoreUnusable
from pipeline.model import versions
from pipeline.model.declarations import Declaration
from pipeline.model.states import DeclarationKind
from pipeline.storage import durable_files, file_digests, version_files

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from pipeline.model.versions import Version
    from pipeline.runs.context import RunContext
    from pipeline.runs.counting import Counted, PlannedVersion

_GROUP: Final = 1_000
"""Versions whose files are in memory and flushed together."""


@dataclass(frozen=True, slots=True)
class WrittenVersion:
    """A version whose file is written, and that is not yet current."""

    planned: PlannedVersion
    version: Version
    sha256: str
    """The digest of its file."""


def write(
    context: RunContext,
    counted: Generator[Counted, None, None],
    total: int,
) -> list[WrittenVersion]:
    """Write the files of these versions; where that or counting fails, all are deleted again."""
    written: list[WrittenVersion] = []
    try:
        with closing(counted):
            while group := list(islice(counted, _GROUP)):
                made = [_encoded(context, one) for one in group]
                written += [one for one, _ in made]
                durable_files.write(
                    {path: content for _, of in made for path, content in of.items()}
                )
                context.events("snapshots_written", done=len(made), total=total)
    except BaseException:
        # A rebuilt catalog must not find a version that was never published.
        for entry in (one.planned.entry for one in written):
            with suppress(StoreUnusable):  # the first error is reported, and others are swept
                version_files.sweep_snapshot(context.data, entry.number, entry.version)
        raise
    return written


def _encoded(context: RunContext, counted: Counted) -> tuple[WrittenVersion, Mapping[Path, bytes]]:
    """Make a version, with its file and that of the rows that it left out."""
    version = _version(context, counted)
    content = versions.encode(version)
    place = (context.data, counted.planned.entry.number, version.version)
    contents = {version_files.version_path(*place): content}
    if counted.rejected:
        contents[version_files.quarantine_path(*place)] = counted.rejected
    return WrittenVersion(counted.planned, version, file_digests.digest_of(content)), contents


def _version(context: RunContext, counted: Counted) -> Version:
    planned = counted.planned
    now = context.clock().replace(microsecond=0)
    return versions.version(
        number=planned.entry.number,
        version_number=planned.number,
        cell=planned.decision.cell,
        created_at=planned.entry.created_at,
        refreshed_at=now,
        engine=context.settings.engine.name,
        cause=planned.decision.reason,
        content=planned.decision.content,
        terms=context.settings.terms,
        counted=counted.numbers,
        exports=counted.exports,
        declarations=_declarations(planned, now),
    )


def _declarations(planned: PlannedVersion, now: datetime) -> Sequence[Declaration]:
    """Give the declarations that led to a version; the last is that its run was forced."""
    decision = planned.decision
    if decision.overridden is None:
        return decision.declarations
    forced = Declaration(
        DeclarationKind.FORCED, now, planned.forced_by, decision.exports, decision.overridden
    )
    return [*decision.declarations, forced]
