"""The audit log: no act without its line, none twice, and a broken chain is found."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.model import audit as model
from pipeline.model.audit import Act
from pipeline.runs import access
from pipeline.storage import audit
from pipeline.storage.catalog import FILE, Catalog

if TYPE_CHECKING:
    from pathlib import Path

WRITER = """
import os, signal, sys
from pathlib import Path
from pipeline.model.audit import Act
from pipeline.storage.catalog import FILE, Catalog

data, count, event, times = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], [int(sys.argv[4])]


def killed_at(name, _):
    times[0] -= name == event
    if name == event and times[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)


def statement(sql):
    killed_at(sql.partition(" ")[0], None)


def write(descriptor, content):
    # A power cut may keep a part of what was written.
    if event == "torn":
        real(descriptor, content[: times[0]])
        os.kill(os.getpid(), signal.SIGKILL)
    if event == "write":
        real(descriptor, content)
        os.kill(os.getpid(), signal.SIGKILL)
    return real(descriptor, content)


real = os.write
os.write = write
for number in range(count):
    with Catalog.open(data) as catalog:
        catalog.connection.set_trace_callback(statement)
        with catalog.transaction():
            catalog.record(Act.DELETE, f"{os.getpid()}-{number}")
"""
"""A program that records acts, and is killed just before the nth statement, or at its write."""


def begin(data: Path, count: int, event: str = "", times: int = 0) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(data), str(count), event, str(times)]
    )


def killed(data: Path, event: str, times: int = 0) -> None:
    assert begin(data, 1, event, times).wait() == -signal.SIGKILL


def record(data: Path, *whats: str) -> None:
    with Catalog.open(data) as catalog, catalog.transaction():
        for what in whats:
            catalog.record(Act.DELETE, what)


def lines(data: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit.lines(data)]


def problems(data: Path) -> list[tuple[int, str]]:
    with Catalog.open_read_only(data) as catalog:
        found = access.read_audit_log(catalog, verify=True)
    assert found.problems is not None
    return [(one.line, one.problem) for one in found.problems]


def rewrite(data: Path, kept: list[bytes]) -> None:
    (data / audit.FILE).write_bytes(b"".join(kept))


def test_an_act_is_one_line_with_the_hash_of_the_line_before(data: Path) -> None:
    record(data, "agg-001")
    record(data, "agg-002", "agg-003")
    raw = list(audit.lines(data))
    assert [line["what"] for line in lines(data)] == ["agg-001", "agg-002", "agg-003"]
    assert [line["line"] for line in lines(data)] == [1, 2, 3]
    hashes = [model.hash_of(line[:-1]) for line in raw]
    assert [line["previous"] for line in lines(data)] == ["0" * 64, *hashes[:2]]
    assert problems(data) == []


def test_the_file_is_for_its_owner_and_group_only(data: Path) -> None:
    record(data, "agg-001")
    assert stat.S_IMODE((data / audit.FILE).stat().st_mode) & ~0o640 == 0


def test_an_act_that_was_rolled_back_has_no_line(data: Path) -> None:
    with Catalog.open(data) as catalog, suppress(KeyError), catalog.transaction():
        catalog.record(Act.DELETE, "agg-001")
        raise KeyError
    record(data, "agg-002")
    assert [line["what"] for line in lines(data)] == ["agg-002"]


# Statements in order: BEGIN, INSERT, COMMIT; then, in the outbox, SELECT …, BEGIN, DELETE, COMMIT.
@pytest.mark.parametrize(
    ("event", "times", "is_done"),
    [
        ("INSERT", 1, False),
        ("COMMIT", 1, False),
        ("SELECT", 1, True),
        ("write", 0, True),
        ("torn", 1, True),
        ("torn", 100, True),
        ("BEGIN", 2, True),
        ("DELETE", 1, True),
        ("COMMIT", 2, True),
    ],
)
def test_a_process_killed_anywhere_leaves_each_committed_act_exactly_one_line(
    data: Path, event: str, times: int, is_done: bool
) -> None:
    record(data, "before")
    killed(data, event, times)
    record(data, "after")
    acts = [line for line in lines(data) if line["act"] != "repair"]
    assert [line["what"] for line in acts][:: len(acts) - 1] == ["before", "after"]
    assert len(acts) == 2 + is_done
    assert len({line["id"] for line in acts}) == len(acts)
    assert problems(data) == []
    with Catalog.open_read_only(data) as catalog:
        assert audit.pending(catalog) == 0


def test_a_torn_last_line_is_named_and_the_next_act_cuts_it_off(data: Path) -> None:
    record(data, "before")
    killed(data, "torn", 30)
    torn = [2, "it is torn; the next command that writes a line cuts it off"]
    assert [list(one) for one in problems(data)] == [torn]
    record(data, "after")
    assert [(line["act"], line["what"]) for line in lines(data)][1] == (
        "repair",
        "a torn line of 30 bytes at the end was cut off",
    )
    assert len(lines(data)) == 4
    assert problems(data) == []


def test_processes_that_write_at_once_write_every_act_once(data: Path) -> None:
    Catalog.open(data).close()
    writers = [begin(data, 15) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0] * 3
    written = [line["what"] for line in lines(data)]
    assert sorted(written) == sorted(f"{one.pid}-{n}" for one in writers for n in range(15))
    assert problems(data) == []


def test_more_acts_than_one_batch_are_all_written_once(data: Path) -> None:
    whats = [str(number) for number in range(1_203)]
    record(data, *whats)
    assert [line["what"] for line in lines(data)] == whats
    assert problems(data) == []


def changed(raw: bytes) -> bytes:
    return raw.replace(b'"local:', b'"lokal:')


@pytest.mark.parametrize("line", [1, 2, 3, 4, 5])
def test_a_changed_line_is_named_by_its_number(data: Path, line: int) -> None:
    record(data, *"abcde")
    raw = list(audit.lines(data))
    raw[line - 1] = changed(raw[line - 1])
    rewrite(data, raw)
    assert [number for number, _ in problems(data)] == [line]


@pytest.mark.parametrize("line", [1, 2, 3, 4, 5])
def test_a_removed_line_is_named_by_its_number(data: Path, line: int) -> None:
    record(data, *"abcde")
    raw = list(audit.lines(data))
    del raw[line - 1]
    rewrite(data, raw)
    assert [number for number, _ in problems(data)] == [line]


def test_moved_lines_are_named_by_their_number(data: Path) -> None:
    record(data, *"abcde")
    raw = list(audit.lines(data))
    rewrite(data, [raw[0], raw[2], raw[1], *raw[3:]])
    assert problems(data)[0][0] == 2


def test_a_line_of_no_audit_log_is_named_by_its_number(data: Path) -> None:
    record(data, *"abc")
    raw = list(audit.lines(data))
    rewrite(data, [raw[0], b"nothing\n", raw[2]])
    assert (2, "it is no line of an audit log") in problems(data)


def test_a_log_that_was_removed_is_missed_and_goes_on_behind_the_gap(data: Path) -> None:
    record(data, *"abc")
    (data / audit.FILE).unlink()
    assert problems(data) == [(1, "the catalog knows 3 lines; those at the end were removed")]
    record(data, "d")
    assert [line["line"] for line in lines(data)] == [4]
    assert problems(data) == [
        (1, "it has the number 4, not 1: lines were removed or moved"),
    ]


def test_acts_wait_in_the_catalog_while_the_file_can_not_be_written(data: Path) -> None:
    (data / audit.FILE).mkdir()
    with Catalog.open(data) as catalog, catalog.transaction():
        catalog.record(Act.DELETE, "agg-001")
    assert catalog.audit_problem == "audit.jsonl can't be written (Is a directory)"
    (data / audit.FILE).rmdir()
    with Catalog.open_read_only(data) as catalog:
        assert audit.pending(catalog) == 1
    record(data, "agg-002")
    assert [line["what"] for line in lines(data)] == ["agg-001", "agg-002"]


def test_a_link_in_the_place_of_the_file_is_not_followed(data: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    (data / audit.FILE).symlink_to(tmp_path / "elsewhere")
    record(data, "agg-001")
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_a_catalog_from_a_backup_is_reported_and_put_on_record(data: Path) -> None:
    record(data, "a")
    backup = (data / FILE).read_bytes()
    record(data, *"bc")
    (data / FILE).write_bytes(backup)
    (problem,) = problems(data)
    assert problem[0] == 2
    assert "the catalog is older than the file, and knows its lines only up to line 1" in problem[1]
    record(data, "d")
    assert problems(data) == []
    assert [(line["act"], line["what"]) for line in lines(data)][3:] == [
        ("repair", "the catalog is older than the file, and knows its lines only up to line 1"),
        ("delete", "d"),
    ]


@pytest.mark.parametrize(("event", "times"), [("BEGIN", 2), ("COMMIT", 2), ("write", 0)])
def test_lines_of_a_killed_process_make_no_catalog_older(
    data: Path, event: str, times: int
) -> None:
    record(data, "before")
    killed(data, event, times)
    assert problems(data) == []
    record(data, "after")
    assert [line["act"] for line in lines(data)] == ["delete"] * 3
