"""The files of a sample: exports in the form that two years of real ones have.

Writes row group by row group, so memory does not grow with the rows. Refuses to write next to
exports that exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sample.groups import plan_of
from pipeline.sample.statements import corrected, statements_of
from pipeline.sample.tables import SCHEMA, table_of, with_dirt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.sample.groups import Plan

_ROW_GROUP: Final = 250_000


def write(  # noqa: PLR0913 a sample has this many properties
    folder: Path,
    *,
    rows: int,
    organisations: int,
    files: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> list[Path]:
    """Write exports of exactly this many rows below a folder; the same bytes for the same seed.

    Each file covers some days of all organisations, and ends with corrections of its own rows and
    of the previous file's. One row in a hundred is a correction, and one has an invalid value.

    Args:
        folder: The folder, created if it does not exist.
        rows: The number of rows in all files together, with corrections.
        organisations: The number of organisations; the first has by far the most rows.
        files: The number of files; each has at least one row.
        seed: The seed of all random choices, zero or more.
        progress: Called with the number of rows just written.

    Returns:
        The files in the order of time, which is the order of their paths.

    Raises:
        ValueError: There are fewer rows than organisations or files, or a number is too small.
        FileExistsError: The folder has Parquet files, and the numbers would mix.
    """
    _refuse(folder, rows, organisations, files, seed)
    plan = plan_of(rows, organisations, files, seed)
    late: list[pa.Table] = []
    paths = []
    for number in range(files):
        places = range(plan.rows * number // files, plan.rows * (number + 1) // files)
        path = folder / _name(plan, places.start, number)
        _write_file(path, _tables(plan, places, late), progress)
        paths.append(path)
    return paths


def _refuse(folder: Path, rows: int, organisations: int, files: int, seed: int) -> None:
    for name, value, least in (("orgs", organisations, 1), ("files", files, 1), ("seed", seed, 0)):
        if value < least:
            msg = f"{name} is {value}; it must be at least {least}"
            raise ValueError(msg)
    if rows < max(organisations, files):
        msg = (
            f"{rows} rows are too few for {organisations} organisations in {files} files; "
            "each needs at least one"
        )
        raise ValueError(msg)
    if any(folder.rglob("*.parquet")):
        msg = f"{folder} already holds Parquet files; choose an empty folder"
        raise FileExistsError(msg)


def _write_file(
    path: Path, tables: Iterator[pa.Table], progress: Callable[[int], None] | None
) -> None:
    """Write under a hidden name, and rename the file when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    options = {
        "compression": "zstd",
        "store_schema": False,  # like files of systems without Arrow
        "dictionary_pagesize_limit": 8 * 1024 * 1024,  # room for the people of one row group
    }
    try:
        with pq.ParquetWriter(partial, SCHEMA, **options) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=_ROW_GROUP)
                if progress is not None:
                    progress(table.num_rows)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _tables(plan: Plan, places: range, late: list[pa.Table]) -> Iterator[pa.Table]:
    """Make the row groups of one file; exchange the corrections in `late` for those of the next."""
    due = late.copy()
    late.clear()
    for first in range(places.start, places.stop, _ROW_GROUP):
        last = min(first + _ROW_GROUP, places.stop)
        statements = statements_of(plan, first, last)
        yield with_dirt(table_of(statements, plan.seed), plan, first, last)
        corrections = table_of(corrected(statements, plan, first, last), plan.seed)
        soon = corrections.num_rows // (1 if places.stop == plan.rows else 4)
        due.append(corrections.slice(0, soon))
        late.append(corrections.slice(soon))
    if any(table.num_rows for table in due):
        yield pa.concat_tables(due)


def _name(plan: Plan, first: int, number: int) -> str:
    """Name a file by its first day, in a folder for its year, with a number that sorts."""
    started_at = statements_of(plan, first, first + 1).started_at
    day = str(started_at.astype("datetime64[us]")[0])[:10]
    return f"{day[:4]}/{day}-{number + 1:05d}.parquet"
