"""Columns of other names, and mapped categories."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pyarrow as pa

from tests.given import (
    AUTUMN,
    CELL,
    DataFolder,
    cells,
    export,
    ledger,
    ledgers,
    people,
    read,
    row,
    settings,
    table,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path


def test_columns_may_have_other_names(engine: str, data: Path) -> None:
    theirs = {
        "org_id": "Lag",
        "activity_id": "Møte nr.",
        "participant_id": "PersonalID",
        "bufdir_category": 'Type "aktivitet"',
        "started_at": "from",
        "hours": "select",
        "updated_at": "row",
        "status": "file",
        "deleted": "month",
    }
    ours = table([row(updated_at=AUTUMN, status="completed", deleted=False), row(deleted=True)])
    write(data, ours.rename_columns([theirs[name] for name in ours.column_names]))
    chosen = settings(export={"columns": theirs})
    assert read(data).accepted == ()
    assert ledgers(engine, data, chosen) == {"rp-2024-q4": {"counted": 1, "superseded": 1}}


def test_names_may_be_swapped(engine: str, data: Path) -> None:
    ours = table(
        [row(activity_id="p1", participant_id="a1"), row(activity_id="p2", participant_id="a1")]
    )
    write(data, ours)
    chosen = settings(
        export={"columns": {"activity_id": "participant_id", "participant_id": "activity_id"}}
    )
    counted = cells(engine, data, chosen=chosen)[CELL]
    assert (counted.total["people"], counted.total["activities"]) == (2, 1)


def test_activity_types_are_mapped_and_codes_are_left_as_they_are(engine: str, data: Path) -> None:
    names = ["Åpen barnehage", "åpen barnehage", "eldre", "foreldre_barn", None]
    rows = [row(participant_id=f"p{n}", bufdir_category=name) for n, name in enumerate(names)]
    mapping = {"Åpen barnehage": "foreldre_barn", "eldre": "eldre"}
    export(data, rows, types={"bufdir_category": pa.dictionary(pa.int32(), pa.string())})
    counted = cells(engine, data, chosen=settings(export={"categories": mapping}))[CELL]
    shares = {name: share["participations"] for name, share in counted.categories.items()}
    assert shares == {"foreldre_barn": 2, "ungdom": 0, "eldre": 1, "funksjonsnedsettelse": 0}
    assert ledger(counted.ledger) == {"counted": 3, "unknown_category": 2}


def test_the_mapping_is_applied_once(engine: str, data: Path) -> None:
    """The result of a mapping is a code, and not mapped again."""
    mapping = {"Klubb": "ungdom", "Ungdom": "eldre"}
    export(data, [row(bufdir_category="Klubb")])
    counted = cells(engine, data, chosen=settings(export={"categories": mapping}))[CELL]
    assert counted.categories["ungdom"]["participations"] == 1


def test_other_columns_are_ignored_and_named_once(folder: DataFolder) -> None:
    for name in ("a.parquet", "b.parquet"):
        extra = table(people(1)).append_column("Kommune", [["0301"]])
        nested = pa.array([[{"deep": 1}]])
        write(folder.data, extra.append_column("Annet", nested), name)
    result = folder.nightly()
    assert result.ignored == {
        "Annet": ["a.parquet", "b.parquet"],
        "Kommune": ["a.parquet", "b.parquet"],
    }
    assert result.refused == {}


def test_the_order_of_columns_does_not_matter(engine: str, data: Path) -> None:
    written = table([row(status="completed")])
    write(data, written.select(list(reversed(written.column_names))))
    assert ledgers(engine, data) == {"rp-2024-q4": {"counted": 1}}


def test_files_of_different_types_and_columns_are_counted_together(engine: str, data: Path) -> None:
    export(
        data,
        [row(participant_id=1, hours=1)],
        "1.parquet",
        types={
            "participant_id": pa.int32(),
            "hours": pa.int8(),
        },
    )
    export(
        data,
        [row(participant_id="2", hours=Decimal("0.50"), started_at=AUTUMN)],
        "2.parquet",
        types={"hours": pa.decimal128(4, 2), "started_at": pa.timestamp("ns", "America/New_York")},
    )
    export(
        data,
        [row(participant_id="3", status="completed", deleted=False, updated_at=AUTUMN)],
        "deep/er/3.parquet",
    )
    export(
        data,
        [row(participant_id="4", started_at=AUTUMN.date())],
        "4.parquet",
        types={"started_at": pa.date32()},
    )
    counted = cells(engine, data)[CELL]
    assert ledger(counted.ledger) == {"counted": 4}
    assert counted.total["seconds"] == (1 + 2 + 2) * 3600 + 1800
