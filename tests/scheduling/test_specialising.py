import numpy as np
import pytest

import tdsl as td
from tdsl.ir.interp import interpret
from tdsl.ir.stmt import For, If
from tdsl.ir.visit import statements
from tdsl.lower import lower
from tests.scheduling.algorithms import blur, increment, matmul
from tests.scheduling.running import check, inputs_of, nest, scheduled


def built(s, *cases):
    """The compiled kernel gives what the interpreter does, for each of several sizes."""
    kernel = td.build(s)
    for sizes in cases:
        check(s, sizes)
        arrays = inputs_of(s.func, sizes)
        (wanted,) = interpret(s.func.program, arrays, sizes).values()
        np.testing.assert_array_equal(kernel(*(arrays[t.name] for t in s.func.inputs)), wanted)


def test_the_fast_path_needs_no_tail():
    s = scheduled(matmul())
    fast, slow = s.specialize("M % 4 == 0")
    s.split(fast, 4, tail="exact")
    s.parallel(slow)
    assert s.blocks() == ("C@0", "C@1")
    built(s, {"M": 8, "N": 3, "K": 2}, {"M": 7, "N": 3, "K": 2}, {"M": 0, "N": 1, "K": 1})


def test_a_scheduled_nest_loses_its_conditions_on_the_fast_path():
    s = scheduled(matmul())
    s.tile("C.i", "C.j", 4, 8)
    s.specialize("M % 4 == 0", loop="C.io")
    conditions = [len(leaf.guards) for leaf in s.index.leaves.values()]
    assert conditions == [2, 3]
    built(s, {"M": 8, "N": 9, "K": 2}, {"M": 7, "N": 8, "K": 2})


def test_one_of_the_versions_runs():
    n = td.sizes("N")
    a = td.placeholder((n,), "float32", name="A")
    b = td.compute((n,), lambda i: td.extern("tick", "float32", a[i]), name="B")
    s = scheduled(td.func("f", [a], [b]))
    s.specialize("N < 6")
    program = lower(s.program, s.target).program
    for size in (5, 6):
        calls = []

        def tick(value, calls=calls):
            calls.append(value)
            return value

        arrays = {"A": np.arange(size, dtype=np.float32)}
        interpret(program, arrays, externs={"tick": tick})
        assert len(calls) == size
    branches = [s for s in _statements(program.body) if isinstance(s, If)]
    assert all(isinstance(branch.then, For) for branch in branches)


def _statements(s):

    return list(statements(s))


def test_private_tensors_are_shared_by_both_versions():
    s = scheduled(blur())
    yo, _, yi, _ = s.tile("Y.i", "Y.j", 4, 4)
    s.compute_at("X", at=yi)
    s.store_at("X", at=yo)
    s.specialize("W % 4 == 0")
    assert nest(s).count("alloc X") == 1
    built(s, {"H": 8, "W": 8}, {"H": 5, "W": 7})


def test_cases_within_cases():
    s = scheduled(increment("N"))
    _, slow = s.specialize("N % 8 == 0")
    s.specialize("N % 4 == 0", loop=slow)
    assert s.blocks() == ("B@0", "B@1", "B@2")
    io, ii = s.split("B@1.i", 4, tail="exact")
    s.vectorize(ii, 4)
    assert io.name == "io"
    built(s, {"N": 16}, {"N": 12}, {"N": 11}, {"N": 0})


def test_only_versions_that_may_run_are_written_twice():
    s = scheduled(increment("N"))
    s.specialize("N >= 8")
    large, medium, small = s.specialize("N >= 64")
    assert nest(s).splitlines() == [
        "for i in N:",
        "  if N >= 64: B[i] = A[i] + 1",
        "for i in N:",
        "  if N >= 8 and N < 64: B[i] = A[i] + 1",
        "for i in N:",
        "  if N < 8: B[i] = A[i] + 1",
    ]
    for factor, loop in zip((4, 3, 2), (large, medium, small), strict=True):
        s.unroll(s.split(loop, factor)[1])
    built(s, {"N": 100}, {"N": 64}, {"N": 63}, {"N": 8}, {"N": 7}, {"N": 0})


def test_cases_beside_cases_are_one_more_each():
    s = scheduled(increment("N"))
    for n in range(1, 7):
        s.specialize(f"N >= {16 * n}")
    assert len(s.blocks()) == 7


def test_a_case_that_is_decided_has_two_versions_as_well():
    s = scheduled(increment("N"))
    fast, slow = s.specialize("N >= 0")
    assert [repr(loop) for loop in (fast, slow)] == ["<Loop B@0.i>", "<Loop B@1.i>"]
    built(s, {"N": 3})


