"""Context of commands that read exports: settings, catalog, clock, bounds and event sink."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from pipeline.terminal.program import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.model.states import EngineName
    from pipeline.runs.confined import Confined
    from pipeline.runs.context import RunContext
    from pipeline.runs.reading import Reading
    from pipeline.settings import Settings
    from pipeline.sources.selection import Selection
    from pipeline.terminal.reporter import Reporter


def load_settings(reporter: Reporter, data: Path) -> Settings:
    """Read the settings, and set the form of the reporter's log.

    Raises:
        InvalidSetting: A line or a variable is unknown or invalid.
    """
    from pipeline import settings

    chosen = settings.load(data)
    reporter.follow(chosen)
    rule = reporter.data_rule
    reporter.debug("settings_loaded", data=data.as_posix(), data_rule=rule and rule.value)
    return chosen


@contextmanager
def confined(reporter: Reporter, work: Confined) -> Iterator[Reading]:
    """Run the block in a child process with bounds; this process ends as the child does.

    Args:
        reporter: The writer to stderr, which is another one in a child.
        work: The bounds, and how exports are read alone.

    Raises:
        ReadingDied, ProcessDied: As `Confined.enter`.
    """
    from pipeline.confinement.endings import exit_code_of

    bounds = work.enter()
    reporter.follow(work.settings)
    try:
        yield bounds
    except BaseException as error:
        if bounds.is_broken_by(error):
            raise SystemExit(exit_code_of(error)) from error
        raise


@contextmanager
def run_context(  # noqa: PLR0913 (a command has as many options as it has)
    reporter: Reporter,
    data: Path,
    *,
    select: Callable[[RunContext], Selection] | None = None,
    engine: EngineName | None = None,
    probed: Sequence[EngineName] = (),
    read_only: bool = False,
) -> Iterator[RunContext]:
    """Open the context of a run in a child process, for as long as the block lasts.

    Args:
        reporter: Where events go.
        data: The data folder.
        select: Selects the exports that the command reads; None selects all of the location.
        engine: The engine to use in place of the setting `engine.name`.
        probed: The engines that may read the exports, where they are others than that one.
        read_only: Write nothing to the data folder.

    Raises:
        InvalidSetting: A line or a variable is unknown or invalid.
        ExportsMissing: There is no exports folder; only without `read_only`.
        PackageMissing, ExportsUnreachable: As `locations.of`; only without `read_only`.
        StoreUnusable, StoreDamaged: The catalog can't be opened.
        ReadingDied, ProcessDied: As `confined`.
    """
    chosen = load_settings(reporter, data)
    if engine is not None:
        chosen = chosen.with_engine(engine)

    opened = partial(_opened, reporter, data, chosen)
    from pipeline.runs.confined import over_exports

    work = over_exports(
        data,
        chosen,
        partial(opened, read_only=True),
        select=select,
        engines=probed,
        writes=not read_only,
    )
    with confined(reporter, work) as bounds, opened(bounds, read_only=read_only) as context:
        yield context


@contextmanager
def _opened(
    reporter: Reporter, data: Path, settings: Settings, bounds: Reading, *, read_only: bool
) -> Iterator[RunContext]:
    from pipeline.runs import confined as confinement
    from pipeline.runs.context import RunContext
    from pipeline.sources import locations
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import progress

    if not read_only:
        locations.of(data, settings.exports.location).check()  # before a catalog is created
    open_catalog = Catalog.open_read_only if read_only else Catalog.open
    with open_catalog(data) as catalog, progress.event_sink(reporter) as sink:
        known = confinement.with_known(bounds, catalog, settings)
        yield RunContext(data, settings, catalog, now, sink, not read_only, known)
