"""check: files are validated wherever they are, and nothing is published."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from pipeline.runs import check, lifecycle
from tests.given import NOW, DataFolder, ledger, people, row, table

if TYPE_CHECKING:
    from pathlib import Path


def test_check_validates_files_in_any_folder_and_publishes_nothing(
    folder: DataFolder, tmp_path: Path
) -> None:
    path = tmp_path / "elsewhere.parquet"
    pq.write_table(table([row(), row(hours=None, org_id=None), row(hours=3.0)]), path)
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"")
    with folder.context() as context:
        checked = check.check(context, [path, bad, tmp_path / "gone.parquet"])
    accepted, refused, gone = (
        next(file for file in checked.files if file.name.endswith(name))
        for name in ("elsewhere.parquet", "bad.parquet", "gone.parquet")
    )
    assert (accepted.rows, accepted.problem) == (3, None)
    assert "it is empty" in str(refused.problem)
    assert "it can't be opened (No such file or directory)" in str(gone.problem)
    assert (checked.rows, checked.cells) == (3, 1)
    assert ledger(checked.ledger) == {"counted": 1, "superseded": 1, "missing_org_id": 1}
    assert ledger(checked.rows_without_cell) == {"missing_org_id": 1}
    assert folder.published() == {}
    assert folder.files() == set()


def test_check_without_names_validates_all_exports(folder: DataFolder) -> None:
    folder.export(people(2))
    folder.export(people(3, org_id="org-2"), "b.parquet")
    with folder.context() as context:
        checked = check.check(context)
    assert [file.name for file in checked.files] == ["a.parquet", "b.parquet"]
    assert (checked.rows, checked.cells) == (5, 2)


def test_check_names_what_the_next_nightly_run_blocks(folder: DataFolder) -> None:
    gone = folder.export(people(20), "a.parquet")
    folder.export(people(20, org_id="org-2"), "b.parquet")
    torn = folder.export(people(20, org_id="org-3"), "c.parquet")
    folder.nightly()
    gone.unlink()
    folder.export(people(5, org_id="org-2"), "b.parquet")
    torn.write_bytes(b"torn")
    with folder.context() as context:
        checked = check.check(context)
    assert [one.reason for one in checked.blocked] == ["export_gone", "rows_fell", "refused_export"]
    assert checked.plan == {"block": 3}
    assert checked.blocked == folder.nightly().blocked


def test_check_takes_runs_that_wait_for_what_they_are(folder: DataFolder) -> None:
    path = folder.export(people(20))
    folder.nightly()
    path.unlink()
    with folder.context() as context:
        lifecycle.refresh(context.catalog, context.catalog.get("agg-001"), NOW, forced=True)
        checked = check.check(context)
    assert (checked.blocked, checked.plan) == ([], {"compute": 1})
    assert folder.nightly().blocked == []


def test_check_of_named_files_blocks_nothing(folder: DataFolder) -> None:
    folder.export(people(20), "a.parquet")
    small = folder.export(people(1), "b.parquet")
    folder.nightly()
    (folder.data / "exports" / "a.parquet").unlink()
    with folder.context() as context:
        checked = check.check(context, [small])
    assert (checked.blocked, checked.plan) == ([], {})
