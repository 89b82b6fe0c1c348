"""One run of the program: a command is called, its result printed, its failure explained.

Results go to stdout, everything else to stderr. With `--json`, a failure goes to stdout too.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import typer

from pipeline import errors
from pipeline.terminal.command_result import (
    CommandResult,
    Diagnostic,
    Severity,
    as_json,
    envelope,
    error_envelope,
)
from pipeline.terminal.exit_codes import CRASH, FAILURES, INTERRUPT, USAGE, ExitCode
from pipeline.terminal.global_options import name_of
from pipeline.terminal.reporter import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.terminal.exit_codes import Failure
    from pipeline.terminal.reporter import Reporter

_INTERRUPTED: Final = Diagnostic("interrupted", "interrupted; what was published stays published")


def asks_for_json(arguments: Sequence[str]) -> bool:
    """Return whether these arguments ask for JSON, before they are known to be right."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in options


def open_standard_files() -> None:
    """Open those of stdin, stdout and stderr that are closed, so that no other file is theirs."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest descriptor that is free
    # Python has none for a descriptor that was closed when it began.
    sys.stdout = sys.stdout or os.fdopen(os.dup(1), "w")
    sys.stderr = sys.stderr or os.fdopen(os.dup(2), "w")


def run(app: typer.Typer, reporter: Reporter) -> int:
    """Run the command that the arguments of this process name; return the exit code."""
    begun = now()
    code = _run(app, reporter)
    milliseconds = round((now() - begun).total_seconds() * 1000)
    reporter.debug(
        "command_ended", command=reporter.command, exit_code=int(code), duration_ms=milliseconds
    )
    return int(code)


def now() -> datetime:
    """Read the clock."""
    return datetime.now(UTC)


def _run(app: typer.Typer, reporter: Reporter) -> int:
    try:
        ended = app(prog_name=PROGRAM, obj=reporter, standalone_mode=False)
        if isinstance(ended, CommandResult):
            _print_result(ended, reporter)
            return ended.exit_code
    except SystemExit:
        raise
    except (KeyboardInterrupt, typer.Abort):
        return _report_interrupt(reporter)
    except BaseException as error:  # noqa: BLE001 (the last place that can explain it)
        return _report_failure(error, reporter)
    # Typer ends with this exit code after Ctrl-C.
    if ended == ExitCode.INTERRUPTED:
        return _report_interrupt(reporter)
    return int(ended or ExitCode.DONE)


def _print_result(ended: CommandResult, reporter: Reporter) -> None:
    """Print the result, then the diagnostics."""
    if not (ended.is_confirmation and reporter.is_quiet and not reporter.is_json):
        try:
            typer.echo(_text(ended, reporter))
        except BrokenPipeError:
            # A reader such as head has read enough; the rest of stdout is dropped.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    for diagnostic in ended.diagnostics:
        reporter.report(diagnostic)


def _text(ended: CommandResult, reporter: Reporter) -> str:
    if reporter.is_json:
        is_bare = ended.is_contract_body
        return as_json(ended.body() if is_bare else envelope(reporter.command, ended))
    shown = ended.text()
    if isinstance(shown, str):
        return shown
    from pipeline.terminal import layout

    return layout.rendered(shown)


def _report_interrupt(reporter: Reporter) -> ExitCode:
    reporter.report(_INTERRUPTED)
    _print_error(INTERRUPT, _INTERRUPTED.message, reporter.command, reporter)
    return INTERRUPT.code


def _report_failure(error: BaseException, reporter: Reporter) -> ExitCode:
    """Explain a failure in one sentence; return its exit code."""
    command = _command_of(error) or reporter.command
    expected = _expected(error)
    if expected is None:
        failure, message = CRASH, reporter.report_crash(error, now())
    else:
        failure, message = expected
        if message:
            reporter.report(Diagnostic("command_failed", message, Severity.ERROR))
    _print_error(failure, message, command, reporter)
    return failure.code


def _expected(error: BaseException) -> tuple[Failure, str] | None:
    """Find the exit code and the message of a failure that is expected; None of a crash."""
    if isinstance(error, typer.TyperException):
        return USAGE, _usage_message(error)
    failure = errors.lookup(FAILURES, error)
    if failure is None or not isinstance(error, OSError):
        return None if failure is None else (failure, str(error))
    place = f"{error.filename}: " if error.filename else ""
    return (failure, f"{place}{error.strerror}") if error.strerror else None


def _usage_message(error: typer.TyperException) -> str:
    """Reword Typer's message about wrong arguments; empty where Typer has shown the help."""
    context: typer.Context | None = getattr(error, "ctx", None)
    message = " ".join(error.format_message().split()).removesuffix(".")
    message = message.replace("Value error, ", "").replace(". Did you", ", did you")
    if context is None or not message:
        return message
    message = f"{message[0].lower()}{message[1:]}"
    return (
        message if message.endswith("?") else f"{message}; {context.command_path} --help shows more"
    )


def _command_of(error: BaseException) -> str | None:
    """Name the command whose arguments are wrong; None where the program's own are."""
    context: typer.Context | None = getattr(error, "ctx", None)
    return None if context is None else name_of(context)


def _print_error(failure: Failure, message: str, command: str | None, reporter: Reporter) -> None:
    """Print the failure on stdout as JSON, where JSON is asked for."""
    if reporter.is_json:
        with suppress(OSError):  # a stdout that can't be written may be the very failure
            typer.echo(as_json(error_envelope(command, failure, message)))
