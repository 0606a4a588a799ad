"""Each pass makes of small programs what is written down, to the letter."""

import pytest

from tdsl.ir.parser import parse_program
from tests.lower.pins import (
    HEADER,
    PASSES,
    RESULT,
    Pin,
    computes_something_else,
    files,
    pins,
    written,
)

CASES = [pin for path in files() for pin in pins(path)]


@pytest.mark.parametrize("pin", CASES, ids=[f"{p.step}: {p.title}" for p in CASES])
def test_a_pass_makes_what_is_written_down(pin):
    assert pin.found() == pin.after, "if that is meant: python -m tests.lower.pins"


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_files_of_cases_are_written_as_they_are_read(path):
    cases = pins(path)
    assert written(cases[0].machine, cases) == path.read_text()
    assert path.read_text().count(RESULT) == len(cases)
    assert cases[0].step in PASSES


WHOLE = """func f(x: i64[8]) -> y: i64[8]:
  for i in unrolled(8):
    y[i] = x[i]
"""
OF_ANY_SIZE = """func f(x: i64[N]) -> y: i64[N]:
  for i in N:
    y[i] = x[i]
"""


@pytest.mark.parametrize(("text", "other"), [(WHOLE, "x[7 - i]"), (OF_ANY_SIZE, "x[N - 1 - i]")])
def test_a_result_that_computes_something_else_is_refused(text, other, monkeypatch):
    pin, wrong = Pin("unroll", "llvm", "", text, ""), parse_program(HEADER + text)
    monkeypatch.setitem(PASSES, "unroll", lambda program, target: wrong)
    assert computes_something_else(pin) == ""
    wrong = parse_program(HEADER + text.replace("x[i]", other))
    assert "y differs" in computes_something_else(pin)
