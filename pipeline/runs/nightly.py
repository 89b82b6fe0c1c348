"""A night: looks whether anything has changed since the last one, and has it counted if so.

Loads no engine where no file has changed: such nights should cost nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.runs.context import Night
from pipeline.sources import exports
from pipeline.storage import nightly_record, run_queue

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipeline.runs.context import Work
    from pipeline.sources.exports import File


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
    with run_queue.night(work.catalog, work.clock()):
        deleted = nightly_record.deletions(work.catalog)
        files = exports.find(work.data)
        last_runs_clean = run_queue.last_runs_clean(work.catalog) and nightly_record.is_known(
            work.catalog
        )
        others = [run for run in run_queue.open_runs(work.catalog) if run.number is not None]
        may_be_quiet = last_runs_clean and not others and not full
        if may_be_quiet and _nothing_changed(work, files):
            return _quiet(work, files)
        from pipeline.runs import incremental  # noqa: PLC0415 (loads an engine)

        if may_be_quiet and incremental.is_as_before(work, files, deleted):
            return _quiet(work, files)
        return incremental.run(work, full=full, last_runs_clean=last_runs_clean)


def _nothing_changed(work: Work, files: Iterable[File]) -> bool:
    return nightly_record.nothing_changed(work.catalog, work.settings, files, work.clock())


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
