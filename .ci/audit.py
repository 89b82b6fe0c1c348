"""Looks up known vulnerabilities of the locked packages; run it by `make audit`.

Exit codes: 0 there are none, 3 there are some, 69 the advisories can't be reached. pip-audit
reports no vulnerability, and success, where the service of advisories answers that it knows no
package at all. So each package that it skipped counts as not looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any, Final

NONE_FOUND: Final = 0
FOUND: Final = 3
UNREACHABLE: Final = 69
"""As EX_UNAVAILABLE of sysexits.h."""
_OURS: Final = (0, 1)
"""The exit codes with which pip-audit has a report: without and with vulnerabilities."""


def main(locks: list[str]) -> int:
    """Audit these locks, print one line for each vulnerability, and return the exit code."""
    found: dict[str, Any] = {}
    for lock in locks:
        packages = _audit(lock)
        if packages is None:
            return _unreachable(f"pip-audit could not look up the packages of {lock}")
        found |= {f"{one['name']} {one.get('version')}": one for one in packages}
    skipped = [name for name, one in found.items() if "skip_reason" in one]
    if skipped:
        return _unreachable(f"no advisories were found for {len(skipped)} of {len(found)} packages")
    lines = [
        f"{name}: {flaw['id']}, fixed in {', '.join(flaw['fix_versions']) or 'no release'}"
        for name, one in found.items()
        for flaw in one["vulns"]
    ]
    print(*lines, f"audit: {len(found)} packages, {len(lines)} known vulnerabilities", sep="\n")
    return FOUND if lines else NONE_FOUND


def _audit(lock: str) -> list[dict[str, Any]] | None:
    """Look up the packages of a lock; None where that is not possible."""
    if find_spec("pip_audit") is None:
        return None
    options = ("--require-hashes", "--disable-pip", "--format=json", "--progress-spinner=off")
    command = [sys.executable, "-m", "pip_audit", *options, "--requirement", lock]
    ended = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    if ended.returncode not in _OURS or not ended.stdout:
        return None
    packages: list[dict[str, Any]] = json.loads(ended.stdout)["dependencies"]
    return packages


def _unreachable(problem: str) -> int:
    sentence = f"audit: {problem}; run it again where the advisories of packages can be reached"
    print(sentence, file=sys.stderr)
    return UNREACHABLE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
