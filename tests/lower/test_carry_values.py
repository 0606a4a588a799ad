import numpy as np
import pytest

import tdsl as td
from tdsl.ir.expr import Load, Shuffle
from tdsl.ir.stmt import Alloc, For, If, Store
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tests.lower.nests import TARGET, check_every_pass


def carried(program):
    """The program after the pass, and the innermost loops of it."""
    dumps = dict(lower(program, TARGET, keep=True).dumps)
    body = dumps["carry_values"].body
    found = [n for n in walk(body) if isinstance(n, For)]
    inner = [f for f in found if not any(isinstance(n, For) for n in walk(f.body))]
    return dumps["carry_values"], inner


def loads(loop, name):
    return [n for n in walk(loop.body) if isinstance(n, Load) and n.buffer.name == name]


def rows(height, width, taps=3, dtype="float32"):
    """Y[i, j] = sum of `taps` neighbours below one another."""
    x = td.placeholder((height + taps - 1, width), dtype, name="X")
    y = td.compute(
        (height, width),
        lambda i, j: sum((x[i + k, j] for k in range(1, taps)), x[i, j]),
        name="Y",
    )
    return td.Schedule(td.func("rows", [x], [y]), TARGET)


def columns(height, width, taps=3, dtype="float32"):
    """Y[i, j] = sum of `taps` neighbours beside one another."""
    x = td.placeholder((height, width + taps - 1), dtype, name="X")
    y = td.compute(
        (height, width),
        lambda i, j: sum((x[i, j + k] for k in range(1, taps)), x[i, j]),
        name="Y",
    )
    return td.Schedule(td.func("columns", [x], [y]), TARGET)


def test_a_row_is_loaded_once_on_the_way_down():
    s = rows(12, 16)
    s.vectorize(s.loops("Y")[1], 16)
    program, (loop,) = carried(s.program)
    assert len(loads(loop, "X")) == 1
    assert sum(isinstance(n, Alloc) for n in walk(program.body)) == 2
    check_every_pass(s.program, {})


