"""Runs a soak, prints its results, and writes them to `RESULTS.md`; ends with 1 on a breach."""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks import results_page
from benchmarks.soak import page
from benchmarks.soak.soaking import Soak

_MINUTES: Final = 30.0
_SECONDS_PER_MINUTE: Final = 60


def main() -> None:
    """Soak, print, and write."""
    given = _given()
    with tempfile.TemporaryDirectory(prefix="bufdir-soak-") as folder:
        soak = Soak(Path(folder) / "data", given.readers, given.seed)
        soaked = soak.run(given.minutes * _SECONDS_PER_MINUTE)
    written = page.markdown(soaked, datetime.now(UTC).date().isoformat())
    print(written)
    if given.minutes >= _MINUTES:
        results_page.write_section("soak", written)
    for sentence in soaked.breaches:
        print(f"breach: {sentence}", file=sys.stderr)
    sys.exit(1 if soaked.breaches else 0)


def _given() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    asked.add_argument(
        "--minutes", type=float, default=_MINUTES, help="under 30 no file is written"
    )
    asked.add_argument("--readers", type=int, default=32)
    asked.add_argument("--seed", type=int, default=1, help="draws what is asked for")
    return asked.parse_args()


if __name__ == "__main__":
    main()
