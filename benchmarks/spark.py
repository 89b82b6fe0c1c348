"""`python -m benchmarks.spark`: nightly runs on Spark, compared with Polars: `make bench-spark`.

Writes one section of `RESULTS.md`. Everything that it starts listens on 127.0.0.1 only, and ends
with it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from benchmarks import nightly_runs, processes, results_page, spark_cells, spark_report
from benchmarks.nightly_runs import Bench, Sample
from benchmarks.processes import Usage
from benchmarks.spark_cluster import PARTITIONS, REPOSITORY, Cluster, environment
from benchmarks.spark_report import FIRST, NEXT, POLARS, Cells, Measured, Results, cluster_name

HERE: Final = Path(__file__).parent
SIZES: Final = "2000000,20000000"
EXECUTORS: Final = (1, 2)
LOCAL: Final = "Spark, local[2]"
LOCAL_MEMORY: Final = "2400m"
"""As much as two executors have."""
_LARGE: Final = 20_000_000
"""Rows from which on one round is the default."""
_ROUNDS: Final = 3
_NOT_COMPARED: Final = frozenset({"engine", "id", "created_at", "refreshed_at"})
_MEGABYTE: Final = 10**6

Versions = Mapping[tuple[str, str], Any]
"""What version files have of numbers and digests, by organisation and period."""


def main() -> None:
    """Measure, and write the section after each size."""
    signal.signal(signal.SIGTERM, _exit)
    given = _given()
    given.folder.mkdir(parents=True, exist_ok=True)
    last = given.folder / "spark-results.json"
    today = datetime.now(UTC).date().isoformat()
    command = f"make bench-spark{_as_make_takes_them(sys.argv[1:])}"
    found = Results(command, today, spark_report.versions(given.client), LOCAL_MEMORY)
    if given.add and last.exists():
        before = msgspec.json.decode(last.read_bytes(), type=Results)
        found = msgspec.structs.replace(found, sizes=before.sizes, cells=before.cells)
    for part in _measured(given, today):
        changed = (
            {"cells": part}
            if isinstance(part, Cells)
            else {"sizes": {**found.sizes, part.rows: part}}
        )
        found = msgspec.structs.replace(found, **changed)
        last.write_bytes(msgspec.json.encode(found))
        results_page.write_section("spark", spark_report.markdown(found))
    print(spark_report.markdown(found))


def _exit(*_: object) -> NoReturn:
    """End as an error does, so that what was started is ended."""
    sys.exit(128 + signal.SIGTERM)


def _given() -> argparse.Namespace:
    asked = argparse.ArgumentParser(prog="python -m benchmarks.spark", description=__doc__)
    asked.add_argument("--folder", type=Path, default=HERE / "scratch", help="room for the samples")
    asked.add_argument(
        "--rows",
        type=_numbers,
        action="extend",
        help=f"sizes of samples, divided by commas; default {SIZES}",
    )
    asked.add_argument(
        "--rounds", type=int, help=f"default {_ROUNDS}, and 1 from {_LARGE:,} rows on"
    )
    asked.add_argument(
        "--cells", type=int, default=0, help="measure so many cells; alone, keeps sizes"
    )
    asked.add_argument(
        "--client",
        type=Path,
        default=Path(".venv-spark-client/bin/python"),
        help="the Python with the client that needs no Java",
    )
    asked.add_argument(
        "--add", action="store_true", help="keep the last results of what is not measured now"
    )
    given = asked.parse_args()
    if given.rows is None:
        given.rows = [] if given.cells else _numbers(SIZES)
        given.add = given.add or given.cells > 0
    given.client = given.client.absolute()
    given.folder = given.folder.absolute()
    return given


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _as_make_takes_them(arguments: Sequence[str]) -> str:
    """Leave out what the Makefile adds itself."""
    place = arguments.index("--client") if "--client" in arguments else len(arguments)
    others = [*arguments[:place], *arguments[place + 2 :]]
    return f' ARGS="{" ".join(others)}"' if others else ""


def _measured(given: argparse.Namespace, today: str) -> Iterator[Measured | Cells]:
    for rows in given.rows:
        rounds = given.rounds or (1 if rows >= _LARGE else _ROUNDS)
        bench = Bench(given.folder, rounds, _report)
        sample = Sample(rows, min(500, max(1, rows // 10)))
        exports = bench.exports(sample)
        with tempfile.TemporaryDirectory(prefix="spark-", dir=given.folder) as name:
            yield Runs(Path(name), exports, given.client).measured(sample, rounds, today)
    if given.cells:
        with tempfile.TemporaryDirectory(prefix="spark-", dir=given.folder) as name:
            yield _cells(Path(name), given.client, given.cells, today)


@dataclass
class Runs:
    """Nightly runs over one sample; the first is on Polars, and all others must equal it."""

    folder: Path
    exports: Path
    client: Path
    usages: dict[str, list[Usage]] = field(default_factory=dict)
    _expected: Versions = field(default_factory=dict)

    def measured(self, sample: Sample, rounds: int, today: str) -> Measured:
        """Run everything in turn.

        Raises:
            RuntimeError: A run failed, or has other numbers or digests.
        """
        for _ in range(rounds):
            self._run(POLARS, sys.executable, {})
            self._run_local()
            for executors in EXECUTORS:
                with _cluster(self.folder, executors) as cluster:
                    for run in (FIRST, NEXT):
                        self._run_on(cluster, cluster_name(executors, run))
        return Measured(
            rows=sample.rows,
            megabytes=nightly_runs.size(self.exports) / _MEGABYTE,
            snapshots=len(self._expected),
            rounds=rounds,
            day=today,
            usages={name: Usage.medians(found) for name, found in self.usages.items()},
        )

    def _run_local(self) -> None:
        options = {
            "spark.driver.memory": LOCAL_MEMORY,
            "spark.sql.shuffle.partitions": PARTITIONS,
            "spark.ui.enabled": "false",
        }
        engine = {"name": "spark", "spark_master": "local[2]", "spark_options": options}
        self._run(LOCAL, sys.executable, engine)

    def _run_on(self, cluster: Cluster, name: str) -> None:
        engine = {"name": "spark", "spark_remote": cluster.remote}
        self._run(name, str(self.client), engine, cluster.sessions)

    def _run(
        self,
        name: str,
        python: str,
        engine: Mapping[str, object],
        sessions: Sequence[int] = (),
    ) -> None:
        """Measure one nightly run into a new data folder, and compare what it published."""
        data = Path(tempfile.mkdtemp(prefix="data-", dir=self.folder))
        _write_settings(data, self.exports, engine)
        command = [python, "-m", "cli", "--data", str(data), "nightly"]
        usage, _ = processes.run(command, _variables(self.folder), sessions)
        published = _published(data)
        self._expected = self._expected or published
        different = [cell for cell in self._expected if published.get(cell) != self._expected[cell]]
        if different or not published or len(published) != len(self._expected):
            examples = ", ".join(map(" ".join, different[:3]))
            msg = f"{name} published {len(published)} snapshots; other than on Polars: {examples}"
            raise RuntimeError(msg)
        self.usages.setdefault(name, []).append(usage)
        _report(f"{name}: {_shown(usage)}")


@contextmanager
def _cluster(folder: Path, executors: int) -> Iterator[Cluster]:
    """Run a cluster whose executors take tasks."""
    own = Path(tempfile.mkdtemp(prefix="cluster-", dir=folder))
    with Cluster.started(own, executors) as cluster:
        cluster.wait_for_executors(executors)
        yield cluster
    shutil.rmtree(own, ignore_errors=True)


def _variables(folder: Path) -> dict[str, str]:
    """Give programs of ours no settings but those of their data folder."""
    own = environment(folder)
    # The client without Java has a package of the same name, without these files.
    del own["SPARK_HOME"]
    return {
        name: value
        for name, value in own.items()
        if not name.startswith("BUFDIR_") and name != "PYTHONDONTWRITEBYTECODE"
    } | {"PYTHONPATH": str(REPOSITORY)}


def _write_settings(data: Path, exports: Path, engine: Mapping[str, object]) -> None:
    """Write the settings of a data folder; a text of JSON is one of TOML as well."""
    options = engine.get("spark_options", {})
    lines = ["[exports]", f"location = {json.dumps(str(exports))}", "[engine]"]
    lines += [f"{name} = {json.dumps(text)}" for name, text in engine.items() if text != options]
    if isinstance(options, dict) and options:
        lines += ["[engine.spark_options]"]
        lines += [f"{json.dumps(name)} = {json.dumps(text)}" for name, text in options.items()]
    (data / "bufdir.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _published(data: Path) -> Versions:
    """Read the published versions, without what differs from run to run."""
    found = {}
    for path in data.glob("snapshots/*/v*.json"):
        version = json.loads(path.read_bytes())
        cell = version["org_id"], version["reporting_period_id"]
        found[cell] = {name: value for name, value in version.items() if name not in _NOT_COMPARED}
    return found


def _cells(folder: Path, client: Path, cells: int, today: str) -> Cells:
    """Measure the survey and the counting of many cells.

    Raises:
        RuntimeError: The program failed, or has counted another number of cells.
    """
    organisations = max(1, cells // spark_cells.QUARTERS)
    exports = folder / "exports"
    _report(f"writing exports of {organisations:,} organisations")
    spark_cells.write(exports, organisations)
    with _cluster(folder, max(EXECUTORS)) as cluster:
        command = [str(client), "-m", spark_cells.__name__, str(exports), cluster.remote]
        usage, output = processes.run(command, _variables(folder), cluster.sessions)
    counted = organisations * spark_cells.QUARTERS
    if f"counted {counted} cells\n" not in output:
        raise RuntimeError(f"not {counted} cells were counted: {output}")
    _report(f"{counted:,} cells: {_shown(usage)}")
    return Cells(counted, counted * spark_cells.ROWS_A_CELL, today, usage)


def _shown(usage: Usage) -> str:
    memory = ", ".join(f"{name} {most:.2f} GB" for name, most in usage.gigabytes.items())
    return f"{usage.seconds:.1f} s, {usage.processor_seconds:.1f} processor seconds, {memory}"


def _report(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
