"""A night: looks whether anything has changed since the last one, and has it counted if so.

Loads no engine where no file has changed: such nights should cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline import claims, exports, staleness
from pipeline.work import Night

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.exports import File
    from pipeline.work import Work


def run(work: Work, *, full: bool = False) -> Night:
    """Bring every cell of every configured kind of period up to date.

    Args:
        work: Where, by which settings, and when.
        full: Compute every cell, stale or not.

    Raises:
        Busy: Another night is going on.
        ExportsMissing: There is no exports folder.
        ExportsChanged: Files keep changing while they are read.
        LedgerBroken: Rows were read that are not accounted for; nothing was published.
    """
    exports.check_folder(work.data)
    with claims.night(work.catalog, work.clock()):
        deleted = staleness.deletions(work.catalog)
        files = exports.find(work.data)
        is_tidy = claims.is_tidy(work.catalog) and staleness.is_known(work.catalog)
        others = [run for run in claims.open_runs(work.catalog) if run.number is not None]
        may_be_quiet = is_tidy and not others and not full
        if may_be_quiet and _nothing_changed(work, files):
            return _quiet(work, files)
        from pipeline import renewal  # noqa: PLC0415 (loads an engine)

        if may_be_quiet and renewal.is_as_before(work, files, deleted):
            return _quiet(work, files)
        return renewal.run(work, full=full, is_tidy=is_tidy)


def _nothing_changed(work: Work, files: Iterable[File]) -> bool:
    return staleness.nothing_changed(work.catalog, work.settings, files, work.clock())


def _quiet(work: Work, files: Sequence[File]) -> Night:
    known = work.catalog.files().values()
    refused = {file.name: file.problem for file in known if file.problem is not None}
    rows = sum(file.rows or 0 for file in known if file.problem is None)
    return Night(
        changed=False,
        files=len(files),
        rows=rows,
        outcomes=(),
        held={},
        later=(),
        refused=refused,
        ignored={},
        ledger={},
    )
