"""Vectorised, flattened and promoted programs do what the serial loops did."""

import warnings

import numpy as np
import pytest

from tdsl.errors import LoweringError
from tdsl.ir.expr import Load, Ramp
from tdsl.ir.interp import interpret
from tdsl.ir.parser import parse_program
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import For, Scope, Seq, Store
from tdsl.ir.verify import Stage, verify
from tdsl.ir.visit import allocated, walk
from tdsl.lower.flatten import flatten_storage
from tdsl.lower.promote_registers import promote_registers
from tdsl.lower.vectorise import vectorise
from tdsl.lower.warn import LoweringWarning
from tdsl.target import target
from tests.codegen.machine import run_program

HOST = target("llvm")


def parse(text):
    lines = text.strip("\n").splitlines()
    return parse_program("tdsl-ir 1\n" + "\n".join(lines) + "\n")


def arrays_for(program, sizes, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {}
    for param in program.params:
        if param.role.value == "out":
            continue
        shape = [sizes[e.name] if hasattr(e, "name") else int(e.value) for e in param.buffer.shape]
        if param.buffer.dtype.is_float:
            values = rng.integers(-8, 8, shape) / 4
        else:
            values = rng.integers(0, 5, shape)
        arrays[param.buffer.name] = np.array(values, param.buffer.dtype.numpy)
    return arrays


def check(text, **sizes):
    """Each stage and the machine code give what the program gives; returns the last stage."""
    before = parse(text)
    arrays = arrays_for(before, sizes)
    want = interpret(before, arrays, sizes)
    stages = [before]
    for step in (vectorise, flatten_storage, promote_registers):
        after = step(stages[-1], HOST)
        stages.append(after)
        got = interpret(after, arrays, sizes)
        for name, array in want.items():
            assert (np.asarray(got[name]) == np.asarray(array)).all(), print_program(after)
    verify(stages[-1], Stage.LOWERED)
    outputs = {p.buffer.name for p in before.params if p.role.value == "out"}
    got = run_program(stages[-1], arrays, list(sizes.values()), flat=True)
    for name in outputs:
        assert (got[name] == np.asarray(want[name])).all(), print_program(stages[-1])
    return stages[-1]


def stores(program):
    return [n for n in walk(program.body) if isinstance(n, Store)]


def test_contiguous_loop_becomes_one_vector_statement():
    after = check("""
func f(A: f32[64], s: f32[1]) -> C: f32[64]:
  for io in 4:
    for i in vectorized(16):
      C[io * 16 + i] = A[io * 16 + i] * s[0]
""")
    (store,) = stores(after)
    assert isinstance(store.indices[0], Ramp)
    assert store.value.lanes == 16
    assert store.mask is None


def test_scalar_operands_stay_scalar():
    after = check("""
func f(A: f32[8], s: f32[1]) -> C: f32[8]:
  for i in vectorized(8):
    C[i] = A[i] + s[0] * 2
""")
    (store,) = stores(after)
    assert {n.lanes for n in walk(store.value) if isinstance(n, Load)} == {1, 8}


def test_condition_on_the_lane_becomes_a_mask():
    after = check(
        """
func f(A: f32[N]) -> C: f32[N]:
  for i in (N + 7) // 8:
    for l in vectorized(8):
      if i * 8 + l < N:
        C[i * 8 + l] = A[i * 8 + l] + 1
""",
        N=21,
    )
    (store,) = stores(after)
    assert store.mask.lanes == 8
    load = next(n for n in walk(store.value) if isinstance(n, Load))
    assert load.mask.lanes == 8


def test_checked_index_is_not_reported_in_lanes_that_do_nothing():
    check("""
func f(A: f32[5]) -> C: f32[8]:
  for l in vectorized(8):
    C[l] = 0
    if l < 5:
      C[checked(l, 5, 1)] = A[checked(l, 5, 2)]
""")


def test_condition_without_the_lane_stays_a_branch():
    after = check("""
func f(A: f32[4, 8]) -> C: f32[4, 8]:
  for i in 4:
    for l in vectorized(8):
      C[i, l] = 0
      if (i < 3) & (l < 6):
        C[i, l] = A[i, l] + 1
""")
    assert "if i < 3" in print_program(after)


def test_otherwise_gets_the_opposite_mask():
    after = check("""
func f(A: f32[16]) -> C: f32[16]:
  for l in vectorized(16):
    if A[l] < 0.5:
      C[l] = A[l]
    else:
      C[l] = A[l] * 2
""")
    assert len(stores(after)) == 2


@pytest.mark.parametrize("scalar", ["then", "else", "neither"])
def test_loops_in_both_branches_become_vectors(scalar):
    one, loop = "C[0] = 1", "for l in vectorized(16):\n        C[l] = A[l]"
    after = check(f"""
func f(A: f32[16], s: f32[1]) -> C: f32[16]:
  seq:
    for i in vectorized(16):
      C[i] = A[i] * 2
    if s[0] < 1:
      {one if scalar == "then" else loop}
    else:
      {one if scalar == "else" else loop}
""")
    lanes = sorted(store.indices[0].lanes for store in stores(after))
    assert lanes == ([16, 16, 16] if scalar == "neither" else [1, 16, 16])


def test_scalar_load_under_a_mask_reads_nothing_where_no_lane_runs():
    check(
        """
func f(A: f32[N], s: f32[N]) -> C: f32[N]:
  for i in 4:
    for l in vectorized(8):
      if i * 8 + l < N:
        C[i * 8 + l] = A[i * 8 + l] + s[i * 8]
""",
        N=11,
    )


@pytest.mark.parametrize("cond", ["l >= k", "(l >= k) & (l < k + 3)", "(l + k) % 3 == 1"])
def test_masks_of_every_shape_guard_scalar_loads(cond):
    check(f"""
func f(A: f32[16], s: f32[9]) -> C: f32[16]:
  for l in vectorized(16):
    C[l] = 0
    for k in 9:
      if {cond}:
        C[l] = C[l] + A[l] * s[k]
""")


def test_serial_loop_stays_around_vectors():
    after = check("""
func f(A: f32[5, 16]) -> C: f32[16]:
  for j in vectorized(16):
    C[j] = 0
    for k in 5:
      C[j] = C[j] + A[k, j]
""")
    assert "for k in 5" in print_program(after)


def test_allocation_inside_gets_a_dimension_of_lanes():
    after = check("""
func f(A: f32[3, 16]) -> C: f32[16]:
  for j in vectorized(16):
    alloc T: f32[3] in stack
    for k in 3:
      T[k] = A[k, j] + 1
    C[j] = T[0] + T[1] * T[2]
""")
    assert all(s.value.lanes == 16 for s in stores(after))


def test_let_becomes_a_vector_only_where_it_varies():
    check("""
func f(A: f32[8], s: f32[1]) -> C: f32[8]:
  for j in vectorized(8):
    let a = s[0] + 1
    let b = A[j] * a
    C[j] = b + a
""")


@pytest.mark.parametrize("stride", [-1, 2, 3, 5])
def test_strided_access_reads_the_right_elements(stride):
    start = 70 if stride < 0 else 0
    check(f"""
func f(A: f32[80]) -> C: f32[80]:
  for i in 80:
    C[i] = 0
  for j in vectorized(16):
    C[{start} + {stride} * j] = A[{start} + {stride} * j]
""")


def test_gather_and_division_of_the_lane():
    check("""
func f(A: f32[5, 7], p: i32[16]) -> C: f32[16]:
  for j in vectorized(16):
    C[j] = A[i64(p[j]), j % 7] + A[j // 5, 2]
""")


@pytest.mark.parametrize("divisor", [1, 3, 7, 16, 100])
def test_division_of_ramps_by_constants(divisor):
    check(f"""
func f() -> C: i64[6, 16], D: i64[6, 16]:
  for i in 6:
    for j in vectorized(16):
      C[i, j] = (i * 16 + j * 2 - 40) // {divisor}
      D[i, j] = (i * 16 + j * 2 - 40) % {divisor}
""")


def test_select_is_per_lane():
    check("""
func f(A: f32[16]) -> C: f32[16]:
  for j in vectorized(16):
    C[j] = select(j < 5, A[j], A[15 - j])
""")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("C[0] = A[j]", "iterations store to one element of C"),
        ("C[0] = C[0] + 1", "iterations update one element of C"),
        ("for k in j + 1:\n      C[k] = A[k]", "extent of the loop 'k' inside differs"),
        ("for k in vectorized(2):\n      C[j * 2 + k] = A[j]", "another vectorized loop"),
    ],
)
def test_loop_that_cannot_be_vectors_runs_scalar_and_says_so(body, why):
    with pytest.warns(LoweringWarning, match=r"loop 'j' is not vectorized: .*") as caught:
        check(f"""
func f(A: f32[8]) -> C: f32[16]:
  for i in 16:
    C[i] = 0
  for j in vectorized(8):
    {body}
""")
    assert any(why in str(w.message) for w in caught)


