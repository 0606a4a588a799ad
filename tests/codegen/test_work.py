"""The time estimates that the thread pool gets."""

import operator

from tdsl.codegen.llvm.work import nanoseconds
from tdsl.ir.expr import BinaryOp, Const
from tdsl.ir.parser import parse_program
from tdsl.ir.visit import substitute
from tdsl.lower.flatten import flatten_storage
from tdsl.lower.promote_registers import promote_registers
from tdsl.lower.vectorise import vectorise
from tdsl.target import target

HOST = target("llvm")


def estimate(text, **sizes):
    program = parse_program("tdsl-ir 1\n" + text.strip("\n") + "\n")
    flat = promote_registers(flatten_storage(vectorise(program, HOST), HOST), HOST)
    work = nanoseconds(flat.body)
    values = {size: Const(sizes[size.name]) for size in flat.sizes}
    return evaluate(substitute(work, values))


def evaluate(e):
    if isinstance(e, Const):
        return int(e.value)
    apply = {
        BinaryOp.ADD: operator.add, BinaryOp.SUB: operator.sub, BinaryOp.MUL: operator.mul,
        BinaryOp.FLOORDIV: operator.floordiv, BinaryOp.MAX: max,
    }[e.op]  # fmt: skip
    return apply(evaluate(e.a), evaluate(e.b))


def test_time_grows_with_the_sizes():
    text = """
func f(A: f32[N, 16]) -> C: f32[N, 16]:
  for i in parallel(N):
    for j in vectorized(16):
      C[i, j] = A[i, j] * 2
"""
    assert 50 < estimate(text, N=100) < 200
    assert estimate(text, N=10_000) == 100 * estimate(text, N=100)


def test_triangular_loops_count_half():
    text = """
func f(A: f32[N, N]) -> C: f32[N, N]:
  for i in parallel(N):
    for j in i:
      C[i, j] = A[i, j]
"""
    square = text.replace("for j in i:", "for j in N:")
    assert 0.4 < estimate(text, N=1000) / estimate(square, N=1000) < 0.6


def test_loops_that_end_before_they_begin_take_no_time_back():
    text = """
func f(A: f32[64]) -> C: f32[64]:
  for i in parallel(64):
    for j in 4 - i:
      C[i] = A[i]
"""
    assert estimate(text) > 0


def test_register_tiles_are_free():
    text = """
func f(A: f32[16]) -> C: f32[16]:
  for i in parallel(1000):
    alloc T: f32[16] in register
    for j in vectorized(16):
      T[j] = A[j]
    for j in vectorized(16):
      C[j] = T[j]
"""
    assert estimate(text) < estimate(text.replace("register", "stack"))