def test_versions_are_kept_in_files(tmp_path):
    s = scheduled(increment("N"))
    s.specialize("N >= 64 ")
    assert 's.specialize("N >= 64 ")' in str(s.trace)


@pytest.mark.parametrize("condition", ["N == 7", "N != 7", "2 * N <= 9", "N > 100"])
def test_conditions_of_several_forms(condition):
    s = scheduled(increment("N"))
    s.specialize(condition)
    built(s, {"N": 4}, {"N": 7}, {"N": 12})


def test_scalars_and_nests_are_written_twice_side_by_side():
    n = td.sizes("N")
    a, x = td.placeholder((n,), "float32", name="A"), td.placeholder((), "float32", name="x")
    b = td.compute((n,), lambda i: a[i] + 1, name="B")
    s = scheduled(td.func("f", [a, x], [b, td.compute((), lambda: x[()] * 2, name="T")]))
    fast, slow = s.specialize("N < 4")
    s.parallel(fast)
    s.unroll(s.split(slow, 2)[1])
    assert nest(s).splitlines() == [
        "for i in parallel(N):",
        "  if N < 4: B[i] = A[i] + 1",
        "if N < 4: T[] = x[] * 2",
        "for io in (N + 1) // 2:",
        "  for ii in unrolled(2):",
        "    if N >= 4 and io * 2 + ii < N: B[io * 2 + ii] = A[io * 2 + ii] + 1",
        "if N >= 4: T[] = x[] * 2",
    ]
    for size in (3, 4, 5):
        check(s, {"N": size})


def test_only_what_holds_a_private_tensor_is_entered():
    n = td.sizes("N")
    a = td.placeholder((n, 3), "float32", name="A")
    e = td.compute((n, 3), lambda i, j: a[i, j] * 5, name="E")
    b = td.compute((n, 3), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((n, 3), lambda i, j: b[i, 2 - j] * 2, name="C")
    s = scheduled(td.func("f", [a], [e, c]))
    s.compute_at("B", at="C.i")
    handles = s.specialize("N != 6")
    assert [repr(h) for h in handles] == [
        "<Loop E@0.i>", "<Loop E@1.i>", "<Loop B@0.i_1>", "<Loop C@0.j>", "<Loop B@1.i_1>",
        "<Loop C@1.j>",
    ]  # fmt: skip
    assert nest(s).splitlines() == [
        "for i in N:",
        "  for j in 3:",
        "    if N != 6: E[i, j] = A[i, j] * 5",
        "for i in N:",
        "  for j in 3:",
        "    if N == 6: E[i, j] = A[i, j] * 5",
        "for i in N:",
        "  alloc B: f32[N, 3]",
        "  for i_1 in 1:",
        "    for j in 3:",
        "      if N != 6: B[i + i_1, j] = A[i + i_1, j] + 1",
        "  for j in 3:",
        "    if N != 6: C[i, j] = B[i, 2 - j] * 2",
        "  for i_1 in 1:",
        "    for j in 3:",
        "      if N == 6: B[i + i_1, j] = A[i + i_1, j] + 1",
        "  for j in 3:",
        "    if N == 6: C[i, j] = B[i, 2 - j] * 2",
    ]
    for size in (0, 5, 6):
        check(s, {"N": size})


@pytest.mark.parametrize("loop", ["C.io", "C.jo", "C.ii"])
def test_conditions_go_wherever_the_loops_that_they_mention_are(loop):
    s = scheduled(matmul())
    s.tile("C.i", "C.j", 4, 8)
    s.specialize("M % 4 == 0", loop=loop)
    conditions = [len(leaf.guards) for leaf in s.index.leaves.values()]
    assert conditions == [2, 3]  # rows are whole tiles; columns may not be
    check(s, {"M": 8, "N": 3, "K": 2})
    check(s, {"M": 5, "N": 3, "K": 2})


@pytest.mark.parametrize(
    ("size", "condition", "reason"),
    [
        (8, "N == 3", "all sizes are known numbers"),
        ("N", "K < 3", r"'K < 3' is no condition on the sizes: .*'K', which is no size of this"),
        ("N", "N +", r"'N \+' is no condition on the sizes: "),
    ],
)
def test_conditions_are_about_sizes(size, condition, reason):
    s = scheduled(increment(size))
    with pytest.raises(td.ScheduleError, match=reason):
        s.specialize(condition)
