import pytest

import tdsl as td
from tdsl.ir.build import floormod, index
from tdsl.ir.expr import Var
from tdsl.ir.nest import print_nest
from tdsl.ir.stmt import Alloc, For, Guard, Layout, Leaf
from tdsl.ir.visit import replace_stmt, walk
from tdsl.lower import lower
from tests.lower.nests import TARGET, check_every_pass, replace


def stencil(rows=3, stride=1, H=None):
    """y reads `rows` rows of b, `stride` apart; b is computed at y's row, stored outside."""
    H = td.sizes("H") if H is None else H
    W = 5
    height = stride * H + rows
    x = td.placeholder((height, W), "float32", name="x")
    b = td.compute((height, W), lambda i, j: x[i, j] * 2.0, name="b")
    r = td.reduce_axis(rows, name="r")
    y = td.compute((H, W), lambda i, j: td.sum(b[stride * i + r, j], axis=r), name="y")
    s = td.Schedule(td.func("stencil", [x], [y]), TARGET)
    s.compute_at("b", at=s.loops("y")[0])
    return stored_outside(s.program, "b")


def stored_outside(program, name):
    (alloc,) = [n for n in walk(program.body) if isinstance(n, Alloc) and n.buffer.name == name]
    (loop,) = [n for n in walk(program.body) if isinstance(n, For) and n.body is alloc]
    moved = replace(alloc, body=replace(loop, body=alloc.body))
    return replace(program, body=replace_stmt(program.body, loop, moved))


def guards_of(program, name):
    leaf = next(n for n in walk(program.body) if isinstance(n, Leaf) and n.block.name == name)
    return leaf.guards


def slid(program):
    dumps = dict(lower(program, TARGET, keep=True).dumps)
    return dumps["slide_windows"]


@pytest.mark.parametrize(("rows", "stride"), [(3, 1), (4, 2), (5, 3)])
@pytest.mark.parametrize("extent", [None, 1, 6])
def test_each_row_of_an_overlapping_window_is_computed_once(rows, stride, extent):
    program = stencil(rows, stride, extent)
    if extent != 1:
        (guard,) = guards_of(slid(program), "b")
        assert isinstance(guard, Guard)
    for height in (0, 1, 2, 5) if extent is None else (None,):
        check_every_pass(program, {} if height is None else {"H": height})


def test_the_steady_loop_computes_only_the_new_rows():
    text = print_nest(lower(stencil(3, 1, 6), TARGET).program)
    assert text.count("* 2") == 1 + 1  # three rows before the first output, one row for others


def test_windows_that_do_not_overlap_are_left_alone():
    assert guards_of(slid(stencil(2, 2)), "b") == ()


def test_storage_that_each_iteration_has_anew_keeps_every_row():
    H, W = 6, 5
    x = td.placeholder((H + 2, W), "float32", name="x")
    b = td.compute((H + 2, W), lambda i, j: x[i, j] * 2.0, name="b")
    y = td.compute((H, W), lambda i, j: b[i, j] + b[i + 2, j], name="y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.compute_at("b", at=s.loops("y")[0])
    assert guards_of(slid(s.program), "b") == ()


@pytest.mark.parametrize("extent", [None, 7])
def test_a_folded_ring_of_rows_holds_the_window(extent):
    program = stencil(3, 1, extent)
    (alloc,) = [n for n in walk(program.body) if isinstance(n, Alloc) and n.buffer.name == "b"]
    i, j = Var("i"), Var("j")
    ring = replace(alloc, layout=Layout((i, j), (floormod(i, 4), j)))
    program = replace(program, body=replace_stmt(program.body, alloc, ring))
    lowered = lower(program, TARGET, keep=True)
    (folded,) = [
        n
        for n in walk(dict(lowered.dumps)["apply_layouts"].body)
        if isinstance(n, Alloc) and n.buffer.name == "b"
    ]
    assert folded.buffer.shape[0] == index(4)
    for height in (0, 1, 6) if extent is None else (None,):
        check_every_pass(program, {} if height is None else {"H": height})
