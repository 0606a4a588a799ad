"""Steps as the fuzzer draws, does and writes them."""

from __future__ import annotations

import contextlib

import pytest

import tdsl as td
from tdsl.fuzzing import combined_steps, foreign_steps, loop_steps, placing_steps
from tdsl.fuzzing.campaign import Failure, Job
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.saved import saved_test
from tdsl.fuzzing.step import Step, view
from tdsl.fuzzing.turns import is_sparse, turns
from tdsl.fuzzing.walk import grows_too_much
from tdsl.scheduling.locations import Location
from tests.fuzz import instructions

instructions.declare()


def product(M=4, N=4, K=4):
    A = td.placeholder((M, K), "int32", name="A")
    B = td.placeholder((N, K), "int32", name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[j, k], axis=k), name="C")
    D = td.compute((M, N), lambda i, j: C[i, j] + C[i, 0], name="D")
    return td.func("product", [A, B], [D])


def running_sum():
    X = td.placeholder((8,), "int32", name="X")
    t = td.scan_axis(8, name="t")
    S = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + X[t]}, name="S")["s"]
    return td.func("running_sum", [X], [S])


def plain():
    return td.Schedule(product())


def fused():
    s = plain()
    s.compute_at("C", "D.i")
    return s


def scanned():
    return td.Schedule(running_sum())


def accepted(maker, start, count=10):
    """How many of some steps drawn for a schedule are legal."""
    found = 0
    for seed in range(count):
        s = start()
        step = maker(view(RandomDraw(seed), s))
        with contextlib.suppress(td.ScheduleError):
            if step is not None:
                step.apply(s)
                found += 1
    return found


@pytest.mark.parametrize(
    ("maker", "start"),
    [
        (placing_steps.pipeline, fused),
        (placing_steps.double_buffer, fused),
        (combined_steps.split_k, plain),
        (combined_steps.tree_reduce, plain),
        (combined_steps.pack_operand, plain),
        (combined_steps.tile_in_registers, plain),
        (combined_steps.wavefront, plain),
        (placing_steps.align, plain),
        (placing_steps.pad_einsum, plain),
        (loop_steps.split_scan, scanned),
        (foreign_steps.tensorize, plain),
        (foreign_steps.call_extern, plain),
    ],
)
def test_steps_that_fit_are_found(maker, start):
    assert accepted(maker, start) >= 2


def test_a_combinator_is_written_as_a_call_that_runs():
    s, again = td.Schedule(product()), td.Schedule(product())
    step = Step("split_k", ("k", 2), (("parallel", False),))
    step.apply(s)
    assert step.source() == 'combinators.split_k(s, "k", 2, parallel=False)'
    exec(f"from tdsl.schedules import combinators\n{step.source()}", {"s": again})
    assert str(s) == str(again)


def test_a_combinator_is_never_done_without_proof():
    step = Step("wavefront", ("C.i", "C.j", 1))
    with pytest.raises(td.ScheduleError, match="always proven"):
        step.apply(td.Schedule(product()), unsafe=True)


def test_a_saved_test_imports_the_combinators_it_calls(tmp_path):
    job = Job(Location("product", file=tmp_path / "kernels.py"), "llvm", "1")
    plain = Failure(job, "kernel", "wrong", (Step("split", ("C.i", 2)),))
    combined = Failure(job, "interpreter", "wrong", (Step("split_k", ("k", 2)),))
    line = "from tdsl.schedules import combinators\n"
    assert line not in saved_test(plain, tmp_path).read_text()
    assert line in saved_test(combined, tmp_path).read_text()


def test_loops_that_turn_for_nothing_are_split_no_further():
    s = plain()
    for name in ("D.i", "D.j"):
        assert not grows_too_much(s, Step("split", (name, 5)))
        s.split(name, 32)
    # 1024 turns for the 16 points of D; C has 64
    assert turns(s.program) == 32 * 32 + 64
    assert not is_sparse(s)
    s.split("D.io", 4)
    assert turns(s.program) == 4 * 32 * 32 + 64
    assert is_sparse(s)
    assert grows_too_much(s, Step("split", ("D.jo", 5)))
    assert not grows_too_much(s, Step("parallel", ("D.jo",)))
