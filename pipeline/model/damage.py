"""Damage: a file whose content is not what was written, and the sentences about it."""

from __future__ import annotations

import msgspec


class DamagedFile(msgspec.Struct, frozen=True):
    """A file of the data folder that is not as it was written."""

    file: str
    """Its name below the data folder."""
    id: str | None
    """The snapshot that it is about; None where it is about all."""
    version: int | None
    """The version whose file it is; None where it is no version file."""
    problem: str
    remedy: str

    @property
    def sentence(self) -> str:
        """The damage and what ends it."""
        return f"{self.file} is damaged: {self.problem}; {self.remedy}"
