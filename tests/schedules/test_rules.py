import numpy as np
import pytest

import tdsl as td

RNG = np.random.default_rng(7)
SIZES = [0, 1, 2, 3, 7, 16, 31, 64, 100, 131]


def _array(tensor, sizes):
    shape = [sizes.get(_name(d), d) if not isinstance(d, int) else d for d in tensor.shape]
    return RNG.standard_normal(shape).astype(tensor.dtype.name)


def _name(dim):
    return getattr(dim.expr, "name", None)


def check(func, rule=None, sizes=None, tolerance=1e-5):
    """The default schedule of *func* agrees with the reference; its last block has this rule."""
    s = td.default_schedule(func)
    if rule is not None:
        assert s.why.rule_of(func.outputs[-1].name) == rule, str(s.why)
    sizes = sizes or {}
    arrays = [_array(t, sizes) for t in func.inputs]
    got = td.build(s)(*arrays)
    want = td.reference(func)(*arrays)
    got, want = (x if isinstance(x, tuple) else (x,) for x in (got, want))
    for one, two in zip(got, want, strict=True):
        np.testing.assert_allclose(one, two, rtol=tolerance, atol=tolerance * 10)
    return s


def matmul(m, n, k, ta=False, tb=False, relu=False, dtype="float32"):
    A = td.placeholder((k, m) if ta else (m, k), dtype, name="A")
    B = td.placeholder((n, k) if tb else (k, n), dtype, name="B")
    r = td.reduce_axis(k, name="k")

    def element(i, j):
        return td.sum((A[r, i] if ta else A[i, r]) * (B[j, r] if tb else B[r, j]), axis=r)

    C = td.compute((m, n), element, name="C")
    if not relu:
        return td.func("matmul", [A, B], [C])
    bias = td.placeholder((n,), dtype, name="bias")
    S = td.compute((m, n), lambda i, j: C[i, j] + bias[j], name="S")
    D = td.compute((m, n), lambda i, j: td.maximum(S[i, j], 0.0), name="D")
    return td.func("matmul_relu", [A, B, bias], [D])


@pytest.mark.parametrize("ta", [False, True])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_products_of_every_orientation(ta, tb, relu):
    for _ in range(4):
        m, n, k = (int(RNG.choice(SIZES)) for _ in range(3))
        check(matmul(m, n, k, ta, tb, relu))
    check(matmul(65, 97, 33, ta, tb, relu), "matmul")


@pytest.mark.parametrize("relu", [False, True])
def test_one_product_serves_all_sizes(relu):
    func = matmul(*td.sizes("M N K"), relu=relu)
    kernel = td.build(func)
    assert td.default_schedule(func).why.rule_of(func.outputs[0].name) == "matmul"
    for _ in range(20):
        sizes = {name: int(RNG.choice(SIZES)) for name in "MNK"}
        arrays = [_array(t, sizes) for t in func.inputs]
        want = arrays[0] @ arrays[1]
        if relu:
            want = np.maximum(want + arrays[2], 0)
        np.testing.assert_allclose(kernel(*arrays), want, rtol=1e-5, atol=1e-4)


def test_an_epilogue_is_applied_to_the_tile():
    s = td.default_schedule(matmul(64, 64, 64, relu=True))
    (decision,) = [d for d in s.why.decisions if "D" in d.blocks]
    assert decision.blocks == ("C", "D")
    assert decision.rule == "matmul"
    assert "alloc C: f32[64, 64] in register" in str(s)


def test_batches_of_products():
    A, B = td.placeholder((3, 5, 40, 24), name="A"), td.placeholder((3, 5, 33, 24), name="B")
    C = td.einsum("bhqd,bhkd->bhqk", A, B, name="C")
    check(td.func("scores", [A, B], [C]), "matmul")


def softmax(shape, axis):
    X = td.placeholder(shape, name="X")
    n = len(shape)
    k = td.reduce_axis(shape[axis], name="k")
    kept = tuple(d for a, d in enumerate(shape) if a != axis)

    def at(i, x):
        return (*i[:axis], x, *i[axis:])

    def without(i):
        return (*i[:axis], *i[axis + 1 :])

    M = td.compute(kept, lambda *i: td.max(X[at(i, k)], axis=k), name="M")
    E = td.compute(shape, lambda *i: td.exp(X[i] - M[without(i)]), name="E")
    T = td.compute(kept, lambda *i: td.sum(E[at(i, k)], axis=k), name="T")
    Y = td.compute(shape, lambda *i: E[i] / T[without(i)], name="Y")
    assert n > axis
    return td.func("softmax", [X], [Y])


@pytest.mark.parametrize("n", [1, 5, 10, 16, 100, 257, 1000])
def test_softmax_of_dense_rows_is_computed_row_by_row(n):
    s = check(softmax((13, n), 1), "reduction")
    assert {"M", "E", "T", "Y"} <= set(s.why.decisions[-1].blocks)


