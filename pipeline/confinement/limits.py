"""Bounds on the memory and the processor time of this process, which the system enforces."""

from __future__ import annotations

import math
import resource
from typing import Final

MEBIBYTE: Final = 1024 * 1024


def limit_memory(megabytes: int) -> None:
    """Bound the private writable memory of this process, and have it leave no core file.

    The bound is on RLIMIT_DATA, not on address space (RLIMIT_AS): Arrow and Polars reserve, and map
    from files, far more than they use. A core file would hold the rows of exports.
    """
    _lower(resource.RLIMIT_DATA, megabytes * MEBIBYTE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_processor_time(seconds: float) -> None:
    """Have the system end this process after this much more processor time of all its threads.

    Waiting does not count. The signal is SIGXCPU.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + seconds))


def lift_processor_time() -> None:
    """Take that bound away again, as far as the system's own goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def _lower(kind: int, wanted: int) -> None:
    _, hard = resource.getrlimit(kind)
    soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(kind, (soft, hard))
