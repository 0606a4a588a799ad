"""pipeline and double_buffer: producers that run ahead of their readers."""

import json

import numpy as np
import pytest

import tdsl as td
from tdsl.scheduling import load_schedule, replay
from tests.scheduling.algorithms import chain, matmul
from tests.scheduling.running import check, inputs_of, nest, scheduled


def built(s, sizes=None):
    check(s, sizes)
    arrays = list(inputs_of(s.func, sizes or {}).values())
    np.testing.assert_array_equal(td.build(s)(*arrays), td.build(td.Schedule(s.func))(*arrays))


@pytest.mark.parametrize("ahead", [1, 3])
def test_panels_of_a_product_are_copied_ahead(ahead):
    s = scheduled(matmul("M", "N", "K"))
    io, jo, ii, ji = s.tile("C.i", "C.j", 4, 8)
    ko, ki = s.split("C.k", 4)
    s.reorder(io, jo, ko, ii, ji, ki)
    s.cache_read("C", "B", "stack", at=ko)
    s.pipeline("B.C", at=ko, ahead=ahead)
    assert s.numerics.value == "exact"
    assert f"stored at [i % {4 * (ahead + 1)}, j]" in nest(s)
    s.parallel(io)
    s.vectorize(ji, 8)
    for sizes in ((5, 9, 7), (1, 1, 1)):
        built(s, dict(zip("MNK", sizes, strict=True)))


def test_a_window_that_overlaps():
    s = scheduled(chain(24, 2))
    s.inline("B")
    io, _ = s.split("D.i", 4)
    s.compute_at("C", at=io)
    s.double_buffer("C", at=io)
    assert "alloc C: f32[26] stored at [i % 10]" in nest(s)
    built(s)


def test_refusals():
    s = scheduled(matmul(8, 8, 8))
    io, ii = s.split("C.i", 4)
    s.cache_read("C", "A")
    with pytest.raises(td.ScheduleError, match=r"'A\.C' is not inside loop 'io'"):
        s.pipeline("A.C", at=io)
    s.compute_at("A.C", at=io)
    with pytest.raises(td.ScheduleError, match="'C' is an argument or a result"):
        s.pipeline("C", at=ii)
    s.parallel(io)
    with pytest.raises(td.ScheduleError) as caught:
        s.pipeline("A.C", at=io)  # iterations at once would share the ring
    assert caught.value.witness is not None


def test_steps_are_recorded_and_read_back(tmp_path):
    s = scheduled(matmul(8, 8, 8))
    s.cache_read("C", "A", at="C.i")
    s.double_buffer("A.C", at="C.i")
    assert str(s.trace).endswith('s.double_buffer("A.C", "A.C.i")')
    again = scheduled(s.func)
    replay(json.loads(json.dumps(s.trace.json())), again)
    assert nest(again) == nest(s)
    s.save(tmp_path / "f.tdsl", algorithm="f.py:f")
    assert nest(load_schedule(tmp_path / "f.tdsl", s.func)) == nest(s)


def test_another_stage_has_one_larger_ring():
    x = td.placeholder((8, 2), "int32", name="X")
    a = td.compute((2, 2), lambda i, c: x[2, c], name="A")
    s = scheduled(td.func("f", [x], [a]))
    s.cache_read("A", "X", at="A.c")
    s.pipeline("X.A", "X.A.c")
    s.pipeline("X.A", "X.A.c")
    assert "X.A: i32[8, 2] stored at [i.1, j % 3]" in nest(s)
    with pytest.raises(td.ScheduleError, match="folded already"):
        s.fold_storage("X.A", factor=3, dim=1)
    check(s)
    np.testing.assert_array_equal(
        td.build(s)(np.arange(16).reshape(8, 2).astype("int32")), [[4, 5]] * 2
    )
