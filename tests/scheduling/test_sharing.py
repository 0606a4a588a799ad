"""reuse: one storage for two tensors, where the first is needed no more."""

import json

import numpy as np
import pytest

import tdsl as td
from tdsl.ir.stmt import Alloc
from tdsl.scheduling import load_schedule, replay
from tdsl.scheduling.tree import statements
from tests.scheduling.algorithms import chain, histogram, matmul, softmax
from tests.scheduling.running import check, inputs_of, nest, scheduled


def built(s, sizes=None):
    check(s, sizes)
    arrays = list(inputs_of(s.func, sizes or {}).values())
    np.testing.assert_array_equal(td.build(s)(*arrays), td.build(td.Schedule(s.func))(*arrays))


def allocated(s):
    return sorted(x.buffer.name for x in statements(s.program.body) if isinstance(x, Alloc))


def counts(n=50):
    x = td.placeholder((n,), "int32", name="X")
    start = td.compute((8,), lambda i: td.cast(i, "int32"), name="start")
    r = td.reduce_axis(n, name="r")
    bins = td.update(start, over=r, at=x[r], value=1, op="add", name="bins")
    return td.func("counts", [x], [bins])


def squares(n=40):
    """Four tensors in a row, each from the same elements of the one before."""
    a = td.placeholder((n,), "float32", name="A")
    b = td.compute((n,), lambda i: a[i] * a[i], name="B")
    c = td.compute((n,), lambda i: b[i] + a[i], name="C")
    d = td.compute((n,), lambda i: c[i] * 3.0, name="D")
    e = td.compute((n,), lambda i: d[i] - 1.0, name="E")
    return td.func("squares", [a], [e])


def test_the_base_of_an_update_is_changed_in_place():
    s = scheduled(counts())
    s.reuse("bins", of="start")
    assert s.blocks() == ("start", "bins")
    assert allocated(s) == []
    built(s)
    with pytest.raises(td.ScheduleError, match="same element"):
        s.parallel("bins.r")
    s.atomic("bins")
    s.parallel("bins.r")
    built(s)


def test_element_by_element_in_place():
    s = scheduled(squares())
    s.reuse("C", of="B")
    s.reuse("D", of="C")
    assert allocated(s) == ["D"]
    s.vectorize("D.i", 8)
    s.parallel("C.i")
    built(s)
    s.reuse("E", of="D")
    assert allocated(s) == []
    built(s)


def test_in_place_after_scheduling():
    s = scheduled(squares())
    io, ii = s.split("E.i", 8)
    for name in ("D", "C", "B"):
        s.compute_at(name, at=io)
    s.reuse("C", of="B")
    s.reuse("D", of="C")
    s.vectorize(ii, 8)
    s.parallel(io)
    assert allocated(s) == ["D"]
    built(s)


def test_the_epilogue_of_a_product_in_place():
    s = scheduled(matmul("M", "N", "K", relu=True))
    s.reuse("D", of="C")
    io, jo, ii, ji = s.tile("C.i", "C.j", 4, 8)
    s.reorder(io, jo, "C.k", ii, ji)
    s.vectorize(ji, 8)
    s.parallel(io)
    built(s, {"M": 7, "N": 9, "K": 3})


def test_softmax_in_two_tensors():
    s = scheduled(softmax())
    s.reuse("out", of="E")
    s.reuse("total", of="top")
    assert allocated(s) == ["total"]
    built(s)


def test_a_neighbour_still_needs_the_old_value():
    s = scheduled(chain(16, 0))
    s.reuse("C", of="B")  # without a halo it reads its own element alone
    a = td.placeholder((9,), "float32", name="A")
    b = td.compute((9,), lambda i: a[i] * a[i], name="B")
    ahead = td.compute((9,), lambda i: b[i] + b[td.minimum(i + 1, 8)], name="C")
    s = scheduled(td.func("ahead", [a], [ahead]))
    s.reuse("C", of="B")  # what is ahead is read before it is written
    check(s)
    with pytest.raises(td.ScheduleError) as caught:
        s.parallel("C.i")
    assert caught.value.witness is not None
    with pytest.raises(td.ScheduleError):
        s.reverse("C.i")

    behind = td.compute((9,), lambda i: b[i] + b[td.maximum(i - 1, 0)], name="C")
    s = scheduled(td.func("behind", [a], [behind]))
    with pytest.raises(td.ScheduleError, match="C still reads B after C has written C") as caught:
        s.reuse("C", of="B")
    witness = caught.value.witness
    assert (witness.first["i"] + 1, witness.element) == (witness.second["i"], (witness.first["i"],))


