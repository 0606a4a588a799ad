"""Strided blocks become rows and shuffles, and touch the elements they touched before."""

import numpy as np
import pytest

from tdsl.ir.expr import Shuffle
from tdsl.ir.interp import interpret
from tdsl.ir.parser import parse_program
from tdsl.ir.visit import walk
from tdsl.lower.flatten import flatten_storage
from tdsl.lower.transpose_blocks import transpose_blocks
from tdsl.lower.unroll import unroll
from tdsl.lower.vectorise import vectorise
from tdsl.target import target
from tests.codegen.machine import run_program

HOST = target("llvm")


def check(text, **sizes):
    """Interpreted and compiled results agree; returns how many shuffles the pass made."""
    before = parse_program("tdsl-ir 1\n" + text.strip("\n") + "\n")
    arrays = {}
    for param in before.params:
        if param.role.value != "out":
            shape = [
                sizes.get(getattr(e, "name", ""), 0) or int(e.value) for e in param.buffer.shape
            ]
            count = int(np.prod(shape))
            arrays[param.buffer.name] = np.arange(count, dtype=np.float32).reshape(shape)
    want = interpret(before, arrays, sizes)
    flat = flatten_storage(vectorise(unroll(before, HOST), HOST), HOST)
    after = transpose_blocks(flat, HOST)
    got = interpret(after, arrays, sizes)
    machine = run_program(after, arrays, list(sizes.values()), flat=True)
    for name, array in want.items():
        assert (got[name] == array).all()
        assert (machine[name] == array).all()
    return sum(isinstance(n, Shuffle) for n in walk(after.body))


@pytest.mark.parametrize("n", [4, 8, 16])
def test_strided_loads_become_rows(n):
    shuffles = check(
        f"""
func f(A: f32[N, N]) -> C: f32[N, N]:
  for i in N // {n}:
    for j in N // {n}:
      for ii in unrolled({n}):
        for l in vectorized({n}):
          C[i * {n} + ii, j * {n} + l] = A[j * {n} + l, i * {n} + ii] * 2
""",
        N=32,
    )
    assert shuffles == n * (n.bit_length() - 1)


def test_strided_stores_become_rows():
    assert check(
        """
func f(A: f32[N, N]) -> C: f32[N, N]:
  for i in N // 8:
    for j in N // 8:
      for ii in unrolled(8):
        for l in vectorized(8):
          C[j * 8 + l, i * 8 + ii] = A[i * 8 + ii, j * 8 + l] + 1
""",
        N=24,
    )


def test_two_blocks_side_by_side():
    assert check("""
func f(A: f32[8, 40]) -> C: f32[16, 8]:
  for ii in unrolled(16):
    for l in vectorized(8):
      C[ii, l] = A[l, ii + 3]
""")


def test_part_of_a_block_stays_strided():
    assert not check("""
func f(A: f32[8, 40]) -> C: f32[7, 8]:
  for ii in unrolled(7):
    for l in vectorized(8):
      C[ii, l] = A[l, ii]
""")


@pytest.mark.parametrize(
    ("place", "turned"),
    [
        ("ii + l * 5", True),
        ("7 - ii + l * 5", True),
        ("ii + 35 - l * 5", True),
        ("7 - ii + 35 - l * 5", True),
        ("ii * 3 % 8 + l * 5", False),  # neither the first rows nor the last may come last
        ("ii * 3 % 8 + l * 8", True),
        ("ii + l * N", True),
        ("7 - ii + l * N", True),
        ("7 - ii + 7 * N - l * N", True),
        ("7 - ii + l * (N * N // 5)", True),
        ("ii * 3 % 8 + l * N", False),
        ("ii + l * (10 - N)", False),  # which may be negative for all that is known
        ("ii + l * min(N, 5)", False),
    ],
)
def test_overlapping_strided_stores_keep_the_last_value(place, turned):
    """Whether columns are stored from the first to the last or the other way round."""
    shuffles = check(
        f"""
func f(A: f32[8, 8], B: f32[N]) -> C: f32[64]:
  for i in 64:
    C[i] = 0
  for ii in unrolled(8):
    for l in vectorized(8):
      C[{place}] = A[ii, l]
""",
        N=5,
    )
    assert shuffles == (8 * 3 if turned else 0)


def test_update_in_place_is_left_alone():
    assert not check("""
func f(A: f32[8, 8]) -> C: f32[8, 40]:
  for i in 8:
    for j in 40:
      C[i, j] = 1
  for ii in unrolled(8):
    for l in vectorized(8):
      C[l, ii] = C[l, ii] + A[ii, l]
""")


@pytest.mark.parametrize("back", [1, 2])
def test_only_what_the_statement_before_stored_is_handed_on(back):
    shuffles = check(
        f"""
func f(A: f32[N, N]) -> C: f32[N, N]:
  for i in N // 8:
    for l in vectorized(8):
      C[i * 8 + l, 0] = 1
    for l in vectorized(8):
      C[i * 8 + l, 1] = 2
    for j in N // 8 - 1:
      for t in unrolled(8):
        for l in vectorized(8):
          C[i*8 + l, j*8 + t + 2] = C[i*8 + l, j*8 + t + {2 - back}] + A[i*8 + l, j*8 + t]
    for t in 6:
      for l in vectorized(8):
        C[i * 8 + l, N - 6 + t] = 3
""",
        N=24,
    )
    loads, stores = 8 * 3, 8 * 3
    assert shuffles == (loads + stores if back == 1 else loads)
