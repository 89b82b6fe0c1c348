"""Odd files among the exports: each has its one line, and the good ones are published."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from pipeline.sources.exports import File, Fingerprint
from tests.cli.conftest import PROGRAM, REPOSITORY, Bufdir, environment
from tests.given import export, people, row, table, write
from tests.thrift import tail

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.no_cover

ONE_COUNTED = "1 snapshot computed, 1 current"


def lines(err: str) -> list[str]:
    """Return the lines of stderr, each of which must be one that a terminal can show."""
    found = err.splitlines()
    assert all(line.isprintable() and len(line) <= 500 + len("bufdir: ") for line in found)
    return found


@contextmanager
def short_path(folder: Path) -> Iterator[str]:
    """Give another path of a folder, short enough for the address of a socket."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{opened}"
    finally:
        os.close(opened)


def test_every_kind_of_file_has_one_line(bufdir: Bufdir) -> None:
    folder = export(bufdir.data, people(2), "good.parquet").parent
    os.mkfifo(folder / "pipe.parquet")
    (folder / "loop.parquet").symlink_to("loop.parquet")
    (folder / "there").symlink_to("back")
    (folder / "back").symlink_to("there")
    (folder / "gone.parquet").symlink_to("nowhere")
    (folder / "zero.parquet").symlink_to("/dev/zero")
    (folder / "empty.parquet").touch()
    (folder / "esc\x1b[31m.parquet").write_bytes(b"x")
    (folder / "bidi\u202e.parquet").write_bytes(b"x")
    (folder / "new\nline.parquet").write_bytes(b"x")
    (folder / os.fsdecode(b"\xff.parquet")).write_bytes(b"x")
    (folder / f"{'x' * 240}.parquet").write_bytes(b"x")
    (folder / "folder.parquet").mkdir()
    with socket.socket(socket.AF_UNIX) as opened, short_path(folder) as short:
        opened.bind(f"{short}/socket.parquet")
        ended = bufdir("nightly")
    assert ended.code == 3
    assert ONE_COUNTED in ended.out
    found = lines(ended.err)
    refused = [line for line in found if line.startswith("bufdir: export ")]
    for name, problem in {
        "pipe.parquet": "it is no regular file",
        "socket.parquet": "it is no regular file",
        "loop.parquet": "it can't be opened (Too many levels of symbolic links)",
        "gone.parquet": "it can't be opened (No such file or directory)",
        "zero.parquet": "it is a link out of the exports folder",
        "empty.parquet": "it is empty",
        r"esc\x1b[31m.parquet": "its path has signs that can't be shown",
        r"bidi\u202e.parquet": "it can't be read as Parquet",
        r"new\nline.parquet": "its path has signs that can't be shown",
        r"\udcff.parquet": "its path has signs that can't be shown",
        "x" * 100: "it can't be read as Parquet",
    }.items():
        (line,) = [line for line in refused if name in line]
        assert problem in line
    assert len(refused) == 11


def test_a_pipe_that_takes_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.parquet")
    file = File("a.parquet", str(tmp_path / "a.parquet"), Fingerprint(9, 9))
    with pytest.raises(OSError, match="Invalid argument"):
        file.open()


def test_no_command_waits_for_a_pipe(bufdir: Bufdir) -> None:
    path = bufdir.data / "exports" / "pipe.parquet"
    os.mkfifo(path)
    for command in (("init", path), ("check", path), ("check",), ("nightly",)):
        ended = bufdir(*command)
        assert ended.code == 3
        assert "it is no regular file" in ended.err + ended.out


def test_the_name_of_a_column_writes_no_line_of_its_own(bufdir: Bufdir) -> None:
    forged = "x\nbufdir: 99 snapshots deleted\x1b[2K"
    write(bufdir.data, table([row()]).append_column(forged, pa.array([1])))
    ended = bufdir("nightly")
    assert lines(ended.err) == [
        r"bufdir: columns that are ignored: x\nbufdir: 99 snapshots deleted\x1b[2K (in 1 export)"
    ]
    checked = bufdir("check")
    assert "\x1b" not in checked.out + checked.err


def test_refused_files_leave_no_descriptor_open(bufdir: Bufdir) -> None:
    folder = export(bufdir.data, people(2), "good.parquet").parent
    contents = (b"", b"PAR1", b"PAR1" + tail(b"\x15\x02\x19"), b"x" * 100, b"PAR1" + tail(b"\0"))
    for number in range(600):
        (folder / f"bad{number}.parquet").write_bytes(contents[number % len(contents)])
    ended = subprocess.run(
        [*PROGRAM, "--data", bufdir.data, "nightly"],
        cwd=REPOSITORY,
        env=environment(),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 3
    assert ONE_COUNTED in ended.stdout
    assert len(lines(ended.stderr)) == 600
