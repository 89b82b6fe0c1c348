"""The names of a file's columns, held against ours: required ones that lack, and ambiguous ones."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.errors import ExportRefused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pipeline.model.columns import Column
    from pipeline.settings import SourceSettings
    from pipeline.sources.exports import File


def names_of(source: SourceSettings, columns: Iterable[Column]) -> Mapping[str, str]:
    """Give the name that a source has for each of these columns, by ours."""
    return {column.name: source.columns.get(column.name, column.name) for column in columns}


def refuse_ambiguous(
    file: File, found: Sequence[str], wanted: Iterable[str], rows: int | None = None
) -> None:
    """Refuse columns of one name, and columns of ours that differ from others in case only.

    Engines would choose different ones of them.

    Args:
        file: The file.
        found: The names of its columns.
        wanted: The names under which ours are looked up.
        rows: Its rows, where they are known.

    Raises:
        ExportRefused: There are such columns.
    """
    counts = Counter(found)
    twice = next((name for name, count in counts.items() if count > 1), None)
    if twice is not None:
        problem = f"it has {counts[twice]} columns named {twice}; keep one"
        raise ExportRefused(file.name, problem, rows)
    alike: dict[str, list[str]] = {}
    for name in counts:
        alike.setdefault(name.lower(), []).append(name)
    for name in wanted:
        same = alike.get(name.lower(), [])
        if name in counts and len(same) > 1:
            problem = f"columns {' and '.join(same)} differ in upper and lower case only; keep one"
            raise ExportRefused(file.name, problem, rows)


def refuse_missing(
    file: File,
    found: Sequence[str],
    names: Mapping[str, str],
    columns: Iterable[Column],
    rows: int | None = None,
) -> None:
    """Refuse a file that lacks a required column.

    Args:
        file: The file.
        found: The names of its columns.
        names: The name of each of our columns in it.
        columns: Our columns.
        rows: Its rows, where they are known.

    Raises:
        ExportRefused: One is missing.
    """
    for column in columns:
        if column.required and names[column.name] not in found:
            problem = (
                f"it lacks the required column {shown(names, column)}; it has "
                f"{', '.join(found) or 'none'}. Export the column, or name theirs in "
                "[export.columns]"
            )
            raise ExportRefused(file.name, problem, rows)


def shown(names: Mapping[str, str], column: Column) -> str:
    """Give the name of a column in a file, with ours where it differs."""
    theirs = names[column.name]
    return theirs if theirs == column.name else f"{theirs} (our {column.name})"