def test_later_readers_and_running_twice():
    a = td.placeholder((9,), "float32", name="A")
    b = td.compute((9,), lambda i: a[i] * a[i], name="B")
    c = td.compute((9,), lambda i: b[i] + 1.0, name="C")
    d = td.compute((9,), lambda i: b[i] + c[i], name="D")
    s = scheduled(td.func("f", [a], [d]))
    with pytest.raises(td.ScheduleError, match="D still reads B after C has written C"):
        s.reuse("C", of="B")
    s.reuse("D", of="B")
    check(s)
    s = scheduled(squares())
    s.reuse("D", of="C")
    with pytest.raises(td.ScheduleError, match="run twice"):
        s.split("D.i", 16, tail="shift")  # 40 is no multiple: eight elements would be tripled twice


def test_refusals():
    s = scheduled(matmul(4, 5, 6, relu=True))
    with pytest.raises(td.ScheduleError, match="'A' is an argument or a result"):
        s.reuse("C", of="A")
    with pytest.raises(td.ScheduleError, match="lies in its own storage already"):
        s.reuse("C", of="C")
    with pytest.raises(td.ScheduleError, match=r"'A' is an argument, and lives"):
        s.reuse("A", of="C")
    s = scheduled(softmax())
    with pytest.raises(td.ScheduleError, match=r"float32\[7, 19\], and 'total' is float32\[7\]"):
        s.reuse("out", of="total")
    s.transform_layout("E", "i, j -> j, i")
    with pytest.raises(td.ScheduleError, match="reuse first"):
        s.reuse("out", of="E")
    s = scheduled(histogram())
    with pytest.raises(td.ScheduleError, match=r"td\.inout"):
        s.reuse("hist", of="zero")


def test_a_reduction_in_place_reads_other_elements_as_they_were():
    a, x = td.placeholder((6,), "int32", name="A"), td.placeholder((7,), "int32", name="X")
    b = td.compute((7,), lambda i: x[i] * x[i], name="B")
    k = td.reduce_axis(6, name="k")
    c = td.compute(
        (7,),
        lambda i: td.sum(a[k] * td.select(i < 6, b[td.minimum(i + 1, 6)], 1), axis=k),
        name="C",
    )
    s = scheduled(td.func("f", [a, x], [c]))
    s.reuse("C", "B")
    outer, _ = s.split("C.k", 4)
    s.rfactor(outer)
    built(s)


def test_an_update_in_place_that_reads_other_elements_is_not_factored():
    x = td.placeholder((8,), "int32", name="X")
    start = td.compute((8,), lambda i: x[i] * x[i], name="start")
    r = td.reduce_axis(8, name="r")
    following = td.select(r < 7, start[td.minimum(r + 1, 7)], 0)
    u = td.update(start, over=r, at=r, value=following, op="add", name="U")
    s = scheduled(td.func("f", [x], [u]))
    s.reuse("U", "start")
    outer, _ = s.split("U.r", 3)
    with pytest.raises(td.ScheduleError, match="'U' works in place, and reads other elements"):
        s.rfactor(outer)
    built(s)


@pytest.mark.parametrize(("new", "old"), [("T.0", "T.1"), ("T.1", "T.0")])
def test_results_of_one_block_have_a_place_each(new, old):
    """Whether anybody reads the other one or not."""
    a = td.placeholder((6,), "int32", name="A")
    kept, spare = td.compute((6,), lambda i: (a[i] + 1, a[i] * 2), name="T")
    c = td.compute((6,), lambda i: (kept if new == "T.0" else spare)[i] + 1, name="C")
    s = scheduled(td.func("f", [a], [c]))
    with pytest.raises(td.ScheduleError, match=f"T writes {new} and {old} at once"):
        s.reuse(new, old)
    check(s)


def test_steps_are_recorded_and_read_back(tmp_path):
    s = scheduled(squares())
    s.reuse("C", of="B")
    assert str(s.trace).endswith('s.reuse("C", "B")')
    again = scheduled(s.func)
    replay(json.loads(json.dumps(s.trace.json())), again)
    assert nest(again) == nest(s)
    s.save(tmp_path / "f.tdsl", algorithm="f.py:f")
    assert nest(load_schedule(tmp_path / "f.tdsl", s.func)) == nest(s)
