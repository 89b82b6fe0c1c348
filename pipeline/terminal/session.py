"""Context of commands that read exports: settings, catalog, clock and event sink."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.terminal.program import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.model.states import EngineName
    from pipeline.runs.context import RunContext
    from pipeline.settings import Settings
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
def run_context(
    reporter: Reporter,
    data: Path,
    *,
    engine: EngineName | None = None,
    read_only: bool = False,
) -> Iterator[RunContext]:
    """Open the context of a run for as long as the block lasts.

    Args:
        reporter: Where events go.
        data: The data folder.
        engine: The engine to use in place of the setting `engine.name`.
        read_only: Write nothing to the data folder.

    Raises:
        InvalidSetting: A line or a variable is unknown or invalid.
        ExportsMissing: There is no exports folder; only without `read_only`.
        PackageMissing, ExportsUnreachable: As `locations.of`; only without `read_only`.
        StoreUnusable, StoreDamaged: The catalog can't be opened.
    """
    from pipeline.runs.context import RunContext
    from pipeline.sources import locations
    from pipeline.storage.catalog import Catalog
    from pipeline.terminal import progress

    chosen = load_settings(reporter, data)
    if engine is not None:
        chosen = chosen.with_engine(engine)
    if not read_only:
        locations.of(data, chosen.exports.location).check()  # before a catalog is created
    open_catalog = Catalog.open_read_only if read_only else Catalog.open
    with open_catalog(data) as catalog, progress.event_sink(reporter) as sink:
        yield RunContext(data, chosen, catalog, now, sink, writes=not read_only)
