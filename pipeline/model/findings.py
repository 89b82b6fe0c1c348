"""Findings: the state of each subject of an installation, and what to do."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Health(StrEnum):
    """The state of a subject."""

    FINE = "fine"
    NOTICE = "notice"
    """It works, and somebody should know."""
    PROBLEM = "problem"
    """Somebody has to act."""
    UNKNOWN = "unknown"
    """It can't be examined here."""


class Finding(msgspec.Struct, frozen=True):
    """The state of one subject."""

    subject: str
    health: Health
    detail: str
    remedy: str | None = None
    """The act that ends a problem."""
