"""Files with wrong bytes: each run ends, names them, and publishes the good numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.given import CELL, export, people
from tests.hostile import ROWS, Mutant, mutants

if TYPE_CHECKING:
    from tests.cli.conftest import Bufdir

pytestmark = pytest.mark.no_cover

AT_ONCE: Final = 30
"""So many mutants are among the exports of one run."""
SHARE: Final = 150
"""So many of them are tried by `make test`."""
ALL: Final = 10_000


def put(bufdir: Bufdir, tried: list[Mutant]) -> None:
    """Put mutants next to a good export, in place of those before."""
    folder = export(bufdir.data, people(2), "good.parquet").parent
    for path in folder.glob("m*.parquet"):
        path.unlink()
    for mutant in tried:
        (folder / mutant.name).write_bytes(mutant.content)


def check_run(bufdir: Bufdir, tried: list[Mutant]) -> None:
    """Run a nightly run over mutants, and see how it ends."""
    put(bufdir, tried)
    ended = bufdir("nightly", "--json")
    named = [mutant.number for mutant in tried]
    assert ended.code in {0, 3}, (named, ended.err)
    # What native libraries write, such as a backtrace, is not shown.
    lines = ended.err.splitlines()
    assert all(line.startswith("bufdir: ") and line.isprintable() for line in lines), named
    refusals = [line for line in lines if " is refused: " in line]
    assert all(len(line) < 510 for line in refusals), named
    result = ended.result
    refused = set(result["refused"])
    assert refused <= {mutant.name for mutant in tried}
    assert result["files"] == len(tried) + 1
    assert (ended.code == 3) == bool(refused or result["blocked"]), named
    listed = bufdir("list", "--json").body["data"]
    counts = {one["org_id"]: one["participant_count"] for one in listed}
    assert counts[CELL[0]] == 2, named
    # What has checksums is refused, or has the numbers of its original: every tenth row of it is
    # not completed.
    checked = [mutant for mutant in tried if mutant.has_checksums and mutant.name not in refused]
    found = {mutant.number: counts.get(mutant.org_id) for mutant in checked}
    assert found == {mutant.number: ROWS - ROWS // 10 for mutant in checked}


@pytest.mark.parametrize("first", range(0, SHARE, AT_ONCE))
def test_a_share_of_the_mutants(bufdir: Bufdir, first: int) -> None:
    check_run(bufdir, list(mutants(first, AT_ONCE)))


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("first", range(0, ALL, 500))
def test_all_mutants(bufdir: Bufdir, first: int) -> None:
    for begin in range(first, first + 500, AT_ONCE):
        check_run(bufdir, list(mutants(begin, min(AT_ONCE, first + 500 - begin))))
