"""The engine Spark: the same definitions, computed by a cluster; for exports beyond one machine.

The way of the data: `session` opens the `cluster`, `scan` reads files by the types of `stored`,
`rows` validates the rows, `survey` lets the cluster hold them and answers from them. `dialect` and
`hashing` are Spark's own way of steps that Narwhals or Polars take elsewhere. Has no cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pipeline.engines import UnreadableExports
from pipeline.engines.spark import session
from pipeline.engines.spark.cluster import ReadFailed
from pipeline.errors import EngineFailed
from pipeline.model.states import EngineName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pipeline.engines import CacheAccess, ScanRequest
    from pipeline.engines.participants import Participants
    from pipeline.engines.spark.cluster import Cluster
    from pipeline.engines.spark.scan import Sources
    from pipeline.engines.spark.survey import SparkSurvey
    from pipeline.errors import ExportRefused
    from pipeline.logs import EventSink
    from pipeline.settings import EngineSettings
    from pipeline.sources.accepted import Export

Answer = TypeVar("Answer")


def create(settings: EngineSettings, cache: CacheAccess | None, events: EventSink) -> Spark:
    """Make the engine, with a session of its own or that of this process.

    Raises:
        InvalidSetting, PackageMissing, EngineFailed: As `session.connect`.
    """
    del cache, events
    return Spark(session.connect(settings))


@dataclass(frozen=True, slots=True)
class Spark:
    """The engine."""

    cluster: Cluster
    name: EngineName = EngineName.SPARK

    def survey(self, request: ScanRequest) -> SparkSurvey:
        """Read the exports once, and validate every row."""
        from pipeline.engines.spark import survey  # noqa: PLC0415 (after the packages are checked)

        return self._answered(request, survey.survey)

    def organisations(self, request: ScanRequest) -> frozenset[str]:
        """Find the valid organisations that any row names."""
        from pipeline.engines.spark import rows  # noqa: PLC0415 (as above)

        return self._answered(request, rows.organisations)

    def participants(self, request: ScanRequest) -> Sequence[Participants]:
        """Read a sample of the participants of each export."""
        with self.survey(request) as found:
            return found.participants

    def content_checksums(self, request: ScanRequest) -> Mapping[str, str]:
        """Read the exports, and give the content checksum of each by name."""
        from pipeline.engines.spark import rows  # noqa: PLC0415 (as above)

        return self._answered(request, rows.file_checksums)

    def _answered(
        self, request: ScanRequest, ask: Callable[[Cluster, ScanRequest, Sources], Answer]
    ) -> Answer:
        """Ask, and ask again where files have to be read by Arrow that Spark can't read.

        Raises:
            UnreadableExports: Some can't be read to their end at all.
            EngineFailed: The cluster could not answer.
        """
        from pipeline.engines.spark import scan  # noqa: PLC0415 (as above)

        of = scan.sources(request.exports)
        try:
            return ask(self.cluster, request, of)
        except (ReadFailed, *scan.READ_ERRORS) as error:
            refused, only_by_arrow = self._examined(of)
            if refused:
                raise UnreadableExports(refused) from error
            if not only_by_arrow:
                raise EngineFailed("spark", "an export could not be read", str(error)) from error
        try:
            return ask(self.cluster, request, scan.sources(request.exports, only_by_arrow))
        except (ReadFailed, *scan.READ_ERRORS) as error:
            raise EngineFailed("spark", "an export could not be read", str(error)) from error

    def _examined(self, of: Sources) -> tuple[Mapping[Export, ExportRefused], frozenset[Export]]:
        """Find the exports that can't be read, and those that only Arrow reads.

        Raises:
            EngineFailed: The cluster does not reach a file, or could not answer.
        """
        from pipeline.engines.spark import scan  # noqa: PLC0415 (as above)

        try:
            return scan.examine(self.cluster, of)
        except ReadFailed as error:
            raise EngineFailed("spark", "an export could not be read", str(error)) from error
