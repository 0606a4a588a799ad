"""What passes spare a kernel: conditions, names, storage in loops, parts of one iteration."""

import pytest

import tdsl as td
from tdsl.ir.build import index
from tdsl.ir.expr import Binary, BinaryOp, Extern, Var
from tdsl.ir.nest import print_nest
from tdsl.ir.parser import parse_program
from tdsl.ir.stmt import Alloc, For, If, Let, LoopKind, Part, Seq
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tdsl.lower.fused_loops import unfuse_serial
from tdsl.lower.hoist_allocs import hoist_allocs
from tdsl.lower.partition_loops import partition_loops
from tdsl.lower.promote_registers import promote_registers
from tdsl.lower.settle_conditions import settle_conditions
from tdsl.lower.tighten_loops import tighten_loops
from tdsl.lower.vectorise import vectorise
from tests.lower.nests import TARGET, replace


def parse(text):
    return parse_program("tdsl-ir 1\n" + text.strip("\n") + "\n")


def kinds(program, kind):
    return [n for n in walk(program.body) if isinstance(n, kind)]


@pytest.mark.parametrize(("inner", "count"), [("for q in 4:\n        ", 1), ("", 0)])
def test_the_start_of_a_loop_gets_a_name_for_the_loops_inside(inner, count):
    program = parse(f"""
func f(x: f32[N]) -> y: f32[N]:
  for i in N, k in N:
    if k >= i - 3:
      {inner}y[k] = x[i]
""")
    assert len(kinds(tighten_loops(program, TARGET), Let)) == count


def test_a_condition_that_another_one_implies_is_not_asked():
    program = parse("""
func f(x: f32[N]) -> y: f32[N]:
  for io in parallel(8):
    for u in unrolled(4):
      if io * 4 + u < N:
        y[io * 4 + u] = select(io * 4 + u < N + 5, x[io * 4 + u], 0)
""")
    (branch, *_) = kinds(partition_loops(program, TARGET), If)
    assert not any(isinstance(n, Binary) and n.op is BinaryOp.AND for n in walk(branch.cond))


def test_one_index_of_a_masked_load_is_settled():
    program = parse("""
func f(x: f32[4, 4]) -> y: f32[4]:
  for i in 4:
    y[i] = x[min(i, 9), i; x[i, i] < 1]
""")
    settled = settle_conditions(program, TARGET)
    assert not [n for n in kinds(settled, Binary) if n.op is BinaryOp.MIN]


@pytest.mark.parametrize("kind", ["4", "unrolled(4)"])
def test_storage_leaves_loops_that_run_one_after_another(kind):
    program = parse(f"""
func f(x: f32[N]) -> y: f32[N]:
  for i in {kind}:
    alloc t: f32[N]
    t[i] = x[i]
    y[i] = t[i]
""")
    hoisted = hoist_allocs(program, TARGET)
    assert isinstance(hoisted.body, Alloc)


def test_parts_of_one_iteration_leave_a_fused_loop():
    i, j, fused = Var("i"), Var("j"), Var("fused")
    parts = (Part(i, index(4)), Part(j, index(1)))
    program = parse("func f(x: f32[4]) -> y: f32[4]:\n  for n in 4:\n    y[n] = x[n]")
    loop = For(fused, index(4), Seq(()), LoopKind.PARALLEL, parts)
    taken = unfuse_serial(replace(program, body=loop), TARGET)
    assert [part.var for part in taken.body.parts] == [i]


def test_a_foreign_function_is_called_for_each_lane():
    program = parse("""
func f(x: f32[8]) -> y: f32[8]:
  for l in vectorized(8):
    y[l] = extern(sinf, f32, x[l])
""")
    assert len(kinds(vectorise(program, TARGET), Extern)) == 8


def test_registers_are_not_asked_for_ahead():
    program = parse("""
func f(x: f32[8]) -> y: f32[8]:
  for i in 8:
    alloc t: f32[1] in register
    prefetch t[0]
    t[0] = x[i]
    y[i] = t[0]
""")
    assert "prefetch" not in print_nest(promote_registers(program, TARGET))


def test_loads_of_a_block_without_guards_stay_as_they_are():
    x = td.placeholder((12,), "float32", name="x")
    t = td.compute((3, 4), lambda i, j: x[i * j], name="t")
    y = td.compute((3, 4), lambda i, j: t[i, j] + 1.0, name="y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.compute_at("t", at=s.loops("y")[0])
    s.unroll(s.loops("t")[-1])
    relaxed = dict(lower(s.program, TARGET, keep=True).dumps)["relax_guards"]
    text = print_nest(relaxed)
    assert "x[" in text
    assert "min" not in text
