"""The examination of what is around a data folder: disk, permissions and the timer."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING, Final

from pipeline.model.findings import Finding, Health
from pipeline.storage import permissions as permissions_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_GIBIBYTE: Final = 2**30
_LEAST_FREE: Final = _GIBIBYTE
"""The room that a nightly run may need for a cache and new versions, at the least."""
_LEAST_SHARE: Final = 0.05
TIMER: Final = "bufdir-nightly.timer"
_SERVICE: Final = "bufdir-nightly.service"
_SECONDS: Final = 10


def data_folder(data: Path) -> Iterator[Finding]:
    """See that the data folder is there, and that this user may write it."""
    if not data.is_dir():
        remedy = "make it, or name another one with --data"
        yield Finding("data folder", Health.PROBLEM, f"{data} is no folder", remedy)
    elif not os.access(data, os.W_OK | os.X_OK):
        remedy = "start this as the user of the service"
        yield Finding("data folder", Health.PROBLEM, f"this user may not write {data}", remedy)
    else:
        yield Finding("data folder", Health.FINE, str(data.absolute()))


def disk(data: Path) -> Iterator[Finding]:
    """See that there is room for another nightly run."""
    usage = shutil.disk_usage(data)
    share = usage.free / usage.total
    detail = f"{usage.free / _GIBIBYTE:,.1f} GiB free, {share:.0%}"
    if usage.free < _LEAST_FREE or share < _LEAST_SHARE:
        yield Finding("disk", Health.PROBLEM, detail, "make room before the next nightly run")
    else:
        yield Finding("disk", Health.FINE, detail)


def permissions(data: Path) -> Iterator[Finding]:
    """Name what other users may read or write of what this program writes."""
    wide = permissions_of.too_wide(data)
    for path in wide:
        mode = stat.S_IMODE(path.lstat().st_mode)
        detail = f"{path.name} has the mode {mode:04o}"
        remedy = f"chmod o= {path}, or start bufdir nightly as the user that owns it"
        yield Finding("permissions", Health.PROBLEM, detail, remedy)
    if not wide:
        yield Finding("permissions", Health.FINE, "for the user and the group only")


def timer() -> Iterator[Finding]:
    """Ask systemd for the timer of the nightly run, and for how its last start ended."""
    if shutil.which("systemctl") is None:
        detail = "there is none here; see that cron starts bufdir nightly"
        yield Finding("systemd", Health.UNKNOWN, detail)
        return
    state = _shown(TIMER, "LoadState", "ActiveState", "NextElapseUSecRealtime")
    if state.get("LoadState") != "loaded":
        detail = f"{TIMER} is not installed, or systemd does not answer; see that cron does it"
        yield Finding("systemd", Health.UNKNOWN, detail)
        return
    if state.get("ActiveState") != "active":
        remedy = f"systemctl enable --now {TIMER}"
        yield Finding("systemd", Health.PROBLEM, f"{TIMER} is not active", remedy)
    else:
        after = state.get("NextElapseUSecRealtime") or "unknown"
        yield Finding("systemd", Health.FINE, f"{TIMER} starts the next run at {after}")
    result = _shown(_SERVICE, "Result").get("Result", "success")
    if result != "success":
        remedy = f"journalctl -u {_SERVICE}"
        yield Finding("systemd", Health.PROBLEM, f"{_SERVICE} ended with {result}", remedy)


def _shown(unit: str, *names: str) -> dict[str, str]:
    """Ask systemd for properties of a unit; empty where it does not answer."""
    command = ["systemctl", "show", unit, *(f"--property={name}" for name in names)]
    try:
        ended = subprocess.run(  # noqa: S603 (fixed words)
            command, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    pairs = (line.partition("=") for line in ended.stdout.splitlines())
    return {name: value for name, _, value in pairs}
