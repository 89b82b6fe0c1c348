"""Participants that are planted in exports, and the search for them in all that was written."""

from __future__ import annotations

import base64
import json
import zipfile
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from tests.given import AUTUMN, LATER, Row, row, table, write
from tests.identity_numbers import made_up

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


TEXTS: Final = (
    "planted-7f3a9c51",
    "plantet-ÆØÅ-blåbær",
    "plantet-A\u030a-decomposed",
    "planted-" + "0123456789abcdef" * 20,
    "planted with spaces",
)
NUMBERS: Final = (81_234_567_890_123, 7_765_432_198_765)
IDENTITY_NUMBERS: Final = tuple(made_up(4))
HEADER: Final = (
    "org_id",
    "activity_id",
    "participant_id",
    "bufdir_category",
    "started_at",
    "hours",
)
SETTINGS: Final = """
[log]
level = "debug"
[[sources]]
name = "csv"
files = "*.csv"
format = "csv"
[[sources]]
name = "xlsx"
files = "*.xlsx"
format = "xlsx"
[[sources]]
name = "jsonl"
files = "*.jsonl"
format = "jsonl"
[[sources]]
name = "parquet"
"""


DEFECTS: Final[tuple[Row, ...]] = (
    {},
    {"hours": 3.0, "updated_at": LATER},
    {"org_id": None},
    {"org_id": "org 1"},
    {"activity_id": None},
    {"started_at": None},
    {"started_at": AUTUMN.replace(year=1999)},
    {"deleted": True},
    {"status": "planned"},
    {"bufdir_category": "x"},
    {"hours": None},
    {"hours": float("nan")},
    {"hours": -1.0},
    {"hours": 99.0},
)
"""What is wrong with the rows of each participant; the first two are about one participation."""


def _defects(person: object) -> Iterator[Row]:
    """Give rows of one participant that end on every line of the ledger."""
    for number, values in enumerate(DEFECTS):
        activity = f"a{max(0, number - 1)}"
        yield {**row(participant_id=person, activity_id=activity), **values}


def export(data: Path) -> None:
    """Write exports of every format with planted participants and every defect."""
    rows = [one for person in TEXTS for one in _defects(person)]
    write(data, table(rows), "good.parquet")
    kinds = {"participant_id": pa.int64()}
    numbers = [one for person in NUMBERS for one in _defects(person)]
    write(data, table(numbers, kinds), "numbers.parquet")
    people = [row(participant_id=person) for person in TEXTS]
    kind = pa.dictionary(pa.int32(), pa.string())
    write(data, table(people, {"participant_id": kind}), "dictionary.parquet")
    named = [row(participant_id=one, activity_id=one[-3:]) for one in IDENTITY_NUMBERS]
    write(data, table(named), "identity.parquet")
    _write_refused_parquet(data, people)
    _write_texts(data)
    _write_workbook(data / "exports" / "book.xlsx")


def _write_refused_parquet(data: Path, people: Sequence[Row]) -> None:
    plain = {"compression": "none", "use_dictionary": False}
    write(data, table(people).drop_columns(["hours"]), "lacking.parquet", **plain)
    path = write(data, table([*people] * 50), "torn.parquet", **plain)
    content = bytearray(path.read_bytes())
    content[40:60] = b"\xff" * 20
    path.write_bytes(content)
    cut = write(data, table(people), "cut.parquet", **plain)
    cut.write_bytes(cut.read_bytes()[:-30])
    no_text = write(data, table(people), "no-text.parquet", **plain)
    content = bytearray(no_text.read_bytes())
    place = content.index(TEXTS[0].encode())
    content[place + 8] = 0xFF
    no_text.write_bytes(content)


