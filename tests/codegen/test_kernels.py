"""Kernels from text: parallel regions, temporaries, checks, atomics, streams, foreign functions."""

import numpy as np
import pytest

from tdsl.errors import LoweringError
from tdsl.ir.parser import parse_program
from tdsl.lower.flatten import flatten_storage
from tdsl.lower.promote_registers import promote_registers
from tdsl.lower.vectorise import vectorise
from tdsl.target import target
from tests.codegen.machine import build, call, run_program
from tests.guarded import guarded

HOST = target("llvm")


def parse(text):
    program = parse_program("tdsl-ir 1\n" + text.strip("\n") + "\n")
    return promote_registers(flatten_storage(vectorise(program, HOST), HOST), HOST)


def run(text, arrays, sizes=(), where="llvm"):
    return run_program(parse(text), arrays, sizes, where, flat=True)


def values(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_parallel_loop_captures_what_it_uses():
    a = values(37, 50)
    got = run(
        """
func kernel(A: f32[N, M]) -> C: f32[N, M]:
  let twice = M * 2
  for i in parallel(N):
    for j in M:
      C[i, j] = A[i, j] + f32(twice + i)
""",
        {"A": a},
        (37, 50),
    )
    want = a + (100 + np.arange(37)[:, None]).astype(np.float32)
    assert (got["C"] == want).all()


def test_parallel_loop_inside_a_parallel_loop():
    a = values(8, 9)
    got = run(
        """
func kernel(A: f32[8, 9]) -> C: f32[8, 9]:
  for i in parallel(8):
    for j in parallel(9):
      C[i, j] = A[i, j] * 2
""",
        {"A": a},
    )
    assert (got["C"] == a * 2).all()


def test_temporary_of_a_parallel_loop_is_private():
    a = values(64, 300)
    got = run(
        """
func kernel(A: f32[N, M]) -> C: f32[N, M]:
  for i in parallel(N):
    alloc T: f32[M]
    for j in M:
      T[j] = A[i, j] + 1
    for j in M:
      C[i, j] = T[M - 1 - j]
""",
        {"A": a},
        (64, 300),
    )
    assert (got["C"] == (a + 1)[:, ::-1]).all()


def test_temporary_that_no_memory_holds_is_an_error():
    program = parse("""
func kernel(A: f32[1]) -> C: f32[1]:
  sizes N
  alloc T: f32[N, N]
  T[0, 0] = A[0]
  C[0] = T[0, 0]
""")
    loaded, _ = build(program, flat=True)
    for huge in (1 << 30, 1 << 31, 1 << 40, 1 << 62):
        code, context = call(
            loaded["kernel"], [np.ones(1, np.float32), np.zeros(1, np.float32)], (huge,)
        )
        assert (code, context.error_code) == (1, 1)


def test_stack_allocation_has_a_limit():
    program = parse("""
func kernel(A: f32[1]) -> C: f32[1]:
  alloc T: f32[1000, 1000] in stack
  T[0, 0] = A[0]
  C[0] = T[0, 0]
""")
    with pytest.raises(LoweringError, match="4000000 bytes of stack"):
        build(program, flat=True)


@pytest.mark.parametrize("loop", ["16", "vectorized(16)"])
def test_checked_index_is_clamped_and_flagged(loop):
    program = parse(f"""
func kernel(A: f32[10], p: i32[16]) -> C: f32[16]:
  for i in {loop}:
    C[i] = A[checked(i64(p[i]), 10, 3)]
""")
    loaded, _ = build(program, flat=True)
    a, p, c = values(10), np.arange(16, dtype=np.int32) % 10, np.zeros(16, np.float32)
    assert call(loaded["kernel"], [a, p, c])[0] == 0
    assert (c == a[p]).all()
    p[5], p[11] = 10, -4
    code, context = call(loaded["kernel"], [a, p, c])
    assert code == 2
    assert list(context.error_info)[:3] == [3, 10, 10]
    assert (c == a[np.clip(p, 0, 9)]).all()


def test_checked_index_under_a_false_mask_is_not_flagged():
    program = parse("""
func kernel(A: f32[10], p: i32[16]) -> C: f32[16]:
  for i in vectorized(16):
    C[i] = 0
    if i < 5:
      C[i] = A[checked(i64(p[i]), 10, 3)]
""")
    loaded, _ = build(program, flat=True)
    p = np.full(16, 99, np.int32)
    p[:5] = 1
    a, c = values(10), np.zeros(16, np.float32)
    assert call(loaded["kernel"], [a, p, c])[0] == 0
    assert (c[:5] == a[1]).all()
    p[4] = -1
    code, context = call(loaded["kernel"], [a, p, c])
    assert (code, context.error_info[1]) == (2, -1)


@pytest.mark.parametrize("loop", ["16", "vectorized(16)"])
@pytest.mark.parametrize("extent", ["N", "0"])
def test_index_into_an_empty_tensor_touches_no_memory(loop, extent):
    program = parse(f"""
func kernel(A: f32[{extent}], p: i32[16]) -> C: f32[16], D: f32[{extent}]:
  for i in {loop}:
    C[i] = A[checked(i64(p[i]), {extent}, 1)]
    D[checked(i64(p[i]), {extent}, 2)] = 1
""")
    loaded, _ = build(program, flat=True)
    empty = guarded(np.empty(0, np.float32))
    p, c = np.zeros(16, np.int32), np.ones(16, np.float32)
    code, context = call(loaded["kernel"], [empty, p, c, empty], (0,) if extent == "N" else ())
    assert (code, context.error_info[0]) == (2, 1)
    assert not c.any()


def test_row_of_an_empty_tensor_touches_no_memory():
    program = parse("""
func kernel(A: f32[N, 40], p: i32[1]) -> C: f32[16]:
  for i in vectorized(16):
    C[i] = A[checked(i64(p[0]), N, 1), 2 * i]
""")
    loaded, text = build(program, flat=True)
    assert "gather" not in text  # neighbours are loaded together
    empty = guarded(np.empty(0, np.float32))
    code, _ = call(loaded["kernel"], [empty, np.zeros(1, np.int32), np.ones(16, np.float32)], (0,))
    assert code == 2


def test_atomic_updates_lose_nothing():
    keys = np.random.default_rng(0).integers(0, 7, 5000).astype(np.int32)
    for dtype in ("i32", "f32", "i8", "f64"):
        text = f"""
func kernel(k: i32[N]) -> C: {dtype}[7]:
  for b in 7:
    C[b] = 0
  for i in parallel(N):
    C[i64(k[i])] = C[i64(k[i])] + 1 atomic
"""
        got = run(text, {"k": keys}, (5000,))["C"]
        want = np.bincount(keys, minlength=7).astype(got.dtype)
        assert (got == want).all()


def test_atomic_update_in_vectors_counts_every_lane():
    keys = np.random.default_rng(0).integers(0, 3, 64).astype(np.int32)
    got = run(
        """
func kernel(k: i32[64]) -> C: f32[3], S: i32[1]:
  for b in 3:
    C[b] = 0
  S[0] = 0
  for i in 4:
    for l in vectorized(16):
      C[i64(k[i * 16 + l])] = max(C[i64(k[i * 16 + l])], f32(i * 16 + l)) atomic
      S[0] = S[0] + k[i * 16 + l] atomic
""",
        {"k": keys},
    )
    assert list(got["C"]) == [np.flatnonzero(keys == b).max() for b in range(3)]
    assert got["S"][0] == keys.sum()


def test_atomic_update_of_masked_lanes_reads_no_index():
    program = parse("""
func kernel(p: i32[N]) -> C: i32[4]:
  for b in 4:
    C[b] = 0
  for i in vectorized(16):
    if i < N:
      C[checked(i64(p[i]), 4, 1)] = C[checked(i64(p[i]), 4, 1)] + 1 atomic
""")
    loaded, _ = build(program, flat=True)
    p, c = guarded(np.array([0, 3, 3], np.int32)), np.ones(4, np.int32)
    assert call(loaded["kernel"], [p, c], (3,))[0] == 0
    assert list(c) == [1, 0, 0, 2]


@pytest.mark.parametrize("offset", range(5))
def test_streaming_stores_write_every_alignment(offset):
    a = values(1000)
    block = np.zeros(1100, np.float32)
    out = block[offset : offset + 992]
    program = parse("""
func kernel(A: f32[1000]) -> C: f32[992]:
  for i in parallel(62):
    for l in vectorized(16):
      C[i * 16 + l] = A[i * 16 + l] * 2 stream
""")
    loaded, text = build(program, flat=True)
    assert "!nontemporal" in text
    assert "sfence" in text
    assert call(loaded["kernel"], [a, out])[0] == 0
    assert (out == a[:992] * 2).all()
    assert not block[:offset].any()
    assert not block[offset + 992 :].any()


def test_strided_arguments_are_read_where_they_are():
    a = values(12, 20)[::2, ::-3]
    got = run(
        """
func kernel(A: f32[N, M] strided) -> C: f32[N, M]:
  for i in N:
    for j in M:
      C[i, j] = A[i, j]
""",
        {"A": a},
        a.shape,
    )
    assert (got["C"] == a).all()


@pytest.mark.parametrize("step", [1, 2, -1])
def test_vectors_of_strided_arguments(step):
    a = values(12, 96)[::2, ::step][:, :32]
    got = run(
        """
func kernel(A: f32[N, M] strided) -> C: f32[N, M]:
  for i in N:
    for j in M // 16:
      for l in vectorized(16):
        C[i, j * 16 + l] = A[i, j * 16 + l] * 2
""",
        {"A": a},
        a.shape,
    )
    assert (got["C"] == a * 2).all()


def test_assumption_is_checked_before_anything_runs():
    program = parse("""
func kernel(A: f32[N]) -> C: f32[N]:
  assume N >= 2
  assume N % 4 == 0
  for i in N:
    C[i] = A[i]
""")
    loaded, _ = build(program, flat=True)
    for n, expected in ((8, (0, 0)), (6, (3, 1)), (0, (3, 0))):
        a, c = np.ones(n, np.float32), np.zeros(n, np.float32)
        code, context = call(loaded["kernel"], [a, c], (n,))
        assert (code, context.error_info[0]) == expected


def test_wrong_argument_count_is_refused():
    loaded, _ = build(parse("func kernel(A: f32[1]) -> C: f32[1]:\n  C[0] = A[0]"), flat=True)
    assert call(loaded["kernel"], [np.ones(1, np.float32)])[0] == 4


def test_negative_extents_run_nothing():
    got = run(
        """
func kernel(A: f32[N]) -> C: f32[1]:
  C[0] = 7
  for i in parallel(N - 10):
    C[0] = A[0]
  for i in N - 10:
    C[0] = A[0]
""",
        {"A": np.zeros(3, np.float32)},
        (3,),
    )
    assert got["C"][0] == 7


def test_empty_extents_run_nothing():
    got = run(
        """
func kernel(A: f32[N]) -> C: f32[1]:
  C[0] = 7
  for i in parallel(N):
    C[0] = A[i]
""",
        {"A": np.zeros(0, np.float32)},
        (0,),
    )
    assert got["C"][0] == 7


def test_foreign_function_is_called_only_where_taken():
    got = run(
        """
func kernel(A: f64[8]) -> C: f64[8]:
  for i in 8:
    C[i] = select(A[i] > 0, extern(sqrt, f64, A[i]), -1)
""",
        {"A": np.arange(-3.0, 5.0)},
    )
    assert np.allclose(got["C"], [-1, -1, -1, -1, *np.sqrt([1, 2, 3, 4])])


def test_masked_scalar_load_reads_nothing():
    got = run(
        """
func kernel(A: f32[4]) -> C: f32[8]:
  for i in 8:
    C[i] = A[i - 2; (i >= 2) & (i < 6)]
""",
        {"A": np.arange(1, 5, dtype=np.float32)},
    )
    assert list(got["C"]) == [0, 0, 1, 2, 3, 4, 0, 0]


def test_prefetch_beyond_the_end_is_harmless():
    a = values(64)
    got = run(
        """
func kernel(A: f32[64]) -> C: f32[64]:
  for i in 4:
    prefetch A[(i + 100) * 16]
    for l in vectorized(16):
      C[i * 16 + l] = A[i * 16 + l]
""",
        {"A": a},
    )
    assert (got["C"] == a).all()


@pytest.mark.parametrize("dtype", ["bool", "i8", "u16", "i64", "f16", "bf16", "f32", "f64"])
def test_masked_vectors_of_every_type(dtype):
    program = parse(f"""
func kernel(A: {dtype}[N]) -> C: {dtype}[N]:
  for i in (N + 7) // 8:
    for l in vectorized(8):
      if i * 8 + l < N:
        C[i * 8 + l] = A[i * 8 + l]
""")
    kind = program.params[0].buffer.dtype.numpy
    a = np.random.default_rng(0).integers(0, 2, 29).astype(kind)
    for where in ("llvm", "llvm -mcpu=x86-64-v3"):
        got = run_program(program, {"A": a}, (29,), where, flat=True)
        assert (got["C"] == a).all()


@pytest.mark.parametrize("wide_lanes", [4, 8, 32])
@pytest.mark.parametrize(("wide", "narrow"), [("i64", "i32"), ("i64", "u8"), ("i32", "i16")])
@pytest.mark.parametrize(
    "test", ["== broadcast(0, {n})", "> broadcast({n} - 2, {n})", "== broadcast(2, {n})"]
)
def test_one_lane_of_a_vector_that_is_cut_is_stored_and_nothing_beside_it(
    wide_lanes, wide, narrow, test
):
    n = wide_lanes
    mask = f"ramp(0, 1, {n}) " + test.format(n=n)
    text = f"""
func kernel(A: {wide}[{n}]) -> C: {narrow}[{n}]:
  C[ramp(0, 1, {n})] = {narrow}(broadcast(7, {n}))
  C[ramp(0, 1, {n}); {mask}] = {narrow}(A[ramp(0, 1, {n})])
"""
    a = np.arange(1, n + 1, dtype={"i64": np.int64, "i32": np.int32}[wide])
    lanes = np.arange(n)
    on = lanes == 0 if "(0" in test else lanes > n - 2 if ">" in test else lanes == 2
    got = run(text, {"A": a})["C"]
    assert got.tolist() == np.where(on, a, 7).tolist()


def test_the_lanes_beside_one_that_is_alone_in_its_register_are_stored_together():
    text = """
func kernel(A: f32[32]) -> C: f32[32]:
  C[ramp(0, 1, 32)] = broadcast(7, 32)
  C[ramp(0, 1, 32); ramp(0, 1, 32) < broadcast(17, 32)] = A[ramp(0, 1, 32)]
"""
    _, code = build(parse(text), flat=True)
    assert code.count("store float") == 1
    a = values(32)
    got = run(text, {"A": a})["C"]
    assert got.tolist() == np.where(np.arange(32) < 17, a, 7).tolist()
