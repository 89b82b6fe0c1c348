"""Files with the tracebacks of crashes, to be reported to the maintainers of the program."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline import redaction

if TYPE_CHECKING:
    from datetime import datetime

FOLDER: Final = "crashes"
"""The folder of tracebacks in the data folder."""


def write(error: BaseException, data: Path | None, now: datetime, program: str) -> Path:
    """Write a traceback into the data folder, or into a temporary file where that fails."""
    text = redaction.traceback_of(error)
    name = f"{now:%Y%m%dT%H%M%SZ}-{os.getpid()}.log"
    if data is not None and data.is_dir():
        try:
            path = data / FOLDER / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        except OSError:
            pass  # a full disk may be the very cause
        else:
            return path
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{program}-", suffix=f"-{name}", delete=False
    ) as file:
        file.write(text)
    return Path(file.name)
