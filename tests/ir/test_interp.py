# ruff: noqa: E501 - lines of IR text stand as they print
"""The interpreter runs scheduled and lowered IR in any order and catches what goes wrong."""

import numpy as np
import pytest

from tdsl import dtypes
from tdsl.errors import TdslError
from tdsl.ir.expr import Unary, UnaryOp, Var
from tdsl.ir.interp import (
    CANONICAL,
    HOSTILE,
    REVERSED,
    ConflictError,
    IndexFault,
    MemoryFault,
    Order,
    OrderKind,
    interpret,
)
from tdsl.ir.parser import parse_program
from tests.ir import samples

EVERY = (CANONICAL, *HOSTILE)


def program(text):
    return parse_program("tdsl-ir 1\n" + text)


def f32(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def matmul_relu_reference(a, b):
    total = np.zeros((a.shape[0], b.shape[1]), np.float64)
    for k in range(a.shape[1]):  # one rounding for each fma
        total = (a[:, k : k + 1].astype(np.float64) * b[k] + total).astype(np.float32)
    return np.maximum(total, 0).astype(np.float32)


@pytest.mark.parametrize("order", EVERY)
def test_canonical_matmul(order):
    a, b = f32(5, 3), f32(3, 4, seed=1)
    got = interpret(samples.matmul_relu(), {"A": a, "B": b}, order=order, detect_conflicts=True)
    np.testing.assert_allclose(got["D"], matmul_relu_reference(a, b), rtol=1e-6)


def test_empty_reduction_still_runs_its_init():
    got = interpret(samples.matmul_relu(), {"A": f32(2, 0), "B": f32(0, 3)})
    assert (got["D"] == 0).all()


SCHEDULED = """\
func f(A: f32[M, K], B: f32[K, N]) -> D: f32[M, N]:
  for io in parallel((M + 3) // 4):
    for jo in (N + 3) // 4:
      alloc C: f32[M, N] in register
      for k in K:
        for ii in unrolled(4):
          for ji in vectorized(4):
            block C(i: M = io * 4 + ii, j: N = jo * 4 + ji, reduce k) guard(io * 4 + ii < M) mask(jo * 4 + ji < N): C[i, j] = fma(A[i, k], B[k, j], C[i, j])
              init C.init(i: M, j: N): C[i, j] = 0
      for x in vectorized fused(ii in 4, ji in 4):
        block D(i: M = io * 4 + ii, j: N = jo * 4 + ji) guard(io * 4 + ii < M) guard(jo * 4 + ji < N): D[i, j] = max(C[i, j], 0)
"""


@pytest.mark.parametrize("order", EVERY)
@pytest.mark.parametrize("shape", [(5, 3, 6), (4, 2, 4), (1, 1, 1), (3, 0, 2)])
def test_tiled_matmul_with_guards_private_storage_and_a_fused_loop(order, shape):
    m, k, n = shape
    a, b = f32(m, k), f32(k, n, seed=1)
    expected = interpret(samples.matmul_relu(), {"A": a, "B": b})["D"]
    got = interpret(program(SCHEDULED), {"A": a, "B": b}, order=order, detect_conflicts=True)["D"]
    assert (got == expected).all()


LOWERED = """\
func f(A: f32[N]) -> D: f32[N]:
  for x in parallel((N + 3) // 4):
    let start = x * 4
    let live = ramp(start, 1, 4) < broadcast(N, 4)
    let v = A[ramp(start, 1, 4); live]
    let w = shuffle(v, v; 3, 2, 1, 0)
    D[ramp(start, 1, 4); live] = select(broadcast(true, 4), v * broadcast(2, 4) + w * broadcast(0, 4), w)
"""


@pytest.mark.parametrize("order", EVERY)
@pytest.mark.parametrize("n", [0, 1, 4, 7])
def test_masked_vectors(order, n):
    a = f32(n)
    got = interpret(program(LOWERED), {"A": a}, order=order, detect_conflicts=True)
    assert (got["D"] == a * 2).all()


def test_select_evaluates_only_the_arm_taken():
    text = "func f(x: i32[N]) -> y: i32[N]:\n  for i in N:\n    block y(i): y[i] = select(i >= 1, x[i - 1], 7)\n"
    got = interpret(program(text), {"x": np.array([1, 2, 3], np.int32)})
    assert got["y"].tolist() == [7, 1, 2]


ARMS = {
    "y[i] = select(i >= 1, x[i - 1], 7)": False,
    "y[i] = select(i >= 1, x[max(i - 1, 0)], 7)": True,
    "y[i] = select(i >= 1, x[i - 1; i >= 1], 7)": True,
    "y[i] = select(i >= 1, x[checked(i - 1, N, 0)], 7)": True,  # one of such arms is taken
    "y[i] = x[i64(x[i - 1]); i >= 1]": False,  # an index is computed before its mask is asked
    "y[i] = x[i64(x[i - 1; i >= 1]); i >= 1]": True,
    "y[ramp(0, 1, 4)] = select(ramp(0, 1, 4) >= broadcast(1, 4), x[ramp(-1, 1, 4)], broadcast(7, 4))": False,
    "y[ramp(0, 1, 4)] = select(broadcast(i >= 0, 4), broadcast(7, 4), x[ramp(1, 1, 4)])": False,
    "y[ramp(0, 1, 4)] = select(broadcast(i < 0, 4), x[ramp(1, 1, 4)], broadcast(7, 4))": False,
}


@pytest.mark.parametrize(("store", "stays_inside"), ARMS.items())
def test_both_arms_are_evaluated_on_request(store, stays_inside):
    text = f"func f(x: i32[N]) -> y: i32[N]:\n  for i in N:\n    {store}\n"
    arrays = {"x": np.arange(4, dtype=np.int32)}
    if stays_inside:
        expected = interpret(program(text), arrays)["y"]
        assert interpret(program(text), arrays, both_arms=True)["y"].tolist() == expected.tolist()
    else:
        with pytest.raises(MemoryFault):
            interpret(program(text), arrays, both_arms=True)


def test_several_writes_see_the_values_before_all_of_them():
    text = """\
func swap(inout a: i32[N], inout b: i32[N]):
  for i in N:
    block swap(i):
      a[i] = b[i]
      b[i] = a[i]
"""
    a, b = np.array([1, 2], np.int32), np.array([3, 4], np.int32)
    got = interpret(program(text), {"a": a, "b": b})
    assert (got["a"].tolist(), got["b"].tolist()) == ([3, 4], [1, 2])
    assert a.tolist() == [1, 2]  # arguments stay as they were


def test_checked_indices_are_clamped_and_raise_afterwards():
    text = "func f(x: i32[N], at: i64[M]) -> y: i32[M]:\n  sizes N, M\n  for i in M:\n    block y(i): y[i] = x[checked(at[i], N, 4)]\n"
    x = np.array([10, 20], np.int32)
    with pytest.raises(IndexFault, match=r"index is 5, outside \[0, 2\) \(check 4\)") as caught:
        interpret(program(text), {"x": x, "at": np.array([0, 5, -3], np.int64)})
    assert isinstance(caught.value, IndexError)
    assert [flag.access for flag in caught.value.flags] == [4]


RACE = "func f(x: i32[N]) -> y: i32[N]:\n  for i in {kind}(N):\n    block y(i): y[{at}] = x[i]\n"


@pytest.mark.parametrize("kind", ["parallel", "vectorized", "group.x", "local.y"])
def test_two_iterations_writing_one_element_conflict(kind):
    x = np.arange(4, dtype=np.int32)
    fine = program(RACE.format(kind=kind, at="i"))
    interpret(fine, {"x": x}, detect_conflicts=True)
    racy = program(RACE.format(kind=kind, at="i // 2 * 2"))
    with pytest.raises(ConflictError, match=r"WAW.*y\(i=0\) and y\(i=1\) meet at y\[0\]") as caught:
        interpret(racy, {"x": x}, detect_conflicts=True)
    assert caught.value.loop == "i"
    with pytest.raises(MemoryFault, match="never written"):
        interpret(racy, {"x": x})


def test_serial_and_unrolled_loops_may_share_elements():
    for kind in ("serial", "unrolled"):
        text = "func f(x: i32[N], inout y: i32[N]):\n  for i in KIND(N):\n    block y(i): y[0] = y[0] + x[i]\n"
        text = text.replace("KIND(N)", "N" if kind == "serial" else "unrolled(N)")
        arrays = {"x": np.arange(4, dtype=np.int32), "y": np.zeros(4, np.int32)}
        assert interpret(program(text), arrays, detect_conflicts=True)["y"][0] == 6


@pytest.mark.parametrize(("at", "kind"), [("i + 1", "WAR"), ("i - 1", "RAW")])
def test_reading_what_another_iteration_writes_conflicts(at, kind):
    text = f"func f(inout y: i32[N]):\n  for i in vectorized(N - 2):\n    block y(i): y[i + 1] = y[{at} + 1]\n"
    with pytest.raises(ConflictError, match=kind):
        interpret(program(text), {"y": np.arange(6, dtype=np.int32)}, detect_conflicts=True)


ATOMIC = "func f(inout y: i32[N], at: i64[M]):\n  sizes N, M\n  for i in parallel(M):\n    update y(i){mark}: y[at[i]] = y[at[i]] + 1\n"


@pytest.mark.parametrize("order", EVERY)
def test_atomic_updates_do_not_conflict(order):
    arrays = {"y": np.zeros(3, np.int32), "at": np.array([0, 2, 0, 0], np.int64)}
    got = interpret(program(ATOMIC.format(mark=" atomic")), arrays, {}, order, True)
    assert got["y"].tolist() == [3, 0, 1]
    with pytest.raises(ConflictError):
        interpret(program(ATOMIC.format(mark="")), arrays, {}, order, True)


HALO = """\
func f(x: f32[N]) -> y: f32[N]:
  alloc t: f32[N + 1]
  for io in parallel(N // 2):
    for p in 3:
      block t(i: N + 1 = io * 2 + p): t[i] = x[min(i, N - 1)] * 2
    for ii in 2:
      block y(i: N = io * 2 + ii): y[i] = t[i] + t[i + 1]
"""


@pytest.mark.parametrize("order", EVERY)
def test_one_instance_run_twice_is_no_conflict(order):
    x = f32(6)
    got = interpret(program(HALO), {"x": x}, order=order, detect_conflicts=True)["y"]
    t = np.append(x, x[-1]) * 2
    assert (got == t[:-1] + t[1:]).all()


def test_reading_the_other_iterations_halo_without_computing_it_conflicts():
    text = HALO.replace("for p in 3", "for p in 2")
    with pytest.raises((ConflictError, MemoryFault)):
        interpret(program(text), {"x": f32(6)}, order=REVERSED, detect_conflicts=True)


def test_private_storage_never_conflicts():
    text = """\
func f(x: f32[N]) -> y: f32[N]:
  for i in parallel(N):
    alloc t: f32[1]
    block t(i): t[0] = x[i]
    block y(i): y[i] = t[0]
"""
    x = f32(4)
    for order in EVERY:
        assert (
            interpret(program(text), {"x": x}, order=order, detect_conflicts=True)["y"] == x
        ).all()


BARRIER = """\
func f(x: i32[8]) -> y: i32[8]:
  for g in group.x(2):
    alloc t: i32[4] in shared
    for l in local.x(4):
      t[l] = x[g * 4 + l]
      barrier
      y[g * 4 + l] = t[3 - l]
"""


@pytest.mark.parametrize("order", EVERY)
def test_work_items_meet_at_barriers(order):
    x = np.arange(8, dtype=np.int32)
    got = interpret(program(BARRIER), {"x": x}, order=order, detect_conflicts=True)
    assert got["y"].tolist() == [3, 2, 1, 0, 7, 6, 5, 4]


def test_a_missing_barrier_is_found():
    text = BARRIER.replace("      barrier\n", "")
    with pytest.raises((ConflictError, MemoryFault)):
        interpret(program(text), {"x": np.arange(8, dtype=np.int32)}, detect_conflicts=True)


def test_barriers_of_nested_work_item_loops_meet_across_both():
    text = """\
func f(x: i32[2, 3]) -> y: i32[2, 3]:
  alloc t: i32[6] in shared
  for b in local.y(2):
    for a in local.x(3):
      t[b * 3 + a] = x[b * 3 + a]
      barrier
      y[b * 3 + a] = t[5 - (b * 3 + a)]
"""
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    for order in EVERY:
        got = interpret(program(text), {"x": x}, order=order, detect_conflicts=True)["y"]
        assert (got.ravel() == x.ravel()[::-1]).all()


def test_a_barrier_that_some_work_items_skip_is_refused():
    text = BARRIER.replace("      barrier\n", "      if l < 2:\n        barrier\n")
    with pytest.raises(TdslError, match="not all work-items"):
        interpret(program(text), {"x": np.arange(8, dtype=np.int32)})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "for i in N + 1:\n    block y(i): y[i] = x[0]",
            r"y\[3\] lies outside y, whose shape is \[3\]",
        ),
        ("for i in N:\n    block y(i): y[i] = x[i - 1]", r"x\[-1\] lies outside x"),
        ("for i in N - 1:\n    block y(i): y[i] = x[i]", r"y\[2\] was never written"),
        ("for i in N:\n    block y(i): y[i] = y[i]", r"y\[0\] is read before it is written"),
        ("alloc t: i32[N]\n  for i in N:\n    block y(i): y[i] = t[i]", r"t\[0\] is read before"),
        ("alloc t: i32[N]\n  for i in N + 1:\n    block t(i): t[i] = 0", r"t\[3\] lies outside t"),
        (
            "alloc t: i32[N, 2]\n  for i in N:\n    block t(i): t[i, 2] = 0",
            r"t\[0, 2\] lies outside",
        ),
        (
            "for i in N + 1:\n    block y(i: N = i): y[min(i, N - 1)] = x[0]",
            "outside its block's domain",
        ),
    ],
)
def test_memory_faults_name_the_element(body, message):
    text = f"func f(x: i32[N]) -> y: i32[N]:\n  {body}\n"
    with pytest.raises(MemoryFault, match=message):
        interpret(program(text), {"x": np.arange(3, dtype=np.int32)})


