"""Endings of the child that reads exports for which no export is to blame, or another one is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.cli.conftest import python
from tests.given import SUMMER, export, people, row

if TYPE_CHECKING:
    from pathlib import Path

COUNTING_AHEAD = """
import os, sys, time
from pipeline.engines.polars.survey import PolarsSurvey
from pipeline.runs import counting

data, checked = sys.argv[1:]
count, check, periods = PolarsSurvey._count_period, counting._check_accounted, []


def short_of_memory(survey, kind, lines):
    periods.append(kind)
    if len(periods) > 1:
        while not os.path.exists(checked):
            time.sleep(0.01)
        os.write(2, b"memory allocation of 800000 bytes failed\\n")
        os.abort()
    return count(survey, kind, lines)


def slow(counted):
    open(checked, "w").close()
    time.sleep(600)


PolarsSurvey._count_period, counting._check_accounted = short_of_memory, slow
import cli

sys.argv[1:] = ["--data", data, "nightly"]
cli.main()
"""
"""Our program, where memory runs out for the second period while the first one is checked."""

STOPPED = """
import os, signal, sys, time
from pipeline.confinement import child

child.STALL_SECONDS = 4
note = child.Note()
if os.fork() == 0:
    os.setpgid(0, 0)
    ended = child.fork(note)
    if ended is None:
        note.set(is_set=True)
        time.sleep(9)  # it makes no progress, but not for so long as it seems
        os._exit(0)
    os._exit(0 if ended.death is None else 1)
while not note.is_set:
    time.sleep(0.01)
(group,) = map(int, open(f"/proc/self/task/{os.getpid()}/children").read().split())
time.sleep(1.5)  # the command looks once a second
os.killpg(group, signal.SIGSTOP)
time.sleep(float(sys.argv[1]))
os.killpg(group, signal.SIGCONT)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
"""A command whose child waits for a disk, both stopped for some time, as a container is."""

REWRITTEN = """
import os, sys
import msgspec
from pipeline.runs.confined import Confined
from pipeline.settings import Settings


def read(bounds, *states):
    bounds.note.write(msgspec.json.encode(states).decode())
    bounds.note.set(is_set=True)
    os.abort()


def probe(bounds, names):
    if names:  # by now, the file has another fingerprint
        read(bounds, ("a.parquet", (2, 2, 2, 2)))


bounds = Confined(Settings(), probe).enter()
if not bounds.fatal:
    read(bounds, ("a.parquet", (1, 1, 1, 1)))
print(*[name for name, _ in bounds.fatal])
"""
"""A command whose export is written again while the cause of a death is looked for."""


def test_memory_that_runs_out_while_versions_are_checked_is_told_as_that(data: Path) -> None:
    export(data, [*people(3), row(started_at=SUMMER)])

    ended = python(COUNTING_AHEAD, data, data.parent / "checked")

    assert ended.code == 3
    assert ended.err == (
        "bufdir: the exports can't be read together: reading needs more memory than "
        "runs.memory_mb = 4096 MB; raise that setting; what was published before stays published\n"
    )


def test_a_reader_that_was_stopped_together_with_its_command_has_not_stalled() -> None:
    began = time.monotonic()
    ended = python(STOPPED, "6")
    assert (ended.code, ended.err) == (0, "")
    assert time.monotonic() - began > 6


def test_an_export_that_is_written_again_meanwhile_is_found_by_its_name() -> None:
    ended = python(REWRITTEN)
    assert (ended.code, ended.out, ended.err) == (0, "a.parquet\n", "")