def _write_texts(data: Path) -> None:
    lines = [",".join(HEADER)]
    lines += [f"org-1,a{n},{person},ungdom,2024-11-05,1" for n, person in enumerate(TEXTS)]
    lines += [f"org-1,b,{TEXTS[0]},ungdom,{TEXTS[1]},{TEXTS[0]}", f"org-1,b,{TEXTS[1]}"]
    lines += [f"org-1,c,{TEXTS[2]},ungdom,2024-11-05,1,{TEXTS[3]},{TEXTS[0]}"]
    (data / "exports" / "good.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    quote = f'org-1,d,"{TEXTS[0]},ungdom,2024-11-05,1\norg-1,e,{TEXTS[1]},ungdom,2024-11-05,1\n'
    (data / "exports" / "quote.csv").write_text(lines[0] + "\n" + quote * 2, encoding="utf-8")
    header = f"{TEXTS[0]},{TEXTS[1]}\n1,2\n"
    (data / "exports" / "header.csv").write_text(header, encoding="utf-8")
    objects = [dict(zip(HEADER, line.split(","), strict=False)) for line in lines[1:]]
    texts = [json.dumps(one) for one in objects]
    texts += [f'{{"org_id": "org-1", "participant_id": "{TEXTS[0]}"', TEXTS[1]]
    texts += [json.dumps({**objects[0], "participant_id": [TEXTS[2]]})]
    texts += [json.dumps({**objects[0], "participant_id": NUMBERS[0], "hours": TEXTS[3]})]
    (data / "exports" / "lines.jsonl").write_text("\n".join(texts), encoding="utf-8")


def _write_workbook(path: Path) -> None:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEADER)
        for number, person in enumerate((*TEXTS, *NUMBERS), 1):
            values: tuple[Any, ...] = ("org-1", f"x{number}", person, "ungdom", "2024-11-05", 1)
            sheet.write_row(number, 0, values)
        sheet.write_row(9, 0, ("org-1", "y", TEXTS[0], "ungdom", TEXTS[1], TEXTS[2]))
    torn = path.with_name("torn.xlsx")
    torn.write_bytes(path.read_bytes()[:-400])


@dataclass(frozen=True)
class Finding:
    """A planted participant that was found."""

    where: str
    person: str


def forms(person: str) -> set[bytes]:
    """Give the bytes as which a text may be written: encodings, hex, Base64, escapes."""
    utf8 = person.encode()
    found = {utf8, person.encode("utf-16-le"), person.encode("utf-16-be")}
    found |= {utf8.hex().encode(), utf8.hex().upper().encode()}
    found |= {json.dumps(person)[1:-1].encode(), ascii(person)[1:-1].encode()}
    for before in range(3):  # in the middle of Base64, by the bytes before it
        whole = base64.b64encode(bytes(before) + utf8)
        found.add(whole[4 if before else 0 : len(whole) - len(whole) % 4 - 4])
    return {one for one in found if len(one) >= 8}


def _needles() -> dict[bytes, str]:
    texts = [*TEXTS, *IDENTITY_NUMBERS, *map(str, NUMBERS)]
    needles = {form: text for text in texts for form in forms(text)}
    for number in NUMBERS:
        needles |= {number.to_bytes(8, order): str(number) for order in ("little", "big")}
    # A part of a long id is one as well.
    needles[TEXTS[3][8:72].encode()] = TEXTS[3]
    return needles


NEEDLES: Final = _needles()


def search(name: str, content: bytes) -> list[Finding]:
    """Find planted participants in a file: in its bytes, and in what is packed in it."""
    found = {Finding(name, person) for form, person in NEEDLES.items() if form in content}
    if zipfile.is_zipfile(BytesIO(content)):
        with zipfile.ZipFile(BytesIO(content)) as packed:
            for member in packed.namelist():
                found.update(search(f"{name}/{member}", packed.read(member)))
    if content[:4] == b"PAR1":
        try:
            rows = pq.read_table(BytesIO(content)).to_pylist()
        except (pa.ArrowException, OSError, UnicodeDecodeError):
            rows = []
        text = "\n".join(str(value) for one in rows for value in one.values())
        found.update(Finding(name, person) for person in map(str, persons()) if person in text)
    return sorted(found, key=lambda one: (one.where, one.person))


def persons() -> list[str]:
    """List all planted participants."""
    return [*TEXTS, *IDENTITY_NUMBERS, *map(str, NUMBERS)]
