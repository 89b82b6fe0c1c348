"""Verify: recomputes each snapshot on another engine than its own, and compares every number."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from pipeline.errors import StoreDamaged, StoreTooNew
from pipeline.model import versions
from pipeline.model.cells import NO_CONTENT, no_numbers
from pipeline.model.metrics import complete
from pipeline.model.states import EngineName, Verdict
from pipeline.runs import gather
from pipeline.runs.published import cell_of
from pipeline.storage import file_digests, version_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipeline.model.cells import Cell, CellContent, CellNumbers
    from pipeline.model.metrics import Numbers
    from pipeline.model.versions import Version
    from pipeline.runs.context import RunContext
    from pipeline.runs.gather import RunInputs
    from pipeline.storage.catalog import Entry


@dataclass(frozen=True, slots=True)
class Difference:
    """One number that the other engine gives otherwise."""

    name: str
    published: int
    recomputed: int


@dataclass(frozen=True, slots=True)
class VerifiedSnapshot:
    """The verdict on one snapshot."""

    id: str
    org_id: str
    reporting_period_id: str
    engine: EngineName
    """The engine that recomputed it."""
    verdict: Verdict
    differences: Sequence[Difference] = ()


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """The verdict on each snapshot, and the exports that were refused."""

    snapshots: Sequence[VerifiedSnapshot]
    refused: Mapping[str, str]
    """Refused exports and why."""


@dataclass(frozen=True, slots=True)
class _Recomputed:
    """The cells of one survey."""

    contents: Mapping[Cell, CellContent]
    numbers: Mapping[Cell, CellNumbers]


def other_engine(name: EngineName) -> EngineName:
    """Choose the engine that verifies what this one counted: one that needs no cluster."""
    return EngineName.DUCKDB if name is EngineName.POLARS else EngineName.POLARS


def verify(
    context: RunContext, ids: Sequence[str] | None = None, engine: EngineName | None = None
) -> VerifyResult:
    """Recompute these snapshots, or all, and compare every number; write nothing.

    Args:
        context: The place and settings.
        ids: The snapshots; None takes all.
        engine: The engine to count with; None takes, for each version, another than counted it.

    Raises:
        InvalidValue: An id has another form.
        SnapshotNotFound: One of these does not exist.
        ExportsMissing, ExportsChanged, LedgerBroken: As `gather`.
    """
    catalog = context.catalog
    if ids is None:
        entries = list(catalog.entries().values())
    else:
        entries = [catalog.get(id_) for id_ in dict.fromkeys(ids)]
    surveyed: list[RunInputs] = []
    verified: dict[int, VerifiedSnapshot] = {}
    for name, own in _by_engine(context, entries, engine).items():
        organisations = None if ids is None else {entry.org_id for entry in own}
        chosen = context.with_engine(name)
        with gather.gather(chosen, chosen.engine(reads_cache=False), organisations) as inputs:
            recomputed = _recompute(inputs, [cell_of(entry) for entry in own if entry.version])
            verified |= {entry.number: _verify(chosen, recomputed, entry) for entry in own}
            surveyed.append(inputs)
    surveyed[0].check_unchanged()  # all engines must have read the same exports
    problems = dict(chain.from_iterable(one.exports.problems.items() for one in surveyed))
    return VerifyResult([verified[entry.number] for entry in entries], problems)


def _by_engine(
    context: RunContext, entries: Iterable[Entry], engine: EngineName | None
) -> Mapping[EngineName, Sequence[Entry]]:
    """Group snapshots by the engine to count with; without any, one still names refused exports."""
    found: dict[EngineName, list[Entry]] = {}
    for entry in entries:
        found.setdefault(engine or _engine_for(context, entry), []).append(entry)
    return found or {engine or other_engine(context.settings.engine.name): []}


def _engine_for(context: RunContext, entry: Entry) -> EngineName:
    """Choose the engine for a snapshot: not the one that counted its version, if that is known."""
    counted_by = context.settings.engine.name
    if entry.version:
        with suppress(StoreDamaged, StoreTooNew):
            counted_by = _read(context, entry).engine
    return other_engine(counted_by)


def _read(context: RunContext, entry: Entry) -> Version:
    """Read the current version of a snapshot, and compare its file with the digest."""
    sha256 = file_digests.find(context.catalog, entry.number, entry.version)
    return version_files.read(context.data, entry.number, entry.version, sha256)


def _recompute(inputs: RunInputs, cells: Sequence[Cell]) -> _Recomputed:
    contents: dict[Cell, CellContent] = {}
    numbers: dict[Cell, CellNumbers] = {}
    for kind in dict.fromkeys(cell.period.kind for cell in cells):
        contents |= inputs.survey.contents(kind)
        of_kind = [cell for cell in cells if cell.period.kind == kind]
        for batch in inputs.survey.count(kind, of_kind):
            numbers |= batch
    return _Recomputed(contents, numbers)


def _verify(context: RunContext, recomputed: _Recomputed, entry: Entry) -> VerifiedSnapshot:
    verdict, differences = Verdict.UNPUBLISHED, tuple[Difference, ...]()
    if entry.version:
        try:
            version = _read(context, entry)
        except StoreDamaged:
            verdict = Verdict.CORRUPT
        except StoreTooNew:
            verdict = Verdict.NEWER
        else:
            verdict, differences = _compare(context, recomputed, entry, version)
    return VerifiedSnapshot(
        entry.id,
        entry.org_id,
        entry.reporting_period_id,
        context.settings.engine.name,
        verdict,
        differences,
    )


def _compare(
    context: RunContext, recomputed: _Recomputed, entry: Entry, version: Version
) -> tuple[Verdict, tuple[Difference, ...]]:
    cell, terms = cell_of(entry), context.settings.terms
    content = recomputed.contents.get(cell, NO_CONTENT)
    if version.digest == versions.digest(cell, content, terms.digest):
        numbers = recomputed.numbers.get(cell) or no_numbers(terms.breakdowns)
        differences = tuple(_differences(version, numbers))
        if differences:
            return Verdict.MISMATCH, differences
        verdict = Verdict.MATCH
    else:
        verdict = Verdict.STALE if content.rows else Verdict.SOURCE_MISSING
    is_listed = _listed(entry) == _listed_numbers(version.total)
    return verdict if is_listed else Verdict.CATALOG_MISMATCH, ()


def _listed(entry: Entry) -> tuple[int | None, ...]:
    return entry.participations, entry.seconds, entry.activities


def _listed_numbers(total: Numbers) -> tuple[int, ...]:
    return total["participations"], total["seconds"], total["activities"]


def _differences(version: Version, recomputed: CellNumbers) -> Iterator[Difference]:
    for name, published, again in _pairs(version, recomputed):
        for metric, number in again.items():
            if published[metric] != number:
                yield Difference(f"{name}.{metric}", published[metric], number)
    for line, rows in recomputed.ledger.items():
        if version.ledger.get(line, 0) != rows:
            yield Difference(f"ledger.{line}", version.ledger.get(line, 0), rows)


def _pairs(version: Version, recomputed: CellNumbers) -> Iterable[tuple[str, Numbers, Numbers]]:
    """Give each group's name, with its published and its recomputed numbers."""
    yield "total", complete(version.total), recomputed.total
    published = {"categories": version.categories, **version.breakdowns}
    again = {"categories": recomputed.categories} | {
        name: recomputed.breakdowns[name] for name in version.breakdowns
    }
    for breakdown, groups in published.items():
        for value in dict.fromkeys([*again[breakdown], *groups]):
            yield (
                f"{breakdown}.{value}",
                complete(groups.get(value, {})),
                complete(again[breakdown].get(value, {})),
            )
