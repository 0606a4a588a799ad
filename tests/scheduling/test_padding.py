"""pad_einsum: extents rounded up, results the same to the bit."""

import json

import numpy as np
import pytest

import tdsl as td
from tdsl.scheduling import load_schedule, replay
from tests.scheduling.algorithms import increment, matmul
from tests.scheduling.running import check, inputs_of, nest, scheduled
from tests.scheduling.test_padding_nests import rows


def built(s, sizes=None):
    """The compiled kernel gives what the unscheduled one gives, to the bit."""
    check(s, sizes)
    arrays = list(inputs_of(s.func, sizes or {}).values())
    got, wanted = td.build(s)(*arrays), td.build(td.Schedule(s.func))(*arrays)
    assert got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("sizes", [(5, 7, 3), (8, 6, 4), (1, 1, 1), (9, 12, 5)])
def test_symbolic_extents_are_split_exactly(sizes):
    s = scheduled(matmul("M", "N", "K"))
    assert s.pad_einsum("C", (4, 6, 4)) == ("A.C", "B.C", "C.out")
    i, j, k = s.loops("C")
    s.tile(i, j, 4, 6, tail="exact")
    s.split(k, 4, tail="exact")
    assert s.numerics.value == "exact"
    assert "if" not in nest(s).split("C.cache[io", 1)[1].split("for i in M", 1)[0]
    built(s, dict(zip("MNK", sizes, strict=True)))


def test_a_whole_schedule_of_padded_products():
    s = scheduled(matmul(13, 19, 7))
    s.pad_einsum("C", (4, 8, 2))
    io, jo, ii, ji = s.tile("C.i", "C.j", 4, 8, tail="exact")
    s.reorder(io, jo, "C.k", ii, ji)
    s.compute_at("A.C", at=io)
    s.reverse_compute_at("C.out", at=io)
    s.vectorize(ji, 8)
    s.unroll(ii)
    s.parallel(io)
    built(s)


def test_only_operands_that_are_left_are_copied():
    s = scheduled(matmul(8, 5, 4))
    assert s.pad_einsum("C", (4, 4, 4)) == ("B.C", "C.out")
    built(s)
    s = scheduled(matmul(8, 4, 5))
    assert s.pad_einsum("C", 4) == ("A.C", "B.C")  # the result needs no copy
    built(s)


def test_stated_facts_count_as_multiples():
    m, n, k = td.sizes("M N K")
    a = td.placeholder((m, k), "float32", name="A")
    b = td.placeholder((k, n), "float32", name="B")
    r = td.reduce_axis(k, name="k")
    c = td.compute((m, n), lambda i, j: td.sum(a[i, r] * b[r, j], axis=r), name="C")
    s = scheduled(td.func("f", [a, b], [c], assume=["M % 8 == 0", "K % 8 == 0"]))
    assert s.pad_einsum("C", 8) == ("B.C", "C.out")
    check(s, {"M": 8, "N": 3, "K": 16})


def added(a, b):
    return a + b


@pytest.mark.parametrize("reduce", [td.sum, td.reducer(identity=0.0, combine=added)])
def test_negative_zeros_infinities_and_nans_stay(reduce):
    """Margins add -0.0: +0.0 would turn a result of -0.0, left by underflow, into +0.0."""
    x, y = (td.placeholder((3, 3), "float32", name=name) for name in "AB")
    k = td.reduce_axis(3, name="k")
    c = td.compute((3, 3), lambda i, j: reduce(x[i, k] * y[k, j], axis=k), name="C")
    s = scheduled(td.func("product", [x, y], [c]))
    s.pad_einsum("C", 4)
    a = np.array([[0, 0, -1e-30], [np.inf, -0.0, 1], [np.nan, 1, 1]], np.float32)
    b = np.array([[0, 1, -np.inf], [0, -1, 1], [1e-30, 2, 3]], np.float32)
    got, wanted = td.build(s)(a, b), td.build(td.Schedule(s.func))(a, b)
    assert np.signbit(wanted[0, 0])
    assert got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize(
    "term",
    [
        lambda x, y: td.abs(x),
        lambda x, y: x * x,
        lambda x, y: td.maximum(x, 0.0) * td.abs(y),
        lambda x, y: x * x + y * y,
        lambda x, y: td.sqrt(td.maximum(0.0, y)) + x * x * td.abs(y),
    ],
    ids=["abs", "square", "product", "two squares", "sum"],
)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_sums_of_what_is_never_below_zero_stay(term, dtype):
    """Margins add +0.0 to sums of zeros of both signs, of what underflows, overflows or is NaN."""
    x, y = (td.placeholder((49, 3), dtype, name=name) for name in "AB")
    k = td.reduce_axis(3, name="k")
    c = td.compute((49,), lambda i: td.sum(term(x[i, k], y[i, k]), axis=k), name="C")
    s = scheduled(td.func("sums", [x, y], [c]))
    s.pad_einsum("C", (1, 8))
    odd = np.array([-0.0, 0.0, -1e-7, 1e-7, np.inf, -np.inf, np.nan], dtype)
    a, b = (np.repeat(n.reshape(-1, 1), 3, axis=1) for n in np.meshgrid(odd, odd))
    b[:, 1] = 0.0
    got, wanted = td.build(s)(a, b), td.build(td.Schedule(s.func))(a, b)
    assert not np.signbit(wanted[~np.isnan(wanted)]).any()
    assert got.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("reduce", [td.sum, td.prod, td.max, td.min])
