"""Faults of the system around the program, made for as long as a block lasts."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from pipeline.storage import version_files
from tests.given import DataFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

_DISK_BYTES: Final = 8 * 2**20
_CATALOG: Final = "catalog.sqlite"
_READS: Final = "read,pread64,readv,preadv"


@dataclass(frozen=True, slots=True)
class Place:
    """A data folder on a disk of its own, and the workers of a server that serves it, if any."""

    data: Path
    workers: Sequence[int] = ()

    @property
    def disk(self) -> Path:
        """The folder at which the disk is mounted."""
        return self.data.parent


BY_NAME: dict[str, Callable[[Place], AbstractContextManager[Sequence[str]]]] = {}
"""By its name on the page, a fault; it gives the program that must start the command."""


def fault(
    name: str,
) -> Callable[[Callable[[Place], Iterator[Sequence[str]]]], Callable[[Place], object]]:
    """Name a fault as the page does."""

    def named(make: Callable[[Place], Iterator[Sequence[str]]]) -> Callable[[Place], object]:
        BY_NAME[name] = contextmanager(make)
        return make

    return named


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """Mount a small disk for as long as the block lasts."""
    folder.mkdir()
    options = f"size={_DISK_BYTES}"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@fault("The disk is full.")
def full(place: Place) -> Iterator[Sequence[str]]:
    filler = place.disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    yield ()
    filler.unlink()


@fault("The disk is read-only.")
def read_only(place: Place) -> Iterator[Sequence[str]]:
    # A server that has a lock file open would forbid the change of its mount, not of a new one.
    subprocess.run(["mount", "--bind", place.data, place.data], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", place.data], check=True)
    try:
        yield ()
    finally:
        subprocess.run(["umount", "--lazy", place.data], check=True)


@fault("This user may not write the folder.")
def denied(place: Place) -> Iterator[Sequence[str]]:
    tool = needed("setpriv", "util-linux")
    folders = [place.data, *(path for path in place.data.rglob("*") if path.is_dir())]
    for path in folders:
        path.chmod(0o500)
    # Tests run as root, which may write everything, unless it gives that right up.
    yield (tool, "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    for path in folders:
        path.chmod(0o755)


@fault("Reading the catalog fails.")
def unreadable_catalog(place: Place) -> Iterator[Sequence[str]]:
    with failing(place, _CATALOG, _READS) as prefix:
        yield prefix


@fault("Flushing the catalog fails.")
def unflushable_catalog(place: Place) -> Iterator[Sequence[str]]:
    with failing(place, _CATALOG, "fsync,fdatasync") as prefix:
        yield prefix


@fault("Reading an export fails.")
def unreadable_export(place: Place) -> Iterator[Sequence[str]]:
    with failing(place, "exports/b.parquet", f"{_READS},mmap") as prefix:
        yield prefix


@contextmanager
def failing(place: Place, name: str, calls: str) -> Iterator[Sequence[str]]:
    """Have system calls fail that concern a file, with an I/O error."""
    tool = needed("strace", "strace")
    filter_ = ("-P", str(place.data / name), "-e", f"inject={calls}:error=EIO")
    command = (tool, "-f", "-qqq", "-o", "/dev/null", *filter_)
    if not place.workers:
        yield command
        return
    with subprocess.Popen([*command, *(f"-p{pid}" for pid in place.workers)]) as tracer:
        while not all(map(_is_traced, place.workers)):
            time.sleep(0.02)
        try:
            yield ()
        finally:
            tracer.send_signal(signal.SIGINT)


def _is_traced(pid: int) -> bool:
    with open(f"/proc/{pid}/status", encoding="ascii") as file:  # noqa: PTH123 (no path of ours)
        return "TracerPid:\t0\n" not in file.read()


def needed(program: str, package: str) -> str:
    """Find a program, or skip the test."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}, of Debian's package {package}")
    return found


@fault("The catalog is damaged.")
def damaged(place: Place) -> Iterator[Sequence[str]]:
    path = place.data / _CATALOG
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    yield ()
    path.write_bytes(content)


@fault("The catalog is missing.")
def missing(place: Place) -> Iterator[Sequence[str]]:
    path = place.data / _CATALOG
    content = path.read_bytes()
    path.unlink()
    yield ()
    path.write_bytes(content)


@fault("Another process has the catalog locked.")
def locked(place: Place) -> Iterator[Sequence[str]]:
    with closing(sqlite3.connect(place.data / _CATALOG, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield ()


@fault("A version file is damaged.")
def damaged_version(place: Place) -> Iterator[Sequence[str]]:
    path = version_files.version_path(place.data, 1, 1)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    yield ()
    path.write_bytes(content)


@fault("The clock goes back by years.")
def clock_back(place: Place) -> Iterator[Sequence[str]]:
    folder = DataFolder(place.data)
    folder.now = folder.now.replace(year=2090)
    folder.nightly(full=True)
    yield ()
