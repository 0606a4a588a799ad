"""Each bug that a user could have met, under the name of its symptom."""

from __future__ import annotations

import numpy as np
import pytest

import tdsl as td


def test_laid_out_private_copy_inside_a_vectorised_loop() -> None:
    A = td.placeholder((7,), "float32", name="A")
    S = td.compute((5,), lambda i: A[i], name="S")
    T = td.compute((5,), lambda i: S[1] + S[i], name="T")
    f = td.func("f", [A], [T])
    s = td.Schedule(f)
    s.vectorize("T.i", 2)
    s.compute_at("S", "T.ii")
    s.transform_layout("S", "a -> a // 4, a % 4")
    a = np.arange(7, dtype=np.float32)
    np.testing.assert_array_equal(td.build(s)(a), td.reference(f)(a))


def test_comparison_of_wide_integers_that_wrap() -> None:
    A = td.placeholder((8,), "int64", name="A")
    B = td.compute((8,), lambda i: td.select((A[i] * 4) // 2 < A[i] + 1, A[i], 7), name="B")
    f = td.func("wrap", [A], [B])
    a = np.array([2**62, -(2**62), 1, 0, -1, 2**61, 2**63 - 1, -(2**63)])
    np.testing.assert_array_equal(td.build(f)(a), td.reference(f)(a))


@pytest.mark.parametrize("rows", [1, 17, 64])
def test_argmax_in_register_lanes_after_rfactor(rows: int) -> None:
    X = td.placeholder((rows, 96), "float32", name="X")
    k = td.reduce_axis(96, name="k")
    Y = td.compute((rows,), lambda i: td.argmax(X[i, k], axis=k), name="Y")
    f = td.func("argmax", [X], [Y])
    s = td.Schedule(f)
    s.split("Y.k", 32)
    partial = s.rfactor("Y.ki")
    s.set_scope(partial, "register")
    s.vectorize(s.loops(partial)[-1])
    s.unroll(s.loops("Y")[-1])
    x = np.random.default_rng(0).integers(0, 5, (rows, 96)).astype(np.float32)
    x[0, 40] = np.nan
    np.testing.assert_array_equal(td.build(s)(x), np.argmax(x, axis=1))


def test_padded_read_in_the_lanes_a_partition_leaves_to_the_other_branch() -> None:
    A = td.placeholder((1, 2), "int32", name="A")
    P = td.pad(A, 1, 1, name="P")
    S = td.compute((1, 2), lambda i, j: P[i + 2, j], name="S")
    f = td.func("f", [A], [S])
    s = td.Schedule(f)
    s.reorder("S.j", "S.i")
    s.inline("P")
    s.fuse("S.j", "S.i")
    s.split("S.j_i", 4)
    s.vectorize("S.j_ii", 8)
    s.cache_write("S", scope="stack")
    a = np.array([[5, 7]], np.int32)
    np.testing.assert_array_equal(td.build(s)(a), td.reference(f)(a))


def test_atomic_lanes_call_maths_only_where_they_store() -> None:
    n, m = td.sizes("N M")
    A = td.placeholder((m,), "float32", name="A")
    T = td.compute((m,), lambda i: td.tanh(A[i]), name="T")
    k = td.reduce_axis(m, name="k")
    R = td.compute((n,), lambda i: td.sum(T[k], axis=k), name="R")
    f = td.func("f", [A], [R])
    s = td.Schedule(f)
    s.tile("R.i", "R.k", 2, 2)
    s.atomic("R")
    s.vectorize("R.ki")
    s.inline("T")
    a = np.linspace(-1, 1, 7, dtype=np.float32)
    np.testing.assert_allclose(td.build(s)(a, N=3), td.reference(f)(a, N=3), rtol=1e-5, atol=1e-6)
