"""Declarations in a version: who let numbers be published that the guard would have held back."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pipeline.model.states import DeclarationKind, Reason, Retirement


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An act of an operator without which a version would not be what it is."""

    kind: DeclarationKind
    declared_at: datetime
    """UTC."""
    declared_by: str
    """`local:` and the user of the computer, or `api`."""
    exports: tuple[str, ...] = ()
    """The exports that it is about: gone, refused, or with fewer rows than before."""
    reason: Reason | None = None
    """The reason for which a forced run would have left the snapshot as it was."""
    retirement: Retirement | None = None
    """Whether numbers were to stay; None for a fall that was to be published."""
    note: str = ""
    """The reason in the operator's words."""