@pytest.mark.parametrize("n", [2, 16, 33, 100])
def test_softmax_over_channels_is_computed_in_columns(n):
    check(softmax((2, 7, n), 1), "columns")


def test_softmax_of_symbolic_rows():
    func = softmax(td.sizes("M N"), 1)
    kernel = td.build(func)
    for m, n in [(1, 1), (3, 7), (5, 64), (4, 131), (17, 1000)]:
        x = RNG.standard_normal((m, n)).astype(np.float32)
        e = np.exp(x - x.max(1, keepdims=True))
        np.testing.assert_allclose(kernel(x), e / e.sum(1, keepdims=True), rtol=1e-5, atol=1e-6)


REDUCERS = [td.sum, td.max, td.min, td.prod, td.argmax, td.argmin]


@pytest.mark.parametrize("reducer", REDUCERS)
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
def test_reductions_over_any_axes(reducer, axes):
    for _ in range(2):
        shape = tuple(int(RNG.choice(SIZES[1:7])) for _ in range(3))
        X = td.placeholder(shape, "float64", name="X")
        over = {a: td.reduce_axis(shape[a], name=f"k{a}") for a in axes}
        kept = [a for a in range(3) if a not in axes]

        def element(*i, X=X, over=over, kept=kept):
            at = {**dict(zip(kept, i, strict=True)), **over}
            return reducer(X[at[0], at[1], at[2]], axis=tuple(over.values()))

        Y = td.compute(tuple(shape[a] for a in kept), element, name="Y")
        check(td.func("reduce", [X], [Y]), tolerance=1e-9)


@pytest.mark.parametrize(("bins", "rule"), [(16, "columns"), (13, "columns"), (4, "reduction")])
def test_bins_of_small_windows_are_the_vectors(bins, rule):
    X = td.placeholder((24, 40), name="X")
    ry, rx = td.reduce_axis(8, name="ry"), td.reduce_axis(8, name="rx")

    def count(y, x, z):
        value = X[y * 8 + ry, x * 8 + rx]
        return td.sum(value, axis=(ry, rx), where=td.cast(value * 3.0, "int32") == z - 2)

    H = td.compute((3, 5, bins), lambda y, x, z: count(y, x, td.cast(z, "int32")), name="H")
    check(td.func("histograms", [X], [H]), rule)
    S = td.compute((3, 5, bins - 2), lambda y, x, z: H[y, x, z] + H[y, x, z + 2], name="S")
    check(td.func("smooth", [X], [S]))


def test_wide_elements_of_any_shape():
    for shape in [(), (1,), (5,), (3, 4), (16, 16), (7, 1, 33), (2, 3, 4, 5), (0, 4), (70000,)]:
        X, Y = td.placeholder(shape, name="X"), td.placeholder(shape, name="Y")
        Z = td.compute(shape, lambda *i, X=X, Y=Y: td.maximum(X[i] * 2.0 + Y[i], 0.0), name="Z")
        check(td.func("elementwise", [X, Y], [Z]))


def test_broadcasts():
    X, b = td.placeholder((8, 30, 14), name="X"), td.placeholder((30, 1), name="b")
    Z = td.compute((8, 30, 14), lambda n, c, x: X[n, c, x] + b[c, 0], name="Z")
    check(td.func("broadcast", [X, b], [Z]), "elementwise")


@pytest.mark.parametrize("shape", [(3, 20, 131), (2, 70), (4, 5, 3), (3, 1, 1)])
def test_planes_of_the_same_elements_are_made_together(shape):
    X = td.placeholder(shape[1:], name="X")
    own, both = td.placeholder(shape, name="own"), td.placeholder((shape[0],), name="both")

    def colour(c, *at):
        return td.select(c == 0, X[at] * 0.5, td.select(c == 1, X[at] + 1.0, -X[at]))

    s = check(td.func("planes", [X], [td.compute(shape, colour, name="Z")]), "elementwise")
    assert "all of it is made of the same" in str(s.why)
    scaled = td.compute(shape, lambda c, *at: X[at] * both[c], name="Z")
    s = check(td.func("scaled", [X, both], [scaled]), "elementwise")
    assert "all of it is made of the same" in str(s.why)
    added = td.compute(shape, lambda c, *at: X[at] + own[(c, *at)], name="Z")
    s = check(td.func("added", [X, own], [added]), "elementwise")
    assert "made of the same" not in str(s.why)


@pytest.mark.parametrize("shape", [(64, 48), (17, 33), (100, 16), (3, 5), (1, 64)])
def test_transposes(shape):
    X = td.placeholder(shape, name="X")
    Y = td.compute(shape[::-1], lambda i, j: X[j, i], name="Y")
    check(td.func("transpose", [X], [Y]), "transpose" if min(shape) >= 16 else None)


