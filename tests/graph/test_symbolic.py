"""One compilation of a model serves every size of its symbolic dimensions."""

import numpy as np
import pytest

import tdsl as td
from tdsl.graph.examples import Unlike, generalise
from tdsl.graph.kernels import KernelTable
from tests.graph.onnx_models import ModelBuilder, assert_close, random_feeds


def image_net():
    """Convolutions, one of them depthwise, a residual, pooling, and a product."""
    b = ModelBuilder()
    x = b.op("Relu", b.op("Conv", "x", b.weight(8, 3, 3, 3), strides=[2, 2], pads=[1] * 4))
    y = b.op("Conv", x, b.weight(8, 1, 3, 3), group=8, pads=[1] * 4)
    x = b.op("Relu", b.op("Add", x, y))
    x = b.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.op("Flatten", b.op("GlobalAveragePool", x))
    x = b.op("Gemm", x, b.weight(5, 8), b.weight(5), transB=1)
    inputs = {"x": ("float32", ["batch", 3, 8, 8])}
    return b.model(inputs, [x], opset=13), inputs


def attention_net(width=16, heads=2):
    """Attention with a residual and normalisation; batch and length are symbolic."""
    b = ModelBuilder()
    depth = width // heads

    def split(x, order):
        shape = b.constant(np.array([0, 0, heads, depth]))
        return b.op("Transpose", b.op("Reshape", x, shape), perm=order)

    def linear(x):
        return b.op("Add", b.op("MatMul", x, b.weight(width, width)), b.weight(width))

    q, k, v = (split(linear("x"), o) for o in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
    weights = b.op("Softmax", b.op("MatMul", q, k), axis=-1)
    mixed = b.op("Transpose", b.op("MatMul", weights, v), perm=[0, 2, 1, 3])
    mixed = b.op("Reshape", mixed, b.constant(np.array([0, 0, width])))
    x = b.op("Add", linear(mixed), "x")
    x = b.op("LayerNormalization", x, b.weight(width), b.weight(width))
    inputs = {"x": ("float32", ["batch", "length", width])}
    return b.model(inputs, [x]), inputs


@pytest.fixture
def built(monkeypatch):
    """The names of functions that kernels are built of from now on."""
    names = []
    plain = KernelTable.__init__

    def noting(table, build, build_simply, *others):
        def noted(f, constants):
            names.append(f.name)
            return build(f, constants)

        plain(table, noted, build_simply, *others)

    monkeypatch.setattr(KernelTable, "__init__", noting)
    return names


@pytest.mark.parametrize(
    ("net", "sizes"),
    [
        (image_net, [{"batch": n} for n in (3, 2, 9, 1, 4)]),
        (
            attention_net,
            [{"batch": b, "length": n} for b, n in ((2, 5), (1, 7), (4, 5), (3, 33), (1, 1))],
        ),
    ],
)
def test_further_sizes_take_no_compiler(net, sizes, built):
    model, inputs = net()
    session = td.Session(model)
    results = []
    for n, extents in enumerate(sizes):
        results.append(session.run(random_feeds(inputs, **extents)))
        assert session.report.single == ()
        if n == 0:
            count = len(built)
            assert count == session.symbolic_count > 0
    assert len(built) == count
    assert session.compiled_count == len(sizes)
    reference = td.Session(model, sizes="specialise")
    for n in (0, -1):
        assert_close(results[n], reference.run(random_feeds(inputs, **sizes[n])), 1e-5)
    assert reference.symbolic_count == 0


def test_a_kernel_whose_program_depends_on_a_size_is_built_for_each(built):
    b = ModelBuilder()
    inputs = {"x": ("float32", ["n", 6])}
    mean = b.op("ReduceMean", "x", axes=[0], keepdims=1)
    model = b.model(inputs, [b.op("Relu", b.op("Sub", "x", mean))], opset=13)
    session = td.Session(model)
    for n in (4, 9):
        feeds = random_feeds(inputs, n=n)
        (got,) = session.run(feeds).values()
        want = np.maximum(feeds["x"] - feeds["x"].mean(0), 0)
        np.testing.assert_allclose(got, want, atol=1e-6)
        (reason,) = session.report.single
        assert "the values" in reason
    assert "for these sizes only" in str(session.report)
    assert session.symbolic_count == 1
    assert len(built) == 3


def test_sizes_are_symbolic_or_specialised():
    model, _ = image_net()
    with pytest.raises(td.graph.FeedError, match="'symbolic' or 'specialise', not 'dynamic'"):
        td.Session(model, sizes="dynamic")


def product(m, k, n, scale=1.0):
    a, b = td.placeholder((m, k), name="a"), td.placeholder((k, n), name="b")
    r = td.reduce_axis(k, name="r")
    c = td.compute((m, n), lambda i, j: td.sum(a[i, r] * b[r, j], axis=r), name="c")
    d = td.compute((m, n), lambda i, j: c[i, j] * scale, name="d")
    return td.func("product", [a, b], [d]).program


def test_two_examples_make_an_algorithm_of_symbolic_sizes():
    template = generalise(product(4, 8, 16), product(9, 8, 48))
    assert [v.name for v in template.program.sizes] == ["n0", "n1"]
    assert template.sizes_of(product(5, 8, 32)) == (5, 32)
    assert template.sizes_of(product(1, 8, 1)) == (1, 1)
    assert template.sizes_of(product(5, 9, 32)) is None
    assert template.sizes_of(product(5, 8, 32, scale=2.0)) is None


def test_a_single_element_may_be_read_as_the_first_one():
    def shifted(n):
        x, y = td.placeholder((n, 4), name="x"), td.placeholder((3, 4), name="y")
        z = td.compute((n, 4), lambda i, j: x[0 if n == 1 else i, j] + y[2, j], name="z")
        return td.func("shifted", [x, y], [z]).program

    template = generalise(shifted(5), shifted(7))
    assert template.sizes_of(shifted(1)) == (1,)
    with pytest.raises(Unlike, match="a Const and a Var"):
        generalise(shifted(1), shifted(5))


def test_extents_that_go_together_share_a_size():
    def doubled(n):
        x = td.placeholder((n, 3), name="x")
        y = td.compute((2 * n, 3), lambda i, j: x[i // 2, j], name="y")
        return td.func("doubled", [x], [y]).program

    template = generalise(doubled(4), doubled(11))
    assert len(template.program.sizes) == 1
    assert template.sizes_of(doubled(100)) == (100,)


def test_examples_of_other_algorithms_are_refused():
    with pytest.raises(Unlike, match=r"the values 3\.0 and 0\.5"):
        generalise(product(4, 8, 16, scale=3.0), product(9, 8, 16, scale=0.5))
    with pytest.raises(Unlike, match="no shape"):
        generalise(product(4, 8, 16), product(4, 8, 16))
