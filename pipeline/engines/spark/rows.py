"""The validated rows, as one plan for the cluster, and what is read without them.

Each row has its month, verdict, seconds and checksums. One shuffle brings the statements of each
participation together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import narwhals as nw
import polars as pl
import pyarrow as pa
from pyspark.sql import Window
from pyspark.sql import functions as F  # noqa: N812 (Spark's documentation names it so)

from pipeline.definitions import rules, steps
from pipeline.definitions.seconds import IS_NEAR_HALF, add_seconds
from pipeline.engines import grouping, participants, quarantine, row_hash
from pipeline.engines.participants import HASH
from pipeline.engines.row_hash import CHECKSUM, ROW_HASH
from pipeline.engines.spark import hashing, scan
from pipeline.engines.spark.dialect import SparkDialect
from pipeline.model.columns import (
    ACTIVITY_ID,
    FILE,
    HOURS,
    KEY,
    ORG_ID,
    PARTICIPANT_ID,
    ROW,
    latest_by,
)
from pipeline.model.ledger import COUNTED, LEDGER
from pipeline.model.metrics import SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pyspark.sql import Column, DataFrame

    from pipeline.engines import ScanRequest
    from pipeline.engines.spark.cluster import Cluster
    from pipeline.sources.accepted import Export

_LATEST_HASH: Final = "latest_hash"
"""The row hash of the latest statement of the row's participation."""
_FILE_CHECKSUM: Final = "file_checksum"
"""The summand of a row in the checksum of its file."""
REJECTED: Final = "rejected"
"""The values that quarantine shows, where the row is quarantined."""
_APART: Final = ("apart_file", "apart_row")
"""Columns in which only rows that are no statements differ: each is then alone in its window."""
_LIMIT: Final = "sample_limit"
_KEY_HASH: Final = "key_hash"
_PARTITION: Final = "partition_hash"
"""The hash by which rows are divided: the same for all statements of a participant."""
COUNTING: Final = SparkDialect({PARTICIPANT_ID: (_PARTITION,)})
"""The way of counting validated rows: all that one participant did is in one partition."""
NEAR_HALF: Final = "hours_near_half"
"""The hours of a counted row that are near half a second, else null."""
EXACT_SECONDS: Final = "exact_seconds"
HAS_CELL: Final = "has_cell"
"""Whether a row is in a cell."""


def validated(cluster: Cluster, scanned: DataFrame, request: ScanRequest) -> DataFrame:
    """Validate the rows of a scan: month, verdict, seconds, checksums, and what quarantine shows.

    Sorting compares the hash of the key first, and its texts only where hashes are equal.
    """
    columns = request.terms.columns
    key = (_KEY_HASH, _PARTITION, *KEY, *_APART)
    if request.organisations is not None:
        wanted = pa.table({ORG_ID: pa.array(request.organisations, pa.string())})
        of_wanted = cluster.spark.createDataFrame(wanted)
        scanned = scanned.join(of_wanted, ORG_ID, "left_semi")
    names = row_hash.hashed_columns(columns)
    hashed = scanned.withColumn(ROW_HASH, hashing.row_hash(names, dict(scanned.dtypes)))
    checked = steps.check_organisations(nw.from_native(hashed))
    months = request.calendar
    placed = steps.assign_month(checked, months, months, scan.DIALECT).to_native()
    is_statement = F.col(steps.REASON).isNull()
    apart = {
        name: F.when(~is_statement, F.col(column))
        for name, column in zip(_APART, (FILE, ROW), strict=True)
    }
    hashes = {
        _KEY_HASH: F.xxhash64(*KEY, *_APART),
        _PARTITION: F.xxhash64(ORG_ID, PARTICIPANT_ID, *_APART),
    }
    keyed = placed.withColumns(apart).withColumns(hashes).repartition(_PARTITION)
    marked = steps.mark_latest(nw.from_native(keyed), columns, key).to_native()
    newest_first = [F.col(name).desc_nulls_last() for name in latest_by(columns)]
    window = Window.partitionBy(*key).orderBy(*newest_first)
    window = window.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    latest = marked.withColumn(_LATEST_HASH, F.first(ROW_HASH).over(window))
    judged = steps.validate(nw.from_native(latest), request.terms, decides_halves=False)
    is_near = nw.col(steps.REASON).is_null() & IS_NEAR_HALF
    with_near = judged.with_columns(nw.when(is_near).then(nw.col(HOURS)).alias(NEAR_HALF))
    return with_near.to_native().select(*_held(request))


def _held(request: ScanRequest) -> list[Column]:
    """List what is held of a row: all that numbers, digests, ledger and quarantine need."""
    terms = request.terms
    held = (ORG_ID, ACTIVITY_ID, PARTICIPANT_ID, *(one.column for one in terms.breakdowns))
    is_rejected = F.col(steps.REASON).isin(list(quarantine.LINES))
    return [
        *(F.col(name) for name in (*held, steps.MONTH, steps.REASON, SECONDS, NEAR_HALF, FILE)),
        F.col(rules.HAS_VALID_ORG),
        F.col(_PARTITION),
        hashing.checksum(ROW_HASH, _LATEST_HASH).alias(CHECKSUM),
        hashing.checksum(ROW_HASH, ROW_HASH).alias(_FILE_CHECKSUM),
        F.when(is_rejected, F.struct(*quarantine.columns(terms.columns))).alias(REJECTED),
    ]


