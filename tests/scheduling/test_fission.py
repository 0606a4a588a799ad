import pytest

import tdsl as td
from tests.scheduling.algorithms import blur, chain, matmul
from tests.scheduling.running import check, nest, scheduled


def test_fission_undoes_compute_at():
    s = scheduled(matmul(6, 8, 4, relu=True))
    i, j = s.loops("D")
    s.compute_at("C", at=i)
    with pytest.raises(td.ScheduleError, match="fission first"):
        s.reorder(j, i)
    first, second = s.fission(i, after="C")
    assert first == i
    assert s.loops("D")[0] == second
    s.reorder(j, second)
    check(s)


def test_private_tensors_move_out():
    s = scheduled(chain(16, 1))
    io, _ = s.split("D.i", 4)
    s.compute_at("C", io)
    s.compute_at("B", io)
    s.fission(io, after="B")
    assert nest(s).startswith("alloc")
    check(s)


def test_fission_needs_something_after_the_block():
    s = scheduled(blur(6, 6))
    s.compute_at("X", "Y.i")
    with pytest.raises(td.ScheduleError, match="nothing follows 'Y'"):
        s.fission("Y.i", after="Y")
    with pytest.raises(td.ScheduleError, match="not inside loop 'j'"):
        s.fission("Y.j", after="X")


def test_fission_keeps_scans_whole():
    t = td.scan_axis(6, name="t")
    x = td.placeholder((6, 4), "float32", name="x")

    def step(t, prev):
        g = td.compute((4,), lambda i: prev["h"][i] * 2, name="g")
        return {"h": lambda i: g[i] + x[t, i]}

    out = td.scan(t, states={"h": ((4,), 0.0)}, step=step, name="r")
    s = scheduled(td.func("f", [x], [out["h"]]))
    with pytest.raises(td.ScheduleError) as caught:
        s.fission("g.t", after="g")
    assert caught.value.witness is not None or "order" in caught.value.reason
