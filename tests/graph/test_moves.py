import numpy as np
import pytest

import tdsl as td
from tdsl.graph.ops.linear import MatMul
from tdsl.graph.ops.movement import Gather, Slice, Transpose
from tdsl.graph.passes.moves import simplify_moves

rng = np.random.default_rng(0)


def arrays(*shapes):
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize(
    ("starts", "counts", "steps", "start"),
    [
        ((1, 0, 0), (1, 3, 4), (1, 1, 1), 12),
        ((1, 1, 0), (1, 2, 4), (1, 1, 1), 16),
        ((0, 1, 2), (1, 1, 2), (1, 1, 1), 6),
        ((1, 2, 3), (1, 1, 1), (-1, 2, -1), 23),
        ((0, 0, 0), (2, 2, 4), (1, 1, 1), None),
        ((0, 0, 0), (1, 2, 4), (1, 2, 1), None),
        ((0, 0, 1), (1, 3, 2), (1, 1, 1), None),
    ],
)
def test_a_slice_that_is_one_run_is_a_view(starts, counts, steps, start):
    assert Slice(starts, counts, steps).view_start([(2, 3, 4)]) == start


def test_a_transpose_that_moves_axes_of_one_element_is_a_view():
    assert Transpose((0, 2, 1, 3)).view_start([(1, 1, 12, 64)]) == 0
    assert Transpose((0, 2, 1, 3)).view_start([(1, 2, 12, 64)]) is None


def test_parts_of_inputs_constants_and_results_need_no_kernel():
    g = td.graph.Graph()
    x, w = arrays((4, 3, 8), (2, 8))
    source, weights = g.input("x", x.shape), g.constant(w)
    one = g.one(Gather(0), source, g.constant(np.array(2)))
    made = g.apply("exp", one)
    cut = g.one(Slice((1, 0), (2, 8), (1, 1)), made)
    row = g.one(Slice((1, 0), (1, 8), (1, 1)), weights)
    g.output("y", g.apply("add", cut, row))
    g.output("part", g.one(Slice((2, 0), (1, 8), (1, 1)), made))
    g.output("input", g.one(Slice((3, 0, 0), (1, 3, 8), (1, 1, 1)), source))
    session = td.Session(g)
    for _ in range(2):
        got = session.run({"x": x})
        np.testing.assert_allclose(got["y"], np.exp(x[2, 1:3]) + w[1:2], rtol=1e-5)
        np.testing.assert_allclose(got["part"], np.exp(x[2, 2:]), rtol=1e-5)
        np.testing.assert_array_equal(got["input"], x[3:])
        x = x + 1
    names = [step.group.name for step in session._last().executable.steps]
    assert not any("gather" in name or "slice" in name for name in names)


@pytest.mark.parametrize("indices", [[2, 1], [0, 2], [-1, 0]])
def test_gathers_out_of_order_stay(indices):
    g = td.graph.Graph()
    (x,) = arrays((3, 4))
    g.output("y", g.one(Gather(0), g.input("x", x.shape), g.constant(np.array(indices))))
    assert [type(n.op) for n in simplify_moves(g.build()).nodes] == [Gather]
    np.testing.assert_array_equal(td.Session(g).run({"x": x})["y"], x[indices])


def test_products_read_transposed_operands_in_place():
    g = td.graph.Graph()
    a, b = arrays((2, 5, 8), (2, 6, 8))
    x, y = g.input("a", a.shape), g.input("b", b.shape)
    scaled = g.apply("mul", g.transpose(y, (0, 2, 1)), g.constant(np.float32(0.5)))
    g.output("y", g.matmul(x, scaled))
    ops = [n.op for n in simplify_moves(g.build()).nodes]
    assert MatMul(transpose_b=True) in ops
    got = td.Session(g).run({"a": a, "b": b})["y"]
    np.testing.assert_allclose(got, a @ (b.transpose(0, 2, 1) * 0.5), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("rows", "names"), [(1, ["concat_matmul"]), (2, ["concat", "matmul"])])
def test_a_product_with_one_row_walks_the_parts_of_a_cache(rows, names):
    g = td.graph.Graph()
    past, new, x = arrays((3, 20, 8), (3, 1, 8), (3, rows, 21))
    values = g.concat([g.input("past", past.shape), g.input("new", new.shape)], 1)
    g.output("y", g.matmul(g.input("x", x.shape), values))
    session = td.Session(g)
    assert [step.group.name for step in session._last().executable.steps] == names
    got = session.run({"past": past, "new": new, "x": x})["y"]
    np.testing.assert_allclose(got, x @ np.concatenate([past, new], 1), rtol=1e-4, atol=1e-5)
