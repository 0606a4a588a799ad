"""Which access a run-time error names for a check of an index."""

from tdsl.ir.parser import parse_program
from tdsl.lower.checked_accesses import checked_accesses

HEAD = """tdsl-ir 1
func f(x: f32[8, 8], at: i64[8], b: i64[8]) -> y: f32[8]:
  for i in 8, k in 8:
"""


def found(*blocks):
    """Number of a check -> text of its access, and the dimension that it checks."""
    program = parse_program(HEAD + "".join(f"    {block}\n" for block in blocks))
    return {n: (a.text, a.dim) for n, a in checked_accesses(program).items()}


def test_each_check_is_named_after_the_access_it_stands_in():
    assert found(
        "block y(i): y[checked(at[i], 8, 1)] = x[i, checked(b[i], 8, 2)]",
        "block z(i): y[i] = x[checked(at[i], 8, 3), checked(b[i], 8, 4)]",
        "block w(i): y[i] = 1",
    ) == {
        1: ("y[at[i]] of y", 0),
        2: ("x[i, b[i]] of y", 1),
        3: ("x[at[i], b[i]] of z", 0),
        4: ("x[at[i], b[i]] of z", 1),
    }


def test_a_check_belongs_to_the_innermost_access_around_it():
    assert found(
        "block y(i): y[checked(at[checked(b[i], 8, 1)], 8, 2)] = "
        "x[3, checked(at[checked(b[i + 1], 8, 3)], 8, 4)]"
    ) == {
        1: ("at[b[i]] of y", 0),
        2: ("y[at[b[i]]] of y", 0),
        3: ("at[b[i + 1]] of y", 0),
        4: ("x[3, at[b[i + 1]]] of y", 1),
    }


def test_conditions_and_inits_hold_checks_too():
    assert found(
        "block y(i, reduce k) where(x[i, checked(b[i], 8, 1)] > 0): "
        "y[checked(at[i], 8, 2)] = y[checked(at[i], 8, 2)] + x[i, k]",
        "  init y.init(i: 8): y[checked(at[i], 8, 3)] = 0",
        "  reducer sum(a: f32; b: f32) = a + b from 0",
        "  source x[i, k]",
    ) == {
        1: ("x[i, b[i]] of y", 1),
        2: ("y[at[i]] of y", 0),
        3: ("y[at[i]] of y.init", 0),
    }
