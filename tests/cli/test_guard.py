"""Commands about what is blocked: who names it, and what ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.given import export, people

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Bufdir

pytestmark = pytest.mark.no_cover

BLOCKED = (
    "bufdir: 1 snapshot blocked, with numbers as before, because export b.parquet is gone, "
    "and 0 of 2 rows are left: agg-002 (org-2 in rp-2024-q4); put it back, or declare why: "
    "bufdir retire b.parquet --keep (or --retract)\n"
)


def test_check_names_what_a_nightly_run_would_block_in_its_words(
    bufdir: Bufdir, data: Path
) -> None:
    export(data, people(2), "a.parquet")
    export(data, people(2, org_id="org-2"), "b.parquet")
    bufdir("nightly")
    (data / "exports" / "b.parquet").unlink()

    checked, for_programs = bufdir("check"), bufdir("check", "--json")
    of_files = bufdir("check", data / "exports" / "a.parquet")

    assert (checked.err, checked.code) == (BLOCKED, 3)
    assert (of_files.err, of_files.code) == ("", 0)
    nightly = bufdir("nightly", "--json")
    assert for_programs.code == nightly.code == 3
    assert for_programs.result["blocked"] == nightly.result["blocked"]
    assert bufdir("status", "--json").result["blocked"] == nightly.result["blocked"]


def test_accept_keeps_numbers_and_takes_that_back(bufdir: Bufdir, data: Path) -> None:
    export(data, [*people(20), *people(20, org_id="org-2")])
    bufdir("nightly")
    export(data, people(20))
    assert "bufdir accept agg-002 (with --keep" in bufdir("nightly").err

    kept = bufdir("accept", "agg-002", "--keep", "--note", "left")
    both = bufdir("accept", "agg-002", "--keep", "--undo")

    assert kept.out == (
        "agg-002 (org-2 in rp-2024-q4): the numbers of 20 rows stay until run --force, or "
        "bufdir accept agg-002 --undo\n"
    )
    assert (both.code, both.err.count("give one of --keep and --undo")) == (2, 1)
    night = bufdir("nightly")
    assert night.code == 0
    assert night.err == (
        "bufdir: 1 snapshot retained, as declared by retire or accept with --keep; run --force "
        "computes them again: agg-002 (org-2 in rp-2024-q4)\n"
    )
    export(data, people(21))
    later = bufdir("nightly")
    assert (later.code, later.err, "1 snapshot computed" in later.out) == (0, "", True)
    assert bufdir("accept", "agg-002", "--undo").code == 0
    assert "bufdir accept agg-002 (with --keep" in bufdir("nightly").err