def test_padding_instances_may_leave_an_allocation():
    text = """\
func f(x: i32[N]) -> y: i32[N]:
  alloc t: i32[N]
  for io in (N + 3) // 4, ii in 4:
    block t(i: N = io * 4 + ii): t[i] = x[min(i, N - 1)]
  for i in N:
    block y(i): y[i] = t[i]
"""
    x = np.arange(5, dtype=np.int32)
    assert (interpret(program(text), {"x": x})["y"] == x).all()


def test_arrays_and_sizes_that_do_not_fit_are_refused():
    p = samples.elementwise(Var("N"), dtypes.float32, lambda x: x)
    with pytest.raises(TdslError, match="sizes N are fixed by no array"):
        interpret(p, {})
    with pytest.raises(TdslError, match="expected float32, found float64"):
        interpret(p, {"x": np.zeros(3)})
    with pytest.raises(TdslError, match=r"expected shape \(4,\), found \(3,\)"):
        interpret(p, {"x": np.zeros(3, np.float32)}, {"N": 4})
    with pytest.raises(TdslError, match="has no size Q"):
        interpret(p, {"x": np.zeros(3, np.float32)}, {"Q": 4})
    with pytest.raises(TdslError, match="'x' is missing"):
        interpret(p, {}, {"N": 3})


