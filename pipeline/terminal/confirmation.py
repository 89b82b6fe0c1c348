"""Confirmation of what can't be undone: asked for on a terminal, refused off one without --yes."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import typer

from pipeline.errors import BufdirError


@dataclass(eq=False)
class ConfirmationNeeded(BufdirError):
    """A command that must be confirmed, where no terminal can be asked."""

    action: str

    def __str__(self) -> str:
        return f"{self.action} needs a confirmation, and this is no terminal; give --yes"


@dataclass(eq=False)
class Declined(BufdirError):
    """A command that the user declined when asked."""

    action: str

    def __str__(self) -> str:
        return f"declined: {self.action} was not done"


def confirm(action: str, question: str) -> None:
    """Ask on the terminal, on stderr; return where the user agrees.

    Raises:
        ConfirmationNeeded: Stdin is no terminal.
        Declined: The user declined.
    """
    if not sys.stdin.isatty():
        raise ConfirmationNeeded(action)
    if not typer.confirm(question, err=True):
        raise Declined(action)
