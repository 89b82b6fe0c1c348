"""The engine DuckDB: the same definitions over its own reading of the files.

A second implementation, to compare Polars with, and an engine in its own right. Has no cache.
The way of the data: `scan` reads files into a table of typed rows, `tables` hashes and validates
them, `survey` answers from the validated rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.engines.duckdb import scan, tables
from pipeline.model.states import EngineName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.engines import CacheAccess, ScanRequest
    from pipeline.engines.duckdb.survey import DuckDBSurvey
    from pipeline.engines.participants import Participants
    from pipeline.logs import EventSink
    from pipeline.settings import EngineSettings


def create(settings: EngineSettings, cache: CacheAccess | None, events: EventSink) -> DuckDB:
    """Make the engine; it has no cache and reports no events."""
    del settings, cache, events
    return DuckDB()


@dataclass(frozen=True, slots=True)
class DuckDB:
    """The engine."""

    name: EngineName = EngineName.DUCKDB

    def survey(self, request: ScanRequest) -> DuckDBSurvey:
        """Read the exports into tables of a database in memory, and validate every row."""
        connection = scan.connect()
        try:
            return tables.survey(connection, request)
        except scan.READ_ERRORS as error:
            connection.close()
            scan.refuse_unreadable(request, error)
            return self.survey(replace(request, one_by_one=True))
        except BaseException:
            connection.close()
            raise

    def organisations(self, request: ScanRequest) -> frozenset[str]:
        """Find the valid organisations that any row names."""
        with self.survey(request) as found:
            return frozenset(org_id for named in found.organisations_by_file for org_id in named)

    def participants(self, request: ScanRequest) -> Sequence[Participants]:
        """Read a sample of the participants of each export."""
        with self.survey(request) as found:
            return found.participants

    def content_checksums(self, request: ScanRequest) -> Mapping[str, str]:
        """Read the exports, and give the content checksum of each by name."""
        with self.survey(request) as found:
            return found.checksums
