import numpy as np
import pytest

import tdsl as td
from tdsl.ir.expr import Const
from tdsl.ir.interp import interpret
from tdsl.ir.stmt import Alloc, LoopKind
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tdsl.scheduling import replay
from tests.scheduling.algorithms import blur, chain, matmul
from tests.scheduling.running import check, inputs_of, nest, scheduled


def counted(height=20, width=5, taps=3):
    """A vertical filter whose rows come from a function that can be counted."""
    a = td.placeholder((height + taps - 1, width), "float32", name="A")
    x = td.compute(a.shape, lambda i, j: td.extern("tick", "float32", a[i, j]), name="X")
    r = td.reduce_axis(taps, name="r")
    y = td.compute((height, width), lambda i, j: td.sum(x[i + r, j], axis=r), name="Y")
    return td.func("counted", [a], [y])


def calls(s):
    """How often the kernel calls the function, in lowered form; its values are checked too."""
    found = []

    def tick(value):
        found.append(value)
        return value * 2

    arrays = inputs_of(s.func, {})
    got = interpret(lower(s.program, s.target).program, arrays, externs={"tick": tick})
    count = len(found)
    wanted = interpret(s.func.program, arrays, externs={"tick": tick})
    np.testing.assert_array_equal(got["Y"], wanted["Y"])
    return count


def built(s, sizes=None):
    """The compiled kernel gives what the interpreter does."""
    check(s, sizes)
    arrays = inputs_of(s.func, sizes or {})
    wanted = interpret(s.func.program, arrays, sizes)
    (name,) = wanted
    got = td.build(s)(*(arrays[t.name] for t in s.func.inputs))
    np.testing.assert_array_equal(got, wanted[name])


def alloc_shape(s, name):
    """The storage that lowering gives a tensor."""
    dumps = dict(lower(s.program, s.target, keep=True).dumps)
    (alloc,) = [
        n
        for n in walk(dumps["apply_layouts"].body)
        if isinstance(n, Alloc) and n.buffer.name == name
    ]
    return tuple(int(e.value) if isinstance(e, Const) else None for e in alloc.buffer.shape)


def test_a_sliding_window_computes_each_row_once():
    s = scheduled(counted(20, 5, 3))
    s.compute_at("X", at="Y.i")
    assert calls(s) == 20 * 3 * 5
    s.store_at("X")
    assert calls(s) == 22 * 5
    s.fold_storage("X")
    assert calls(s) == 22 * 5
    assert alloc_shape(s, "X") == (3, 5)


def test_windows_slide_within_a_strip():
    s = scheduled(counted(20, 5, 3))
    io, ii = s.split("Y.i", 4)
    s.compute_at("X", at=ii)
    s.store_at("X", at=io)
    s.fold_storage("X")
    assert calls(s) == 5 * 6 * 5  # two rows of each strip are its neighbour's too


def test_windows_slide_in_both_stages_of_a_chain():
    s = scheduled(chain(20, 2))
    s.compute_at("C", at="D.i")
    s.store_at("C")
    s.compute_at("B", at="D.i")
    s.store_at("B")
    s.fold_storage("C", 3)
    s.fold_storage("B", 5)
    built(s)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_folded_blur_in_strips(parallel):
    s = scheduled(blur())
    yo, xo, yi, _ = s.tile("Y.i", "Y.j", 4, 4)
    s.compute_at("X", at=yi)
    s.store_at("X", at=xo)
    s.fold_storage("X")
    if parallel:
        s.parallel(yo)
    assert alloc_shape(s, "X") == (3, 4)
    for sizes in ({"H": 9, "W": 7}, {"H": 1, "W": 1}, {"H": 8, "W": 4}, {"H": 0, "W": 3}):
        built(s, sizes)


@pytest.mark.parametrize("tail", ["guard", "mask", "shift"])
def test_folds_hold_under_every_tail(tail):
    s = scheduled(blur(10, 9))
    yo, _, yi, xi = s.tile("Y.i", "Y.j", 4, 4, tail=tail)
    s.compute_at("X", at=yi)
    s.store_at("X", at=yo)
    s.vectorize(xi, 4)
    built(s)


