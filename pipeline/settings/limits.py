"""Settings of the bounds that a Parquet file must keep; a file beyond one is refused by name."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from pipeline.settings.sections import NO_FLAG, Section

_MOST: Final = 2**31
"""No bound of a size or count is greater: Parquet counts pages and columns with 32 bits."""


class LimitSettings(Section):
    """The bounds that are read off footers and page headers, before any value is decoded."""

    columns: Annotated[int, Field(ge=1, le=_MOST), NO_FLAG] = 20_000
    """Columns of a file; each of the fields within a nested column is one."""
    row_groups: Annotated[int, Field(ge=1, le=_MOST), NO_FLAG] = 32_767
    row_group_mb: Annotated[int, Field(ge=1, le=_MOST), NO_FLAG] = 2048
    """Mebibytes of one row group, uncompressed; of one column with its dictionary applied, too."""
    expansion: Annotated[int, Field(ge=1, le=_MOST), NO_FLAG] = 2000
    """Uncompressed bytes of a row group for each compressed one."""
    rows_per_byte: Annotated[int, Field(ge=1, le=_MOST), NO_FLAG] = 100
    """Rows of a file for each of its bytes."""
    nesting: Annotated[int, Field(ge=1, le=99), NO_FLAG] = 32
    """Levels of nested columns; Arrow reads at most 99."""
    footer_mb: Annotated[int, Field(ge=1, le=_MOST), NO_FLAG] = 16
    """Mebibytes of the footer, which is read into memory several times as large."""
    metadata_kb: Annotated[int, Field(ge=1, le=_MOST), NO_FLAG] = 8192
    """Kibibytes of what a writer notes in the footer: keys and values together."""
    text_kb: Annotated[int, Field(ge=1, le=_MOST), NO_FLAG] = 64
    """Kibibytes of one text."""


DEFAULTS: Final = LimitSettings()
"""The bounds without any settings."""