def test_stated_facts_are_checked():
    text = "func f(x: i32[N]) -> y: i32[N]:\n  assume N % 4 == 0\n  for i in N:\n    block y(i): y[i] = x[i]\n"
    with pytest.raises(TdslError, match="a stated fact does not hold for N=3"):
        interpret(program(text), {"x": np.arange(3, dtype=np.int32)})


def test_foreign_functions_are_given_by_name():
    text = "func f(x: f64[N]) -> y: f64[N]:\n  for i in N:\n    block y(i): y[i] = extern(cube, f64, x[i])\n"
    x = np.array([1.0, 2.0])
    got = interpret(program(text), {"x": x}, externs={"cube": lambda v: v**3})
    assert got["y"].tolist() == [1.0, 8.0]
    with pytest.raises(TdslError, match="knows no function 'cube'"):
        interpret(program(text), {"x": x})


@pytest.mark.parametrize("dtype", dtypes.ALL, ids=str)
def test_every_dtype_goes_in_and_out(dtype):
    p = samples.elementwise(Var("N"), dtype, lambda x: x)
    x = np.array([0, 1, 1], dtype.numpy)
    got = interpret(p, {"x": x})["out"]
    assert got.dtype == x.dtype
    assert (got == x).all()


def test_a_half_rounds_after_each_operation():
    p = samples.elementwise(
        Var("N"),
        dtypes.float16,
        lambda x: Unary(UnaryOp.SQRT, samples.Binary(samples.BinaryOp.MUL, x, x)),
    )
    x = np.array([300.0, 3.14], np.float16)
    got = interpret(p, {"x": x})["out"]
    assert np.isinf(got[0])
    assert got[1] == np.sqrt(x[1:] * x[1:])[0]


