"""Where producers are computed and stored: how often they run, and what they take.

Halide: sliding_window, storage_folding, compute_at_split_rvar, skip_stages, partial_realization.
TVM: compute_at of tiled pooling, of concatenation, and its refusals; rolling buffers.
"""

import numpy as np
import pytest

import tdsl as td
from tests.prior_art.agreeing import agrees
from tests.scheduling.counting import allocated, runs, touched
from tests.scheduling.running import scheduled


def stencils(n, *reaches):
    """A chain of tensors, each the sum of two elements of the one before, `reach` apart."""
    halo = sum(reaches)
    before = td.placeholder((n + halo,), "int32", name="A")
    inputs = [before]
    for number, reach in enumerate(reaches, 1):
        halo -= reach
        before = td.compute(
            (n + halo,),
            lambda x, before=before, reach=reach: before[x] * 3 + before[x + reach],
            name=f"F{number}",
        )
    return td.func("stencils", inputs, [before])


def slide(s, name, at):
    s.compute_at(name, at)
    s.store_at(name)


def test_a_chain_of_sliding_windows_computes_each_element_once():
    """Halide counts 101 calls, then 102 for a window over a window."""
    s = scheduled(stencils(100, 1, 1, 1))
    slide(s, "F2", "F3.x")
    assert runs(s, sliding=True)["F2"] == 101
    slide(s, "F1", "F3.x")
    counts = runs(s, sliding=True)
    assert (counts["F1"], counts["F2"], counts["F3"]) == (102, 101, 100)
    s.fold_storage("F1")
    s.fold_storage("F2")
    assert allocated(s, "F1") == (3,)
    assert allocated(s, "F2") == (2,)
    agrees(s)


@pytest.mark.parametrize(("stride", "reach"), [(2, 3), (3, 1), (2, 5)])
def test_windows_that_move_by_strides(stride, reach):
    n = 20
    A = td.placeholder((stride * n + reach,), "int32", name="A")
    F = td.compute((stride * n + reach,), lambda x: A[x] * 3, name="F")
    r = td.reduce_axis(reach + 1, name="r")
    G = td.compute((n,), lambda x: td.sum(F[stride * x + r], axis=r), name="G")
    s = scheduled(td.func("strided", [A], [G]))
    slide(s, "F", "G.x")
    overlap = max(reach + 1 - stride, 0)
    assert runs(s, sliding=True)["F"] == n * (reach + 1 - overlap) + overlap
    s.fold_storage("F")
    assert allocated(s, "F") == (reach + 1,)
    agrees(s)


def blur(h, w):
    A = td.placeholder((h + 2, w), "int32", name="A")
    X = td.compute((h + 2, w), lambda y, x: A[y, x] * 2, name="X")
    Y = td.compute((h, w), lambda y, x: X[y, x] + X[y + 1, x] + X[y + 2, x], name="Y")
    return td.func("blur", [A], [Y])


def test_a_blur_with_a_sliding_window_computes_each_row_once():
    h, w = 17, 6
    s = scheduled(blur(h, w))
    slide(s, "X", "Y.y")
    assert runs(s)["X"] == 3 * h * w
    assert runs(s, sliding=True)["X"] == (h + 2) * w
    s.fold_storage("X", 3)
    assert allocated(s, "X") == (3, w)
    agrees(s, built=True)


def test_strips_in_parallel_compute_their_border_rows_again():
    h, w = 16, 5
    s = scheduled(blur(h, w))
    yo, yi = s.split("Y.y", 8)
    s.compute_at("X", yi)
    s.store_at("X", yo)
    s.parallel(yo)
    assert runs(s, sliding=True)["X"] == (h + 2 * 2) * w
    s.fold_storage("X", 3)
    assert allocated(s, "X") == (3, w)
    agrees(s)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_fold_of_too_few_rows_is_refused(rows):
    s = scheduled(blur(8, 4))
    slide(s, "X", "Y.y")
    with pytest.raises(td.ScheduleError, match=r"overwrit|still") as caught:
        s.fold_storage("X", rows)
    assert caught.value.witness is not None


def test_iterations_that_run_at_once_do_not_share_a_window():
    """TVM's rolling buffer slides under a parallel loop and is wrong; Halide refuses it.

    Here each iteration computes all that it needs; that rows then are written twice does no harm,
    as long as all rows are kept.
    """
    s = scheduled(blur(8, 4))
    s.compute_at("X", "Y.y")
    s.parallel("Y.y")
    s.store_at("X")
    assert runs(s, sliding=True)["X"] == 3 * 8 * 4
    agrees(s)
    with pytest.raises(td.ScheduleError, match=r"overwrites|at once"):
        s.fold_storage("X", 3)
    t = scheduled(blur(8, 4))
    slide(t, "X", "Y.y")
    t.fold_storage("X", 3)
    with pytest.raises(td.ScheduleError, match="overwrites"):
        t.parallel("Y.y")


