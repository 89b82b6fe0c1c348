"""Writer of diagnostics and events to stderr: sentences for people, or one JSON line an event."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from pipeline import printable
from pipeline.errors import InvalidSetting
from pipeline.terminal import crashes
from pipeline.terminal.command_result import Diagnostic, Severity

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from structlog.typing import FilteringBoundLogger

    from pipeline.logs import Level
    from pipeline.settings import Settings
    from pipeline.terminal.data_folder import DataFolderRule

PROGRAM: Final = "bufdir"
_DEBUG: Final = 2
"""So many `-v` ask for debug events."""


@dataclass(slots=True)
class Reporter:
    """The writer to stderr of one command; the options of the command line are set on it."""

    is_json: bool = False
    """Whether `--json` asks for the result as JSON."""
    command: str | None = None
    """The command, once it is known."""
    data: Path | None = None
    """The data folder, once it is known."""
    data_rule: DataFolderRule | None = None
    is_quiet: bool = False
    verbose: int = 0
    has_progress: bool = True
    """Whether a terminal shows a progress bar."""
    has_settings: bool = False
    """Whether the settings have been read for the form of the log."""
    json_log: FilteringBoundLogger | None = None
    """The log, where the settings ask for JSON."""
    text_log: FilteringBoundLogger | None = None
    """The log of events as text, where `-v` asks for it."""

    def follow(self, settings: Settings) -> None:
        """Write from here on in the form that the settings ask for."""
        self.has_settings = True
        if settings.log.format == "json" or (self.verbose and not self.is_quiet):
            # Most commands write sentences, and need not wait for the logging library.
            from pipeline import logs

            form = settings.log.format
            log = logs.configure(form, self.level(settings))
            self.json_log, self.text_log = (log, None) if form == "json" else (None, log)

    def level(self, settings: Settings) -> Level:
        """Return the level of the log: `-q` quietens it, `-v` and `-vv` add to the settings."""
        if self.is_quiet:
            return "warning"
        if self.verbose >= _DEBUG:
            return "debug"
        return "info" if self.verbose and settings.log.level == "warning" else settings.log.level

    @property
    def log(self) -> FilteringBoundLogger | None:
        """The log of events; None where they are only shown on a progress bar."""
        return self.json_log or self.text_log

    def report(self, diagnostic: Diagnostic) -> None:
        """Write one diagnostic."""
        self._find_settings()
        if self.json_log is not None:
            write = getattr(self.json_log, diagnostic.severity)
            write(diagnostic.event, detail=diagnostic.message)
        elif not (self.is_quiet and diagnostic.severity is Severity.INFO):
            typer.echo(f"{PROGRAM}: {printable.escaped(diagnostic.message)}", err=True)

    def report_crash(self, error: BaseException, now: datetime) -> str:
        """Write the message of a crash, with its traceback in the log or in a file.

        Returns:
            The message.
        """
        self._find_settings()
        message = f"the program crashed ({type(error).__name__})"
        if self.json_log is not None:
            self.json_log.error("unhandled_exception", detail=message, exc_info=error)
            return message
        path = crashes.write(error, self.data, now, PROGRAM)
        message = f"{message}; report it with the traceback in {path}"
        self.report(Diagnostic("unhandled_exception", message, Severity.ERROR))
        return message

    def debug(self, event: str, **fields: object) -> None:
        """Write an event that only `-vv` or the settings ask for."""
        if self.verbose >= _DEBUG and not self.is_quiet:
            self._find_settings()
        if self.log is not None:
            self.log.debug(event, **fields)

    def _find_settings(self) -> None:
        """Read the settings late: commands that only look need none until something is written."""
        if self.has_settings or self.data is None:
            return
        self.has_settings = True
        from pipeline import settings

        with suppress(InvalidSetting):
            self.follow(settings.load(self.data))
