"""Which elements an iteration has for itself, among those that may run at the same time."""

import pytest

from tdsl.ir.parser import parse_program
from tdsl.ir.stmt import Store
from tdsl.ir.visit import path_to, walk
from tdsl.lower.own_elements import AtOnce

HEAD = "tdsl-ir 1\nfunc f(x: f32[M, 64]) -> y: f32[M, 64], z: f32[64]:\n"


def owns(body):
    """Whether the last store of a nest writes to elements of its iteration alone."""
    program = parse_program(HEAD + body)
    last = [n for n in walk(program.body) if isinstance(n, Store)][-1]
    at_once = AtOnce()
    for stmt in path_to(program.body, last)[:-1]:
        at_once = at_once.inside(stmt)
    return at_once.owns(last.buffer, last.indices)


@pytest.mark.parametrize(
    ("indices", "whether"),
    [
        ("i, p", True),
        ("p, i", True),
        ("0, p * 16 + j", True),
        ("0, p * 15 + j", False),  # the last of one iteration is the first of the next
        ("0, p * 16 + 15 - j", True),
        ("0, p + j", False),
        ("p // 2, p % 2", True),
        ("p // 2, p % 3", False),
        ("0, p // 2", False),
        ("0, i", False),
        ("0, ramp(p * 4, 1, 4)", True),
        ("0, ramp(p * 4, 1, 5)", False),
        ("0, ramp(p, 4, 4)", False),
    ],
)
def test_an_iteration_has_what_its_indices_tell(indices, whether):
    nest = f"""\
  for p in parallel(4):
    for i in M:
      for j in 16:
        y[{indices}] = y[{indices}]
"""
    assert owns(nest) is whether


@pytest.mark.parametrize("touches", ["z[p] = y[0, p * 4 + {far}]", "y[0, p * 4 + {far}] = 2"])
def test_what_else_is_touched_at_the_same_time_counts(touches):
    nest = f"""\
  for p in parallel(4):
    {touches}
    for j in 4:
      y[0, p * 4 + {{near}}] = 1
"""
    assert owns(nest.format(near=0, far=3))
    assert not owns(nest.format(near=0, far=4))
    assert not owns(nest.format(near="j", far=3))  # how far those lie apart is not known


def test_each_iteration_allocates_what_is_inside_its_loop():
    nest = """\
  for q in parallel(4):
    alloc t: f32[4]
    for p in parallel(4):
      t[{at}] = 1
"""
    assert owns(nest.format(at="p"))
    assert not owns(nest.format(at="0"))
    assert owns("""\
  for q in parallel(4):
    alloc t: f32[4]
    for p in 4:
      t[0] = 1
""")


def test_names_stand_for_their_values():
    nest = """\
  for p in parallel(16):
    let a = p // 4
    let b = p % {parts}
    y[a, b] = 1
"""
    assert owns(nest.format(parts=4))
    assert not owns(nest.format(parts=3))


def test_a_loop_alone_has_everything():
    assert owns("  for i in 4:\n    y[0, 0] = 1\n")
