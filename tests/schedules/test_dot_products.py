"""Matrix products by instructions: any size, with and without the instruction, and by default."""

import ml_dtypes
import numpy as np
import pytest

import tdsl as td
from tdsl.schedules.dot_products import tile_dot_products

RNG = np.random.default_rng(3)


def product(m, n, k, types=("uint8", "int8", "int32"), *, turned=False):
    a, b, sums = types
    A = td.placeholder((m, k), a, name="A")
    B = td.placeholder((n, k) if turned else (k, n), b, name="B")
    r = td.reduce_axis(k, name="k")

    def term(i, j):
        other = B[j, r] if turned else B[r, j]
        return td.sum(td.cast(A[i, r], sums) * td.cast(other, sums), axis=r)

    return td.func("product", [A, B], [td.compute((m, n), term, name="C")])


def matrices(func):
    low = {"uint8": 0, "int8": -128}
    return [
        RNG.integers(low[t.dtype.name], low[t.dtype.name] + 256, t.shape).astype(t.dtype.name)
        for t in func.inputs
    ]


SIZES = [(64, 64, 64), (61, 70, 33), (5, 130, 31), (33, 17, 129), (13, 64, 5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("target", ["llvm", "llvm -mcpu=x86-64-v3"])
def test_bytes_of_any_size(size, turned, target):
    func = product(*size, turned=turned)
    s = td.Schedule(func, target)
    tile_dot_products(s, "C", "B", "vpdpbusd")
    a, b = matrices(func)
    want = a.astype(int) @ (b.T if turned else b).astype(int)
    np.testing.assert_array_equal(td.build(s)(a, b), want)
    assert s.numerics.value == "exact"


def test_halves_are_summed_in_float32():
    func = product(20, 70, 35, ("bfloat16", "bfloat16", "float32"))
    s = td.Schedule(func)
    tile_dot_products(s, "C", "B", "vdpbf16ps", rows=4, columns=32)
    a, b = (RNG.standard_normal(t.shape).astype(ml_dtypes.bfloat16) for t in func.inputs)
    bound = 40 * 2.0**-23 * (abs(a.astype(float)) @ abs(b.astype(float)))
    assert (abs(td.build(s)(a, b) - a.astype(float) @ b.astype(float)) <= bound).all()


@pytest.mark.parametrize(
    ("tensor", "instruction", "columns", "reason"),
    [
        ("A", "vpdpbusd", 64, "no column of 'A' is a lane of 'C'"),
        ("D", "vpdpbusd", 64, "no column of 'D' is a lane of 'C'"),
        ("B", "vpdpbusd", 24, "columns=24 is no multiple of 16"),
        ("B", "vdpbf16ps", 64, "is not 'vdpbf16ps'"),
        ("B", "vpdpbus", 64, "there is no instruction 'vpdpbus'"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_changes(tensor, instruction, columns, reason):
    s = td.Schedule(product(8, 64, 8))
    before = str(s)
    with pytest.raises(td.TdslError) as caught:
        tile_dot_products(s, "C", tensor, instruction, columns=columns)
    assert reason in str(caught.value)
    assert str(s) == before
    x = td.placeholder((8, 64), "uint8", name="x")
    y = td.compute((8, 64), lambda i, j: x[i, j], name="C")
    with pytest.raises(td.ScheduleError, match="no product of two matrices"):
        tile_dot_products(td.Schedule(td.func("copy", [x], [y])), "C", "x", "vpdpbusd")


def test_a_file_names_the_combinator(tmp_path):
    s = td.Schedule(product(61, 70, 33))
    tile_dot_products(s, "C", "B", "vpdpbusd")
    s.save(tmp_path / "f.schedule", algorithm="f.py:product")
    assert 'tile_dot_products(s, "C", "B", "vpdpbusd")' in (tmp_path / "f.schedule").read_text()
    assert str(td.load_schedule(tmp_path / "f.schedule", s.func)) == str(s)


@pytest.mark.parametrize("size", [*SIZES[:2], (1, 200, 300)])
@pytest.mark.parametrize("turned", [False, True])
def test_products_of_bytes_take_the_instruction_by_default(size, turned):
    func = product(*size, turned=turned)
    a, b = matrices(func)
    want = a.astype(int) @ (b.T if turned else b).astype(int)
    np.testing.assert_array_equal(td.build(func)(a, b), want)
    rule = td.default_schedule(func, "llvm -mcpu=znver4").why.rule_of("C")
    assert (rule == "dots") == (size[0] > 1)
    assert td.default_schedule(func, "llvm -mcpu=x86-64-v3").why.rule_of("C") != "dots"


@pytest.mark.parametrize("types", [("int8", "int8", "int32"), ("uint8", "int8", "int64")])
def test_other_products_do_not(types):
    func = product(64, 64, 64, types)
    assert td.default_schedule(func, "llvm -mcpu=znver4").why.rule_of("C") == "matmul"
