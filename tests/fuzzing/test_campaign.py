"""`tdsl fuzz` as users run it: what it draws, how a failure is shrunk, and the test it saves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import tdsl as td
from tdsl.fuzzing.campaign import Failure, Job, replayed, run_job, shrunk
from tdsl.fuzzing.checks import disagreement
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.saved import saved_test
from tdsl.fuzzing.step import Step
from tdsl.fuzzing.subject import Subject
from tdsl.fuzzing.walk import random_walk
from tdsl.scheduling.locations import Location

KERNELS = """
import tdsl as td

def row_sums(M=6, K=5):
    A = td.placeholder((M, K), "float32", name="A")
    k = td.reduce_axis(K, name="k")
    B = td.compute((M,), lambda i: td.sum(A[i, k], axis=k), name="B")
    C = td.compute((M,), lambda i: B[i] * 2.0, name="C")
    return td.func("row_sums", [A], [C])

N, M = td.sizes("N M")
X = td.placeholder((N,), "int32", name="X")
at = td.placeholder((M,), "int64", name="at")
G = td.compute((M,), lambda i: X[at[i]] + 1, name="G")
gather = td.func("gather", [X, at], [G], assume=["N >= 1"])
"""
RACE = Step("parallel", ("k",), (("unsafe", True),))


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "kernels.py"
    path.write_text(KERNELS)
    return path


def job(file, name="row_sums", seed="1.0"):
    return Job(Location(name, file=file), "llvm", seed)


def test_the_command_draws_checks_and_counts(file):
    command = [
        sys.executable, "-c", "from tdsl.cli import main; main()", "fuzz", "kernels.py:gather",
        "--schedules", "6", "--seed", "4", "--target", "llvm", "--jobs", "1", "--json",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=file.parent, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["schedules"] == 6
    assert counts["failures"] == []
    assert counts["steps"] == sum(counts["accepted"].values())
    assert not (file.parent / "fuzz-found").exists()


def test_a_seed_always_draws_the_same_schedule(file):
    one, two = run_job(job(file)), run_job(job(file))
    assert one == two
    assert one.accepted
    assert one.failure is None


def test_a_failure_shrinks_to_the_step_that_matters(file):
    steps = (Step("split", ("B.i", 4)), Step("parallel", ("C.i",)), RACE, Step("reverse", ("ii",)))
    assert replayed(job(file), steps) == "interpreter"
    small = shrunk(Failure(job(file), "interpreter", "wrong", steps))
    assert small.steps == (RACE,)


def test_the_saved_test_fails_until_the_fault_is_mended(file, tmp_path):
    failure = Failure(job(file), "interpreter", 'C[0] is "1"\nexpected 2', (RACE,))
    path = saved_test(failure, tmp_path / "found")
    text = path.read_text()
    assert '"../kernels.py:row_sums"' in text
    scope = {"__file__": str(path)}
    exec(compile(text, str(path), "exec"), scope)
    with pytest.raises(AssertionError):
        scope["test_row_sums_interpreter_1_0"]()
    exec(compile(text.replace(", unsafe=True", ""), str(path), "exec"), scope)
    scope["test_row_sums_interpreter_1_0"]()  # the step is refused: the schedule is right


def test_indices_in_arguments_stay_inside():
    N, M = td.sizes("N M")
    X = td.placeholder((N,), "int32", name="X")
    at = td.placeholder((M,), "int64", name="at")
    G = td.compute((M,), lambda i: X[at[i]], name="G")
    subject = Subject(td.func("gather", [X, at], [G], assume=["N >= 3", "M % 4 == 0"]))
    drawn = list(subject.sizes(RandomDraw(1)))
    assert drawn
    assert all(s["N"] >= 3 and s["M"] % 4 == 0 for s in drawn)
    for sizes in drawn:
        arrays, _ = subject.case(sizes, 0)
        assert arrays["at"].min() >= 0
        assert arrays["at"].max() < sizes["N"]


def test_large_sizes_are_built_and_not_interpreted():
    A = td.placeholder((256, 256), "int32", name="A")
    B = td.compute((256, 256), lambda i, j: A[i, j] + 1, name="B")
    s = td.Schedule(td.func("add", [A], [B]))
    assert not Subject(s.func).is_small({})
    s.tile("i", "j", 5, 7)
    assert disagreement(s) is None


def test_walks_for_devices_bind_loops_and_use_no_threads():
    A = td.placeholder((16, 16), "int32", name="A")
    B = td.compute((16, 16), lambda i, j: A[i, j] + 1, name="B")
    func = td.func("add", [A], [B])
    taken = {
        step.primitive
        for seed in range(12)
        for step in random_walk(func, "opencl", RandomDraw(seed)).steps
    }
    assert "bind" in taken
    assert "parallel" not in taken
