import pytest

import tdsl as td
from tdsl.analysis import Refused, prove
from tdsl.ir import frames
from tests.analysis.asking import REASSOCIATES, accepted, refused
from tests.analysis.nests import schedule


@pytest.fixture
def blur():
    """C[i, j] over N + 2 rows, D[i, j] = C[i, j] + C[i+1, j] + C[i+2, j]."""
    N, M = td.sizes("N M")
    A = td.placeholder((N + 2, M), "float32", name="A")
    C = td.compute((N + 2, M), lambda i, j: A[i, j] * 2.0, name="C")
    D = td.compute((N, M), lambda i, j: C[i, j] + C[i + 1, j] + C[i + 2, j], name="D")
    return td.func("blur", [A], [D]).program


TILE = """
{kind}io in (N+7)//8:
  alloc C:
    ci in {rows}:
      cj in M:
        C(io*8+ci, cj) if io*8+ci < N+2
    ii in 8:
      j in M:
        D(io*8+ii, j) if io*8+ii < N
"""
SHARED = """
alloc C:
  {kind}io in (N+7)//8:
    ci in 10:
      cj in M:
        C(io*8+ci, cj) if io*8+ci < N+2
    ii in 8:
      j in M:
        D(io*8+ii, j) if io*8+ii < N
"""


@pytest.mark.parametrize("kind", ["", "par ", "gx "])
def test_a_tile_with_its_halo_in_a_private_copy(blur, kind):
    accepted(blur, TILE.format(kind=kind, rows=10))
    accepted(blur, TILE.format(kind=kind, rows=12))


@pytest.mark.parametrize("kind", ["", "par "])
def test_a_tile_without_its_halo_is_refused(blur, kind):
    refusal = refused(blur, TILE.format(kind=kind, rows=9), "coverage")
    assert refusal.witness.buffer == "C"


def test_single_assigned_halos_may_be_shared(blur):
    accepted(blur, SHARED.format(kind=""))
    accepted(blur, SHARED.format(kind="par "))


SLIDE = """
alloc C{layout}:
  {warm}
  {kind}i in N:
    cj in M:
      C(i+2, cj)
    j in M:
      D(i, j)
"""
WARM = "w in 2:\n    wj in M:\n      C(w, wj)"
NONE = "w in 0:\n    wj in M:\n      C(w, wj)"


def test_a_sliding_window(blur):
    accepted(blur, SLIDE.format(layout="", warm=WARM, kind=""))
    refused(blur, SLIDE.format(layout="", warm=NONE, kind=""), "coverage")
    refused(blur, SLIDE.format(layout="", warm=WARM, kind="par "))


@pytest.mark.parametrize(("rows", "fits"), [(3, True), (4, True), (2, False), (1, False)])
def test_a_folded_window_keeps_the_rows_it_still_needs(blur, rows, fits):
    text = SLIDE.format(layout=f" layout a, b -> a % {rows}, b", warm=WARM, kind="")
    if fits:
        accepted(blur, text)
    else:
        assert "overwrites" in refused(blur, text, "WAR").reason


def test_a_fold_without_a_sliding_window_is_refused(blur):
    refused(
        blur,
        "alloc C layout a, b -> a % 3, b:\n  i in N+2:\n    j in M:\n      C(i, j)\n"
        "  i in N:\n    j in M:\n      D(i, j)\n",
        "WAR",
    )


def test_strips_that_slide_and_fold(blur):
    text = """
par io in (N+7)//8:
  alloc C layout a, b -> a % 3, b:
    w in 2:
      wj in M:
        C(io*8+w, wj)
    ii in 8:
      cj in M:
        C(io*8+ii+2, cj) if io*8+ii < N
      j in M:
        D(io*8+ii, j) if io*8+ii < N
"""
    accepted(blur, text)
    refused(blur, text.replace("a % 3", "a % 2"), "WAR")


def test_an_injective_layout_changes_nothing(blur):
    layout = " layout a, b -> a // 4, b, a % 4"
    accepted(blur, SLIDE.format(layout=layout, warm=WARM, kind=""))


