"""init: the settings of a source are proposed for a file, and a person reads them."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from pipeline import settings
from tests.activity_systems import HEADER, OTHER, PERSON, ROW, text
from tests.given import export, people, row

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.cli.conftest import Bufdir


def proposed(bufdir: Bufdir, path: Path) -> Mapping[str, Any]:
    """Return the proposed source, which the settings take as it was printed."""
    ended = bufdir("init", path)
    assert (ended.code, ended.err) == (0, "")
    (source,) = tomllib.loads(ended.out)["sources"]
    assert not source.pop("categories", {})
    assert source == bufdir("init", path, "--json").result["settings"]
    (bufdir.data / settings.FILE).write_text(ended.out, encoding="utf-8")
    (loaded,) = settings.load(bufdir.data).sources
    assert loaded.name == source["name"]
    last = f"# Next: bufdir check {path} --source {source['name']}\n"
    assert ended.out.endswith(last)
    assert isinstance(source, dict)
    return source


def read_with_it(bufdir: Bufdir, path: Path) -> Mapping[str, int]:
    """Return the ledger of a file that is read with the proposal for it."""
    source = proposed(bufdir, path)
    (report,) = bufdir("check", path, "--source", source["name"], "--json").result["reports"]
    assert report["problem"] is None
    return {line: rows for line, rows in report["ledger"].items() if rows}


def test_a_proposal_is_an_entry_of_the_settings_with_the_reason_of_each_guess(
    bufdir: Bufdir, tmp_path: Path
) -> None:
    path = text(tmp_path / "klubber 2024.csv", f"{HEADER};Merknad", f"{ROW};x", f"{OTHER};x")

    ended = bufdir("init", path)

    quoted = f"'{path}'"
    assert ended.out == (
        f"# A proposal for {path}, from its 2 rows.\n"
        "# Read it, correct it, and put it into bufdir.toml.\n"
        "# check this: so far all exports are one source; with this entry the others belong to "
        "none, unless they have an entry of their own below, such as [[sources]] and name = "
        '"exports"\n'
        "[[sources]]\n"
        'name = "klubber"  # from the name of the file\n'
        "# check this: the file is not among the exports; put it and its successors there into "
        "klubber/\n"
        'files = "klubber/*.csv"\n'
        'format = "csv"  # by its content\n'
        '# check this: mode = "dump", if each file has everything and replaces the one before\n'
        "\n"
        "[sources.columns]\n"
        'org_id = "Enhet"  # its name is usual\n'
        'activity_id = "Aktivitet"  # its name is usual\n'
        'participant_id = "Person-ID"  # its name is usual\n'
        'bufdir_category = "Målgruppe"  # its name is usual\n'
        'started_at = "Dato"  # its name is usual\n'
        'hours = "Antall timer"  # its name is usual\n'
        '# columns that are left: "Merknad"\n'
        "\n"
        "[sources.csv]\n"
        'delimiter = ";"  # 2 of 2 rows have as many cells as the header, 7\n'
        'encoding = "utf-8"  # its letters beyond ASCII are UTF-8\n'
        "header_row = 1  # 6 columns in it have usual names\n"
        'decimal = ","  # 1 of 2 hours have a decimal comma\n'
        'dates = "%d.%m.%Y %H:%M"  # 2 of 2 dates and times are like this\n'
        "\n"
        "# check this: rows with these categories do not count, until they are mapped to one of "
        "ours\n"
        "[sources.categories]\n"
        '# "Åpen barnehage" = "foreldre_barn"  # 1 row\n'
        "\n"
        f"# Next: bufdir check {quoted} --source klubber\n"
    )
    assert (ended.code, ended.err) == (0, "")


def test_paths_into_json_objects_are_found(bufdir: Bufdir, tmp_path: Path) -> None:
    one = {
        "organisation": {"id": "org-1"},
        "activity": {"id": 7, "type": "x", "category": "ungdom"},
        "person": {"id": PERSON},
        "startTime": "2024-11-05T18:00:00+01:00",
        "hours": 1.5,
        "deleted": False,
    }
    path = text(tmp_path / "a.jsonl", json.dumps(one), json.dumps({**one, "hours": 2}))

    columns = proposed(bufdir, path)["columns"]

    assert columns == {
        "org_id": "organisation.id",
        "activity_id": "activity.id",
        "participant_id": "person.id",
        "bufdir_category": "activity.category",
        "started_at": "startTime",
        "hours": "hours",
        "deleted": "deleted",
    }
    assert read_with_it(bufdir, path) == {"counted": 1, "superseded": 1}


def test_columns_of_parquet_are_found_by_name(bufdir: Bufdir, data: Path) -> None:
    rows = [*people(3), row(participant_id=PERSON, bufdir_category="Seniortreff")]
    path = export(data, rows, "members/2024/a.parquet")

    source = proposed(bufdir, path)

    assert (source["name"], source["files"]) == ("members", "members/**/*.parquet")
    assert "format" in source
    assert "parquet" not in source
    assert source["columns"]["hours"] == "hours"
    assert '# "Seniortreff" = "eldre"  # 1 row\n' in bufdir("init", path).out
    assert read_with_it(bufdir, path) == {"counted": 3, "unknown_category": 1}


def test_the_content_of_a_file_decides_its_format(bufdir: Bufdir, data: Path) -> None:
    path = text(data / "exports" / "system" / "a.dat", HEADER, ROW)

    source = proposed(bufdir, path)

    assert (source["format"], source["files"]) == ("csv", "system/*.dat")
    assert bufdir("check", path, "--json").result["reports"][0]["is_of_source"]


def test_what_fits_nothing_is_named_and_left_to_a_person(bufdir: Bufdir, tmp_path: Path) -> None:
    path = text(
        tmp_path / "a.csv", "Enhet;Emne;Person;Gruppe;Dato;Status", "o;b;p;c;2024-11-05;Møtt"
    )

    source, shown = proposed(bufdir, path), bufdir("init", path).out
    result = bufdir("init", path, "--json").result["proposal"]

    assert set(source["columns"]) == {"org_id", "participant_id", "started_at"}
    assert result["missing"] == ["activity_id", "bufdir_category", "hours"]
    assert result["left"] == ["Emne", "Gruppe", "Status"]
    assert "# check this: no column has a usual name for hours, which is required" in shown
    assert '# hours = ""\n# columns that are left: "Emne", "Gruppe", "Status"\n' in shown
    assert '"Status" is not proposed for status, because it never is completed' in shown