def test_recurrences_and_updates_are_left_in_order():
    X = td.placeholder((50,), name="X")
    t = td.scan_axis(50, name="t")
    S = td.scan(t, {"s": ((), 0.0)}, lambda t, prev: {"s": prev["s"] + X[t]}, name="cumsum")["s"]
    check(td.func("cumsum", [X], [S]), "fallback")
    bins, r = td.placeholder((4,), name="bins"), td.reduce_axis(50, name="r")
    H = td.update(bins, over=r, at=r % 4, value=X[r], op="add", name="H")
    check(td.func("fold", [X, bins], [H]))


def test_why_tells_what_was_refused():
    s = td.default_schedule(matmul(64, 64, 64))
    assert str(s.why) == "C: matmul: a product: tiles of 6 x 64, operands in place"
    with pytest.raises(KeyError):
        s.why.rule_of("nothing")


def test_a_func_is_built_with_its_default_schedule():
    func = matmul(32, 32, 32)
    a, b = (_array(t, {}) for t in func.inputs)
    np.testing.assert_array_equal(td.build(func)(a, b), td.build(td.Schedule(func))(a, b))


@pytest.mark.parametrize("shape", [(40, 70, 30), (3, 100, 64), (130, 7, 20)])
def test_constant_operands_are_passed_packed(shape):
    m, n, k = shape
    func = matmul(m, n, k, relu=True)
    s = td.default_schedule(func, constants=("B",))
    assert s.packed == (("B",) if n > 7 else ())  # short rows: the vectors lie along A
    kernel = td.build(s)
    a, b, bias = (_array(t, {}) for t in func.inputs)
    want = np.maximum(a @ b + bias, 0)
    passed = kernel.pack("B", b) if s.packed else b
    np.testing.assert_allclose(kernel(a, passed, bias), want, rtol=1e-5, atol=1e-4)


def test_constant_weights_of_a_convolution_are_passed_packed():
    X, W = td.placeholder((1, 5, 14, 14), name="X"), td.placeholder((40, 5, 3, 3), name="W")
    func = td.func("conv", [X, W], [td.schedules.conv(X, W, pad=1, name="Y")])
    plain, packed = td.build(func), td.build(td.default_schedule(func, constants=["W"]))
    x, w = (_array(t, {}) for t in func.inputs)
    np.testing.assert_array_equal(packed(x, packed.pack("W", w)), plain(x, w))


@pytest.mark.parametrize("shape", [(1 << 19,), (1 << 15, 16), (8, 64, 1 << 9)])
@pytest.mark.parametrize("axes", [None, (0,)])
def test_long_reductions_are_shared_out(shape, axes):
    X = td.placeholder(shape, name="X")
    func = td.func("sums", [X], [td.schedules.reduce(td.sum, X, axes, name="Y")])
    s = check(func, tolerance=1e-4)
    if axes is None or len(shape) < 3:
        assert "parallel" in str(s)


def test_attention_makes_rows_where_they_are_used():
    Q, K, V = (td.placeholder((3, 50, 24), name=n) for n in "QKV")
    func = td.func("attention", [Q, K, V], [td.schedules.attention(Q, K, V, name="Y")])
    s = check(func, "attention")
    assert len(s.why.decisions[-1].blocks) == 7


def test_layers_of_products_stay_apart():
    X, A, B = (td.placeholder((64, 64), name=n) for n in "XAB")
    hidden = td.schedules.relu(td.schedules.matmul(X, A, name="H0"), name="H")
    func = td.func("mlp", [X, A, B], [td.schedules.matmul(hidden, B, name="Y")])
    assert check(func, "matmul").why.rule_of("H") == "matmul"


@pytest.mark.parametrize("size", [(40, 70), (1, 5), (97, 33)])
def test_chains_of_stencils_are_computed_in_strips(size):
    h, w = size
    A = td.placeholder((h + 4, w + 4), name="A")
    B = td.compute(
        (h + 4, w + 2), lambda y, x: td.exp(A[y, x] + A[y, x + 1] - A[y, x + 2]), name="B"
    )
    C = td.compute(
        (h + 2, w), lambda y, x: td.tanh(B[y, x] + B[y + 1, x] * B[y + 2, x + 2]), name="C"
    )
    D = td.compute((h, w), lambda y, x: C[y, x] + C[y + 2, x] * C[y + 1, x], name="D")
    s = check(td.func("chain", [A], [D]), "sliding", tolerance=1e-4)
    assert s.why.decisions[-1].blocks == ("B", "C", "D")


def test_one_stencil_walks_down_in_tiles():
    A = td.placeholder((50, 66), name="A")
    B = td.compute((48, 64), lambda y, x: A[y, x + 1] + A[y + 1, x] + A[y + 2, x + 2], name="B")
    check(td.func("cross", [A], [B]), "stencil")
