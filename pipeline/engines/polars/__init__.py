"""The engine Polars, the default: two passes over the files, a few batches in memory at a time.

The way of the data: `scan` opens and types batches, `batches` decides what is read, `partials`
sums up each batch, `survey` combines the batches. `hashing` and `distinct` count different values
without their rows. `cache` lets the next nightly run read only what changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import polars as pl

from pipeline.engines import ScanRequest, UnreadableExports, participants
from pipeline.engines.polars import partials, scan, survey
from pipeline.engines.polars.cache import Cache
from pipeline.model.columns import ORG_ID
from pipeline.model.ledger import ORGANISATION_PATTERN
from pipeline.model.states import EngineName

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.engines import CacheAccess
    from pipeline.engines.participants import Participants
    from pipeline.engines.polars.survey import PolarsSurvey
    from pipeline.logs import EventSink
    from pipeline.settings import EngineSettings


def create(settings: EngineSettings, cache: CacheAccess | None, events: EventSink) -> Polars:
    """Make the engine."""
    del settings
    return Polars(cache, events)


@dataclass(frozen=True, slots=True)
class Polars:
    """The engine."""

    access: CacheAccess | None
    """The access to its cache; None is without a cache."""
    events: EventSink
    """The receiver of what goes wrong with the cache."""
    name: EngineName = EngineName.POLARS

    def survey(self, request: ScanRequest) -> PolarsSurvey:
        """Read the exports and validate every row."""
        cache = None if self.access is None else Cache(self.access, request.terms, self.events)
        try:
            return survey.survey(request, cache)
        except scan.READ_ERRORS as error:
            return self.survey(_one_by_one(request, error))

    def organisations(self, request: ScanRequest) -> frozenset[str]:
        """Find the valid organisations that any row names."""
        try:
            rows = scan.scan(scan.whole(request.exports), request).rows
            named = rows.select(pl.col(ORG_ID).unique()).collect(engine="streaming")
        except scan.READ_ERRORS as error:
            return self.organisations(_one_by_one(request, error))
        valid = pl.col(ORG_ID).str.contains(ORGANISATION_PATTERN)
        return frozenset(named.filter(valid).get_column(ORG_ID).to_list())

    def participants(self, request: ScanRequest) -> Sequence[Participants]:
        """Read a sample of the participants of each export."""
        everything = replace(request, organisations=None)
        try:
            rows = scan.scan(scan.whole(request.exports), everything).rows
            drawn = participants.drawn(rows, request.exports).collect(engine="streaming")
        except scan.READ_ERRORS as error:
            return self.participants(_one_by_one(request, error))
        return participants.counted([participants.sample(drawn, ())], request.exports)

    def content_checksums(self, request: ScanRequest) -> Mapping[str, str]:
        """Read the exports, and give the content checksum of each by name."""
        try:
            return {
                export.file.name: partials.content_checksum(export, request)
                for export in request.exports
            }
        except scan.READ_ERRORS as error:
            _one_by_one(request, error)
            raise


def _one_by_one(request: ScanRequest, error: Exception) -> ScanRequest:
    """Ask for each export alone, where several can't be read together but each can by itself.

    Raises:
        UnreadableExports: Some can't be read by themselves.
        Exception: The error itself, where each was asked for alone already.
    """
    refused = scan.unreadable(request)
    if refused:
        raise UnreadableExports(refused) from error
    if request.one_by_one:
        raise error
    return replace(request, one_by_one=True)
