"""Exports that end the process which reads them: found, refused by name, and the rest goes on."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import PLANTED, PROGRAM, REPOSITORY, Bufdir, environment, python
from tests.given import export, people
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cli.conftest import Finished

POISON = """
import os, signal, sys, time
from pathlib import Path
from pipeline.sources import parquet

accept = parquet.accept
log = Path(sys.argv[1])
pairs = []


class Panic(BaseException):
    pass


def poisonous(file, *others):
    with log.open("a") as attempts:
        attempts.write(f"{file.name}\\n")
    name = Path(file.name).name
    if name.startswith("abort"):
        os.write(2, b"a native library's last words\\n")
        os.abort()
    if name.startswith("segfault"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("panic"):
        raise Panic("index out of bounds")
    if name.startswith("loop"):
        while True:
            pass
    if name.startswith("pair"):
        pairs.append(name)
        if len(pairs) > 1:
            os.abort()
    if name.startswith("slow"):
        time.sleep(600)
    return accept(file, *others)


parquet.accept = poisonous
import cli

sys.argv = ["bufdir", *sys.argv[2:]]
cli.main()
"""
"""Our program with a decoder that some files end; it logs each file that it is given."""


STARVED = """
import sys
from pipeline.sources import opening


def read(*_, **__):
    raise MemoryError


opening.read = read
import cli

sys.argv = ["bufdir", "--data", sys.argv[1], "nightly"]
cli.main()
"""
"""Our program in a computer that has no memory for any reading."""


class Poisoned:
    """A data folder whose exports are read by that decoder."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.log = data.parent / "attempts"

    def __call__(self, *arguments: str | Path, **variables: str) -> Finished:
        self.log.write_text("")
        return python(POISON, self.log, "--data", self.data, *arguments, **variables)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        self.log.write_text("")
        return subprocess.Popen(
            [sys.executable, "-c", POISON, self.log, "--data", self.data, *arguments],
            cwd=REPOSITORY,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def attempts(self) -> list[str]:
        return self.log.read_text().split()

    def numbers(self) -> Mapping[str, int]:
        listed = json.loads(Bufdir(self.data)("list", "--json").out)["data"]
        return {one["org_id"]: one["participant_count"] for one in listed}


@pytest.fixture
def poisoned(data: Path) -> Poisoned:
    export(data, people(3), "good.parquet")
    return Poisoned(data)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("abort.parquet", "crashes the decoder (SIGABRT)"),
        ("segfault.parquet", "crashes the decoder (SIGSEGV)"),
        ("panic.parquet", "crashes the decoder"),
    ],
)
def test_an_export_that_crashes_its_reader_is_refused_and_the_others_count(
    poisoned: Poisoned, name: str, how: str
) -> None:
    export(poisoned.data, people(2, org_id="org-2"), name)

    ended = poisoned("nightly")

    assert ended.code == 3
    assert ended.err == (
        f"bufdir: export {name} is refused: reading {how}; export or copy it again\n"
    )
    assert poisoned.numbers() == {"org-1": 3}


def test_an_export_whose_reading_never_ends_is_refused_and_the_others_count(
    poisoned: Poisoned,
) -> None:
    export(poisoned.data, people(2, org_id="org-2"), "loop.parquet")

    ended = poisoned("nightly")

    assert ended.code == 3
    assert "loop.parquet is refused: reading takes far longer than its size" in ended.err
    assert poisoned.numbers() == {"org-1": 3}


