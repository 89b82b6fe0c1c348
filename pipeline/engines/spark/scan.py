"""Exports read by the cluster into typed rows, and the files that it can't read.

One scan reads all files whose columns are stored alike. Files that Spark does not read exactly are
read by Arrow in this process, a few rows at a time, and sent to the cluster.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Final

import narwhals as nw
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 (Spark's documentation names it so)

from pipeline.definitions.participations import typed
from pipeline.definitions.steps import ROWS
from pipeline.engines import refusal
from pipeline.engines.spark import stored
from pipeline.engines.spark.dialect import SparkDialect
from pipeline.model.columns import FILE, ROW, ColumnMapping, Ticks, Unit
from pipeline.sources import batches, pages

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pyspark.sql import Column, SparkSession

    from pipeline.engines import ScanRequest
    from pipeline.engines.spark.cluster import Cluster
    from pipeline.errors import ExportRefused
    from pipeline.sources.accepted import Export

READ_ERRORS: Final = (pa.ArrowException, OSError)
"""The errors that reading a damaged file in this process raises."""
DIALECT: Final = SparkDialect()
_PATH: Final = "path"
_ROWS_AT_ONCE: Final = 262_144
"""Rows of a file read in this process that are sent to the cluster together."""
_VECTORIZED: Final = "spark.sql.parquet.enableVectorizedReader"
"""Spark's quicker reader, which gives no bytes of INT96."""
_WILDCARDS: Final = str.maketrans({sign: f"\\{sign}" for sign in "{}[]*?\\"})
_OPTIONS: Final = {
    "recursiveFileLookup": "true",  # names of folders make no columns
    "parquet.page.verify-checksum.enabled": "true",
}


@dataclass(frozen=True, slots=True)
class Sources:
    """The exports of a request, divided by who reads them."""

    alike: Sequence[Mapping[int, Export]]
    """Exports for the cluster, by position, in groups that one scan can read."""
    single: Mapping[int, Export]
    """Exports for Arrow in this process, by position."""


def sources(exports: Sequence[Export], unreadable: Collection[Export] = ()) -> Sources:
    """Divide exports; those that Spark has turned out not to read are for Arrow as well.

    So are converted ones: the cluster may not see the cache of this machine.
    """
    groups: dict[object, dict[int, Export]] = {}
    single: dict[int, Export] = {}
    for place, export in enumerate(exports):
        if export in unreadable or export.converted or not stored.is_readable(export):
            single[place] = export
        else:
            groups.setdefault(export.read_as, {})[place] = export
    return Sources(list(groups.values()), single)


def scan(cluster: Cluster, request: ScanRequest, of: Sources) -> DataFrame:
    """Plan the scan: one typed row per row of all organisations.

    Verifies the checksums of pages in files that have any.

    Raises:
        OSError, pyarrow.ArrowException: A file that is read in this process is damaged.
    """
    has_int96 = any(stored.has_int96(one) for group in of.alike for one in group.values())
    cluster.spark.conf.set(_VECTORIZED, str(not has_int96).lower())
    frames = [
        *(_typed(request, *_files(cluster.spark, group)) for group in of.alike),
        *(_typed(request, *_sent(cluster.spark, *one)) for one in of.single.items()),
    ]
    return reduce(DataFrame.unionByName, frames or [_nothing(cluster.spark, request)])


def _typed(request: ScanRequest, raw: DataFrame, mapping: ColumnMapping) -> DataFrame:
    frame: DataFrame = typed(
        nw.from_native(raw), mapping, request.clock, request.terms.columns, DIALECT
    ).to_native()
    return frame


def _nothing(spark: SparkSession, request: ScanRequest) -> DataFrame:
    """Make a typed frame without rows."""
    raw = spark.range(0).select(F.col("id").alias(FILE), F.col("id").alias(ROW))
    return _typed(request, raw, ColumnMapping({}, {}))


def _files(spark: SparkSession, group: Mapping[int, Export]) -> tuple[DataFrame, ColumnMapping]:
    """Scan the raw rows of files that are stored alike."""
    export = next(iter(group.values()))
    columns, mapping = stored.raw(export)
    paths = {_absolute(one): place for place, one in group.items()}
    rows = _read(spark, group.values()).select(
        *columns, _path().alias(_PATH), F.col("_metadata.row_index").alias(ROW)
    )
    if len(paths) == 1:
        return rows.drop(_PATH).withColumn(FILE, F.lit(next(iter(paths.values())))), mapping
    numbers = spark.createDataFrame(pa.table({_PATH: list(paths), FILE: list(paths.values())}))
    # A row of an unknown file is kept, so that the ledger of its file is found to be broken.
    return rows.join(F.broadcast(numbers), _PATH, "left").drop(_PATH), mapping


