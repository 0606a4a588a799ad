"""A short run of the fuzzer in the normal suite, and tests of the fuzzer itself."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import tdsl as td
from tdsl.fuzzing.differences import difference
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.makers import makers, random_step, without_maker
from tdsl.fuzzing.step import Step
from tdsl.ir.interp import interpret
from tests.fuzz import brute
from tests.fuzz.algorithms import Algorithm, Dim, Extent, Input, Stage
from tests.fuzz.case import Options, check_schedule, replay, run_case
from tests.fuzz.draw import HypothesisDraw
from tests.fuzz.driver import save_failure
from tests.fuzz.generate import algorithms, random_algorithm
from tests.fuzz.kernels import build
from tests.fuzz.oracles import canonical_against_reference
from tests.fuzz.shrink import shrink
from tests.fuzz.tally import Tally
from tests.guarded import with_gaps

_QUICK = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path))


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("chunk", range(12))
def test_random_schedules_keep_the_meaning(chunk):
    for n in range(10):
        compiled = n % 5 == 0
        result = run_case(f"suite.{chunk}.{n}", Options(compiled=compiled, judged=0.1))
        assert result.failure is None, f"python -m tests.fuzz --case {result.seed}"


@pytest.mark.usefixtures("own_cache", "opencl")
@pytest.mark.parametrize("chunk", range(3))
def test_random_schedules_for_a_device_keep_the_meaning(chunk):
    bound = 0
    for n in range(4):
        options = Options(compiled=n == 0, judged=0.0, target="opencl")
        result = run_case(f"device.{chunk}.{n}", options)
        assert result.failure is None, f"python -m tests.fuzz --case {result.seed} --target opencl"
        assert "parallel" not in result.accepted
        bound += "bind" in result.accepted
    assert bound > 0


def test_a_failure_on_a_device_is_a_script_that_names_it(tmp_path):
    options = Options(compiled=False, judged=0.0, target="opencl")
    result = run_case("device.script", options)
    result.failure = ("scheduled", "made up")
    path = save_failure(result, options, tmp_path, lambda _: None)
    assert 's = td.Schedule(f, "opencl")' in path.read_text()
    assert replay(*result.case, target="opencl", compiled=False) is None


@pytest.mark.parametrize("target", ["llvm", "opencl"])
def test_a_seed_always_gives_the_same_case(target):
    options = Options(compiled=False, judged=0.0, target=target)
    one, two = (run_case("same.7", options) for _ in range(2))
    assert one.accepted == two.accepted
    assert one.case[0].source() == two.case[0].source()
    assert one.case[1] == two.case[1]


def test_grammar_covers_every_family_and_symbolic_sizes():
    made = [random_algorithm(f"families.{n}") for n in range(150)]
    kinds = Counter(kind for algorithm in made for kind in algorithm.kinds)
    assert {"scan", "update", "gather", "user reducer", "matmul", "reshape"} <= set(kinds)
    assert sum(a.is_symbolic for a in made) >= 0.2 * len(made)
    dtypes = {x.dtype for a in made for x in a.inputs}
    assert {"int32", "float32", "int8", "uint8", "uint64"} <= dtypes


@pytest.mark.parametrize(("at_end", "outside"), [(True, 5), (False, -1)])
def test_what_a_kernel_touches_beside_an_argument_ends_the_process(at_end, outside):
    tried = f"""
import ctypes, numpy as np
from tests.guarded import guarded
for shape in [(5,), (0,), (5000,)]:
    assert guarded(np.full(shape, 3, np.int32), at_end={at_end}).sum() == 3 * shape[0]