def drawn(cluster: Cluster, rows: DataFrame, exports: Sequence[Export]) -> DataFrame:
    """Select the different participants of each file that are in its sample, as `participants`."""
    numbered = pa.table(
        {
            FILE: pa.array(range(len(exports)), pa.int32()),
            # Half of each number, for Spark's are signed.
            _LIMIT: pa.array([participants.limit(one) >> 1 for one in exports], pa.int64()),
        }
    )
    limits = F.broadcast(cluster.spark.createDataFrame(numbered))
    hashed = F.expr(f"xxhash64('{PARTICIPANT_ID}', {PARTICIPANT_ID})").alias(HASH)
    people = rows.filter(F.col(PARTICIPANT_ID).isNotNull()).select(FILE, PARTICIPANT_ID, hashed)
    is_drawn = F.shiftrightunsigned(HASH, 1) < F.col(_LIMIT)
    return people.join(limits, FILE).filter(is_drawn).drop(_LIMIT).distinct()


def odd_ids(rows: DataFrame) -> DataFrame:
    """Select the participants of each file whose ids can differ from what they look like."""
    is_odd = F.col(PARTICIPANT_ID).rlike(r"[^\x21-\x7E]|^0")
    return rows.filter(is_odd).select(FILE, PARTICIPANT_ID).distinct()


def participant_hashes(rows: DataFrame, wanted: DataFrame) -> DataFrame:
    """Select the hashes of participants that are among these."""
    hashed = F.expr(f"xxhash64('{PARTICIPANT_ID}', {PARTICIPANT_ID})").alias(HASH)
    people = rows.filter(F.col(PARTICIPANT_ID).isNotNull()).select(hashed).distinct()
    return people.join(F.broadcast(wanted), HASH, "left_semi")


def by_file(rows: DataFrame) -> DataFrame:
    """Sum up validated rows by file, ledger line, and whether they are in a cell."""
    line = F.coalesce(F.col(steps.REASON), F.lit(LEDGER.index(COUNTED))).alias(steps.REASON)
    has_cell = F.col(steps.MONTH).isNotNull().alias(HAS_CELL)
    near = F.count(NEAR_HALF).alias(NEAR_HALF)
    return rows.groupBy(FILE, line, has_cell).agg(
        counted_rows(), near, *hashing.sums(_FILE_CHECKSUM)
    )


def exact_seconds(hours: pl.DataFrame) -> pl.DataFrame:
    """Round hours near half a second in this process: one row per different value of `NEAR_HALF`.

    Java before release 19 writes some doubles with a digit too many (JDK-4511638), and Spark
    writes as Java does. Such hours are few.
    """
    near = hours.lazy().select(NEAR_HALF, pl.col(NEAR_HALF).alias(HOURS))
    exact = add_seconds(nw.from_native(near), ~nw.col(HOURS).is_null()).to_native().collect()
    return pl.DataFrame(exact).select(NEAR_HALF, pl.col(SECONDS).alias(EXACT_SECONDS))


def with_exact_seconds(rows: DataFrame, exact: DataFrame) -> DataFrame:
    """Replace the seconds of validated rows near half a second by `exact_seconds`."""
    is_near = F.col(NEAR_HALF).isNotNull()
    seconds = F.when(is_near, F.col(EXACT_SECONDS)).otherwise(F.col(SECONDS))
    return rows.join(exact, NEAR_HALF, "left").withColumn(SECONDS, seconds)


def counted_rows() -> Column:
    """Count the rows of a group as `ROWS`."""
    return F.count(F.lit(1)).alias(steps.ROWS)


def file_checksums(cluster: Cluster, request: ScanRequest, of: scan.Sources) -> Mapping[str, str]:
    """Read the exports, and give the content checksum of each by its name.

    Raises:
        ReadFailed, OSError, pyarrow.ArrowException, EngineFailed: As `survey`.
    """
    with cluster.query():
        scanned = scan.scan(cluster, request, of)
        names = row_hash.hashed_columns(request.terms.columns)
        hashed = scanned.select(FILE, hashing.row_hash(names, dict(scanned.dtypes)).alias(ROW_HASH))
        summands = hashed.select(FILE, hashing.checksum(ROW_HASH, ROW_HASH).alias(_FILE_CHECKSUM))
        sums = summands.groupBy(FILE).agg(*hashing.sums(_FILE_CHECKSUM)).toArrow()
    return content_checksums(request, grouping.frame_of(sums))


def content_checksums(request: ScanRequest, files: pl.DataFrame) -> Mapping[str, str]:
    """Give the content checksum of each export by its name, from the sums by file."""
    sums = files.select(FILE, hashing.total().alias(CHECKSUM)).group_by(FILE)
    found = dict(sums.agg(pl.col(CHECKSUM).sum()).iter_rows())
    return {
        export.file.name: row_hash.content_checksum(export, found.get(place, 0))
        for place, export in enumerate(request.exports)
    }


def organisations(cluster: Cluster, request: ScanRequest, of: scan.Sources) -> frozenset[str]:
    """Find the valid organisations that any row names.

    Raises:
        ReadFailed, OSError, pyarrow.ArrowException, EngineFailed: As `survey`.
    """
    with cluster.query():
        read = scan.scan(cluster, request, of).select(ORG_ID)
        checked = steps.check_organisations(nw.from_native(read)).to_native()
        named = checked.filter(rules.HAS_VALID_ORG).select(ORG_ID).distinct().toArrow()
    return frozenset(grouping.frame_of(named).get_column(ORG_ID))
