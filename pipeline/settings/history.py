"""Settings of what has been: how long it is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipeline.settings.sections import NO_FLAG, Section


class HistorySettings(Section):
    """The bounds of what can be undone."""

    undelete_days: Annotated[int, Field(ge=0, le=36_500), NO_FLAG] = 30
    """The days for which a deletion can be undone; its files stay as long."""
