"""Each pass makes of small programs what is written down, to the letter."""

import pytest

from tests.lower.pins import PASSES, RESULT, Pin, computes_something_else, files, pins, written

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


BEFORE = """func f(x: i64[8]) -> y: i64[8]:
  for i in unrolled(2):
    y[i] = x[i]
"""


def test_a_result_that_computes_something_else_is_refused(monkeypatch):
    whole = BEFORE.replace("unrolled(2)", "unrolled(8)")
    other = Pin("unroll", "llvm", "", whole.replace("x[i]", "x[7 - i]"), "")
    wrong = PASSES["unroll"](other.program, None)
    monkeypatch.setitem(PASSES, "unroll", lambda program, target: wrong)
    assert "y differs" in computes_something_else(Pin("unroll", "llvm", "", whole, ""))
