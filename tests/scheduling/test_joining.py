import numpy as np
import pytest

import tdsl as td
from tdsl.ir.interp import interpret
from tests.scheduling.algorithms import blur, chain, cumsum, matmul, softmax
from tests.scheduling.running import check, inputs_of, nest, scheduled


def built(s, sizes=None):
    """The compiled kernel gives what the interpreter does."""
    check(s, sizes)
    arrays = inputs_of(s.func, sizes or {})
    wanted = interpret(s.func.program, arrays, sizes)
    got = td.build(s)(*(arrays[t.name] for t in s.func.inputs))
    got = got if isinstance(got, tuple) else (got,)
    for one, two in zip(got, wanted.values(), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5)


def pair(rows=(8, 8), columns=(6, 6)):
    """Two results of one argument, of sizes that may differ."""
    a = td.placeholder((max(rows), max(columns)), "float32", name="A")
    b = td.compute((rows[0], columns[0]), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((rows[1], columns[1]), lambda j, i: a[j, i] * 2, name="C")
    return td.func("pair", [a], [b, c])


@pytest.mark.parametrize("sizes", [(8, 8, 4), (7, 5, 3)])
def test_a_product_jams_its_rows(sizes):
    s = scheduled(matmul(*sizes))
    io, *jammed = s.unroll_and_jam("C.i", 4)
    assert [loop.name for loop in s.loops("C")] == ["io", "j", "k", "ii"]
    assert [loop.name for loop in jammed] == ["ii"]
    s.parallel(io)
    built(s)


def test_jamming_stays_outside_lanes():
    s = scheduled(matmul(8, 8, 4))
    s.reorder("k", "j")
    s.vectorize("C.j", 8)
    s.unroll_and_jam("C.i", 2)
    assert [loop.name for loop in s.loops("C")] == ["io", "k", "ii", "j"]
    built(s)


def test_each_block_of_a_loop_gets_its_own_jam():
    s = scheduled(softmax(6, 5))
    s.compute_at("total", at="out.i")
    s.compute_at("E", at="out.i")
    outer, *jammed = s.unroll_and_jam("out.i", 3)
    assert len(jammed) == 3
    assert nest(s).count("unrolled(3)") == 3 + 1  # the sum is set to zero
    assert outer.name == "io"
    built(s)


def test_a_recurrence_along_an_inner_loop_may_be_jammed():
    x = td.placeholder((5, 8), "float32", name="x")
    t = td.scan_axis(5, name="t")
    out = td.scan(
        t,
        states={"h": ((8,), 0.0)},
        step=lambda t, prev: {"h": lambda i: prev["h"][i] + x[t, i]},
        name="H",
    )
    s = scheduled(td.func("sums", [x], [out["h"]]))
    s.unroll_and_jam("i", 4)
    s.unroll_and_jam("t", 2)
    built(s)


def test_a_diagonal_recurrence_is_not_jammed():
    x = td.placeholder((8,), "float32", name="x")
    t = td.scan_axis(4, name="t")
    out = td.scan(
        t,
        states={"h": ((8,), lambda i: x[i])},
        step=lambda t, prev: {"h": lambda i: prev["h"][i] + prev["h"][td.minimum(i + 1, 7)]},
        name="H",
    )
    s = scheduled(td.func("drift", [x], [out["h"]]))
    with pytest.raises(td.ScheduleError, match="the order changes"):
        s.unroll_and_jam("t", 2)


@pytest.mark.parametrize(
    ("rows", "columns"), [((8, 8), (6, 6)), ((8, 5), (6, 6)), ((4, 7), (3, 6)), ((4, 7), (6, 3))]
)
def test_two_results_share_loops(rows, columns):
    s = scheduled(pair(rows, columns))
    s.compute_with("C", at="B.j")
    assert [loop.name for loop in s.loops("C")] == ["i", "j"]
    assert [loop.extent for loop in s.loops("C")] == [max(rows), max(columns)]
    s.vectorize("j", 4)
    s.parallel("i")
    built(s)


def test_names_inside_shared_loops_stay_unique():
    s = scheduled(pair())
    s.compute_with("C", at="B.i")
    assert [loop.name for loop in s.loops("C")] == ["i", "i_1"]
    built(s)


def test_the_order_of_blocks_does_not_depend_on_who_joins_whom():
    s = scheduled(pair())
    s.compute_with("B", at="C.i")
    assert s.blocks() == ("B", "C")
    built(s)


def test_a_consumer_shares_the_loops_of_its_producer():
    s = scheduled(chain(16, 0))
    s.compute_with("C", at="B.i")
    s.compute_with("D", at="B.i")
    assert nest(s).count("for ") == 1
    built(s)


def test_a_stencil_shares_loops_once_it_waits():
    s = scheduled(blur(6, 5))
    with pytest.raises(td.ScheduleError) as caught:
        s.compute_with("Y", at="X.i")
    assert caught.value.witness.buffer == "X"
    s.shift("Y.i", 2)
    s.compute_with("Y", at="X.i")
    s.fold_storage("X", 3, dim=0)
    built(s)


def test_a_recurrence_shares_loops_with_what_follows_it():
    f = cumsum(9)
    s = scheduled(f)
    assert s.numerics.value == "exact"
    x = td.placeholder((9,), "float32", name="x")
    t = td.scan_axis(9, name="t")
    h = td.scan(t, states={"h": ((), 0.0)}, step=lambda t, p: {"h": p["h"] + x[t]}, name="H")["h"]
    y = td.compute((9,), lambda i: h[i] * 2, name="y")
    s = scheduled(td.func("f", [x], [y]))
    s.compute_with("y", at="t")
    built(s)


def test_a_consumer_takes_over_its_producers_loops():
    s = scheduled(chain(16, 0))
    s.vectorize(s.split("B.i", 8)[1])
    s.inline("C")
    (io, ii) = s.reverse_inline("D")
    assert s.blocks() == ("D",)
    assert ii.extent == 8
    s.parallel(io)
    built(s)


def test_a_smaller_consumer_is_guarded_in_the_producers_loops():
    a = td.placeholder((10, 6), "float32", name="A")
    b = td.compute((10, 6), lambda i, j: a[i, j] + 1, name="B")
    c = td.compute((5, 7), lambda j, i: b[i, j] * 2, name="C")
    s = scheduled(td.func("crop", [a], [c]))
    s.tile("B.i", "B.j", 4, 4)
    s.reverse_inline("C")
    built(s)


def test_a_block_in_pieces_is_taken_over_piece_by_piece():
    s = scheduled(chain(16, 0))
    s.partition("B.i", 5)
    s.reverse_inline("C")
    assert s.blocks() == ("C@0", "C@1", "D")
    built(s)


def scan_with_private_steps():
    """A scan whose steps keep two tensors to themselves, and a state that reads one of them."""
    start = td.placeholder((2,), "int32", name="start")
    t = td.scan_axis(3, name="t")
    k = td.reduce_axis(2, name="k")

    def step(t, prev):
        total = td.compute((2,), lambda i: td.sum(prev["s"][k], axis=k), name="total")
        more = td.compute((2,), lambda i: total[i] + 1, name="more")
        return {"s": lambda i: total[i], "h": lambda i: prev["h"][i] + more[i]}

    made = td.scan(t, {"s": ((2,), start), "h": ((2,), 3)}, step, name="H")
    y = td.compute((3, 2), lambda i, j: made["h"][i, j] + made["s"][i, j], name="y")
    return td.func("f", [start], [y])


def test_nobody_reads_what_another_step_kept_to_itself():
    s = scheduled(scan_with_private_steps())
    with pytest.raises(td.ScheduleError, match="'total', of which each step has its own"):
        s.inline("H.s")
    s.inline("more")
    built(s)
