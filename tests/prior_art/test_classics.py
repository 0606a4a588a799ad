"""Small programs that Halide's tests compute, each under a schedule that tries something.

median3x3, dilate3x3, gameoflife, histogram_equalize, interpreter, mul_div_mod, tuples.
"""

import numpy as np
import pytest

import tdsl as td
from tests.prior_art.agreeing import agrees
from tests.scheduling.counting import runs
from tests.scheduling.running import scheduled


def window(h, w, of):
    A = td.placeholder((h + 2, w + 2), "int32", name="A")
    B = td.compute(
        (h, w),
        lambda i, j: of([A[i + di, j + dj] for di in range(3) for dj in range(3)]),
        name="B",
    )
    return td.func("window", [A], [B])


def middle_of_three_rows(h, w):
    """The median of medians of columns: the approximation that is cheap, in two stages."""
    A = td.placeholder((h + 2, w + 2), "int32", name="A")

    def mid(a, b, c):
        return td.maximum(td.minimum(a, b), td.minimum(td.maximum(a, b), c))

    X = td.compute((h + 2, w), lambda i, j: mid(A[i, j], A[i, j + 1], A[i, j + 2]), name="X")
    Y = td.compute((h, w), lambda i, j: mid(X[i, j], X[i + 1, j], X[i + 2, j]), name="Y")
    return td.func("median", [A], [Y])


def test_a_median_of_rows_and_columns_slides():
    s = scheduled(middle_of_three_rows(9, 14))
    s.compute_at("X", "Y.i")
    s.store_at("X")
    s.fold_storage("X", 4)
    s.vectorize("Y.j", 8)
    s.vectorize(s.loops("X")[-1], 8)
    assert runs(s, sliding=True)["X"] == 11 * 14
    agrees(s)


def test_a_window_is_dilated_in_tiles():
    def largest(values):
        found = values[0]
        for value in values[1:]:
            found = td.maximum(found, value)
        return found

    s = scheduled(window(7, 9, largest))
    _, _, _, ji = s.tile("i", "j", 3, 4, tail="shift")
    s.vectorize(ji, 4)
    agrees(s)


def test_four_generations_of_life_in_tiles_in_time():
    n, steps = 10, 4
    board = td.placeholder((n, n), "int32", name="board")
    t = td.scan_axis(steps, name="t")

    def step(t, prev):
        c = prev["c"]

        def cell(i, j):
            around = sum(
                c[(i + di) % n, (j + dj) % n]
                for di in (-1, 0, 1)
                for dj in (-1, 0, 1)
                if (di, dj) != (0, 0)
            )
            return td.cast((around == 3) | ((around == 2) & (c[i, j] == 1)), "int32")

        return {"c": cell}

    life = td.scan(t, {"c": ((n, n), lambda i, j: board[i, j])}, step, name="L")["c"]
    s = scheduled(td.func("life", [board], [life]))
    with pytest.raises(td.ScheduleError):
        s.parallel("L.c.t")
    s.parallel("L.c.i")
    s.vectorize("L.c.j", 4)
    glider = np.zeros((n, n), np.int32)
    for i, j in ((0, 1), (1, 2), (2, 0), (2, 1), (2, 2)):
        glider[i, j] = 1
    agrees(s, arrays={"board": glider})
    after = td.reference(s.func)(glider)
    np.testing.assert_array_equal(after[-1], np.roll(glider, (1, 1), (0, 1)))


def test_a_histogram_is_equalised():
    """Count, add up, look up: three kinds of index in one function."""
    n, bins = 60, 16
    X = td.placeholder((n,), "int32", name="X")
    zero = td.placeholder((bins,), "int32", name="zero")
    r = td.reduce_axis(n, name="r")
    H = td.update(zero, over=r, at=X[r], value=1, op="add", name="H")
    t = td.scan_axis(bins, name="t")
    S = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + H[t]}, name="S")["s"]
    Y = td.compute((n,), lambda i: S[X[i]] * (bins - 1) // n, name="Y")
    s = scheduled(td.func("equalize", [X, zero], [Y]))
    s.split("H.r", 10)
    part = s.rfactor("H.ro")
    s.parallel(f"{part}.ro")
    s.vectorize("Y.i", 8)
    x = np.random.default_rng(0).integers(0, bins, n).astype(np.int32)
    agrees(s, arrays={"X": x, "zero": np.zeros(bins, np.int32)})
    counts = np.bincount(x, minlength=bins)
    wanted = np.cumsum(counts)[x] * (bins - 1) // n
    np.testing.assert_array_equal(td.reference(s.func)(x, np.zeros(bins, np.int32)), wanted)


def test_a_machine_runs_the_program_that_it_is_given():
    """A loop driven by data: at each step an opcode says what becomes of the accumulator."""
    steps = 12
    code = td.placeholder((steps,), "int32", name="code")
    value = td.placeholder((steps,), "int32", name="value")
    t = td.scan_axis(steps, name="t")

    def step(t, prev):
        a, op, v = prev["a"], code[t], value[t]
        return {
            "a": td.select(op == 0, a + v, td.select(op == 1, a * v, td.select(op == 2, a - v, v)))
        }

    out = td.scan(t, {"a": ((), 0)}, step, name="M")["a"]
    s = scheduled(td.func("machine", [code, value], [out]))
    s.split("M.a.t", 5)
    s.unroll("M.a.ti")
    rng = np.random.default_rng(3)
    code_of, value_of = (rng.integers(0, high, steps).astype(np.int32) for high in (4, 9))
    agrees(s, arrays={"code": code_of, "value": value_of})
    a, wanted = 0, []
    for op, v in zip(code_of.tolist(), value_of.tolist(), strict=True):
        a = (a + v, a * v, a - v, v)[op]
        wanted.append(a)
    assert td.reference(s.func)(code_of, value_of).tolist() == wanted


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64"])
def test_products_quotients_and_remainders_at_the_ends_of_each_type(dtype):
    info = np.iinfo(dtype)
    ends = [info.min, info.min + 1, 0, 1, 2, 7, info.max - 1, info.max]
    ends += [-1] if info.min < 0 else []
    x, y = (a.ravel().astype(dtype) for a in np.meshgrid(ends, ends))
    n = len(x)
    X, Y = td.placeholder((n,), dtype, name="X"), td.placeholder((n,), dtype, name="Y")
    P = td.compute((n,), lambda i: X[i] * Y[i], name="P")
    Q = td.compute((n,), lambda i: X[i] // Y[i], name="Q")
    R = td.compute((n,), lambda i: X[i] % Y[i], name="R")
    s = scheduled(td.func("ends", [X, Y], [P, Q, R]), None)
    for name in "PQR":
        s.vectorize(f"{name}.i", 8)
    product, quotient, remainder = td.build(s)(x, y)

    def wrap(v):
        return int(np.array(v & (2**64 - 1), np.uint64).astype(dtype))

    for n, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        assert product[n] == wrap(a * b)
        assert quotient[n] == (wrap(a // b) if b else 0), (a, b)
        assert remainder[n] == (wrap(a % b) if b else 0), (a, b)
