"""Files as activity systems write them, for tests of proposals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

HEADER: Final = "Enhet;Aktivitet;Person-ID;Målgruppe;Dato;Antall timer"
ROW: Final = "org-1;a1;Ø§Æ;Åpen barnehage;05.11.2024 18:00;1,5"
OTHER: Final = "org-1;a2;Ø§Æ;ungdom;28.11.2024 18:00;2"
PERSON: Final = "Ø§"
"""Signs of the participant that are nowhere else."""


def text(path: Path, *lines: str, encoding: str = "utf-8", mark: bytes = b"") -> Path:
    """Write a text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mark + "\r\n".join([*lines, ""]).encode(encoding))
    return path
