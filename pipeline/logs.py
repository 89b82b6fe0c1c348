"""How the server and its children log: to stderr, one line an event, as text or as JSON."""

from __future__ import annotations

import logging.config
import sys
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import EventDict, FilteringBoundLogger, Processor

Format = Literal["text", "json"]

_FAULTS: Final = frozenset({"exc_info", "exception", "stack"})
_QUOTED: Final = frozenset(" \t=\r\n\"'")
_EVENT_WIDTH: Final = 30


def configure(form: Format) -> FilteringBoundLogger:
    """Log like this from here on, in this process: our own events and those of libraries."""
    logging.config.dictConfig(libraries(form))
    structlog.configure(**events(form))
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


def events(form: Format) -> dict[str, Any]:
    """How our own events become lines, in the words of structlog."""
    return {
        "processors": [*_shared(), *_ends(form)],
        "wrapper_class": structlog.make_filtering_bound_logger(logging.INFO),
        "logger_factory": structlog.WriteLoggerFactory(sys.stderr),
    }


def libraries(form: Format) -> dict[str, Any]:
    """The same lines for what libraries say, in the words of `logging`: warnings and worse."""
    handler = {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}
    logger = {"handlers": ["console"], "propagate": False}
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": _shared(),
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_ends(form)],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        # Litestar would add a handler of this name, with a thread of its own, where it is missing.
        "handlers": {"console": handler, "queue_listener": handler},
        "loggers": {"_granian": logger, "litestar": logger},
        "root": {"handlers": ["console"], "level": "WARNING"},
    }


def _shared() -> Sequence[Processor]:
    return (
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )


def _ends(form: Format) -> Sequence[Processor]:
    if form == "json":
        return structlog.processors.format_exc_info, structlog.processors.JSONRenderer()
    return (_line,)


_CONSOLE: Final = structlog.dev.ConsoleRenderer(
    colors=False, exception_formatter=structlog.dev.plain_traceback
)


def _line(logger: object, name: str, event: EventDict) -> str:
    """An event as the console renderer lays it out; which takes longer than to answer a read."""
    if not _FAULTS.isdisjoint(event):
        return _CONSOLE(logger, name, event)
    timestamp, level, said = event.pop("timestamp"), event.pop("level"), event.pop("event")
    if not event:
        return f"{timestamp} [{level:<9}] {said}"
    fields = " ".join([f"{key}={_shown(event[key])}" for key in sorted(event)])
    return f"{timestamp} [{level:<9}] {said:<{_EVENT_WIDTH}} {fields}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) and _QUOTED.isdisjoint(value) else repr(value)
