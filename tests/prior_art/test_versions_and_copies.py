"""Versions of a nest, shared loops, and copies of what is read and written.

Halide: specialize, compute_with, func_wrapper and clones, bounds_inference_outer_split,
transitive_bounds, align_bounds. TVM: cached tiles of symbolic sizes, inlined chains of index maps,
predicates that inlining keeps, decompose_padding.
"""

import pytest

import tdsl as td
from tests.prior_art.agreeing import agrees
from tests.scheduling.counting import allocated, runs, stores
from tests.scheduling.running import nest, scheduled


def increment(assume=()):
    N = td.sizes("N")
    A = td.placeholder((N,), "int32", name="A")
    B = td.compute((N,), lambda i: A[i] + 1, name="B")
    return scheduled(td.func("increment", [A], [B], assume=assume))


@pytest.mark.parametrize("n", [16, 9, 0])
def test_one_version_runs_and_only_one(n):
    s = increment()
    fast, _ = s.specialize("N % 8 == 0")
    s.vectorize(fast, 8)
    assert runs(s, {"N": n})["B"] == n
    agrees(s, {"N": n})


def test_the_fast_version_has_vectors_and_the_other_has_not():
    s = increment()
    fast, _ = s.specialize("N % 8 == 0")
    s.vectorize(fast, 8)
    assert stores(s) == (1, 1)


@pytest.mark.parametrize("n", [64, 8, 100])
def test_versions_of_versions(n):
    s = increment()
    fast, _ = s.specialize("N % 8 == 0")
    s.specialize("N >= 32", loop=fast)
    assert nest(s).count("for i") == 3
    assert runs(s, {"N": n})["B"] == n
    agrees(s, {"N": n})


