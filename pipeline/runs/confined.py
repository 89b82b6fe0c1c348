"""Confined work: a command goes on in a child process, which exports can end but not harm others.

Where a child dies while it reads, the exports that end it alone are found, each in a further child.
Then the command starts again and refuses them by name. The caller's process loads no engine, so
each child is forked from one without threads.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from pipeline.confinement import child, limits
from pipeline.confinement.child import Note
from pipeline.confinement.endings import EXIT_BROKEN, Death, exit_code_of
from pipeline.confinement.search import Search
from pipeline.errors import BufdirError, ProcessDied, ReadingDied
from pipeline.model.states import EngineName
from pipeline.model.terms import digest_of
from pipeline.runs import reading
from pipeline.runs.reading import Reading
from pipeline.storage import fatal_exports
from pipeline.storage.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from pipeline.confinement.endings import ChildEnd
    from pipeline.runs.context import RunContext
    from pipeline.settings import Settings
    from pipeline.sources.exports import File
    from pipeline.sources.selection import Selection
    from pipeline.storage.fatal_exports import FileState

_AGAIN: Final = "export or copy it again"
_PUBLISHED_STANDS: Final = "what was published before stays published"
_PASSING: Final = frozenset({Death.KILLED, Death.STALLED})
"""Deaths whose cause may be gone by the next run: a slow disk, a computer short of memory."""
_LIBRARIES: Final = ("polars", "pyarrow", "duckdb", "bufdir-aggregation")


class Probe(Protocol):
    """The reading of some exports alone."""

    def __call__(self, bounds: Reading, names: Collection[str], /) -> object:
        """Read the exports of these names as the command does, and publish nothing."""


class OpenContext(Protocol):
    """A function that opens a context which writes nothing."""

    def __call__(self, bounds: Reading, /) -> AbstractContextManager[RunContext]:
        """Open the context, to read within these bounds."""


@dataclass(frozen=True, slots=True)
class Confined:
    """A command that is to run within bounds."""

    settings: Settings
    probe: Probe
    record: Callable[[Mapping[FileState, str]], None] | None = None
    """Takes the exports that were found, for later commands; None where nothing is written."""

    def enter(self) -> Reading:
        """Go on in a child process; this process ends as the child does.

        Raises:
            ReadingDied: Reading ended the child, and no single export is the cause.
            ProcessDied: The child died at something else.
            SystemExit: The child has ended by itself.
        """
        fatal: dict[FileState, str] = {}
        note, is_last = Note(), False
        while True:
            ended = child.fork(note)
            if ended is None:
                _limit(self.settings)
                return Reading(note, fatal, is_last)
            if ended.death is Death.MEMORY and not note.is_set:
                # Numbers of later periods are counted while earlier ones are written.
                raise ReadingDied(self._sentence(ended), self._remedy(ended))
            if ended.death is None or not note.is_set:
                _end_like(ended)
            found = self._causes(reading.noted(note), fatal)
            if not found and (is_last or ended.code != EXIT_BROKEN):
                raise ReadingDied(self._sentence(ended), self._remedy(ended))
            is_last = not found  # an error without a cause is a fault of the program
            fatal |= found

    def _causes(
        self, files: Sequence[FileState], known: Mapping[FileState, str]
    ) -> Mapping[FileState, str]:
        """Find the exports that end a child alone, with their problems.

        None is to blame where a child dies that reads none: the bound is too low for any reading.
        """
        trial = _Trial(self, known)
        if trial.together([]) is not None:
            return {}
        searched = Search(trial).run([file for file in files if file not in known])
        found = {file: f"{self._sentence(end)}; {_AGAIN}" for file, end in searched.items()}
        lasting = {file: found[file] for file, end in searched.items() if end.death not in _PASSING}
        if self.record is not None and lasting:
            self.record(lasting)
        return found

    @staticmethod
    def _remedy(ended: ChildEnd) -> str:
        is_by_memory = ended.death is Death.MEMORY
        return f"raise that setting; {_PUBLISHED_STANDS}" if is_by_memory else _PUBLISHED_STANDS

    def _sentence(self, ended: ChildEnd) -> str:
        if ended.death is Death.MEMORY:
            most = self.settings.runs.memory_mb
            return f"reading needs more memory than runs.memory_mb = {most} MB"
        return {
            Death.TIME: "reading takes far longer than its size explains",
            Death.STALLED: f"reading made no progress for {child.STALL_SECONDS} seconds",
            Death.KILLED: "the process that read was killed, maybe for want of memory",
        }.get(ended.death or Death.CRASH, f"reading crashes the decoder{_how(ended)}")


def over_exports(  # noqa: PLR0913 (each decides about what is read)
    data: Path,
    settings: Settings,
    opened: OpenContext,
    *,
    select: Callable[[RunContext], Selection] | None = None,
    engines: Sequence[EngineName] = (),
    writes: bool = True,
) -> Confined:
    """Confine a command that reads exports.

    Args:
        data: The data folder.
        settings: The bounds, and the engine.
        opened: Opens the context of a probe.
        select: Selects the exports that the command reads; None selects all of the location.
        engines: The engines that read them, where they are others than the one of the settings.
        writes: Whether the catalog may learn which exports end their reader.
    """

    def probe(bounds: Reading, names: Collection[str]) -> None:
        from pipeline.runs import probing  # noqa: PLC0415 (loads what an engine needs)

        with opened(bounds) as context:
            wanted = select(context) if select else context.select(context.location.list_files())
            probing.read(context, wanted, names, engines)

    def record(found: Mapping[FileState, str]) -> None:
        with suppress(BufdirError), Catalog.open(data) as catalog:
            fatal_exports.add(catalog, found, conditions(settings))

    return Confined(settings, probe, record if writes else None)


def _limit(settings: Settings) -> None:
    """Bound the memory of this process; not with Spark, whose driver has a bound of its own."""
    if settings.engine.name is not EngineName.SPARK:
        limits.limit_memory(settings.runs.memory_mb)


def _how(ended: ChildEnd) -> str:
    return f" ({ended.signal_name})" if ended.signal_name else ""


def with_known(bounds: Reading, catalog: Catalog, settings: Settings) -> Reading:
    """Give these bounds the exports that earlier commands have found to end their reader."""
    if fatal_exports.is_empty(catalog):
        return bounds
    now = conditions(settings)
    known = {**fatal_exports.read(catalog, now), **bounds.fatal}
    is_due = fatal_exports.may_be_read_again(catalog, now)
    return replace(bounds, fatal=known, is_due=is_due)


def prune(context: RunContext, files: Iterable[File]) -> None:
    """Forget the exports among those that have changed since, and those of other conditions."""
    if not fatal_exports.is_empty(context.catalog):
        present = {reading.state(file) for file in files}
        fatal_exports.prune(context.catalog, present, conditions(context.settings))


def conditions(settings: Settings) -> str:
    """Sum up what decides whether an export ends its reader: libraries, engine and bounds."""
    from importlib import metadata  # noqa: PLC0415 (slow to load, and rarely needed)

    releases = [metadata.version(name) for name in _LIBRARIES]
    return digest_of(releases, settings.engine.name, settings.runs.memory_mb)


@dataclass(frozen=True, slots=True)
class _Trial:
    """Probes of some exports, each in a child process."""

    confined: Confined
    known: Mapping[FileState, str]
    note: Note = field(default_factory=Note)

    def together(self, items: Sequence[FileState]) -> ChildEnd | None:
        """Read all of them at once; return how the child died, None where it did not."""
        return self._died([items])

    def singly(self, items: Sequence[FileState]) -> tuple[int, ChildEnd] | None:
        """Read one after the other; return the place of the first that ends the child."""
        died = self._died([[item] for item in items])
        if died is None:
            return None
        ((noted, _),) = reading.noted(self.note)  # it may have been written again since
        return [name for name, _ in items].index(noted), died

    def _died(self, groups: Sequence[Sequence[FileState]]) -> ChildEnd | None:
        """Read these groups in a child; return how it died, None where it read to the end."""
        ended = child.fork(self.note)
        if ended is None:
            self._read(groups)
        if ended.death is None and ended.code < 0:
            _end_like(ended)  # somebody asked the command to end
        has_died = ended.death is not None and (self.note.is_set or not any(groups))
        return ended if has_died else None

    def _read(self, groups: Sequence[Sequence[FileState]]) -> NoReturn:
        """Read these groups in this process, which ends then."""
        _limit(self.confined.settings)
        bounds = Reading(self.note, self.known)
        for group in groups:
            try:
                self.confined.probe(bounds, {name for name, _ in group})
            except BufdirError:
                pass  # it is refused as it should be
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                raise SystemExit(exit_code_of(error)) from error
        raise SystemExit(0)


def _end_like(ended: ChildEnd) -> NoReturn:
    """End this process as its child ended.

    Raises:
        SystemExit: With the child's exit code.
        ProcessDied: A signal ended it that reports a fault.
    """
    if ended.code >= 0:
        raise SystemExit(ended.code)
    if ended.death is None:  # somebody asked it to end
        signal.signal(-ended.code, signal.SIG_DFL)
        os.kill(os.getpid(), -ended.code)
    raise ProcessDied(ended.signal_name, ended.code)
