"""Text from files, made fit for one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import printable
from pipeline.errors import ExportRefused, NoProposal

ANYTHING = st.text(max_size=1500)


@given(ANYTHING)
def test_any_text_becomes_one_line_that_a_terminal_shows(text: str) -> None:
    assert printable.escaped(text).isprintable()
    line = printable.sentence(text)
    assert line.isprintable()
    assert len(line) <= printable.MOST


@given(ANYTHING, ANYTHING)
def test_a_refusal_is_one_line_whatever_the_file_has_in_it(file: str, problem: str) -> None:
    for refusal in (ExportRefused(file, problem, 3), NoProposal(file, problem)):
        assert str(refusal).isprintable()
        assert len(str(refusal)) <= printable.MOST


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Åpen barnehage", "Åpen barnehage"),
        ("\x1b[31mOWNED\nbufdir: x", r"\x1b[31mOWNED\nbufdir: x"),
        ("a\u202egpj.exe", r"a\u202egpj.exe"),
        ("\udcff", r"\udcff"),
    ],
)
def test_signs_that_a_terminal_would_obey_are_numbers(text: str, shown: str) -> None:
    assert printable.escaped(text) == shown


def test_a_long_sentence_keeps_its_beginning_and_what_to_do() -> None:
    line = str(ExportRefused("a.parquet", f"it lacks {'x' * 5000}; export it again", 3))
    assert line.startswith("export a.parquet (3 rows) is refused: it lacks xxx")
    assert line.endswith("xxx; export it again")
    assert len(line) == printable.MOST


def test_a_long_name_leaves_room_for_the_problem() -> None:
    line = str(ExportRefused(f"{'x' * 4000}.parquet", "it is empty; export it again"))
    assert line.endswith("x.parquet is refused: it is empty; export it again")
    assert len(line) < 300