def test_random_orders_repeat_with_their_seed():
    text = "func f(inout y: i32[4], inout n: i32[1]):\n  for i in parallel(4):\n    update y(i):\n      y[i] = n[0]\n      n[0] = n[0] + 1\n"
    arrays = {"y": np.zeros(4, np.int32), "n": np.zeros(1, np.int32)}

    def run(order):
        return interpret(program(text), arrays, order=order)["y"].tolist()

    assert run(CANONICAL) == [0, 1, 2, 3]
    assert run(REVERSED) == [3, 2, 1, 0]
    five = Order(OrderKind.RANDOM, 5)
    assert run(five) == run(five)
    assert sorted(run(Order(OrderKind.INTERLEAVED, 1))) == [0, 1, 2, 3]


def test_strided_parameters_of_lowered_programs_count_as_contiguous():
    text = "func f(x: i32[2, 3] strided strides(s0, s1)) -> y: i32[2, 3]:\n  for i in 2, j in 3:\n    y[i * 3 + j] = x[i * s0 + j * s1]\n"
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert (interpret(program(text), {"x": x})["y"] == x).all()


def test_lowered_accesses_of_one_tile_may_be_flat_or_not():
    text = """\
func f(x: f32[3, 4]) -> y: f32[12]:
  alloc t: f32[3, 4] in stack
  for i in 3:
    for j in 4:
      t[i, j] = x[i, j]
  for e in 12:
    y[e] = t[e]
"""
    x = f32(3, 4)
    np.testing.assert_array_equal(interpret(program(text), {"x": x})["y"], x.ravel())


def test_garbage_in_unused_lanes_is_no_fault_in_lowered_code():
    text = """\
func f(x: i32[3]) -> y: i32[3]:
  alloc t: i32[4]
  for i in 3:
    t[i] = x[i]
  let v = t[ramp(0, 1, 4)]
  y[ramp(0, 1, 4); ramp(0, 1, 4) < broadcast(3, 4)] = v
"""
    x = np.arange(3, dtype=np.int32)
    assert (interpret(program(text), {"x": x})["y"] == x).all()


def test_indices_beyond_int64_wrap():
    big = (1 << 62) + 1
    text = (
        f"func f(x: i64[N]) -> y: i64[N]:\n  for i in N:\n    block y(i): y[i] = (i + 3) * {big}\n"
    )
    got = interpret(program(text), {"x": np.zeros(1, np.int64)})["y"]
    assert got[0] == np.array([3 * big & ((1 << 64) - 1)], np.uint64).astype(np.int64)[0]