def planes(h=6, w=8):
    """Brightness of each pixel and colour of each 2 x 2: results of differing extents."""
    A = td.placeholder((h, w), "int32", name="A")
    Y = td.compute((h, w), lambda i, j: A[i, j] * 3, name="Y")
    r, c = td.reduce_axis(2, name="r"), td.reduce_axis(2, name="c")
    U = td.compute(
        (h // 2, w // 2), lambda i, j: td.sum(A[2 * i + r, 2 * j + c], axis=(r, c)), name="U"
    )
    return td.func("planes", [A], [Y, U])


def test_results_of_differing_extents_share_their_loops():
    s = scheduled(planes())
    s.compute_with("U", at="Y.i")
    counts = runs(s)
    assert (counts["Y"], counts["U"]) == (48, 4 * 12)
    agrees(s)
    t = scheduled(planes())
    t.split("Y.i", 2)
    t.compute_with("U", at="Y.io")
    assert "if" not in nest(t)
    t.parallel("Y.io")
    agrees(t)


def test_loops_are_not_shared_by_what_needs_a_later_iteration():
    A = td.placeholder((8,), "int32", name="A")
    F = td.compute((8,), lambda i: A[i] + 1, name="F")
    G = td.compute((7,), lambda i: F[i + 1] * 2, name="G")
    H = td.compute((8,), lambda i: A[i] * F[i], name="H")
    func = td.func("crossing", [A], [G, H])
    s = scheduled(func)
    with pytest.raises(td.ScheduleError) as caught:
        s.compute_with("G", at="F.i")
    assert caught.value.witness.buffer == "F"
    s.compute_with("H", at="G.i")
    agrees(s)
    t = scheduled(func)
    t.compute_with("G", at="F.i", unsafe=True)
    t.shift("F.i", 1, block="G")
    agrees(t)


def test_wrappers_at_tiles_are_computed_once_for_each_reader():
    """Halide's in() and clone_in(): a copy for each consumer, of what its tile reads."""
    A = td.placeholder((12, 12), "int32", name="A")
    F = td.compute((12, 12), lambda i, j: A[i, j] * 5, name="F")
    G = td.compute((12, 12), lambda i, j: F[i, j] + 1, name="G")
    H = td.compute((12, 12), lambda i, j: F[j, i] * 2, name="H")
    s = scheduled(td.func("wrapped", [A], [G, H]))
    _, go, _, _ = s.tile("G.i", "G.j", 4, 4)
    _, ho, _, _ = s.tile("H.i", "H.j", 4, 6)
    first = s.cache_read("G", "F", at=go)
    second = s.cache_read("H", "F", at=ho)
    counts = runs(s)
    assert [counts[name] for name in ("F", first, second)] == [144, 144, 144]
    assert allocated(s, first) == (4, 4)
    assert allocated(s, second) == (6, 4)
    s.inline("F")
    agrees(s)


@pytest.mark.parametrize("sizes", [(5, 7, 6), (1, 1, 1), (8, 8, 0)])
def test_cached_tiles_of_symbolic_products_are_as_large_as_the_tile(sizes):
    M, N, K = td.sizes("M N K")
    A = td.placeholder((M, K), "int32", name="A")
    B = td.placeholder((K, N), "int32", name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    s = scheduled(td.func("matmul", [A, B], [C]))
    io, jo, ii, ji = s.tile("C.i", "C.j", 4, 4)
    ko, ki = s.split("C.k", 2)
    s.reorder(io, jo, ko, ki, ii, ji)
    a = s.cache_read("C", "A", at=ko)
    b = s.cache_read("C", "B", at=ko)
    s.cache_write("C", "stack", at=jo)
    assert allocated(s, a) == (4, 2)
    assert allocated(s, b) == (2, 4)
    assert allocated(s, "C.cache") == (4, 4)
    agrees(s, dict(zip("MNK", sizes, strict=True)))


def test_a_chain_of_index_maps_is_inlined_in_both_orders():
    """Packed by 4 and unpacked again: what is left reads the argument at i, j."""
    A = td.placeholder((8, 12), "int32", name="A")
    P = td.compute((3, 8, 4), lambda o, i, l: A[i, o * 4 + l], name="P")
    Q = td.compute((12, 8), lambda j, i: P[j // 4, i, j % 4], name="Q")
    R = td.compute((8, 12), lambda i, j: Q[j, i] + 1, name="R")
    for order in (("P", "Q"), ("Q", "P")):
        s = scheduled(td.func("remapped", [A], [R]))
        for name in order:
            s.inline(name)
        assert set(runs(s)) == {"R"}
        agrees(s)


def test_inlined_padding_keeps_its_condition():
    n = 9
    A = td.placeholder((n,), "int32", name="A")
    P = td.pad(A, 2, name="P")
    r = td.reduce_axis(5, name="r")
    C = td.compute((n,), lambda i: td.sum(P[i + r], axis=r), name="C")
    s = scheduled(td.func("padded", [A], [C]))
    s.inline("P")
    s.split("C.i", 4)
    agrees(s, built=True)
    assert set(runs(s)) == {"C", "C.init"}


@pytest.mark.parametrize("tail", ["guard", "shift"])
def test_padding_is_filled_and_copied_apart(tail):
    """decompose_padding: the border and the inside are pieces with loops of their own."""
    h, w = 7, 6
    A = td.placeholder((h, w), "int32", name="A")
    P = td.pad(A, 1, name="P")
    s = scheduled(td.func("pad", [A], [P]))
    i, j = s.loops("P")
    s.partition(i, (1, 1 + h))
    _, inside, _ = s.partition(f"P@1.{j.name}", (1, 1 + w))
    s.split(inside, 4, tail=tail)
    agrees(s)


@pytest.mark.parametrize("n", [0, 1, 5, 8, 13])
def test_what_is_needed_of_a_producer_follows_from_all_readers(n):
    """The union of the elements read through two stages and two readers, by brute force."""
    N = td.sizes("N")
    A = td.placeholder((2 * N + 9,), "int32", name="A")
    F = td.compute((2 * N + 9,), lambda i: A[i] + 3, name="F")
    G = td.compute((N + 3,), lambda i: F[2 * i] + F[2 * i + 2], name="G")
    H = td.compute((N,), lambda i: G[i + 1] * G[i + 3 - 1] + F[i + 4], name="H")
    s = scheduled(td.func("transitive", [A], [H]))
    s.split("H.i", 4)
    s.compute_at("G", "H.io")
    s.compute_at("F", "H.io")
    agrees(s, {"N": n})


def test_a_loop_whose_length_follows_from_facts_may_be_unrolled():
    s = increment(assume=["N == 4"])
    with pytest.raises(td.ScheduleError, match="constant"):
        s.unroll("B.i")
    _, ii = s.split("B.i", 4)
    s.unroll(ii)
    agrees(s, {"N": 4})


def test_a_tile_that_is_rounded_up_is_cut_to_what_was_asked():
    """Halide realises 32 x 24 for 30 x 20 and returns a crop; here an output has its own extent."""
    A = td.placeholder((30, 20), "int32", name="A")
    F = td.compute((30, 20), lambda i, j: td.cast(i * 3 + j, "int32"), name="F")
    G = td.compute((30, 20), lambda i, j: F[i, j] * A[i, j], name="G")
    s = scheduled(td.func("crop", [A], [G]))
    s.tile("F.i", "F.j", 16, 8, tail="pad")
    assert allocated(s, "F") == (32, 24)
    with pytest.raises(td.ScheduleError):
        s.tile("G.i", "G.j", 16, 8, tail="pad")
    agrees(s)
