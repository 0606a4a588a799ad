"""Measurement in real processes, well-behaved and otherwise."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

import tdsl as td
from tdsl.autotune.measure import Job, Limits, LocalMeasurer
from tdsl.autotune.measure.folders import make_folder
from tdsl.ir.printer import print_program
from tdsl.records import Outcome, RecordError

HOST = td.target("llvm")
FAULTY = [sys.executable, "-P", str(Path(__file__).with_name("faulty_worker.py"))]
LIMITS = Limits(build_seconds=2.0, run_seconds=2.0, repeat=2, min_repeat_ms=0.1)


def scaled(name, factor=2.0):
    A = td.placeholder((64,), "float32", name="A")
    return td.func(name, [A], [td.compute((64,), lambda i: A[i] * factor, name="B")])


def job(name, exact=True, factor=2.0):
    return Job(name, print_program(scaled(name, factor).program), exact)


@pytest.fixture(scope="module")
def measurer():
    """One that may be asked for faults as well."""
    made = LocalMeasurer(
        scaled("good").program, HOST, threads=1, limits=LIMITS, builders=1, command=FAULTY
    )
    yield made
    made.close()


def outcomes(measurer, *names):
    return {j.name: r for j, r in measurer.measure([job(name) for name in names])}


def test_a_kernel_is_built_checked_and_timed(measurer):
    found = outcomes(measurer, "good", "other")
    assert [r.outcome for r in found.values()] == [Outcome.OK] * 2
    assert all(len(r.seconds) in (1, 2) and 0 < min(r.seconds) < 1 for r in found.values())


def test_kernels_are_timed_in_turn(measurer):
    found = measurer.compare([job("good"), job("other")], rounds=3)
    assert [len(r.seconds) for r in found] == [3, 3]


def test_another_function_is_wrong(measurer):
    wrong = Job("w", print_program(scaled("good", 3.0).program))
    ((_, result),) = measurer.measure([wrong])
    assert result.outcome is Outcome.WRONG
    assert "B[0] is" in result.error
    assert "64 of 64" in result.error


def test_results_of_reassociated_sums_may_differ_a_little(measurer):
    near = Job("near", print_program(scaled("good", 2.0 + 2e-7).program), exact=False)
    far = Job("far", print_program(scaled("good", 2.01).program), exact=False)
    strict = Job("strict", near.program, exact=True)
    found = {j.name: r.outcome for j, r in measurer.measure([near, far, strict])}
    assert found == {"near": Outcome.OK, "far": Outcome.WRONG, "strict": Outcome.WRONG}


FAULTS = {
    "build_hang": Outcome.BUILD_TIMEOUT,
    "build_segfault": Outcome.BUILD_CRASH,
    "build_memory": Outcome.MEMORY,
    "build_quit": Outcome.BUILD_CRASH,
    "run_hang": Outcome.RUN_TIMEOUT,
    "run_segfault": Outcome.RUN_CRASH,
    "run_abort": Outcome.RUN_CRASH,
    "run_memory": Outcome.MEMORY,
    "run_wrong": Outcome.WRONG,
    "run_nan": Outcome.WRONG,
}


def test_a_fault_costs_one_trial_and_nothing_else(measurer):
    names = [name for fault in FAULTS for name in (fault, f"after_{fault}")]
    found = outcomes(measurer, *names)
    assert {name: r.outcome for name, r in found.items()} == {
        name: FAULTS.get(name, Outcome.OK) for name in names
    }
    assert all(found[name].error and not found[name].seconds for name in FAULTS)


@pytest.mark.slow
def test_workers_that_spin_are_stopped_as_well(measurer):
    found = outcomes(measurer, "build_spin", "run_spin", "last")
    assert [r.outcome for r in found.values()] == [
        Outcome.BUILD_TIMEOUT,
        Outcome.RUN_TIMEOUT,
        Outcome.OK,
    ]


def test_a_fault_in_a_comparison_is_reported_for_all(measurer):
    found = measurer.compare([job("good"), job("run_segfault")], rounds=2)
    assert [r.outcome for r in found] == [Outcome.RUN_CRASH] * 2


def test_the_workload_itself_may_be_beyond_measuring():
    broken = LocalMeasurer(
        scaled("good").program, HOST, threads=1, limits=LIMITS, command=["/bin/false"]
    )
    ((_, result),) = broken.measure([job("good")])
    assert result.outcome is Outcome.BUILD_CRASH
    with pytest.raises(RecordError, match="unscheduled kernel cannot be measured"):
        broken.compare([job("good")], 1)
    broken.close()


def test_workers_die_with_their_session():
    code = (
        "import sys, time; from tests.autotune.test_measure import *\n"
        "m = LocalMeasurer(scaled('good').program, HOST, threads=1, limits=LIMITS, builders=1)\n"
        "list(m.measure([job('good')]))\n"
        "print(m._runner._process.pid, m._builders[0]._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    import subprocess

    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as session:
        pids = [int(word) for word in session.stdout.readline().split()]
        os.kill(session.pid, signal.SIGKILL)
    for _ in range(100):
        if not any(_runs(pid) for pid in pids):
            break
        time.sleep(0.1)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_next_session_removes_the_folder_of_one_that_was_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    alive, lock = make_folder()
    killed, left = make_folder()
    left.close()
    later, other = make_folder()
    assert (alive.exists(), killed.exists(), later.exists()) == (True, False, True)
    lock.close()
    other.close()
