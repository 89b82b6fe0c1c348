"""The page about accidents agrees with the program: each is made, and a nightly run follows."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq
import pytest

from tests.given import DataFolder, people, row, settings, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from tests.cli.conftest import Bufdir

pytestmark = pytest.mark.no_cover

PAGE: Final = Path(__file__).parents[2] / "docs" / "accidents.md"
ACCIDENTS: dict[str, Callable[[DataFolder], AbstractContextManager[object] | None]] = {}
"""By its name on the page, what makes an accident; a context goes on during the nightly run."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tables of the page."""

    accident: str
    published: str
    exit_code: str
    printed: str
    remark: str

    @property
    def pieces(self) -> Sequence[str]:
        return re.findall(r"`([^`]+)`", self.printed)


def lines() -> dict[str, Line]:
    cells = [
        [cell.strip() for cell in line.strip("|\n").split(" | ")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    return {of[0]: Line(*of) for of in cells if of[0] not in ("accident", "---")}


def accident(name: str) -> Callable[[Any], Any]:
    def named(make: Any) -> Any:
        ACCIDENTS[name] = make
        return make

    return named


def two_files(folder: DataFolder) -> Path:
    """Write a main export and one of corrections; return the path of the exports."""
    folder.export(people(100), "main.parquet")
    others = [row(participant_id=f"q{number}") for number in range(20)]
    folder.export([*people(5, hours=4.0), *others], "corrections.parquet")
    folder.nightly()
    return folder.data / "exports"


def cut(path: Path, rows: int) -> None:
    pq.write_table(pq.read_table(path).slice(0, rows), path)


@accident("The main file is gone, the corrections are there.")
def main_is_gone(folder: DataFolder) -> None:
    (two_files(folder) / "main.parquet").unlink()


@accident("The corrections are gone, the main file is there.")
def corrections_are_gone(folder: DataFolder) -> None:
    (two_files(folder) / "corrections.parquet").unlink()


@accident("A folder with two files is gone.")
def folder_is_gone(folder: DataFolder) -> None:
    folder.export(people(50), "club/a.parquet")
    folder.export(people(50, org_id="org-2"), "club/b.parquet")
    folder.export(people(50, org_id="org-3"), "c.parquet")
    folder.nightly()
    shutil.rmtree(folder.data / "exports" / "club")


@accident("All files are gone, the folder of exports is there.")
def all_is_gone(folder: DataFolder) -> None:
    for path in two_files(folder).iterdir():
        path.unlink()


@accident("The folder of exports is gone.")
def exports_are_gone(folder: DataFolder) -> None:
    shutil.rmtree(two_files(folder))


@accident("The main file is cut to half its rows, as whole Parquet.")
def half_the_rows(folder: DataFolder) -> None:
    cut(two_files(folder) / "main.parquet", 50)


@accident("The main file is cut to half its bytes.")
def half_the_bytes(folder: DataFolder) -> None:
    path = two_files(folder) / "main.parquet"
    os.truncate(path, path.stat().st_size // 2)


@accident("The main file is written again with 3 % fewer rows.")
def a_few_rows_fewer(folder: DataFolder) -> None:
    cut(two_files(folder) / "main.parquet", 97)


@accident("The main file is written again with 30 % fewer rows.")
def many_rows_fewer(folder: DataFolder) -> None:
    cut(two_files(folder) / "main.parquet", 70)


@accident("The main file is renamed.")
def renamed(folder: DataFolder) -> None:
    path = two_files(folder) / "main.parquet"
    path.rename(path.with_name("members.parquet"))


@accident("The main file is renamed and has a new row.")
def renamed_and_changed(folder: DataFolder) -> None:
    (two_files(folder) / "main.parquet").unlink()
    folder.export([*people(100), row(participant_id="new")], "members.parquet")


@accident("The main file is copied under a second name.")
def copied(folder: DataFolder) -> None:
    path = two_files(folder) / "main.parquet"
    shutil.copy(path, path.with_name("main (1).parquet"))


@accident("The times of all files go back.")
def times_go_back(folder: DataFolder) -> None:
    for path in two_files(folder).iterdir():
        os.utime(path, (1, 1))


@accident("A file grows for as long as it is read.")
@contextmanager
def grows(folder: DataFolder) -> Iterator[None]:
    path = two_files(folder) / "main.parquet"
    folder.export(people(101), "main.parquet")
    stop = Event()

    def append() -> None:
        while not stop.is_set():
            os.utime(path)

    thread = Thread(target=append)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@accident("An organisation left the system, and its rows are gone.")
def organisation_left(folder: DataFolder) -> None:
    folder.export([*people(50), *people(50, org_id="org-2")])
    folder.nightly()
    folder.export(people(50))


@accident("An organisation has another id at the source.")
def organisation_renamed(folder: DataFolder) -> None:
    folder.export(people(50))
    folder.nightly()
    folder.export(people(50, org_id="org-new"))


def dumps(folder: DataFolder, *exports: tuple[str, int]) -> Path:
    """Write dumps in files, with a nightly run after each; return the path of the exports."""
    with_sources(folder, "**")
    for name, rows in exports:
        folder.export(people(rows), name)
        folder.nightly()
    return folder.data / "exports"


def with_sources(folder: DataFolder, files: str) -> None:
    """Make all exports dumps, for this process and for others."""
    folder.settings = settings(sources=[{"name": "register", "files": files, "mode": "dump"}])
    text = f'[[sources]]\nname = "register"\nfiles = "{files}"\nmode = "dump"\n'
    (folder.data / "bufdir.toml").write_text(text)


@accident("An older dump is left next to the newest.")
def older_dump(folder: DataFolder) -> None:
    dumps(folder, ("20241001.parquet", 100))
    folder.export(people(95), "20241002.parquet")


@accident("The newest dump has no rows.")
def empty_dump(folder: DataFolder) -> None:
    dumps(folder, ("20241001.parquet", 100))
    folder.export([], "20241002.parquet")


@accident("The newest dump is from another system.")
def other_system(folder: DataFolder) -> None:
    path = dumps(folder, ("20241001.parquet", 100)) / "20241002.parquet"
    pq.write_table(table(people(100)).rename_columns([*"uvwxyz"]), path)


@accident("The newest dump is gone, the older one is there.")
def newest_dump_is_gone(folder: DataFolder) -> None:
    path = dumps(folder, ("20241001.parquet", 100), ("20241002.parquet", 101))
    (path / "20241002.parquet").unlink()


@accident("A dump is a folder named by its date.")
def dated_folders(folder: DataFolder) -> None:
    first_folder(folder)
    folder.export(people(61), "register/2024-10-02/a.parquet")
    folder.export(people(41, org_id="org-2"), "register/2024-10-02/b.parquet")


@accident("The newest folder is half copied.")
def half_copied(folder: DataFolder) -> None:
    first_folder(folder)
    folder.export(people(61), "register/2024-10-02/a.parquet")


def first_folder(folder: DataFolder) -> None:
    with_sources(folder, "register/**")
    folder.export(people(60), "register/2024-10-01/a.parquet")
    folder.export(people(40, org_id="org-2"), "register/2024-10-01/b.parquet")
    folder.nightly()


@accident("There are two dumps of one day.")
def two_dumps_of_one_day(folder: DataFolder) -> None:
    dumps(folder, ("20241001.parquet", 100))
    folder.export(people(95), "20241002.parquet")
    folder.export(people(99), "20241002-b.parquet")


@accident("Dumps without digits, and the clock of the newer one is slow.")
def slow_clock(folder: DataFolder) -> None:
    path = dumps(folder, ("first.parquet", 100))
    folder.export(people(101), "second.parquet")
    os.utime(path / "second.parquet", (1, 1))


@accident("Categories have other names at the source.")
def categories_renamed(folder: DataFolder) -> None:
    before_and_after(folder, people(50), people(50, bufdir_category="Ungdom"))


@accident("All hours are tenfold, because the decimal comma was lost.")
def tenfold(folder: DataFolder) -> None:
    before_and_after(folder, people(50, hours=1.5), people(50, hours=15.0))


@accident("All hours are tenfold, and over `max_hours`.")
def tenfold_and_too_long(folder: DataFolder) -> None:
    before_and_after(folder, people(50, hours=2.5), people(50, hours=25.0))


@accident("All participants have new pseudonyms.")
def new_pseudonyms(folder: DataFolder) -> None:
    before_and_after(folder, people(50), strangers())


@accident("All participants have new pseudonyms, in a further file.")
def new_pseudonyms_in_a_further_file(folder: DataFolder) -> None:
    before_and_after(folder, people(50), people(50))
    folder.export(strangers(), "b.parquet")


def strangers() -> list[dict[str, Any]]:
    return [row(participant_id=f"z{number}") for number in range(50)]


def before_and_after(folder: DataFolder, before: Any, after: Any) -> None:
    folder.export(before)
    folder.nightly()
    folder.export(after)


def published(folder: DataFolder) -> str:
    cells = sorted(folder.published().items())
    return ", ".join(f"{version.total['participations']:,}" for _, version in cells)


@pytest.mark.parametrize("name", ACCIDENTS)
def test_the_page_about_accidents_has_what_a_nightly_run_does_after_each(
    name: str, folder: DataFolder, bufdir: Bufdir
) -> None:
    line = lines()[name]
    during = ACCIDENTS[name](folder)
    with during or nullcontext():
        before = published(folder)
        finished = bufdir("nightly")
    printed = finished.err.splitlines()
    assert (line.published, line.exit_code) == (
        f"{before} → {published(folder)}",
        str(finished.code),
    )
    assert len(printed) == len(line.pieces), printed
    assert [piece for piece, of in zip(line.pieces, printed, strict=True) if piece not in of] == []
    assert line.pieces or line.printed == "nothing"


def test_every_accident_on_the_page_is_made_by_a_test() -> None:
    assert list(lines()) == list(ACCIDENTS)
    assert all(line.remark for line in lines().values())


def test_the_line_about_a_blocked_cell_is_on_the_page(folder: DataFolder, bufdir: Bufdir) -> None:
    main_is_gone(folder)
    assert bufdir("nightly").err in PAGE.read_text(encoding="utf-8")
