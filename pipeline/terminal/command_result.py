"""Results of commands as values, and the JSON envelope around them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pipeline.terminal.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from pipeline.terminal.exit_codes import Failure


class Severity(StrEnum):
    """The severity of a diagnostic; each is a level of the log too."""

    INFO = "info"
    """Good to know; `--quiet` leaves it out."""
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """A message to the operator, in addition to the result."""

    event: str
    message: str
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The result of a command: what is printed, and the exit code."""

    text: Callable[[], RenderableType]
    """Makes the text or tables for people; called only where they are printed."""
    body: Callable[[], object]
    """Makes the value for programs; called only for `--json`."""
    diagnostics: Sequence[Diagnostic] = ()
    exit_code: ExitCode = ExitCode.DONE
    is_contract_body: bool = False
    """Whether the value is printed as it is, as the API sends it, without the envelope."""
    is_confirmation: bool = False
    """Whether the text only confirms what was done; `--quiet` leaves it out."""


@dataclass(frozen=True, slots=True)
class CommandError:
    """The failure of a command, for programs."""

    type: str
    message: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """The JSON document of every command that prints no contract body, and of every failure."""

    command: str | None
    exit_code: int
    result: object
    diagnostics: Sequence[Diagnostic]
    error: CommandError | None


def envelope(command: str | None, ended: CommandResult) -> Envelope:
    """Put the result of a command into an envelope."""
    return Envelope(command, int(ended.exit_code), ended.body(), ended.diagnostics, None)


def error_envelope(command: str | None, failure: Failure, message: str) -> Envelope:
    """Put the failure of a command into an envelope."""
    return Envelope(command, int(failure.code), None, (), CommandError(failure.type, message))


def as_json(value: object) -> str:
    """Write a value as indented JSON."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
