import numpy as np

from tdsl.graph import Graph
from tdsl.graph.compile import compile_model
from tdsl.graph.fusion import plan_fusion
from tdsl.graph.ir import Value
from tdsl.graph.memory import Interval, plan_memory
from tdsl.graph.passes.pipeline import run_passes


def names(model):
    return [node.op.name for node in model.nodes]


def optimised(g):
    return run_passes(g.build())[0]


def ones(*shape):
    return np.ones(shape, np.float32)


def test_constants_are_folded_and_dead_nodes_dropped():
    g = Graph()
    x = g.input("x", (2, 3))
    factor = g.apply("exp", g.constant(ones(3)))
    g.apply("relu", x)
    g.output("y", g.apply("mul", x, factor))
    model = optimised(g)
    assert names(model) == ["mul"]
    (folded,) = model.constants.values()
    np.testing.assert_allclose(folded, np.exp(ones(3)), rtol=1e-6)


def test_equal_nodes_and_equal_constants_are_merged():
    g = Graph()
    x = g.input("x", (3,))
    one, other = (g.apply("mul", x, g.constant(2 * ones(3))) for _ in range(2))
    g.output("y", g.apply("add", one, other))
    assert names(optimised(g)) == ["mul", "add"]


def test_scales_after_a_convolution_go_into_its_weights():
    g = Graph()
    x = g.input("x", (1, 2, 5, 5))
    y = g.conv(x, g.constant(ones(4, 2, 3, 3)))
    y = g.apply("add", y, g.constant(3 * ones(4, 1, 1)))
    g.output("y", g.apply("mul", y, g.constant(np.arange(4, dtype="f").reshape(4, 1, 1))))
    model = optimised(g)
    assert names(model) == ["conv", "add", "transpose"]
    weights = next(a for a in model.constants.values() if a.ndim == 4)
    np.testing.assert_array_equal(weights[:, 0, 0, 0], np.arange(4))


def test_moves_that_cancel_disappear():
    g = Graph()
    x = g.input("x", (2, 3, 4))
    y = g.transpose(g.transpose(x, (2, 0, 1)), (1, 2, 0))
    g.output("y", g.apply("relu", g.reshape(g.reshape(y, (6, 4)), (2, 3, 4))))
    assert names(optimised(g)) == ["relu"]


def test_an_epilogue_joins_its_product_and_edges_tell_why_not():
    g = Graph()
    x = g.input("x", (8, 16))
    y = g.apply("add", g.matmul(x, g.constant(ones(16, 8))), g.constant(ones(8)))
    z = g.matmul(g.apply("relu", y), g.constant(ones(8, 4)))
    g.output("z", g.softmax(z))
    fusion = plan_fusion(g.build())
    assert [group.name for group in fusion.groups] == ["matmul_add_relu", "matmul", "softmax"]
    reasons = [refusal.reason for refusal in fusion.refusals]
    assert "operands of a product are read again and again" in reasons


def test_normalisation_written_out_is_one_kernel():
    g = Graph()
    x = g.input("x", (4, 32))
    centred = g.apply("sub", x, g.reduce("mean", x, [-1]))
    square = g.apply("mul", centred, centred)
    spread = g.apply("sqrt", g.apply("add", g.reduce("mean", square, [-1]), g.constant(ones())))
    g.output("y", g.apply("div", centred, spread))
    compiled = compile_model(g.build())
    assert compiled.report.kernels == 1
    feed = np.random.default_rng(0).standard_normal((4, 32)).astype(np.float32)
    (value,) = compiled.model.inputs
    got = compiled.executable.run({value: feed})["y"]
    want = feed - feed.mean(1, keepdims=True)
    want /= np.sqrt((want**2).mean(1, keepdims=True) + 1)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_equal_groups_share_a_kernel():
    g = Graph()
    x = g.input("x", (8, 8))
    for n in range(3):
        x = g.apply("relu", g.matmul(x, g.constant((n + 1) * ones(8, 8))))
    g.output("y", x)
    report = compile_model(g.build()).report
    assert (report.kernels, report.different) == (3, 1)


def test_values_that_never_meet_share_memory():
    random = np.random.default_rng(0)
    for _ in range(20):
        intervals = []
        for n in range(30):
            first = int(random.integers(0, 40))
            value = Value(f"v{n}", (int(random.integers(1, 300)),), _float32())
            intervals.append(Interval(value, first, first + int(random.integers(0, 6))))
        plan = plan_memory(intervals)
        for a in intervals:
            for b in intervals:
                if a is not b and a.meets(b):
                    one, two = plan.offsets[a.value], plan.offsets[b.value]
                    assert one + a.value.nbytes <= two or two + b.value.nbytes <= one
        assert plan.lower_bound <= plan.size <= plan.total


def _float32():
    from tdsl.dtypes import float32

    return float32