@pytest.mark.parametrize(
    ("ahead", "fold", "fits"), [(1, 2, True), (2, 3, True), (2, 2, False), (1, 1, False)]
)
def test_a_pipeline_needs_a_place_for_each_stage_in_flight(ahead, fold, fits):
    A = td.placeholder((64, 16), "float32", name="A")
    C = td.compute((64, 16), lambda i, j: A[i, j] * 2.0, name="C")
    D = td.compute((64, 16), lambda i, j: C[i, j] + 1.0, name="D")
    program = td.func("pipe", [A], [D]).program
    text = f"""
alloc C layout a, b -> a % {fold}, b:
  w in {ahead}:
    wj in 16:
      C(w, wj)
  i in 64:
    cj in 16:
      C(i+{ahead}, cj) if i+{ahead} < 64
    j in 16:
      D(i, j)
"""
    if fits:
        accepted(program, text)
        refused(program, text.replace(f"w in {ahead}", "w in 0"), "coverage")
    else:
        refused(program, text, "WAR")


def chain(stages):
    N = td.sizes("N")
    T = td.placeholder((N + 2 * stages,), "float32", name="T0")
    first = T
    for s in range(1, stages + 1):
        below = T
        T = td.compute(
            (N + 2 * (stages - s),),
            lambda i, below=below: below[i] + below[i + 1] + below[i + 2],
            name=f"T{s}",
        )
    return td.func("chain", [first], [T]).program


