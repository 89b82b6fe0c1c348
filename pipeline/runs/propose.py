"""Proposals within bounds: a file for which settings are proposed may be a hostile one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.errors import NoProposal
from pipeline.proposals import proposing
from pipeline.sources import locations
from pipeline.sources.folders import NamedFiles

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.proposals.proposal import Proposal
    from pipeline.runs.reading import Reading
    from pipeline.settings import Settings


def propose(bounds: Reading, path: Path, settings: Settings, data: Path) -> Proposal:
    """Propose the settings of a source that reads a file; writes nothing.

    Raises:
        NoProposal: There is no table in the file, or reading it ended an earlier process.
        OSError: It can't be read.
    """
    files = bounds.mark(NamedFiles([path]).list_files())
    for file in files:
        if file.problem is not None:
            raise NoProposal(file.name, file.problem)
    exports = locations.folder_of(data, settings.exports.location)
    with bounds.of(files):
        return proposing.propose(path, settings, exports)
