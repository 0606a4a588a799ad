import pytest

import tdsl as td
from tdsl.ir.build import add, compare, conjunction, floordiv, floormod, index, lt, mul
from tdsl.ir.expr import BinaryOp, Var
from tdsl.ir.nest import print_nest
from tdsl.ir.stmt import Alloc, For, Guard, Layout, Leaf
from tdsl.ir.visit import free_vars, replace_stmt, walk
from tdsl.lower import lower
from tdsl.lower.slide_windows import slide_windows
from tests.lower.nests import PARALLEL, TARGET, check_every_pass, find, mark, replace


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
    guards = guards_of(slid(program), "b")
    assert [type(guard) for guard in guards] == [Guard] * (extent != 1)
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


@pytest.mark.parametrize(
    ("place", "slides"),
    [
        (lambda i, j: (i, floormod(j, 5)), True),  # a row has five elements
        (lambda i, j: (i, floormod(j, 4)), False),  # the fifth takes the place of the first
        (lambda i, j: (floormod(i, 3), j), True),  # the window has three rows
        (lambda i, j: (floormod(i, 2), j), False),
        (lambda i, j: (floormod(i, 3), floormod(j, 2)), False),
        (lambda i, j: (i, floordiv(j, 2), floormod(j, 2)), True),  # each has a place of its own
        (lambda i, j: (i, floormod(floordiv(j, 2), 2), floormod(j, 2)), False),
        (lambda i, j: (floormod(add(mul(i, 5), j), 15),), True),
        (lambda i, j: (floormod(add(mul(i, 5), j), 14),), False),
        (lambda i, j: (add(mul(i, 5), j),), True),
        (lambda i, j: (add(mul(i, 4), j),), False),  # the fifth of a row is the next one's first
        (lambda i, j: (j,), False),  # all rows are one
        (lambda i, j: (i, floordiv(j, 2)), False),  # two neighbours share a place
        (lambda i, j: (i, floormod(add(i, j), 5)), True),  # each row starts elsewhere
        (lambda i, j: (floormod(i, 2), floormod(add(i, j), 5)), False),
    ],
    ids=["columns", "few columns", "rows", "few rows", "both", "packed", "packed ring", "flat",
         "few", "flat rows", "short flat rows", "one row", "pairs", "rotated", "two rotated"],
)  # fmt: skip
def test_rows_are_kept_where_nothing_else_takes_their_place(place, slides):
    program = stencil(3, 1, 6)
    (alloc,) = [n for n in walk(program.body) if isinstance(n, Alloc) and n.buffer.name == "b"]
    i, j = Var("i"), Var("j")
    ring = replace(alloc, layout=Layout((i, j), place(i, j)))
    program = replace(program, body=replace_stmt(program.body, alloc, ring))
    assert (guards_of(slide_windows(program, TARGET), "b") != ()) is slides


def placed(x, y):
    """b is computed at y's outermost loop, stored outside."""
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.compute_at("b", at=s.loops("y")[0])
    return stored_outside(s.program, "b")


def diagonal():
    """y reads a square of b that moves down and to the right."""
    x = td.placeholder((8, 8), "float32", name="x")
    b = td.compute((8, 8), lambda i, j: x[i, j] * 2.0, name="b")
    r, q = td.reduce_axis(3, name="r"), td.reduce_axis(3, name="q")
    return placed(x, td.compute((5,), lambda i: td.sum(b[i + r, i + q], axis=(r, q)), name="y"))


def growing():
    """y reads three rows of b as far as the diagonal: a column more each time."""
    x = td.placeholder((8, 5), "float32", name="x")
    b = td.compute((8, 5), lambda i, j: x[i, j] * 2.0, name="b")
    r, q = td.reduce_axis(3, name="r"), td.reduce_axis(5, name="q")
    read = td.compute((5,), lambda i: td.sum(b[i + r, q], axis=(r, q), where=q <= i), name="y")
    program = placed(x, read)
    outer, inner = find(program, "i"), find(program, "j", "b")
    reached = replace(inner, extent=add(outer.var, 1))
    return replace(program, body=replace_stmt(program.body, inner, reached))


def still():
    """y reads the same row of b every time."""
    x = td.placeholder((5, 5), "float32", name="x")
    b = td.compute((5,), lambda j: x[0, j] * 2.0, name="b")
    return placed(x, td.compute((5, 5), lambda i, j: b[j] + x[i, j], name="y"))


def summed():
    """b is a sum: its instances do not each write a value of their own."""
    x = td.placeholder((8, 4), "float32", name="x")
    k, r = td.reduce_axis(4, name="k"), td.reduce_axis(3, name="r")
    b = td.compute((8,), lambda i: td.sum(x[i, k], axis=k), name="b")
    return placed(x, td.compute((6,), lambda i: td.sum(b[i + r], axis=r), name="y"))


@pytest.mark.parametrize("make", [diagonal, growing, still, summed])
def test_windows_that_do_not_move_by_whole_rows_are_computed_each_time(make):
    program = make()
    assert guards_of(slid(program), "b") == ()
    check_every_pass(program, {})


@pytest.mark.parametrize(
    ("cond", "slides"),
    [
        ("row < 9", True),  # says the same of a row, whichever iteration computes it
        ("row < 9 and H != 4", True),
        ("r < 2", False),  # the last row is left to the next iteration
        ("row < 9 and r != 2", False),
    ],
)
def test_a_row_is_found_where_the_iteration_before_had_the_same_guards(cond, slides):
    program = stencil()
    leaf = next(n for n in walk(program.body) if isinstance(n, Leaf) and n.block.name == "b")
    (H,) = program.sizes
    row = leaf.bindings[0]
    _, r = sorted(free_vars(row), key=lambda v: v.name != "i")
    conds = {
        "row < 9": lt(row, 9),
        "r < 2": lt(r, 2),
        "H != 4": compare(BinaryOp.NE, H, 4),
        "r != 2": compare(BinaryOp.NE, r, 2),
    }
    guard = conjunction([conds[one] for one in cond.split(" and ")])
    guarded = replace(leaf, guards=(Guard(guard),))
    program = replace(program, body=replace_stmt(program.body, leaf, guarded))
    assert (len(guards_of(slide_windows(program, TARGET), "b")) > 1) is slides


def test_threads_do_not_find_what_the_iteration_before_has_computed():
    assert guards_of(slid(mark(stencil(H=6), "i", PARALLEL)), "b") == ()
