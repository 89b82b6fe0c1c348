"""The session with a cluster: opened by settings, with the configuration that numbers depend on.

Sets what must be so, reads it back, and refuses a session in which it is not.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import uuid
import warnings
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final

from pipeline.engines.spark import cluster
from pipeline.engines.spark.cluster import Cluster
from pipeline.errors import EngineFailed, InvalidSetting, PackageMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyspark.sql import SparkSession

    from pipeline.settings import EngineSettings

REQUIRED: Final[Mapping[str, str]] = {
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.decimalOperations.allowPrecisionLoss": "true",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.sql.parquet.aggregatePushdown": "false",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.filterPushdown": "false",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.parquet.recordLevelFilter.enabled": "false",
}
"""What a session must have for the numbers to be right, and never half of a file's rows."""
_ROW_INDEX: Final = "spark.sql.sources.useV1SourceList"
"""Only the first version of Spark's Parquet source numbers the rows of a file."""
_OPTIONS: Final = {
    # No method that is so large that Java does not compile it: it would run ten times as long.
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # Compressing what the cluster holds takes longer than the rest of holding it.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    # Parts of a million rows or so: all executors end about the same time, and one that is
    # killed costs seconds.
    "spark.sql.files.maxPartitionBytes": "32m",
}
_DRIVER_OPTIONS: Final = {
    "spark.ui.showConsoleProgress": "false",
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}
"""No progress bar on stderr, and no record of the stack in every part of an expression."""
_LOG: Final = Path(__file__).with_name("log4j2.properties")
_JAVA_OPTIONS: Final = "spark.driver.extraJavaOptions"
_LOCALE: Final = "LC_ALL"
_INSTALL: Final = {
    False: ("pyspark", "engine.spark_master", ("spark",)),
    True: ("pyspark", "engine.spark_remote", ("spark-client", "spark")),
}
"""By whether the cluster is reached by Spark Connect: the package, its use, and extras with it."""
_PORTS: Final = {"sc": 15002, "spark": 7077}
"""The port of Spark Connect, and of a master, where an address has none."""
_REACH_SECONDS: Final = 10
_RETRIES: Final = 5
"""Attempts of a request to a server that is gone: about 20 s. Spark's default is 10 minutes."""


def connect(settings: EngineSettings) -> Cluster:
    """Open a session, or the one that this process has already.

    Raises:
        InvalidSetting: No cluster is named, or an option would make numbers wrong.
        PackageMissing: The package for this kind of cluster is not installed.
        EngineFailed: The cluster can't be reached, or does not let a setting be as it must.
    """
    _check_options(settings.spark_options)
    address = settings.cluster
    if not address:
        problem = (
            "the engine spark needs it, or engine.spark_remote; it may be spark://host:7077, or "
            "local[*] for this machine"
        )
        raise InvalidSetting("engine.spark_master", problem, "the settings")
    _check_installed(is_remote=bool(settings.spark_remote))
    logging.getLogger("SQLQueryContextLogger").disabled = True  # would print each error twice
    _reach(address)
    errors: tuple[type[Exception], ...] = (RuntimeError, *cluster.errors())
    try:
        spark = _session(settings)
        tag = f"bufdir-{uuid.uuid4().hex}"
        spark.addTag(tag)
        _configure(spark)
    except errors as error:
        detail = cluster.sentence_of(error)
        raise EngineFailed("spark", f"{address} can't be used", detail) from error
    return Cluster(spark, address, tag)


def _check_options(options: Mapping[str, str]) -> None:
    """Refuse options under which numbers would be wrong.

    Raises:
        InvalidSetting: One has another value than it must have.
    """
    for name, value in REQUIRED.items():
        if options.get(name, value) != value:
            problem = f"it must be {value}, or numbers could be wrong; remove the line"
            raise InvalidSetting(f"engine.spark_options.{name}", problem, "the settings")


def _check_installed(*, is_remote: bool) -> None:
    needed = "pyspark.sql.connect.client" if is_remote else "pyspark.core.context"
    if find_spec("pyspark") is None or find_spec(needed) is None:
        raise PackageMissing(*_INSTALL[is_remote])


