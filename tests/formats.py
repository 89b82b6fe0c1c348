"""Files in other formats than Parquet, for tests: how they are converted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from pipeline.model.columns import UNREADABLE
from pipeline.sources.encryption import open_parquet
from pipeline.sources.folders import look_at
from pipeline.sources.formats.converted_file import PLACE
from tests.given import conversions, settings

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.settings import Settings

HEADER: Final = (
    "org_id",
    "activity_id",
    "participant_id",
    "bufdir_category",
    "started_at",
    "hours",
)
"""The required columns."""


@dataclass(frozen=True)
class Converted:
    """A converted file."""

    rows: list[dict[str, Any]]
    """Our columns that the file has, row by row; instants as ISO 8601."""
    places: list[tuple[int, str | None, str | None]]
    """The row, the sheet and the unreadable columns of each."""
    unreadable: list[int]
    """The rows with a value that could not be read."""
    ignored: tuple[str, ...]


def csv_settings(**options: Any) -> Settings:
    """Return settings with one source of CSV."""
    return format_settings("csv", csv=options)


def format_settings(format_: str, **chosen: Any) -> Settings:
    """Return settings with one source of this format."""
    return settings(sources=({"name": "system", "format": format_, **chosen},))


def converted(path: Path, chosen: Settings) -> Converted:
    """Convert a file by the settings of its source."""
    (source,) = chosen.every_source
    export = conversions(path.parent, chosen).accept(
        look_at(path, path.name), source, chosen.terms.columns
    )
    with open_parquet(export.parquet) as parquet:
        frame = pl.DataFrame(parquet.read())
    assert len(frame) == export.rows
    ours = [name for name in export.mapping.sources if name != UNREADABLE]
    instants = pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ")
    return Converted(
        frame.select(ours).with_columns(instants).to_dicts(),
        frame.select(PLACE).rows(),
        frame.filter(UNREADABLE).get_column(PLACE[0]).to_list(),
        export.ignored,
    )