@pytest.mark.parametrize("dtype", ["float32", "int8", "uint16", "float16"])
def test_margins_of_every_reduction(reduce, dtype):
    s = scheduled(rows(reduce, dtype))
    s.pad_einsum("B", (2, 4))
    s.split("B.k", 4, tail="exact")
    built(s)


def test_margins_of_truths():
    for reduce in (td.any, td.all):
        s = scheduled(rows(reduce, "int32", lambda x: x > 3))
        if reduce is td.all:
            with pytest.raises(td.ScheduleError, match="leave the all as it is"):
                s.pad_einsum("B", (1, 4))
        else:
            s.pad_einsum("B", (1, 4))
            built(s)


def test_a_convolution_pads_its_channels():
    x = td.placeholder((3, 6, 7), "float32", name="X")
    w = td.placeholder((5, 3, 3, 3), "float32", name="W")
    c, r, q = (td.reduce_axis(n, name=name) for n, name in ((3, "c"), (3, "r"), (3, "q")))
    y = td.compute(
        (5, 4, 5),
        lambda o, h, v: td.sum(x[c, h + r, v + q] * w[o, c, r, q], axis=(c, r, q)),
        name="Y",
    )
    s = scheduled(td.func("conv", [x, w], [y]))
    assert s.pad_einsum("Y", (4, 1, 4, 4, 1, 1)) == ("X.Y", "W.Y", "Y.out")
    built(s)
    with pytest.raises(td.ScheduleError, match="beyond the end of 'r'"):
        scheduled(s.func).pad_einsum("Y", (1, 1, 1, 1, 4, 1))


def test_what_does_not_depend_on_the_reduction_might_be_infinite():
    a = td.placeholder((3, 5), "float32", name="A")
    scale = td.placeholder((3,), "float32", name="scale")
    k = td.reduce_axis(5, name="k")
    b = td.compute((3,), lambda i: td.sum(a[i, k] * scale[i], axis=k), name="B")
    s = scheduled(td.func("f", [a, scale], [b]))
    with pytest.raises(td.ScheduleError, match="0 times an infinity is NaN"):
        s.pad_einsum("B", (1, 4))
    s.pad_einsum("B", (4, 1))
    built(s)


def test_one_tensor_read_at_two_places_has_two_copies():
    a = td.placeholder((5, 3), "float32", name="A")
    k = td.reduce_axis(3, name="k")
    c = td.compute((5, 5), lambda i, j: td.sum(a[i, k] * a[j, k], axis=k), name="C")
    s = scheduled(td.func("gram", [a], [c]))
    assert s.pad_einsum("C", 4) == ("A.C", "A.C.1", "C.out")
    built(s)


def test_prefixes_are_not_read_beyond():
    a = td.placeholder((4, 9), "float32", name="A")
    k = td.reduce_axis(5, name="k")
    b = td.compute((4,), lambda i: td.sum(a[i, k], axis=k), name="B")
    s = scheduled(td.func("f", [a], [b]))
    s.pad_einsum("B", (1, 8))  # A has elements 5..8, but they are no part of the sum
    built(s)


@pytest.mark.parametrize("again", [(4, 4, 3), (4, 1, 1), (1, 1, 3), 5])
def test_margins_that_were_inlined_are_not_read_for_the_next(again):
    s = scheduled(matmul(4, 2, 6))
    s.pad_einsum("C", (3, 3, 4))
    s.inline("A.C")  # C runs beyond A now, where a condition keeps it from reading
    s.pad_einsum("C", again)
    built(s)


def test_refusals():
    s = scheduled(matmul(8, 8, 8))
    with pytest.raises(td.ScheduleError, match="multiples already"):
        s.pad_einsum("C", 8)
    with pytest.raises(td.ScheduleError, match="2 multiples for the 3 axes of 'C': i, j, k"):
        s.pad_einsum("C", (3, 3))
    with pytest.raises(td.TypeMismatch, match="a positive integer, or one for each axis"):
        s.pad_einsum("C", 0)
    s.split("C.i", 2)
    with pytest.raises(td.ScheduleError, match="pad_einsum first"):
        s.pad_einsum("C", 3)
    with pytest.raises(td.ScheduleError, match="'B' is no reduction"):
        scheduled(increment(10)).pad_einsum("B", 4)
    a = td.placeholder((9,), "float32", name="A")
    k = td.reduce_axis(5, name="k")
    b = td.compute((3,), lambda i: td.sum(a[8 - i - k], axis=k), name="B")
    with pytest.raises(td.ScheduleError, match="starts elsewhere than at 0"):
        scheduled(td.func("f", [a], [b])).pad_einsum("B", (4, 1))
    c = td.compute((9,), lambda i: td.sum(a[i], axis=k, where=k <= i), name="C")
    with pytest.raises(td.ScheduleError, match="where="):
        scheduled(td.func("g", [a], [c])).pad_einsum("C", 4)


def test_steps_are_recorded_and_read_back(tmp_path):
    s = scheduled(matmul(5, 6, 4))
    s.pad_einsum("C", (4, 4, 1))
    s.compute_at("A.C", at="C.i")
    assert 's.pad_einsum("C", (4, 4, 1))' in str(s.trace)
    again = scheduled(s.func)
    replay(json.loads(json.dumps(s.trace.json())), again)
    assert nest(again) == nest(s)
    s.save(tmp_path / "f.tdsl", algorithm="f.py:f")
    assert nest(load_schedule(tmp_path / "f.tdsl", s.func)) == nest(s)