def chain_tile(stages, missing=None):
    lines = ["par io in (N+7)//8:"]
    lines += ["  " * s + f"alloc T{s}:" for s in range(1, stages)]
    pad = "  " * stages
    for s in range(1, stages + 1):
        halo = 2 * (stages - s)
        rows = 8 + halo - (s == missing)
        lines += [
            f"{pad}i{s} in {rows}:",
            f"{pad}  T{s}(io*8+i{s}) if io*8+i{s} < N+{halo}",
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("stages", [2, 4, 8])
def test_chains_of_stencils_recompute_their_halos(stages):
    program = chain(stages)
    accepted(program, chain_tile(stages))
    refused(program, chain_tile(stages, missing=stages // 2), "coverage")


@pytest.fixture
def producer_consumer():
    A = td.placeholder((60,), "float32", name="A")
    C = td.compute((60,), lambda i: A[i] * 2.0, name="C")
    D = td.compute((60,), lambda i: C[i] + 1.0, name="D")
    E = td.compute((60,), lambda i: C[59 - i] + 1.0, name="E")
    return td.func("f", [A], [D, E]).program


def test_fusing_with_a_reader_of_the_same_element(producer_consumer):
    accepted(producer_consumer, "i in 60:\n  C(i)\n  D(i)\nj in 60:\n  E(j)\n")
    accepted(producer_consumer, "par i in 60:\n  C(i)\n  D(i)\npar j in 60:\n  E(j)\n")
    accepted(producer_consumer, "i in 60:\n  C(i)\n  D(i)\nj in 60:\n  C(59-j)\n  E(j)\n")


def test_fusing_with_a_reader_of_another_element_is_refused(producer_consumer):
    refused(producer_consumer, "i in 60:\n  C(i)\n  E(i)\nj in 60:\n  D(j)\n", "RAW")
    accepted(producer_consumer, "i in 60:\n  C(i)\n  E(59-i)\nj in 60:\n  D(j)\n")


def test_the_consumer_first_is_refused(producer_consumer):
    refused(producer_consumer, "i in 60:\n  D(i)\n  C(i)\nj in 60:\n  E(j)\n", "RAW")


def test_a_private_copy_does_not_reach_other_iterations(producer_consumer):
    refusal = refused(
        producer_consumer, "i in 60:\n  alloc C:\n    C(i)\n    D(i)\n    E(i)\n", "RAW"
    )
    assert "another copy" in refusal.reason


def test_an_access_outside_every_copy_is_refused(producer_consumer):
    text = "i in 60:\n  alloc C:\n    C(i)\n    D(i)\nj in 60:\n  E(j)\n"
    refusal = refused(producer_consumer, text)
    assert "outside its allocation" in refusal.reason


def test_a_missing_block_is_refused(producer_consumer):
    refused(producer_consumer, "i in 60:\n  C(i)\ni in 60:\n  D(i)\n", "coverage")
    refused(producer_consumer, "i in 60:\n  D(i)\ni in 60:\n  E(i)\n", "coverage")


def test_a_block_of_another_algorithm_is_refused(producer_consumer, blur):
    with pytest.raises(Refused, match="not part of the algorithm"):
        prove(producer_consumer, blur)


def test_pieces_of_a_loop_cover_it_together(producer_consumer):
    pieces = (
        "i in 20:\n  C(i)\ni in 20:\n  C(20+i)\ni in {}:\n  C(40+i)\npar i in 60:\n  D(i)\n  E(i)\n"
    )
    accepted(producer_consumer, pieces.format(20))
    refused(producer_consumer, pieces.format(19), "coverage")


def test_pieces_of_a_result_must_not_drop_one(producer_consumer):
    text = "i in 60:\n  C(i)\ni in 30:\n  D(i)\ni in {}:\n  D(30+i)\ni in 60:\n  E(i)\n"
    accepted(producer_consumer, text.format(30))
    refused(producer_consumer, text.format(29), "coverage", (59,))


def test_a_whole_reduction_inside_the_tile_of_its_reader():
    M, N, K = td.sizes("M N K")
    A = td.placeholder((M, K), "float32", name="A")
    B = td.placeholder((K, N), "float32", name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    D = td.compute((M, N), lambda i, j: td.maximum(C[i, j], 0.0), name="D")
    program = td.func("mm", [A, B], [D]).program
    tile = """
par io in (M+8)//9:
  jo in (N+47)//48:
    alloc C:
      {k}:
        ci in 9:
          vec cj in {width}:
            C(io*9+ci, jo*48+cj, {bound}) if io*9+ci < M, jo*48+cj < N
      ii in 9:
        vec ji in 48:
          D(io*9+ii, jo*48+ji) if io*9+ii < M, jo*48+ji < N
"""
    accepted(program, tile.format(k="k in K", width=48, bound="k"))
    accepted(program, tile.format(k="k in K", width=50, bound="k"))
    accepted(program, tile.format(k="k in K", width=48, bound="K-1-k"), REASSOCIATES)
    refused(program, tile.format(k="k in K", width=47, bound="k"), "coverage")
    refused(program, tile.format(k="k in K-1", width=48, bound="k"), "coverage")
    refused(program, tile.format(k="k in K", width=48, bound="k").replace("k in K", "par k in K"))


def test_overlapping_tiles_of_a_reduction():
    """D reads C[i] and C[i + 1]: rows of C are computed twice, as a whole."""
    N, K = td.sizes("N K")
    A = td.placeholder((N + 1, K), "float32", name="A")
    k = td.reduce_axis(K, name="k")
    C = td.compute((N + 1,), lambda i: td.sum(A[i, k], axis=k), name="C")
    D = td.compute((N,), lambda i: C[i] + C[i + 1], name="D")
    program = td.func("f", [A], [D]).program
    inner = """
  {k}:
    ci in 9:
      C(io*8+ci, k) if io*8+ci < N+1
  ii in 8:
    D(io*8+ii) if io*8+ii < N
"""
    shared = "alloc C:\n  {kind}io in (N+7)//8:" + inner.replace("\n", "\n  ").rstrip() + "\n"
    private = "{kind}io in (N+7)//8:\n  alloc C:" + inner.replace("\n", "\n  ").rstrip() + "\n"
    accepted(program, shared.format(kind="", k="k in K"))
    accepted(program, private.format(kind="", k="k in K"))
    accepted(program, private.format(kind="par ", k="k in K"))
    refused(program, shared.format(kind="par ", k="k in K"), "WAW")
    again = private.format(kind="", k="n in 2:\n      k in K").replace("    ci in", "      ci in")
    accepted(program, again.replace("      C(io", "        C(io"))
    twice = private.format(kind="", k="k in K:\n      n in 2").replace("    ci in", "      ci in")
    refused(program, twice.replace("      C(io", "        C(io"), "WAW")


def test_a_tile_inside_the_reduction_of_its_reader():
    """S[i] = sum over k of P[i + k]: P is computed for the reader's tile, again in every step."""
    N = td.sizes("N")
    A = td.placeholder((N + 4,), "float32", name="A")
    P = td.compute((N + 4,), lambda i: A[i] * 2.0, name="P")
    k = td.reduce_axis(4, name="k")
    S = td.compute((N,), lambda i: td.sum(P[i + k], axis=k), name="S")
    program = td.func("f", [A], [S]).program
    text = """
par io in (N+7)//8:
  k in 4:
    alloc P:
      pi in 8:
        P(io*8+k+pi) if io*8+k+pi < N+4
      ii in 8:
        S(io*8+ii, k) if io*8+ii < N
"""
    accepted(program, text)
    refused(program, text.replace("pi in 8", "pi in 7"), "coverage")


def test_padding_grows_storage_of_its_own_only():
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    B = td.compute((N,), lambda i: A[i] + 1.0, name="B")
    C = td.compute((N,), lambda i: B[i] * 2.0, name="C")
    D = td.compute((N,), lambda i: C[i] * 2.0, name="D")
    program = td.func("f", [A], [D]).program
    text = """
i in N:
  B(i)
io in (N+7)//8:
  vec ii in 8:
    C(io*8+ii)
i in N:
  D(i)
"""
    accepted(program, text)  # C and B are allocations: they grow
    reads_argument = text.replace(
        "i in N:\n  B(i)\n", "io in (N+7)//8:\n  ii in 8:\n    B(io*8+ii)\n"
    )
    refused(program, reads_argument, "bounds")
    writes_result = text.replace(
        "i in N:\n  D(i)\n", "io in (N+7)//8:\n  ii in 8:\n    D(io*8+ii)\n"
    )
    refused(program, writes_result, "bounds")
    folded = "alloc C layout a -> a % 64:\n" + "".join(
        f"  {s}\n" for s in text.strip().splitlines()
    )
    refused(program, folded)


def test_padded_reductions_are_refused():
    N = td.sizes("N")
    A = td.placeholder((N, N), "float32", name="A")
    B = td.compute((N, N), lambda i, j: A[i, j] + 1.0, name="B")
    k = td.reduce_axis(N, name="k")
    C = td.compute((N,), lambda i: td.sum(B[i, k], axis=k), name="C")
    D = td.compute((N,), lambda i: C[i], name="D")
    program = td.func("f", [A], [D]).program
    before, after = "i in N:\n  j in N:\n    B(i, j)\n", "i in N:\n  D(i)\n"
    rows = "io in (N+7)//8:\n  ii in 8:\n    k in N:\n      C(io*8+ii, k)\n"
    accepted(program, before + rows + after)
    columns = "i in N:\n  ko in (N+7)//8:\n    ki in 8:\n      C(i, ko*8+ki)\n"
    refused(program, before + columns + after, "bounds")


@pytest.fixture
def softmax():
    M, N = td.sizes("M N")
    X = td.placeholder((M, N), "float32", name="X")
    k, q = td.reduce_axis(N, name="k"), td.reduce_axis(N, name="q")
    mx = td.compute((M,), lambda i: td.max(X[i, k], axis=k), name="mx")
    ex = td.compute((M, N), lambda i, j: td.exp(X[i, j] - mx[i]), name="ex")
    sm = td.compute((M,), lambda i: td.sum(ex[i, q], axis=q), name="sm")
    out = td.compute((M, N), lambda i, j: ex[i, j] / sm[i], name="out")
    return td.func("softmax", [X], [out]).program


ROWS = """
{kind}i in M:
  alloc mx:
    alloc ex:
      alloc sm:
        {maxima} in N:
          mx(i, k)
        j in N:
          ex(i, j)
        q in N:
          sm(i, q)
        j in N:
          out(i, j)
"""


def test_softmax_row_by_row(softmax):
    accepted(softmax, ROWS.format(kind="", maxima="k"))
    accepted(softmax, ROWS.format(kind="par ", maxima="k"))
    refused(softmax, ROWS.format(kind="", maxima="vec k"), "WAW")


def test_softmax_recomputed_in_the_sum(softmax):
    text = """
par i in M:
  alloc mx:
    alloc sm:
      alloc ex:
        k in N:
          mx(i, k)
        q in N:
          ex(i, q)
          sm(i, q)
        j in N:
          ex(i, j)
          out(i, j)
"""
    accepted(softmax, text)


def test_softmax_in_one_loop_is_refused(softmax):
    text = """
i in M:
  alloc mx:
    alloc ex:
      alloc sm:
        j in N:
          mx(i, j)
          ex(i, j)
          sm(i, j)
          out(i, j)
"""
    refused(softmax, text)
    late = ROWS.format(kind="", maxima="k").replace("ex(i, j)", "?").replace("sm(i, q)", "ex(i, q)")
    refused(softmax, late.replace("?", "sm(i, j)"))


def test_resizing_by_two_thirds():
    A = td.placeholder((66,), "float32", name="A")
    C = td.compute((66,), lambda i: A[i] * 2.0, name="C")
    D = td.compute((96,), lambda i: C[i * 2 // 3] + C[i * 2 // 3 + 1], name="D")
    program = td.func("resize", [A], [D]).program
    text = """
par io in 8:
  alloc C:
    ci in {rows}:
      C(io*8+ci)
    ii in 12:
      D(io*12+ii)
"""
    accepted(program, text.format(rows=9))
    refused(program, text.format(rows=8), "coverage")


def test_a_reshape_fused_in_chunks():
    A = td.placeholder((12, 20), "float32", name="A")
    C = td.compute((12, 20), lambda i, j: A[i, j] * 2.0, name="C")
    D = td.compute((16, 15), lambda i, j: C[(i * 15 + j) // 20, (i * 15 + j) % 20], name="D")
    program = td.func("reshape", [A], [D]).program
    text = """
par c in 4:
  i in 3:
    j in 20:
      C(c*3+i, j)
  i in {rows}:
    j in 15:
      D(c*4+i, j)
"""
    accepted(program, text.format(rows=4))
    flat = """
par c in 4:
  p in 60:
    C((c*60+p)//20, (c*60+p)%20)
  p in 60:
    D((c*60+p)//15, (c*60+p)%15)
"""
    accepted(program, flat)
    refused(program, flat.replace("p in 60", "p in 59", 1), "coverage")


def test_repeated_fusing_and_splitting_stays_cheap():
    A = td.placeholder((8, 9, 10), "float32", name="A")
    C = td.compute((8, 9, 10), lambda i, j, k: A[i, j, k] * 2.0, name="C")
    program = td.func("f", [A], [C]).program
    # fuse (i, j), split by 5, fuse, split by 7, fuse with k, split by 11
    f = "((a*11+b)//10)"
    indices = f"({f}//7*7+{f}%7)//9, ({f}//5*5+{f}%5)%9, (a*11+b)%10"
    accepted(program, f"a in 66:\n  b in 11:\n    C({indices}) if a*11+b < 720\n")


def test_a_symbolic_fused_loop_keeps_its_parts(blur):
    text = "par fuse i in N+2, j in M:\n  C(i, j)\npar fuse i in N, j in M:\n  D(i, j)\n"
    accepted(blur, text)


def test_products_of_loops_and_sizes_are_refused_politely(blur):
    text = "i in N+2:\n  j in M:\n    C(i, j)\nf in N*M:\n  D(f//M, f%M)\n"
    refusal = refused(blur, text)
    assert "affine" in refusal.reason


def test_unknown_is_refused(blur, monkeypatch):
    scheduled = schedule(blur, TILE.format(kind="", rows=10))
    prove(blur, scheduled)
    monkeypatch.setattr(frames, "BUDGET", 3)
    with pytest.raises(Refused, match="could not be decided"):
        prove(blur, scheduled)
