"""Instructions that tdsl ships: when they are declared, and on which loops they run."""

import pytest

import tdsl as td
from tdsl.scheduling.primitives import mapping
from tests.scheduling.test_tensorize import matmul, ready


def test_the_library_is_asked_once_a_name_is_unknown(monkeypatch):
    asked = []
    monkeypatch.setattr(mapping, "declare_instructions", lambda: asked.append(True))
    s, loop = ready(matmul())
    s.tensorize(loop, "vpdpbusd")  # the tests have declared it
    assert not asked
    s, loop = ready(matmul())
    with pytest.raises(td.ScheduleError, match="vpdpbusx"):
        s.tensorize(loop, "vpdpbusx")
    assert asked == [True]


def test_an_unrolled_loop_is_run_whole_but_no_other_mark():
    s, loop = ready(matmul())
    s.unroll("C.ki")
    s.tensorize(loop, "vpdpbusd")
    assert str(s.nest).count(" in instruction(") == 2
    s, loop = ready(matmul())
    s.vectorize(loop)
    with pytest.raises(td.ScheduleError, match="loop 'ji' is vectorized; 'vpdpbusd' runs it whole"):
        s.tensorize(loop, "vpdpbusd")


def test_a_nest_of_two_blocks_is_no_instruction():
    s, _ = ready(matmul())
    s.decompose_reduction("C", "C.i")
    s.compute_with("C.init", at=s.loops("C")[0])
    with pytest.raises(td.ScheduleError, match="loop 'i' holds more than one block"):
        s.tensorize("C.i", "vpdpbusd")