def test_a_tensor_moves_inward_too():
    s = scheduled(blur(6, 5))
    s.compute_at("X", at="Y.i")
    s.store_at("X")
    s.store_at("X", at="Y.i")
    assert nest(s).startswith("for i in 6:\n  alloc X")
    built(s)


def test_hoisting_stops_at_iterations_that_run_at_once():
    s = scheduled(blur(12, 5))
    io, _, ii = s.split("Y.i", (None, 2, 2))
    s.compute_at("X", at=ii)
    s.parallel(io)
    s.hoist_storage("X")
    loop = s.loops("Y")[0]
    assert loop.kind is LoopKind.PARALLEL
    assert nest(s).startswith("for io in parallel(3):\n  alloc X")
    built(s)


def test_a_reduction_keeps_its_sums_outside_the_tile():
    s = scheduled(matmul(8, 8, 4, relu=True))
    io, jo, _, _ = s.tile("D.i", "D.j", 4, 4)
    s.compute_at("C", at=jo)
    s.store_at("C", at=io)
    built(s)


def test_a_fold_follows_the_layout():
    s = scheduled(blur(9, 8))
    s.compute_at("X", at="Y.i")
    s.store_at("X")
    s.transform_layout("X", "i, j -> j // 4, i, j % 4")
    s.fold_storage("X", 4, dim=0)
    assert alloc_shape(s, "X") == (2, 4, 4)
    built(s)


def test_steps_on_storage_replay_and_keep_their_options():
    s = scheduled(blur(9, 8))
    s.compute_at("X", at="Y.i")
    s.store_at("X")
    s.fold_storage("X", factor=4)
    again = td.Schedule(s.func, s.target)
    replay(s.trace.json(), again)
    assert nest(again) == nest(s)
    assert 's.fold_storage("X", factor=4)' in str(s.trace)


def running(before):
    """A running sum, kept beside a result that reads its last two values if `before` says so."""
    t = td.scan_axis(6, name="t")
    x = td.placeholder((6,), "int32", name="X")
    h = td.scan(t, {"s": ((), 0)}, lambda t, prev: {"s": prev["s"] + x[t]}, name="H")["s"]
    last = (lambda i: h[td.maximum(i - 1, 0)]) if before else (lambda i: h[i])
    y = td.compute((6,), lambda i: h[i] * last(i), name="Y")
    s = scheduled(td.func("running", [x], [y]))
    s.compute_with("Y", "H.s.t")
    return s


def test_a_step_reads_its_place_before_it_writes_there():
    s = running(before=False)
    s.fold_storage("H.s", 1)
    assert alloc_shape(s, "H.s") == (1,)
    built(s)


def test_a_place_that_a_later_block_still_reads_is_not_taken():
    s = running(before=True)
    with pytest.raises(td.ScheduleError, match=r"H.s overwrites a value of H.s that Y") as refused:
        s.fold_storage("H.s", 1)
    witness = refused.value.witness
    assert (witness.first["t"], witness.second["t"], witness.element) == (1, 1, (0,))
    s.fold_storage("H.s", 2)
    built(s)


@pytest.mark.parametrize("steps", [("vectorize", "fold"), ("fold", "vectorize")])
def test_a_place_is_not_written_twice_at_once_even_if_nobody_reads_it(steps):
    a = td.placeholder((3,), "int32", name="A")
    b = td.compute((3,), lambda i: a[i] + 1, name="B")
    c = td.compute((1,), lambda i: b[i + 1], name="C")
    s = scheduled(td.func("middle", [a], [c]))
    step = {
        "vectorize": lambda: s.vectorize("B.i"),
        "fold": lambda: s.fold_storage("B", 2, dim=0),
    }
    step[steps[0]]()
    with pytest.raises(td.ScheduleError, match="at once") as refused:
        step[steps[1]]()
    witness = refused.value.witness
    assert {witness.first["i"], witness.second["i"]} == {0, 2}
    built(s)
