"""The cluster as the engine asks it: queries, and their errors in the program's own words.

Errors of a file are `ReadFailed`, those of the cluster `EngineFailed`. Faults of this program are
raised as they are.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, cast

from pipeline.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import DataFrame, SparkSession

_OF_FILES: Final = re.compile(
    r"\[FAILED_READ_FILE|\[PATH_NOT_FOUND|\[CANNOT_READ_FILE|\[FILE_NOT|\[INVALID_UTF8_STRING"
)
_UNAVAILABLE: Final = "UNAVAILABLE"
"""The status of a Connect server that is gone, as gRPC names it."""


class ReadFailed(Exception):
    """A query that a file ended, because it can't be read to its end."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A session with a cluster, and its name in messages."""

    spark: SparkSession
    address: str
    tag: str
    """The tag of all its queries, so that they can be cancelled."""

    @contextmanager
    def query(self) -> Iterator[None]:
        """Translate the errors of queries in this block.

        Raises:
            ReadFailed: A file can't be read to its end.
            EngineFailed: The cluster can't be reached, or has lost the query.
        """
        try:
            yield
        except errors() as error:
            if _is_gone(error):
                self._hang_up()
            raise _translated(error, self.address) from error

    def hold(self, name: str, frame: DataFrame) -> DataFrame:
        """Let the cluster hold rows under this name as soon as they are computed."""
        frame.createOrReplaceTempView(name)
        self.spark.catalog.cacheTable(name)
        return self.spark.table(name)

    def forget(self, name: str, *, is_cancelled: bool = False) -> None:
        """Let the cluster forget rows that it holds, as far as it can still be reached.

        Args:
            name: The name of the rows.
            is_cancelled: Cancel queries as well, which the cluster would finish for no one.
        """
        if is_cancelled:
            with suppress(*errors()):
                self.spark.interruptTag(self.tag)
        with suppress(*errors()):
            self.spark.catalog.dropTempView(name)

    def _hang_up(self) -> None:
        """Send nothing more to a Connect server that is gone; each request would be retried."""
        with suppress(AttributeError, *errors()):
            self.spark.client.close()


def errors() -> tuple[type[Exception], ...]:
    """List the errors of Spark's packages, as far as they are installed."""
    from pyspark.errors import PySparkException  # noqa: PLC0415

    found: list[type[Exception]] = [PySparkException, ConnectionError]
    if find_spec("py4j") is not None:
        from py4j.protocol import Py4JError  # noqa: PLC0415

        found.append(Py4JError)
    if find_spec("grpc") is not None:
        from grpc import RpcError  # noqa: PLC0415

        found.append(RpcError)
    return tuple(found)


def _translated(error: Exception, address: str) -> Exception:
    from pyspark.errors import AnalysisException, ParseException  # noqa: PLC0415

    if _OF_FILES.search(str(error)):
        return ReadFailed(sentence_of(error))
    if isinstance(error, (AnalysisException, ParseException)):
        return cast("Exception", error)  # a fault of this program
    failure = "gave no answer" if _is_gone(error) else "could not carry out a query"
    return EngineFailed("spark", f"{address} {failure}", sentence_of(error))


def _is_gone(error: Exception) -> bool:
    """Return whether the server is gone; names of files, in other errors, have any text."""
    return _UNAVAILABLE in str(error) and not _OF_FILES.search(str(error))


def sentence_of(error: Exception) -> str:
    """Give the first line of an error that has a content, without the names of Java's classes."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = next((line for line in lines if not line.startswith("An error occurred")), repr(error))
    return re.sub(r"^:?\s*(?:[\w.$]+(?:Exception|Error): )+", "", first).rstrip(".")[:300]