@pytest.mark.parametrize(
    ("extent", "stores", "copied"), [(64, 4, True), (65, 1, False), (64, 5, False), (32, 8, True)]
)
def test_a_loop_that_stays_scalar_is_copied_where_that_is_short(extent, stores, copied):
    lines = "".join(f"    y[{k}] = x[j]\n" for k in range(stores))
    program = parse(f"func f(x: f32[99]) -> y: f32[9]:\n  for j in vectorized({extent}):\n{lines}")
    with pytest.warns(LoweringWarning, match="store to one element of y"):
        body = vectorise(program, HOST).body
    assert isinstance(body, Seq if copied else For)


def test_scalarised_copies_keep_register_indices_constant():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LoweringWarning)
        after = check("""
func f(A: f32[4]) -> C: f32[1]:
  alloc T: f32[4] in register
  C[0] = 0
  for j in vectorized(4):
    T[j] = A[j]
    C[0] = C[0] + T[j]
""")
    assert allocated(after.body)


def test_loop_without_iterations_does_nothing():
    after = check("""
func f(A: f32[4]) -> C: f32[4]:
  for i in 4:
    C[i] = A[i]
  for j in vectorized(0):
    C[j] = 0
""")
    assert len(stores(after)) == 1


def test_register_tile_becomes_one_slot_per_vector():
    after = check("""
func f(A: f32[2, 16]) -> C: f32[2, 16]:
  alloc T: f32[2, 16] in register
  for v in vectorized(16):
    T[0, v] = A[0, v]
  for v in vectorized(16):
    T[1, v] = A[1, v] * 2
  for v in vectorized(16):
    C[0, v] = T[0, v] + T[1, v]
    C[1, v] = T[1, v]
""")
    slots = [a for a in allocated(after.body).values() if a.scope is Scope.REGISTER]
    assert sorted(int(a.buffer.shape[0].value) for a in slots) == [16, 16]
    assert "shuffle" not in print_program(after)


