"""Ablation takes out what makes no difference, and times no more than it must."""

import numpy as np

import tdsl as td
from tdsl.autotune.ablation import Effort, prune
from tdsl.autotune.arena import Arena
from tdsl.autotune.measure import Limits, LocalMeasurer, Result
from tdsl.records import Outcome, RecordingSchedule
from tdsl.target import host

A = td.placeholder((64, 64), "float32", name="A")
B = td.compute((64, 64), lambda i, j: A[i, j] + 1.0, name="B")
FUNC = td.func("increment", [A], [B])


class Machine:
    """A measurer whose kernels take `seconds(program)` and have `code(program)`."""

    def __init__(self, seconds, code):
        self.seconds, self.code = seconds, code
        self.measured, self.compared = [], []

    def measure(self, jobs):
        for job in jobs:
            self.measured.append(job)
            seconds, code = self.seconds(job.program), self.code(job.program)
            yield job, Result(Outcome.OK, (seconds,), code=code)

    def compare(self, jobs, rounds):
        self.compared.append([job.program for job in jobs])
        return [Result(Outcome.OK, (self.seconds(job.program),) * rounds) for job in jobs]

    def close(self):
        pass


def _schedule(*steps):
    s = RecordingSchedule(FUNC, host())
    for step in steps:
        step(s)
    return s


def _vectorised():
    return _schedule(
        lambda s: s.split("B.j", 16),
        lambda s: s.vectorize("B.ji"),
        lambda s: s.split("B.i", 8),
        lambda s: s.unroll("B.ii"),
    )


def _pruned(machine, schedule, seconds=60.0):
    arena = Arena(machine)
    return prune(
        schedule,
        lambda one, other: arena.race(one, other, 5),
        lambda shorter: arena.as_quick(shorter, schedule, 5),
        arena.prepare,
        Effort(8, seconds),
    )


def _quick_if_vector(program):
    return 1.0 if "vectorized" in program else 4.0


def test_decoration_goes_and_what_matters_stays():
    machine = Machine(_quick_if_vector, lambda program: "")
    pruned = _pruned(machine, _vectorised())
    assert [step.primitive for step in pruned.schedule.trace] == ["split", "vectorize"]
    assert len(pruned.dropped) == 2
    assert all(job.briefly for job in machine.measured)
    assert pruned.schedule.proof is not None


def test_one_machine_code_is_not_timed_against_itself():
    machine = Machine(_quick_if_vector, lambda program: str("vectorized" in program))
    pruned = _pruned(machine, _vectorised())
    assert [step.primitive for step in pruned.schedule.trace] == ["split", "vectorize"]
    assert not machine.compared


def test_halves_of_what_is_slower_are_tried_apart():
    def seconds(program):  # either step may go, but not both
        return 1.0 if "vectorized" in program or "unrolled" in program else 4.0

    schedule = _schedule(lambda s: s.vectorize("B.j"), lambda s: s.unroll("B.i"))
    machine = Machine(seconds, lambda program: "")
    pruned = _pruned(machine, schedule)
    assert len(list(pruned.schedule.trace)) == 1
    programs = [tuple(programs) for programs in machine.compared]
    assert len(set(programs)) == len(programs)  # what is known to be slower is not timed again


def test_without_time_only_all_together_are_tried():
    def seconds(program):
        return 1.0 if "vectorized" in program or "unrolled" in program else 4.0

    schedule = _schedule(lambda s: s.vectorize("B.j"), lambda s: s.unroll("B.i"))
    machine = Machine(seconds, lambda program: "")
    assert not _pruned(machine, schedule, seconds=0.0).dropped
    machine = Machine(_quick_if_vector, lambda program: "")
    assert len(_pruned(machine, _vectorised(), seconds=0.0).dropped) == 1


def test_builders_tell_kernels_apart():
    machine = LocalMeasurer(FUNC.program, host(), threads=1, limits=Limits(min_repeat_ms=0.1))
    arena = Arena(machine)
    split = _schedule(lambda s: s.split("B.i", 8))
    again = _schedule(lambda s: s.split("B.i", 8), lambda s: s.reorder("B.io", "B.ii", "B.j"))
    other = _schedule(lambda s: s.reorder("B.j", "B.i"))
    try:
        arena.prepare([split, again, other])
        same, apart = arena.race(split, again, 1), arena.race(split, other, 1)
    finally:
        machine.close()
    assert same is not None
    assert (same.ratio, same.noise) == (1.0, 0.0)
    assert apart is not None
    assert np.isfinite(apart.ratio)
    assert apart.noise > 0.0
