"""The numpy reference against numpy and scipy written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal

import tdsl as td


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 1, 1), (7, 2, 0), (0, 3, 4)])
def test_matmul_with_symbolic_sizes(shape: tuple[int, int, int]) -> None:
    m, n, k = shape
    M, N, K = td.sizes("M N K")
    A, B = td.placeholder((M, K), name="A"), td.placeholder((K, N), name="B")
    r = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, r] * B[r, j], axis=r), name="C")
    f = td.func("matmul", [A, B], [C])
    a, b = _rng().random((m, k), np.float32), _rng().random((k, n), np.float32)
    np.testing.assert_allclose(td.reference(f)(a, b), a @ b, rtol=1e-6)


def test_softmax_with_reductions_inside_expressions() -> None:
    X = td.placeholder((5, 9), name="X")
    k = td.reduce_axis(9, name="k")
    E = td.compute((5, 9), lambda i, j: td.exp(X[i, j] - td.max(X[i, k], axis=k)), name="E")
    S = td.compute((5, 9), lambda i, j: E[i, j] / td.sum(E[i, k], axis=k), name="S")
    x = _rng().normal(size=(5, 9)).astype(np.float32)
    e = np.exp(x - x.max(1, keepdims=True))
    np.testing.assert_allclose(
        td.reference(td.func("softmax", [X], [S]))(x), e / e.sum(1, keepdims=True), rtol=1e-6
    )


def test_argmax_takes_the_first_nan_else_the_lowest_index() -> None:
    X = td.placeholder((4, 5), name="X")
    k = td.reduce_axis(5, name="k")
    Y = td.compute((4,), lambda i: td.argmax(X[i, k], axis=k), name="Y")
    x = np.array(
        [[1, 3, 3, 2, 0], [0, np.nan, 5, np.nan, 1], [-np.inf] * 5, [2, 2, 2, 2, 2]], np.float32
    )
    got = td.reference(td.func("f", [X], [Y]))(x)
    np.testing.assert_array_equal(got, np.argmax(x, axis=1))
    assert got.dtype == np.int64


def test_empty_reductions_give_their_identities() -> None:
    K = td.sizes("K")
    X = td.placeholder((K,), name="X")
    k = td.reduce_axis(K, name="k")
    whole = [td.sum, td.prod, td.max, td.min, td.argmax, td.any, td.all]
    outs = [td.compute((), lambda r=r: r(X[k], axis=k), name=r.__name__) for r in whole]
    got = td.reference(td.func("f", [X], outs))(np.zeros(0, np.float32))
    assert [g.item() for g in got] == [0, 1, -np.inf, np.inf, -1, False, True]


def test_where_restricts_a_reduction() -> None:
    A = td.placeholder((6, 6), name="A")
    k = td.reduce_axis(6, name="k")
    L = td.compute((6,), lambda i: td.sum(A[i, k], axis=k, where=k <= i), name="L")
    a = _rng().random((6, 6), np.float32)
    got = td.reference(td.func("tril", [A], [L]))(a)
    np.testing.assert_allclose(got, np.tril(a).sum(1), rtol=1e-6)


def test_user_reducer_of_two_values() -> None:
    X = td.placeholder((3, 8), name="X")
    k = td.reduce_axis(8, name="k")
    both = td.reducer(identity=(0.0, 1.0), combine=lambda a, b: (a[0] + b[0], a[1] * b[1]))
    S, P = td.compute((3,), lambda i: both((X[i, k], X[i, k]), axis=k), name="R")
    x = _rng().random((3, 8), np.float32)
    s, p = td.reference(td.func("f", [X], [S, P]))(x)
    np.testing.assert_allclose(s, x.sum(1), rtol=1e-5)
    np.testing.assert_allclose(p, x.prod(1), rtol=1e-5)
    assert (S.name, P.name) == ("R.0", "R.1")


def test_cumsum_and_iir_filter_as_scans() -> None:
    X = td.placeholder((50,), "float64", name="X")
    t = td.scan_axis(50, name="t")
    y = td.scan(t, {"y": ((), 0.0)}, lambda t, prev: {"y": X[t] + prev["y"] * 0.5}, name="iir")["y"]
    x = _rng().normal(size=50)
    np.testing.assert_allclose(
        td.reference(td.func("f", [X], [y]))(x), scipy.signal.lfilter([1], [1, -0.5], x)
    )


def test_lstm_like_scan_with_reductions_inside_the_step() -> None:
    T, H = 6, 4
    X = td.placeholder((T, H), name="X")
    W = td.placeholder((H, H), name="W")
    H0 = td.placeholder((H,), name="H0")
    t = td.scan_axis(T, name="t")
    k = td.reduce_axis(H, name="k")

    def step(t, prev):
        g = td.compute((H,), lambda j: td.sum(W[j, k] * prev["h"][k], axis=k), name="g")
        return {"h": lambda j: td.tanh(g[j] + X[t, j])}

    h = td.scan(t, {"h": ((H,), H0)}, step, name="rnn")["h"]
    f = td.func("rnn", [X, W, H0], [h])
    x, w, h0 = (_rng().normal(size=s).astype(np.float32) for s in ((T, H), (H, H), (H,)))
    got = td.reference(f)(x, w, h0)
    state = h0.astype(np.float64)
    for n in range(T):
        state = np.tanh(w @ state + x[n])
        np.testing.assert_allclose(got[n], state, rtol=2e-6, atol=1e-6)


def test_histogram_update_leaves_its_base_alone() -> None:
    X = td.placeholder((1000,), "int32", name="X")
    H0 = td.placeholder((16,), "int32", name="H0")
    r = td.reduce_axis(1000, name="r")
    H = td.update(H0, over=r, at=X[r], value=1, op="add", name="H")
    x = _rng().integers(0, 16, 1000).astype(np.int32)
    base = np.arange(16, dtype=np.int32)
    got = td.reference(td.func("hist", [X, H0], [H]))(x, base)
    np.testing.assert_array_equal(got, base + np.bincount(x, minlength=16))
    np.testing.assert_array_equal(base, np.arange(16))


def test_update_reads_what_is_written_so_far_through_cur() -> None:
    X = td.placeholder((10,), "int64", name="X")
    r = td.reduce_axis(9, name="r")
    Y = td.update(X, over=r, at=r + 1, value=lambda cur: cur[r] + X[r + 1], op="set", name="Y")
    x = np.arange(10)
    np.testing.assert_array_equal(td.reference(td.func("f", [X], [Y]))(x), np.cumsum(x))


def test_out_of_range_data_raises_index_error() -> None:
    T = td.placeholder((8, 3), name="T")
    I = td.placeholder((4,), "int32", name="I")
    E = td.compute((4, 3), lambda i, j: T[I[i], j], name="E")
    f = td.func("embed", [T, I], [E])
    table = _rng().random((8, 3), np.float32)
    good = np.array([7, 0, 3, 3], np.int32)
    np.testing.assert_array_equal(td.reference(f)(table, good), table[good])
    with pytest.raises(IndexError, match="index 8 is outside"):
        td.reference(f)(table, np.array([1, 8, 0, 0], np.int32))


@pytest.mark.parametrize(
    ("source", "x"),
    [("float64", 1 + 2**-8 + 2**-40), ("int32", 2**30 + 2**22 + 1), ("uint64", 2**63 + 2**55 + 1)],
)
def test_numbers_round_to_bfloat16_once(source: str, x: float) -> None:
    # just above the middle of two neighbours: rounded to float32 first, it would be the middle
    X = td.placeholder((2,), source, name="X")
    Y = td.compute((2,), lambda i: td.cast(X[i], "bfloat16"), name="Y")
    f = td.func("rounded", [X], [Y])
    below = 2.0 ** math.floor(math.log2(x))
    for run in (td.reference(f), td.build(f)):
        y = run(np.array([x, 3], source)).astype(np.float64)
        assert y.tolist() == [below * (1 + 2**-7), 3.0]


def test_of_two_zeros_the_first_is_the_least_and_the_greatest() -> None:
    X = td.placeholder((2,), name="X")
    Y = td.compute(
        (2,), lambda i: (td.minimum(X[i], X[1 - i]), td.maximum(X[i], X[1 - i])), name="Y"
    )
    f = td.func("extremes", [X], list(Y))
    for run in (td.reference(f), td.build(f)):
        for y in run(np.array([0.0, -0.0], np.float32)):
            assert np.signbit(y).tolist() == [False, True]


def test_an_index_that_wraps_is_checked_as_data_are() -> None:
    T = td.placeholder((4,), "int64", name="T")
    E = td.compute((4,), lambda i: T[(i * 2**62) // 2**62], name="E")
    f = td.func("wrap", [T], [E])
    for run in (td.reference(f), td.build(f)):
        with pytest.raises(IndexError, match="-2 is out"):  # 2 * 2**62 is -(2**63)
            run(np.arange(4))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
def test_pad_agrees_with_numpy(mode: str) -> None:
    X = td.placeholder((5, 7), name="X")
    P = td.pad(X, (2, 1), (1, 3), mode=mode, name="P")
    x = _rng().random((5, 7), np.float32)
    np.testing.assert_array_equal(
        td.reference(td.func("pad", [X], [P]))(x), np.pad(x, ((2, 1), (1, 3)), mode=mode)
    )


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ik,kj->ij", [(3, 4), (4, 5)]),
        ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("ii->i", [(4, 4)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij->", [(3, 4)]),
    ],
)
def test_einsum_agrees_with_numpy(subscripts: str, shapes: list[tuple[int, ...]]) -> None:
    given = [td.placeholder(s, "float64", name=f"X{n}") for n, s in enumerate(shapes)]
    f = td.func("einsum", given, [td.einsum(subscripts, *given, name="Y")])
    arrays = [_rng().normal(size=s) for s in shapes]
    np.testing.assert_allclose(td.reference(f)(*arrays), np.einsum(subscripts, *arrays))


def test_reshape_keeps_row_major_order() -> None:
    N = td.sizes("N")
    X = td.placeholder((N, 4, 6), "int32", name="X")
    Y = td.reshape(X, (N, 3, 8), name="Y")
    x = np.arange(5 * 24, dtype=np.int32).reshape(5, 4, 6)
    np.testing.assert_array_equal(td.reference(td.func("f", [X], [Y]))(x), x.reshape(5, 3, 8))


def test_inout_argument_is_updated_in_place_in_order() -> None:
    G = td.inout(td.placeholder((8,), "int32", name="G"))
    r = td.reduce_axis(8, name="r")
    U = td.update(G, over=r, at=r, value=1, op="add", name="U")
    f = td.func("bump", [G], [U])
    assert [p.role.value for p in f.program.params] == ["inout"]
    np.testing.assert_array_equal(td.reference(f)(np.arange(8, dtype=np.int32)), np.arange(8) + 1)
