"""How the server and its children log: to stderr, one line an event, as text or as JSON."""

from __future__ import annotations

import logging.config
import sys
from typing import TYPE_CHECKING, Any, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import FilteringBoundLogger, Processor

Format = Literal["text", "json"]


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
    plain = structlog.dev.plain_traceback
    return (structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain),)