def test_an_expression_is_computed_once_on_the_way_down():
    x = td.placeholder((14, 16), "float32", name="X")
    z = td.compute((14, 16), lambda i, j: td.exp(x[i, j]) * x[i, j], name="Z")
    y = td.compute((12, 16), lambda i, j: z[i, j] + z[i + 1, j] + z[i + 2, j], name="Y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.inline("Z")
    s.vectorize(s.loops("Y")[1], 16)
    _, (loop,) = carried(s.program)
    assert len(loads(loop, "X")) == 2  # one value of the exponential's argument, one beside it
    check_every_pass(s.program, {})


@pytest.mark.parametrize("vectors", [1, 2, 4])
def test_neighbours_are_shuffled_out_of_whole_vectors(vectors):
    s = columns(3, 16 * 4 * 5)
    _, jo = s.split("j", 16 * vectors)
    s.vectorize(jo)
    _, (loop,) = carried(s.program)
    assert len(loads(loop, "X")) == vectors
    assert sum(isinstance(n, Shuffle) for n in walk(loop.body)) == 2 * vectors
    check_every_pass(s.program, {})


def test_the_last_vector_reads_no_further_than_before():
    s = columns(3, 70)
    s.vectorize(s.split("j", 16, tail="mask")[1])
    kernel = td.build(s)
    # rows end where the array does: the page after it need not exist
    x = np.random.default_rng(0).random((3, 72), np.float32)
    assert np.array_equal(kernel(x), td.build(td.Schedule(columns(3, 70).func))(x))
    check_every_pass(s.program, {})


@pytest.mark.parametrize("height", [0, 1, 2, 3, 9])
def test_loops_of_any_length(height):
    H = td.sizes("H")
    s = rows(H, 16)
    s.vectorize(s.loops("Y")[1], 16)
    program, _ = carried(s.program)
    assert any(isinstance(n, If) for n in walk(program.body))
    check_every_pass(s.program, {"H": height})


@pytest.mark.parametrize("width", [0, 15, 16, 17, 32, 50, 100])
def test_rows_of_any_length(width):
    W = td.sizes("W")
    s = columns(2, W, taps=5)
    s.vectorize(s.split("j", 16, tail="mask")[1])
    check_every_pass(s.program, {"W": width})


@pytest.mark.parametrize("taps", [(0, 1, 2, 3), (0, 17, 18, 19)])
def test_vectors_with_gaps_between_them_read_no_further_than_before(taps):
    x = td.placeholder((32 * 4 + 16 + taps[-1],), "float32", name="X")

    def value(i, j, k):
        z = x[i * 32 + j + k]
        return td.sqrt(z) * z + z / (z + 1.0)

    y = td.compute((5, 16), lambda i, j: sum((value(i, j, k) for k in taps[1:]), value(i, j, 0)))
    s = td.Schedule(td.func("gaps", [x], [y]), TARGET)
    s.vectorize(s.loops(s.blocks()[0])[1], 16)
    program, _ = carried(s.program)
    assert any(isinstance(n, Shuffle) for n in walk(program.body))
    check_every_pass(s.program, {})


def test_narrow_elements_are_not_shuffled():
    s = columns(2, 256, dtype="uint16")
    s.vectorize(s.split("j", 32)[1])
    _, (loop,) = carried(s.program)
    assert len(loads(loop, "X")) == 3


def test_what_the_loop_stores_is_read_again():
    n = 20
    x = td.placeholder((n + 2,), "float32", name="X")
    r = td.reduce_axis(n, name="r")
    y = td.update(x, over=r, at=r, value=lambda cur: cur[r + 1] + cur[r + 2], op="set", name="Y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    _, inner = carried(s.program)
    (loop,) = [f for f in inner if len(loads(f, "Y")) > 0]
    assert len(loads(loop, "Y")) == 2
    check_every_pass(s.program, {})


def test_arms_of_selects_are_left_alone():
    x = td.placeholder((20, 16), "float32", name="X")
    c = td.placeholder((20,), "int32", name="C")
    y = td.compute(
        (18, 16),
        lambda i, j: td.select(c[i] > 0, x[i, j] + x[i + 1, j], x[i + 2, j]),
        name="Y",
    )
    s = td.Schedule(td.func("f", [x, c], [y]), TARGET)
    s.vectorize(s.loops("Y")[1], 16)
    _, (loop,) = carried(s.program)
    assert len(loads(loop, "X")) == 3
    check_every_pass(s.program, {})


def test_values_far_apart_are_loaded_twice():
    x = td.placeholder((40, 16), "float32", name="X")
    y = td.compute((30, 16), lambda i, j: x[i, j] + x[i + 9, j], name="Y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.vectorize(s.loops("Y")[1], 16)
    _, (loop,) = carried(s.program)
    assert len(loads(loop, "X")) == 2


def test_both_directions_of_a_stencil():
    x = td.placeholder((20, 82), "float32", name="X")
    h = td.compute((20, 80), lambda i, j: x[i, j] + x[i, j + 1] * 2.0 + x[i, j + 2], name="H")
    y = td.compute((18, 80), lambda i, j: h[i, j] - h[i + 1, j] + h[i + 2, j], name="Y")
    f = td.func("f", [x], [y])
    for order in (("io", "jo", "ii", "ji"), ("io", "ii", "jo", "ji")):
        s = td.Schedule(f, TARGET)
        s.inline("H")
        s.tile("i", "j", 6, 16)
        s.reorder(*order)
        s.vectorize("ji", 16)
        check_every_pass(s.program, {})
        stores = [n for n in walk(lower(s.program, TARGET).program.body) if isinstance(n, Store)]
        assert stores


def test_lanes_along_a_diagonal_are_no_run():
    """X[l, 8 i + l + 1] is one column, but not one lane, beside X[l, 8 i + l]."""
    x = td.placeholder((8, 80), "float32", name="X")
    value = lambda i, j: td.exp(x[j, i * 8 + j]) + td.exp(x[j, i * 8 + j + 1])  # noqa: E731
    s = td.Schedule(td.func("f", [x], [td.compute((8, 8), value, name="Y")]), TARGET)
    s.vectorize("j")
    check_every_pass(s.program, {})


def test_rows_and_columns_with_one_corner_are_different_values():
    """Both begin at X[k, k]: one goes down from there, the other to the right."""
    x = td.placeholder((32, 32), "float32", name="X")
    k = td.reduce_axis(20, name="k")
    value = lambda j: td.exp(x[k + j, k]) - td.exp(x[k + 1, k + 1 + j])  # noqa: E731
    y = td.compute((8,), lambda j: td.sum(value(j), axis=k), name="Y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.reorder("k", "j")
    s.vectorize("j")
    check_every_pass(s.program, {})


def test_vectors_of_two_lengths_repeat_values_of_their_own():
    a = td.placeholder((21,), "float32", name="A")
    b = td.placeholder((20, 8), "float32", name="B")
    p = td.compute((20, 4), lambda i, j: td.exp(a[i]) * b[i, j], name="P")
    q = td.compute((20, 8), lambda i, j: td.exp(a[i + 1]) * b[i, j], name="Q")
    s = td.Schedule(td.func("f", [a, b], [p, q]), TARGET)
    for name in ("P", "Q"):
        s.vectorize(s.loops(name)[1])
    s.compute_with("Q", at="P.i")
    check_every_pass(s.program, {})
    td.build(s)


def test_values_inside_of_carried_ones_take_the_registers_that_are_left():
    """Products of neighbours are carried, then the neighbours; both stay for the whole loop."""
    xs = [td.placeholder((14, 16), "float32", name=f"X{n}") for n in range(10)]

    def total(i, j):
        products = [x[i + k, j] * x[i + k + 1, j] for x in xs for k in (0, 1)]
        return sum(products[1:], products[0])

    s = td.Schedule(td.func("f", xs, [td.compute((12, 16), total, name="Y")]), TARGET)
    s.vectorize("j", 16)
    program, _ = carried(s.program)
    kept = [n for n in walk(program.body) if isinstance(n, Alloc) and "carried" in n.buffer.name]
    assert len(kept) == TARGET.vector_registers // 2
    check_every_pass(s.program, {})