def test_register_elements_are_picked_from_and_put_into_vectors():
    check("""
func f(A: f32[8]) -> C: f32[8]:
  alloc T: f32[8] in register
  for v in vectorized(8):
    T[v] = A[v]
  T[3] = T[5] + T[0]
  for v in vectorized(4):
    T[v + 4] = T[3 - v] * 2
  for v in vectorized(8):
    if v < 5:
      T[v] = T[v] + 1
  for v in vectorized(8):
    C[v] = T[7 - v]
""")


def test_register_tile_under_a_serial_loop_names_the_loop():
    program = parse("""
func f(A: f32[8]) -> C: f32[8]:
  alloc T: f32[8] in register
  for i in 8:
    T[i] = A[i]
  for j in 8:
    C[j] = T[j]
""")
    with pytest.raises(LoweringError, match="the loop 'i' that indexes it is serial") as caught:
        promote_registers(flatten_storage(program, HOST), HOST)
    assert "unroll or vectorize 'i'" in str(caught.value)


def test_register_tile_with_a_data_dependent_index_is_refused():
    program = parse("""
func f(A: i64[8]) -> C: f32[8]:
  alloc T: f32[8] in register
  T[A[0]] = 1
  C[0] = T[1]
""")
    with pytest.raises(LoweringError, match="not known when the kernel is built"):
        promote_registers(flatten_storage(program, HOST), HOST)


def test_strided_parameter_uses_stride_variables():
    program = parse("""
func f(A: f32[N, M] strided) -> C: f32[N]:
  for i in N:
    C[i] = A[i, 1]
""")
    flat = flatten_storage(program, HOST)
    assert [v.name for v in flat.params[0].strides] == ["A.stride0", "A.stride1"]
    check(
        """
func f(A: f32[N, M] strided) -> C: f32[N]:
  for i in N:
    C[i] = A[i, 1]
""",
        N=3,
        M=4,
    )


@pytest.mark.parametrize(("stores", "copied"), [(8, True), (9, False)])
def test_a_large_body_that_stays_scalar_is_not_copied(stores, copied):
    body = "\n".join(f"      y[j, k, {n}] = x[j] + {n}" for n in range(stores))
    program = parse(
        f"func f(x: f32[32]) -> y: f32[32, 4, {stores}]:\n"
        f"  for j in vectorized(32):\n    for k in parallel(4):\n{body}\n"
    )
    with pytest.warns(LoweringWarning, match="it holds the parallel loop 'k'"):
        made = vectorise(program, HOST)
    assert ("for j in 32" in print_program(made)) is not copied
