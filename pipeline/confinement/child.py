"""Child processes: forked before a library starts threads, watched, and ended with their parent.

A child goes on in the caller's own code, so that work moves into it without being passed on. What
native libraries write to stderr goes to a file in memory: an abort's words are no sentence for
people, but they reveal the cause. Python's own stderr is the same as before.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.confinement.endings import ending

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipeline.confinement.endings import ChildEnd

_PR_SET_PDEATHSIG: Final = 1
_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LOOK_SECONDS: Final = 1
STALL_SECONDS: Final = 120
"""A child that reads exports, and uses no processor and reads nothing for so long, has stalled."""
_LAST_WORDS: Final = 4_096
_VARIABLES: Final[Mapping[str, str]] = {
    # Where memory runs out, Rust aborts at once instead of allocating more for a backtrace.
    "RUST_BACKTRACE": "0",
    # NumPy comes with Arrow and computes nothing here; its threads would take memory.
    "OPENBLAS_NUM_THREADS": "1",
    # Arrow's allocator reserves a gibibyte; the bound on memory should count what is used of it.
    "MIMALLOC_ARENA_EAGER_COMMIT": "0",
    # That of Polars keeps what it has freed, which the bound would count as well; two seconds long
    # is enough to use most of it again.
    "_RJEM_MALLOC_CONF": "retain:false,dirty_decay_ms:2000",
}


@dataclass(frozen=True, slots=True)
class Note:
    """Texts that a child leaves for its parent, who reads them after the child's death."""

    descriptor: int = field(default_factory=lambda: os.memfd_create("note"))
    flag: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, 1))
    """One byte in memory that parent and child share: whether the child reads exports."""

    @property
    def is_set(self) -> bool:
        """Whether the child reads exports."""
        return self.flag[0] != 0

    def set(self, *, is_set: bool) -> None:
        """Record whether exports are read from here on."""
        self.flag[0] = is_set

    def write(self, text: str) -> None:
        """Replace the text."""
        content = text.encode("utf-8", "surrogatepass")
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, content, 0)

    def read(self) -> str:
        """Give the text."""
        size = os.fstat(self.descriptor).st_size
        return os.pread(self.descriptor, size, 0).decode("utf-8", "surrogatepass")


def fork(note: Note) -> ChildEnd | None:
    """Fork, and wait for the end of the child.

    Call it before any library has started a thread. Signals that end this process are passed on
    to the child, which ends in its own way.

    Returns:
        In the child None; in the parent the child's end.
    """
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None where it is closed
        with suppress(OSError):  # a child would write what is buffered once more
            stream.flush()
    words = os.memfd_create("last-words")
    note.set(is_set=False)
    parent = os.getpid()
    with _blocked({*_FORWARDED, signal.SIGCHLD}):
        child = os.fork()
        if child:
            try:
                return _wait(child, note, words)
            finally:
                os.close(words)
        _die_with(parent)
    _divert_native_stderr(words)
    _divert_ignored_errors(note)
    os.environ.update(_VARIABLES)
    return None


@contextmanager
def _blocked(signals: set[signal.Signals]) -> Iterator[None]:
    """Hold these signals back during the block; those that wait are delivered after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _die_with(parent: int) -> None:
    """Have the system kill this process as soon as its parent is dead."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os._exit(1)


def _divert_native_stderr(words: int) -> None:
    """Give descriptor 2 to native libraries, and the former stderr to Python."""
    if sys.stderr is not None:
        encoding = sys.stderr.encoding
        sys.stderr = os.fdopen(
            os.dup(2), "w", buffering=1, encoding=encoding, errors="backslashreplace"
        )
    os.dup2(words, 2)
    os.close(words)


def _divert_ignored_errors(note: Note) -> None:
    """Give errors in threads to descriptor 2 while exports are read: there, they follow a death."""
    usual = sys.unraisablehook

    def write(found: sys.UnraisableHookArgs) -> None:
        if note.is_set:
            os.write(2, repr(found.exc_value).encode(errors="replace"))
        else:
            usual(found)

    sys.unraisablehook = write


def _wait(child: int, note: Note, words: int) -> ChildEnd:
    """Wait for a child, and pass signals on to it; kill it where it stalls while it reads."""
    progress, looked, idle, stalled = "", time.monotonic(), 0.0, False
    while True:
        received = signal.sigtimedwait({*_FORWARDED, signal.SIGCHLD}, _LOOK_SECONDS)
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return ending(status, _last_words(words), stalled=stalled)
        # The terminal sends Ctrl-C to the child as well, with no sender.
        if received is not None and received.si_signo in _FORWARDED and received.si_pid:
            os.kill(child, received.si_signo)
        now, found = time.monotonic(), _progress(child)
        # Where this process was stopped for a while, with the child, no more than one look counts.
        passed, looked = min(now - looked, _LOOK_SECONDS), now
        if found != progress or not note.is_set:
            progress, idle = found, 0
        elif (idle := idle + passed) > STALL_SECONDS:
            stalled = True
            os.kill(child, signal.SIGKILL)


def _progress(child: int) -> str:
    """Give what changes as long as a process computes or reads."""
    folder = Path("/proc", str(child))
    with suppress(OSError):
        times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        return " ".join([*times, (folder / "io").read_text()])
    return ""


def _last_words(words: int) -> bytes:
    size = os.fstat(words).st_size
    return os.pread(words, _LAST_WORDS, max(0, size - _LAST_WORDS))