def _read(spark: SparkSession, exports: Iterable[Export], **options: str) -> DataFrame:
    """Open files that are stored alike, by the types that their footers have."""
    alike = list(exports)
    reader = spark.read.schema(stored.schema(alike[0])).options(**_OPTIONS, **options)
    return reader.parquet(*(_address(export) for export in alike))


def _absolute(export: Export) -> str:
    """Give a file's address without a scheme for paths of this machine."""
    location = export.parquet.location
    if "://" in location:
        return location
    path = Path(location).absolute()
    # Hadoop takes `..` for the folder above by name, which it is not after a link.
    return os.path.realpath(path) if ".." in path.parts else str(path)


def _address(export: Export) -> str:
    """Give a file's address as Spark reads it, whatever its default file system is."""
    address = _absolute(export)
    scheme = "" if "://" in address else "file://"
    return scheme + address.translate(_WILDCARDS)


def _path() -> Column:
    """Give the address of a row's file, as `_absolute`; Spark writes it as a URI."""
    uri = F.col("_metadata.file_path")
    decoded = F.url_decode(F.replace(uri, F.lit("+"), F.lit("%2B")))
    address = F.when(uri.contains("%") | uri.contains("+"), decoded).otherwise(uri)
    local = F.concat(
        F.lit("/"), F.ltrim(F.substring(address, len("file:") + 1, 2**31 - 1), F.lit("/"))
    )
    return F.when(uri.startswith("file:"), local).otherwise(address)


def _sent(spark: SparkSession, place: int, export: Export) -> tuple[DataFrame, ColumnMapping]:
    """Read the raw rows of one file here, and send them to the cluster."""
    pages.verify(export, 0, export.rows)
    frames = [spark.createDataFrame(table) for table in _tables(export)]
    rows = reduce(DataFrame.unionByName, frames).withColumn(FILE, F.lit(place))
    instants = dict(export.mapping.instants)
    for ours, ticks in export.mapping.instants.items():
        if ticks.unit is Unit.NANOSECONDS:
            instants[ours] = Ticks(Unit.SPLIT, zoned=ticks.zoned)
            micros, beyond = stored.split_nanoseconds(ours, F.col(ours))
            others = [name for name in rows.columns if name != ours]
            rows = rows.select(*others, micros, beyond)
    return rows, replace(export.mapping, instants=instants)


def _tables(export: Export) -> Iterator[pa.Table]:
    """Read the rows of a file, numbered, some at a time; one empty table where it has none."""
    schema = batches.schema(export)
    waiting: list[pa.RecordBatch] = []
    first = rows = 0
    for batch in batches.read(export):
        waiting.append(batch)
        rows += batch.num_rows
        if rows - first >= _ROWS_AT_ONCE:
            yield _numbered(pa.Table.from_batches(waiting, schema), first)
            waiting, first = [], rows
    if waiting or not first:
        yield _numbered(pa.Table.from_batches(waiting, schema), first)


def _numbered(table: pa.Table, first: int) -> pa.Table:
    """Add the position of each row, and convert unsigned numbers, which Spark does not have."""
    for place, field in enumerate(table.schema):
        if pa.types.is_unsigned_integer(field.type):
            wide = pa.decimal128(20, 0) if field.type.bit_width > 32 else pa.int64()  # noqa: PLR2004
            column = table[field.name].cast(pa.decimal128(20, 0)).cast(wide)
            table = table.set_column(place, field.name, column)
    return table.append_column(ROW, pa.array(range(first, first + table.num_rows), pa.int64()))


def examine(
    cluster: Cluster, of: Sources
) -> tuple[Mapping[Export, ExportRefused], frozenset[Export]]:
    """Find the exports that can't be read to their end, and those that only Spark can't read.

    The cluster counts the rows of each file up to the first that it can't read, without those that
    are no UTF-8. A file with fewer than its footer has is then read by Arrow here, which has the
    clearer errors.

    Raises:
        ReadFailed, EngineFailed: As `Cluster.query`.
    """
    counts: dict[str, int] = {}
    for group in of.alike:
        with cluster.query():
            rows = _read(cluster.spark, group.values(), ignoreCorruptFiles="true")
            # Only columns whose values are wanted are read.
            values = [F.count(F.col(stored.quoted(name))) for name in rows.columns]
            legible = F.count_if(stored.is_legible(next(iter(group.values())))).alias(ROWS)
            table = rows.groupBy(_path().alias(_PATH)).agg(legible, *values).toArrow()
        counts |= dict(zip(table[_PATH].to_pylist(), table[ROWS].to_pylist(), strict=True))
    exports = [export for group in of.alike for export in group.values()]
    short = [one for one in exports if counts.get(_absolute(one), 0) != one.rows]
    refused: dict[Export, ExportRefused] = {}
    for export in [*short, *of.single.values()]:
        try:
            pages.verify(export, 0, export.rows)
            for _ in batches.read(export):
                pass
        except READ_ERRORS as error:
            refused[export] = refusal(export, error)
    return refused, frozenset(short).difference(refused)
