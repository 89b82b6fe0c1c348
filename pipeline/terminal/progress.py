"""Progress of the work: a bar on stderr, only on a terminal, and removed at the end."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from pipeline.terminal.command_result import Diagnostic, Severity
from pipeline.terminal.sentences import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import FilteringBoundLogger

    from pipeline.logs import EventSink
    from pipeline.terminal.reporter import Reporter


_WARNINGS: Final = {
    "cache_unusable": "the cache can't be used, which costs time and changes no number",
}
"""Events that the operator should know of, and their sentences."""


class Advance(Protocol):
    """A function that moves a bar; a total or a title that is left out stays as it is."""

    def __call__(self, by: int, *, total: int | None = None, title: str | None = None) -> None:
        """Add so much to what is done."""


@contextmanager
def bar(reporter: Reporter, title: str, total: int | None = None) -> Iterator[Advance]:
    """Show a bar while the block lasts; without a total it only shows that work goes on."""
    is_wanted = reporter.has_progress and not reporter.is_quiet and reporter.log is None
    if not is_wanted or not sys.stderr.isatty():
        yield _ignore
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)

        def advance(by: int, *, total: int | None = None, title: str | None = None) -> None:
            is_new = title is not None  # shown at once, or the next title would hide it
            progress.update(task, advance=by, total=total, description=title, refresh=is_new)

        yield advance


def _ignore(by: int, *, total: int | None = None, title: str | None = None) -> None:
    """Show nothing."""


def _write(log: FilteringBoundLogger, event: str, **fields: object) -> None:
    """Write an event to the log."""
    write = log.warning if event in _WARNINGS else log.info
    write(event, **fields)


@contextmanager
def event_sink(reporter: Reporter) -> Iterator[EventSink]:
    """Give a run's events to the log, or else to a bar."""
    if reporter.log is not None:
        yield partial(_write, reporter.log)
        return
    with bar(reporter, "Reading exports") as advance:

        def show(event: str, **fields: object) -> None:
            match fields:
                case {"problem": str(problem)} if event in _WARNINGS:
                    sentence = f"{_WARNINGS[event]}: {problem}"
                    reporter.report(Diagnostic(event, sentence, Severity.WARNING))
                case {"done": int(done), "total": int(total)}:
                    advance(done, total=total, title="Publishing snapshots")
                case {"snapshots": int()}:
                    pass
                case {"rows": int(rows)}:
                    advance(0, title=f"Counting {counted(rows, 'row')}")
                case _:
                    advance(0, title=event.replace("_", " ").capitalize())

        yield show