def test_two_producers_of_one_window_are_not_folded_blindly():
    """Halide does not fold what two producers write; here each piece is proven to keep its rows."""
    s = scheduled(stencils(16, 2))
    s.partition("F1.x", 9)
    with pytest.raises(td.ScheduleError):
        s.fold_storage("F1", 3)
    agrees(s)


@pytest.mark.parametrize(("toggle", "loads"), [(True, 12), (False, 0)])
def test_what_a_branch_does_not_take_is_not_computed(toggle, loads):
    """A diamond: of two producers, the one that the select does not ask for computes nothing."""
    n = 12
    A, B = (td.placeholder((n,), "int32", name=name) for name in "AB")
    T = td.placeholder((1,), "bool", name="T")
    F = td.compute((n,), lambda x: A[x] * 2, name="F")
    G = td.compute((n,), lambda x: B[x] + 3, name="G")
    H = td.compute((n,), lambda x: td.select(T[0], F[x], G[x]), name="H")
    s = scheduled(td.func("diamond", [A, B, T], [H]))
    s.inline("F")
    s.inline("G")
    given = {name: np.arange(n, dtype=np.int32) for name in "AB"} | {"T": np.array([toggle])}
    loaded, _ = touched(s.program, given)
    assert len(loaded["A"]) == loads
    assert len(loaded["B"]) == n - loads
    agrees(s, arrays=given)


@pytest.mark.parametrize(("stride", "tile"), [(2, 4), (3, 3), (1, 5)])
def test_tiles_of_pooling_read_their_halo_and_no_more(stride, tile):
    n, window = 11, 3
    size = (n - 1) * stride + window
    A = td.placeholder((size, size), "int32", name="A")
    F = td.compute((size, size), lambda i, j: A[i, j] + 1, name="F")
    r, c = td.reduce_axis(window, name="r"), td.reduce_axis(window, name="c")
    P = td.compute(
        (n, n), lambda i, j: td.max(F[i * stride + r, j * stride + c], axis=(r, c)), name="P"
    )
    s = scheduled(td.func("pool", [A], [P]))
    _, jo, _, _ = s.tile("P.i", "P.j", tile, tile)
    s.compute_at("F", jo)
    s.cache_read("F", "A", at=jo)
    side = (tile - 1) * stride + window
    assert allocated(s, "F") == (side, side)
    assert allocated(s, "A.F") == (side, side)
    agrees(s)


def test_parts_of_a_concatenation_are_computed_where_they_are_read():
    A, B = (td.placeholder((n, 4), "int32", name=name) for n, name in ((5, "A"), (7, "B")))
    F = td.compute((5, 4), lambda i, j: A[i, j] * 2, name="F")
    G = td.compute((7, 4), lambda i, j: B[i, j] + 3, name="G")
    C = td.compute(
        (12, 4),
        lambda i, j: td.select(i < 5, F[td.minimum(i, 4), j], G[td.maximum(i - 5, 0), j]),
        name="C",
    )
    D = td.compute((12, 4), lambda i, j: C[i, j] * C[i, j], name="D")
    s = scheduled(td.func("concatenation", [A, B], [D]))
    s.split("D.i", 4)
    s.compute_at("C", "D.io")
    s.compute_at("F", "D.io")
    s.compute_at("G", "D.io")
    counts = runs(s)
    assert counts["C"] == counts["D"] == 48
    agrees(s)


def two_consumers():
    A = td.placeholder((8, 8), "int32", name="A")
    F = td.compute((8, 8), lambda i, j: A[i, j] + 1, name="F")
    G = td.compute((8, 8), lambda i, j: F[i, j] * 2, name="G")
    H = td.compute((8, 8), lambda i, j: F[j, i] * 3, name="H")
    return scheduled(td.func("two", [A], [G, H]))


def test_three_wrong_places_are_three_messages():
    """TVM: not all consumers under the loop; an output; another scope."""
    messages = []
    for block, at in (("F", "G.i"), ("G", "H.i"), ("F", "F.i")):
        with pytest.raises(td.ScheduleError) as caught:
            two_consumers().compute_at(block, at)
        messages.append(str(caught.value).splitlines()[0])
    assert "'H' reads 'F' too" in messages[0]
    assert len(set(messages)) == 3


def test_a_histogram_of_which_a_part_is_asked_computes_that_part():
    """256 bins, of which 100 are read: the cumulative sum runs over those."""
    bins = td.placeholder((256,), "int32", name="bins")
    F = td.compute((256,), lambda b: bins[b] * 2, name="F")
    G = td.compute((100,), lambda b: F[b] + 1, name="G")
    s = scheduled(td.func("part", [bins], [G]))
    s.split("G.b", 16)
    s.compute_at("F", "G.bo")
    assert runs(s)["F"] in range(100, 113)
    agrees(s)
