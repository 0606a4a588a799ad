"""What this machine does at best, measured: the roof that a kernel's rate is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

import tdsl as td
from tdsl.target import Target, host

_SUMS = 12  # independent vectors of sums keep the units busy while an addition takes its time
_STEPS = 1 << 13
_MOST_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Roof:
    """Rates of all threads together.

    Attributes:
        flops: float32 operations a second, a multiplication and an addition counting two.
        bandwidth: bytes a second between memory and the processor, a copy counting twice.
    """

    flops: float
    bandwidth: float

    def at(self, intensity: float) -> float:
        """The most operations a second at some operations a byte."""
        return min(self.flops, intensity * self.bandwidth)


@lru_cache(maxsize=1)
def measured_roof() -> Roof:
    """The roof of this machine's processor; takes about a second."""
    return Roof(_flops(host()), _bandwidth(host()))


def _flops(machine: Target) -> float:
    lanes, threads = machine.lanes(32), machine.cores
    x = td.placeholder((_SUMS, lanes), "float32", name="x")
    y = td.placeholder((lanes,), "float32", name="y")
    r = td.reduce_axis(_STEPS, name="r")
    sums = td.compute(
        (threads, _SUMS, lanes), lambda _t, i, v: td.sum(x[i, v] * y[v], axis=r), name="sums"
    )
    s = td.Schedule(td.func("peak", [x, y], [sums]))
    s.cache_write("sums", "register")
    thread, i, v = s.loops("sums.out")
    s.compute_at("sums", at=thread)
    i_sum, v_sum, step = s.loops("sums")[-3:]
    s.reorder(step, i_sum, v_sum)
    for loop in (i, i_sum):
        s.unroll(loop)
    for loop in (v, v_sum):
        s.vectorize(loop)
    s.parallel(thread)
    ones = np.ones((_SUMS, lanes), np.float32)
    times = td.build(s).time(ones, ones[0], repeat=7)
    return 2 * threads * _SUMS * lanes * _STEPS / min(times)


def _bandwidth(machine: Target) -> float:
    """Of a copy of four times what the last cache holds."""
    count = min(4 * max(machine.l3, machine.l2), _MOST_BYTES) // 4
    x = td.placeholder((count,), "float32", name="x")
    y = td.compute((count,), lambda i: x[i] + 1.0, name="y")
    array = np.ones(count, np.float32)
    times = td.build(td.func("copy", [x], [y])).time(array, repeat=5)
    return 2 * array.nbytes / min(times)
