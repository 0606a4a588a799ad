import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from benchmarks.plugins import tdsl_kernels

ROW = {"name": "r", "kind": "pair", "family": "pair", "group": "g", "flops": 1.0, "m": 3}
A, B = np.arange(3.0), np.ones(3)


class FakeKernel:
    """Adds its arguments; ``pack`` wraps one so that the test can tell."""

    def __init__(self, log):
        self.log = log

    def pack(self, tensor, value):
        self.log.append(("pack", tensor))
        return value

    def __call__(self, a, b, out=None):
        out = np.empty(3) if out is None else out
        np.add(a, b, out=out)
        return out


@pytest.fixture
def log(monkeypatch):
    """A compiler and a kernel file that record what is asked of them."""
    log = []

    def build(what, schedule=None):
        log.append(("build", what, schedule))
        return FakeKernel(log)

    family = ModuleType("benchmarks.kernels.pair")
    family.__spec__ = SimpleNamespace(name=family.__name__)
    family.workload = lambda shape: f"func {shape}"
    family.schedule = lambda func, threads: f"schedule of {func} for {threads}"
    monkeypatch.setitem(sys.modules, family.__name__, family)
    monkeypatch.setitem(sys.modules, "tdsl", SimpleNamespace(build=build))
    log.append(family)
    return log


def test_hand_schedule_is_built_for_the_thread_count(log):
    call = tdsl_kernels.make("hand", ROW, [A, B], 2)
    assert log[1:] == [("build", "schedule of func {'m': 3} for 2", None)]
    assert np.array_equal(call(), A + B)


def test_output_is_allocated_once(log):
    call = tdsl_kernels.make("hand", ROW, [A, B], 1)
    assert call() is call()


@pytest.mark.parametrize("argument", ["default", "tuned"])
def test_library_schedules_are_asked_for_by_name(log, argument):
    tdsl_kernels.make(argument, ROW, [A, B], 1)
    assert log[1:] == [("build", "func {'m': 3}", argument)]


def test_constants_are_packed_ahead_only_for_const(log):
    log[0].CONSTANTS = {1: "B"}
    log[0].constant_schedule = lambda func, threads: f"packed {func} for {threads}"
    tdsl_kernels.make("hand", ROW, [A, B], 1)
    assert ("pack", "B") not in log
    tdsl_kernels.make("const", ROW, [A, B], 1)
    assert ("build", "packed func {'m': 3} for 1", None) in log
    assert ("pack", "B") in log


def test_row_without_constants_is_not_done_by_const(log):
    assert tdsl_kernels.make("const", ROW, [A, B], 1) is None


def test_arguments_may_be_converted(log):
    log[0].arguments = lambda a, b: (a * 2, b)
    assert np.array_equal(tdsl_kernels.make("hand", ROW, [A, B], 1)(), A * 2 + B)


def test_family_without_a_file_is_not_done():
    assert tdsl_kernels.make("hand", {**ROW, "family": "nothing"}, [A, B], 1) is None


def test_compiler_without_build_counts_as_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "tdsl", SimpleNamespace())
    with pytest.raises(ImportError, match="no build"):
        tdsl_kernels.start("hand", 1)
