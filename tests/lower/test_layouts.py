"""Storage of buffers with a layout."""

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.interp import interpret
from tdsl.ir.nest import print_expr
from tdsl.ir.parser import parse_program
from tdsl.ir.stmt import Alloc, Leaf
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tdsl.lower.apply_layouts import apply_layouts
from tests.lower.nests import TARGET


def stored(layout, shape):
    """The shape of storage that a layout of rows of N elements maps to."""
    program = parse_program(f"""tdsl-ir 1
func f(x: f32[N]) -> y: f32[N]:
  alloc t: f32[{shape}] layout({layout})
  for i in N:
    y[i] = x[i]
""")
    (alloc,) = [n for n in walk(apply_layouts(program, TARGET).body) if isinstance(n, Alloc)]
    return alloc.buffer.shape


@pytest.mark.parametrize(
    ("layout", "extents"),
    [
        ("i -> min(i, 3)", ["4"]),  # as a number, though N may be less
        ("i -> i % 4", ["4"]),
        ("i -> i // 4, i % 4", ["(N + 3) // 4", "4"]),
        ("i -> i + 2", ["N + 2"]),
    ],
)
def test_storage_is_as_large_as_the_image_of_the_layout(layout, extents):
    assert [print_expr(e) for e in stored(layout, "N")] == extents


def test_a_layout_to_places_below_the_first_is_refused():
    with pytest.raises(td.LoweringError, match="'t' maps to storage of unknown size"):
        stored("i -> i - 1", "N")


def test_what_touches_no_laid_out_storage_stays_the_very_same():
    program = parse_program("""tdsl-ir 1
func f(x: f32[8]) -> y: f32[8], z: f32[8] layout(i -> 7 - i):
  for i in 8:
    block y(i): y[i] = x[i]
    block z(i): z[i] = x[i]
""")
    before, after = (
        {n.block.name: n for n in walk(p.body) if isinstance(n, Leaf)}
        for p in (program, apply_layouts(program, TARGET))
    )
    assert after["y"] is before["y"]
    assert after["z"] is not before["z"]


@pytest.mark.parametrize(
    "layout", ["i -> 6 - i", "i -> (i + 1) // 2, i % 2", "i -> i // 2, (i + 1) % 2"]
)
def test_what_pads_a_tail_reads_no_places_that_a_layout_does_not_have(layout):
    """There are none before the first and none behind the last: storage of these cannot grow."""
    X = td.placeholder((5,), "int32", name="X")
    B = td.compute((5,), lambda i: X[i] * 2, name="B")
    C = td.compute((5,), lambda i: B[i] + 1, name="C")
    D = td.compute((5,), lambda i: C[i] * 3, name="D")
    s = td.Schedule(td.func("f", [X], [D]))
    s.split("C.i", 4, tail="pad")
    s.transform_layout("B", layout)
    x = np.arange(5, dtype=np.int32)
    results = interpret(lower(s.program, s.target).program, {"X": x}, {})
    assert results["D"].tolist() == (6 * x + 3).tolist()