def _reach(address: str) -> None:
    """See that a server listens, or a master, or one of several; Spark would try for minutes.

    Raises:
        EngineFailed: None does.
    """
    scheme, _, places = address.partition("://")
    if scheme not in _PORTS:
        return  # this machine, or a cluster that Spark's own files describe
    problem = ""
    for place in places.strip("/").split(","):
        host, _, port = place.rpartition(":")
        where = (host, int(port)) if host and port.isdecimal() else (place, _PORTS[scheme])
        try:
            socket.create_connection(where, _REACH_SECONDS).close()
        except OSError as error:
            problem = error.strerror or str(error)
        else:
            return
    raise EngineFailed("spark", f"{address} can't be reached", problem)


def _session(settings: EngineSettings) -> SparkSession:
    from pyspark.sql import SparkSession  # noqa: PLC0415 (only where it is installed)

    options = {**REQUIRED, **_OPTIONS, **settings.spark_options}
    builder = SparkSession.builder.appName("bufdir")
    return (_connected if settings.spark_remote else _classic)(builder, settings, options)


def _connected(
    builder: SparkSession.Builder, settings: EngineSettings, options: Mapping[str, str]
) -> SparkSession:
    """Open a session with a Connect server, whose requests are not repeated for minutes."""
    from pyspark.sql.connect.client.retries import DefaultPolicy  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Failed to set")
        try:
            spark = builder.remote(settings.spark_remote).config(map=dict(options)).getOrCreate()
        except UserWarning as error:
            name = str(error).removeprefix("Failed to set ").partition(" ")[0]
            problem = "it can't be set from here; set it where the server is started"
            option = f"engine.spark_options.{name}"
            raise InvalidSetting(option, problem, "the settings") from error
    spark.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES)])
    warnings.filterwarnings("ignore", r"\[RETRIES_EXCEEDED\]")  # the error is enough
    atexit.register(spark.stop)
    return spark


def _classic(
    builder: SparkSession.Builder, settings: EngineSettings, options: Mapping[str, str]
) -> SparkSession:
    """Open a session whose driver is a child of this process, and writes nothing on stderr."""
    home = os.environ.get("JAVA_HOME")
    if which("java", path=f"{home}/bin" if home else None) is None:
        problem = f"there is no Java in {home}/bin" if home else "there is no Java"
        raise EngineFailed("spark", f"{problem}; install Java 17, or set JAVA_HOME to its folder")
    java = f"-Dlog4j2.configurationFile={_LOG.as_uri()} {options.get(_JAVA_OPTIONS, '')}"
    chosen = {**_DRIVER_OPTIONS, **options, _JAVA_OPTIONS: java.rstrip()}
    with TemporaryFile() as messages:
        try:
            with _stderr_to(messages.fileno()), _locale_with_all_names():
                return builder.master(settings.spark_master).config(map=chosen).getOrCreate()
        except cluster.errors() as error:
            messages.seek(0)
            printed = messages.read().decode(errors="replace").strip()
            raise RuntimeError(printed.rpartition("\n")[2] or cluster.sentence_of(error)) from error


@contextmanager
def _stderr_to(file: int) -> Iterator[None]:
    """Let what is started in this block write its errors to a file."""
    own = os.dup(2)
    os.dup2(file, 2)
    try:
        yield
    finally:
        os.dup2(own, 2)
        os.close(own)


@contextmanager
def _locale_with_all_names() -> Iterator[None]:
    """Start programs in this block by a locale in which Java finds files of any name.

    Under cron there is none, and Java then takes names for ASCII.
    """
    before = os.environ.get(_LOCALE)
    os.environ[_LOCALE] = "C.UTF-8"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LOCALE]
        else:
            os.environ[_LOCALE] = before


def _configure(spark: SparkSession) -> None:
    """Set what must be so, and read it back.

    Raises:
        EngineFailed: A setting is another than it must be.
    """
    for name, value in REQUIRED.items():
        spark.conf.set(name, value)
        _check(name, spark.conf.get(name), value)
    sources = spark.conf.get(_ROW_INDEX) or ""
    if "parquet" not in sources.split(","):
        _check(_ROW_INDEX, sources, f"{sources},parquet")


def _check(name: str, actual: str | None, needed: str) -> None:
    if actual != needed:
        problem = f"its setting {name} is {actual}; it must be {needed}, so change it there"
        raise EngineFailed("spark", problem)