array = guarded(np.zeros(5, np.int32), at_end={at_end})
print("made", flush=True)
ctypes.c_int32.from_address(array.ctypes.data + 4 * {outside}).value
"""
    command = [sys.executable, "-c", tried]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (ended.stdout, ended.returncode) == ("made\n", -signal.SIGSEGV)


def test_every_primitive_is_drawn():
    assert without_maker() == []
    tally = Tally()
    for n in range(25):
        tally.add(run_case(f"drawn.{n}", Options(compiled=False, judged=0.0)))
    assert tally.mean_steps >= 6


def test_a_swarm_draws_few_primitives_and_only_draws_what_it_names():
    quick = Options(compiled=False, judged=0.0)
    drawn = []
    for n in range(6):
        result = run_case(f"swarm.{n}", replace(quick, swarm=True))
        assert result.failure is None
        drawn.append({*result.accepted, *(r.primitive for r in result.refused)})
    assert len(set(map(frozenset, drawn))) == len(drawn)
    assert sum(map(len, drawn)) / len(drawn) < len(makers()) / 4
    result = run_case("only.1", replace(quick, only=frozenset({"split", "reorder"})))
    assert result.failure is None
    assert set(result.accepted) == {"split", "reorder"}


@_QUICK
@given(algorithms(), st.integers(0, 3))
def test_canonical_program_agrees_with_numpy(algorithm, data):
    assert canonical_against_reference(algorithm, data) is None


def check_drawn_schedule(data):
    algorithm = data.draw(algorithms())
    s = td.Schedule(algorithm.func)
    draw = HypothesisDraw(data.draw)
    for _ in range(draw.integer(1, 6)):
        step = random_step(draw, s)
        with contextlib.suppress(td.ScheduleError):
            step and step.apply(s)
    check_schedule(s, algorithm, "drawn")


@_QUICK
@given(st.data())
def test_drawn_schedules_keep_the_meaning(data):
    check_drawn_schedule(data)


@pytest.mark.fuzz
@settings(_QUICK, max_examples=1000)
@given(st.data())
def test_many_drawn_schedules_keep_the_meaning(data):
    check_drawn_schedule(data)


@pytest.mark.fuzz
@settings(_QUICK, max_examples=1500)
@given(algorithms(), st.integers(0, 7))
def test_canonical_programs_agree_with_numpy(algorithm, data):
    assert canonical_against_reference(algorithm, data) is None


def matmul():
    for n in range(200):
        algorithm = random_algorithm(f"matmul.{n}")
        if algorithm.kinds == ("matmul",) and not algorithm.is_symbolic:
            return algorithm
    raise AssertionError("no seed gives a lone matmul")


def test_brute_force_tells_a_race_from_a_legal_step():
    algorithm = matmul()
    s = td.Schedule(algorithm.func)
    (block,) = s.blocks()
    i, _, k = (loop.label for loop in s.loops(block))
    assert brute.step_is_legal(s, Step("parallel", (i,)), algorithm, "race")
    if s.loops(block)[-1].extent > 1:
        assert not brute.step_is_legal(s, Step("parallel", (k,)), algorithm, "race")


def test_repeats_that_write_something_else_are_faults():
    A = td.placeholder((3, 4), "int32", name="A")
    k = td.reduce_axis(4, name="k")
    R = td.compute((3,), lambda i: td.sum(A[i, k], axis=k), name="R")
    T = td.compute((3,), lambda i: R[i] * 2, name="T")
    s = td.Schedule(td.func("f", [A], [R, T]))
    other = brute.fork(s)
    other.reverse_compute_at("T", "R.k", unsafe=True)
    arrays = random_like(s.func)
    with brute.watched_repeats(), pytest.raises(td.TdslError, match="another value"):
        interpret(other.program, arrays)
    assert str(s) == str(td.Schedule(s.func)), "a fork leaves its origin alone"


def random_like(func):
    rng = np.random.default_rng(0)
    return {t.name: rng.integers(1, 9, (3, 4)).astype("int32") for t in func.inputs}


def test_shrinking_keeps_only_what_fails():
    algorithm = next(a for n in range(300) if len((a := random_algorithm(f"s{n}")).stages) == 3)
    s = td.Schedule(algorithm.func)
    draw, steps = RandomDraw("shrink"), []
    while len(steps) < 6:
        step = random_step(draw, s)
        try:
            step and step.apply(s)
        except td.ScheduleError:
            continue
        if step:
            steps.append(step)
    wanted = steps[3]
    small, left = shrink((algorithm, tuple(steps)), lambda _, kept: wanted in kept)
    assert left == (wanted,)
    assert len(small.stages) == 1


def test_rounding_of_a_narrow_tensor_on_the_way_is_no_fault():
    wide = {"y": np.array([1.0, 2.0], np.float32)}
    near = {"y": np.array([1.01, 2.0], np.float32)}
    assert difference(wide, near, exact=False, narrowest=2) is None
    assert "y[0] is" in difference(wide, near, exact=False)


def test_replay_passes_a_case_that_passed():
    result = run_case("replay.1", Options(compiled=False, judged=0.0))
    assert result.failure is None
    assert replay(*result.case, compiled=False) is None


def test_what_is_no_number_differs_from_a_number():
    number, none = np.array([1.0], np.float32), np.array([np.nan], np.float32)
    for one, other in ((number, none), (none, number)):
        found = difference({"y": one}, {"y": other}, exact=False)
        assert found is not None
        assert "(1 of 1 wrong)" in found
    assert difference({"y": none}, {"y": none}, exact=False) is None
    half = {"y": none.astype(np.float16)}
    assert difference({"y": number.astype(np.float16)}, half, exact=False) is None


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 1), (0,), (2, 0)])
@pytest.mark.parametrize("at_end", [True, False])
def test_arrays_with_gaps_hold_the_same_elements(shape, at_end):
    array = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    spaced = with_gaps(array, at_end=at_end)
    np.testing.assert_array_equal(spaced, array)
    assert spaced.flags.c_contiguous == (array.size < 2 or (at_end and shape[-1] == 1))


def test_prepacked_arguments_pass_all_checks():
    N, M = Dim("N", 5, symbolic=False), Dim("M", 3, symbolic=False)
    made = Input("B", (Extent("N"), Extent("M")), "int32")
    line = 'B = td.compute((N, M), lambda i, j: A[i, j] * 2 + A[N - 1 - i, 0], name="B")'
    stage = Stage((made,), (line,), frozenset({"A"}))
    algorithm = Algorithm((N, M), (replace(made, name="A", strided=True),), (stage,), ("B",))
    step = Step(
        "transform_layout", ("A", "a, b -> b, a // 2, a % 2"),
        (("pad", (0, 1, 0)), ("prepacked", True)),
    )  # fmt: skip
    assert replay(algorithm, (step,)) is None
    s = td.Schedule(algorithm.func)
    step.apply(s)
    assert list(build(s).packed) == ["A"]