def test_an_export_that_needs_too_much_memory_is_refused_and_the_others_count(data: Path) -> None:
    export(data, people(3), "good.parquet")
    many = 12_000_000
    table = pa.table(
        {
            "org_id": pa.DictionaryArray.from_arrays(np.zeros(many, np.int32), ["org-2"]),
            "activity_id": pa.array(np.arange(many) // 20),
            "participant_id": pa.array(np.arange(many)),
            "bufdir_category": pa.DictionaryArray.from_arrays(np.zeros(many, np.int32), ["eldre"]),
            "started_at": pa.array(np.full(many, np.datetime64("2024-11-01T12:00:00", "us"))),
            "hours": pa.array(np.ones(many)),
        }
    )
    pq.write_table(table, data / "exports" / "huge.parquet")

    ended = Bufdir(data)("nightly", BUFDIR_RUNS__MEMORY_MB="512")

    assert ended.code == 3
    assert "huge.parquet is refused: reading needs more memory than runs.memory_mb" in ended.err
    assert Poisoned(data).numbers() == {"org-1": 3}
    again = Bufdir(data)("nightly", BUFDIR_RUNS__MEMORY_MB="4096")
    assert again.code == 0, again.err  # with more memory it may be read again
    assert Poisoned(data).numbers() == {"org-1": 3, "org-2": many}


def test_several_such_exports_among_many_are_all_found(poisoned: Poisoned) -> None:
    for number in range(40):
        export(poisoned.data, people(1, org_id=f"org-{number}"), f"{number}.parquet")
    bad = ["abort-1.parquet", "abort-2.parquet", "segfault.parquet"]
    for name in bad:
        export(poisoned.data, people(1, org_id="bad"), name)

    ended = poisoned("nightly")

    assert ended.code == 3
    assert [line.split()[2] for line in ended.err.splitlines()] == bad
    assert len(poisoned.numbers()) == 40


def test_such_an_export_is_not_read_again_until_it_changes(poisoned: Poisoned) -> None:
    export(poisoned.data, people(2, org_id="org-2"), "abort.parquet")
    assert poisoned("nightly").code == 3
    export(poisoned.data, people(4), "good.parquet")

    ended = poisoned("nightly")

    assert (ended.code, "abort.parquet is refused" in ended.err) == (3, True)
    assert set(poisoned.attempts) == {"good.parquet"}
    assert poisoned.numbers() == {"org-1": 4}
    export(poisoned.data, people(5, org_id="org-2"), "abort.parquet")
    assert poisoned("nightly").code == 3
    assert "abort.parquet" in poisoned.attempts
    (poisoned.data / "exports/abort.parquet").rename(poisoned.data / "exports/repaired.parquet")
    assert poisoned("nightly").code == 0
    assert poisoned.numbers() == {"org-1": 4, "org-2": 5}
    with sqlite3.connect(poisoned.data / "catalog.sqlite") as catalog:
        assert catalog.execute("SELECT count(*) FROM fatal_exports").fetchone() == (0,)


def test_commands_that_only_look_name_such_an_export_and_write_nothing(poisoned: Poisoned) -> None:
    assert poisoned("nightly").code == 0
    export(poisoned.data, people(2, org_id="org-2"), "abort.parquet")
    before = (poisoned.data / "catalog.sqlite").read_bytes()

    for command in (["check"], ["verify"], ["check", poisoned.data / "exports/abort.parquet"]):
        ended = poisoned(*command)

        assert ended.code == 3
        assert "abort.parquet" in ended.out + ended.err
        assert "crashes the decoder" in ended.out + ended.err
    assert (poisoned.data / "catalog.sqlite").read_bytes() == before


def test_a_run_by_hand_refuses_such_an_export(poisoned: Poisoned) -> None:
    export(poisoned.data, people(2, org_id="org-2"), "abort.parquet")

    ended = poisoned("run", "--period", "rp-2024-q4", "--org", "org-1", "--org", "org-2")

    assert ended.code == 3
    assert "no export names org-2, but 1 export is refused and may do so" in ended.err
    assert poisoned.numbers() == {"org-1": 3, "org-2": None}


def test_exports_that_end_their_reader_only_together_are_no_reason_to_refuse_one(
    poisoned: Poisoned,
) -> None:
    assert poisoned("nightly").code == 0
    for name in ("pair-1.parquet", "pair-2.parquet"):
        export(poisoned.data, people(4), name)

    ended = poisoned("nightly")

    assert (ended.code, ended.out) == (3, "")
    assert ended.err == (
        "bufdir: the exports can't be read together: reading crashes the decoder (SIGABRT); "
        "what was published before stays published\n"
    )
    assert poisoned.numbers() == {"org-1": 3}


def test_no_export_is_refused_where_none_at_all_can_be_read(data: Path) -> None:
    export(data, people(1), "small.parquet")

    ended = python(STARVED, data)

    assert (ended.code, ended.out) == (3, "")
    assert ended.err == (
        "bufdir: the exports can't be read together: reading needs more memory than "
        "runs.memory_mb = 4096 MB; raise that setting; what was published before stays published\n"
    )
    assert Bufdir(data)("nightly").code == 0


def test_an_error_without_an_export_that_causes_it_is_reported_as_a_crash(data: Path) -> None:
    export(data, people(1))
    planted = PLANTED.format(error="ZeroDivisionError()")

    ended = python(planted, data)

    assert ended.code == 1
    assert "the program crashed (ZeroDivisionError)" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_a_death_outside_of_reading_is_told_in_one_sentence(data: Path) -> None:
    export(data, people(1))
    planted = PLANTED.format(error="SystemExit(os.abort())").replace("import sys", "import os, sys")

    ended = python(planted, data)

    assert ended.code == 1
    assert ended.err == (
        "bufdir: the process that did the work died (SIGABRT); published numbers stand, try again\n"
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, -15), (signal.SIGINT, 130)])
def test_a_signal_ends_the_command_with_its_child(
    poisoned: Poisoned, number: signal.Signals, code: int
) -> None:
    export(poisoned.data, people(2), "slow.parquet")
    with poisoned.begin("nightly") as process:
        child = _child_that_reads(poisoned, process)
        process.send_signal(number)
        process.communicate(timeout=PATIENCE_SECONDS)

    assert process.returncode == code
    assert not Path(f"/proc/{child}").exists()


def test_a_child_never_outlives_its_command(poisoned: Poisoned) -> None:
    export(poisoned.data, people(2), "slow.parquet")
    with poisoned.begin("nightly") as process:
        child = _child_that_reads(poisoned, process)
        process.kill()

    deadline = time.monotonic() + PATIENCE_SECONDS
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(child)


def _child_that_reads(poisoned: Poisoned, process: subprocess.Popen[str]) -> int:
    """Wait until the child reads the slow file; return its id."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "slow.parquet" not in poisoned.attempts and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(children[0])


def _is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_stderr_that_is_closed_or_a_pipe_is_no_obstacle(poisoned: Poisoned) -> None:
    command = [*PROGRAM, "--data", str(poisoned.data), "nightly"]
    read, write = os.pipe()
    os.close(read)

    ended = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=write,
        text=True,
        check=False,
    )
    os.close(write)

    assert (ended.returncode, ended.stdout[:28]) == (0, "nightly: 1 snapshot computed")
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" 2>&-', "sh", *command],
        cwd=REPOSITORY,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert (closed.returncode, closed.stdout[:24]) == (0, "nightly: nothing changed")
