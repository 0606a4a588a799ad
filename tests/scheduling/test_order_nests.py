"""What reorder, fuse, partition, fission and placements write, and the loops that they return."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import blur, chain, increment, matmul
from tests.scheduling.running import check, nest, scheduled, text


def box(n=2, m=3, p=4):
    a = td.placeholder((n, m, p), "float32", name="A")
    b = td.compute((n, m, p), lambda i, j, k: a[i, j, k] + 1, name="B")
    return td.func("box", [a], [b])


# loops that are named trade the places they hold; the others stay
REORDERED = [
    (("k", "i", "j"), "kij"),
    (("k", "i"), "kji"),
    (("j", "i"), "jik"),
    (("k", "j"), "ikj"),
    (("j", "k", "i"), "jki"),
    (("i", "k"), "ijk"),
    (("j",), "ijk"),
    ((), "ijk"),
]


@pytest.mark.parametrize(("order", "wanted"), REORDERED)
def test_loops_trade_places(order, wanted):
    s = scheduled(box())
    extents = dict(zip("ijk", (2, 3, 4), strict=True))
    moved = s.reorder(*order)
    assert [loop.name for loop in moved] == list(order)
    lines = [f"{'  ' * n}for {name} in {extents[name]}:" for n, name in enumerate(wanted)]
    assert nest(s) == "\n".join([*lines, "      B[i, j, k] = A[i, j, k] + 1"])


def test_loops_that_are_not_named_keep_their_places():
    a = td.placeholder((2, 3, 4, 5), "float32", name="A")
    b = td.compute((2, 3, 4, 5), lambda i, j, k, m: a[i, j, k, m] + 1, name="B")
    s = scheduled(td.func("f", [a], [b]))
    s.reorder("m", "j", "i")
    assert [loop.name for loop in s.loops("B")] == ["m", "j", "k", "i"]
    s.reorder("i", "k", "m")
    assert [loop.name for loop in s.loops("B")] == ["i", "j", "k", "m"]
    s.reorder("k", "i", "j")
    assert [loop.name for loop in s.loops("B")] == ["k", "i", "j", "m"]


def test_a_loop_given_twice_is_named():
    s = scheduled(box())
    with pytest.raises(td.ScheduleError, match="loop 'k' is given twice"):
        s.reorder("i", "k", "j", "k")


def test_private_storage_stays_in_its_place_between_loops():
    s = scheduled(matmul(3, 4, 5, relu=True))
    s.compute_at("C", "D.j")
    s.reorder("D.j", "D.i")
    assert nest(s) == text("""
        for j in 4:
          for i in 3:
            alloc C: f32[3, 4]
            for i_1 in 1:
              for j_1 in 1:
                C[i + i_1, j + j_1] = 0
                for k in 5:  # reduction
                  C[i + i_1, j + j_1] += A[i + i_1, k] * B[k, j + j_1]
            D[i, j] = max(C[i, j], 0)
    """)
    s.reorder("C.k", "C.j_1")  # perfectly nested below the loop that holds two blocks
    assert [loop.name for loop in s.loops("C")] == ["j", "i", "i_1", "k", "j_1"]
    check(s)


def test_blocks_between_loops_are_named():
    s = scheduled(matmul(3, 4, 5, relu=True))
    s.compute_at("C", "D.i")
    with pytest.raises(td.ScheduleError, match="block 'C' stands between these loops, inside 'i'"):
        s.reorder("D.j", "D.i")
    # seen from the other block it is D that stands there
    with pytest.raises(td.ScheduleError, match="block 'D' stands between these loops, inside 'i'"):
        s.reorder("C.j", "C.i")


def test_loops_of_two_blocks_are_not_around_one():
    s = scheduled(blur(4, 4))
    with pytest.raises(td.ScheduleError, match="are not all around one block"):
        s.reorder("Y.j", "X.i", "Y.i")
    with pytest.raises(td.ScheduleError, match="are not all around one block"):
        s.reorder("X.i", "Y.i")


def test_a_loop_stays_inside_those_that_its_extent_depends_on():
    s = scheduled(increment("N"))
    io, ii = s.split("i", 4)
    s.reorder(ii, io)  # the extents are (N + 3) // 4 and 4: no loop's
    check(s, {"N": 6})
    s = scheduled(matmul(6, 5, 4))
    s.reorder("k", "i", "j")
    check(s)


FUSED = {
    "serial": (lambda s: (), "fused", None),
    "both parallel": (lambda s: (s.parallel("i"), s.parallel("j")), "parallel fused", None),
    "one parallel": (
        lambda s: s.parallel("i"), "fused", "# 'i' was parallel; 'i_j' is serial",
    ),
    "two marks": (
        lambda s: (s.parallel("i"), s.unroll("j")), "fused",
        "# 'i' was parallel, 'j' was unrolled; 'i_j' is serial",
    ),
    "inner mark": (
        lambda s: s.unroll("j"), "fused", "# 'j' was unrolled; 'i_j' is serial",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FUSED)
def test_two_loops_become_one(case):
    mark, kind, note = FUSED[case]
    s = scheduled(box())
    mark(s)
    i, j, k = s.loops("B")
    fused = s.fuse(i, j)
    assert (fused.name, fused.extent) == ("i_j", 6)
    assert s.loops("B") == (fused, k)
    assert not i.is_alive
    assert not j.is_alive
    assert nest(s) == text(f"""
        for i, j in {kind}(2, 3):
          for k in 4:
            B[i, j, k] = A[i, j, k] + 1
    """)
    assert [line for line in str(s.trace).splitlines() if "#" in line] == ([note] if note else [])
    check(s)


def test_fused_loops_fuse_in_their_order():
    s = scheduled(box())
    whole = s.fuse("i", s.fuse("j", "k"))
    assert whole.name == "i_j_k"
    assert whole.extent == 24
    assert nest(s) == "for i, j, k in fused(2, 3, 4):\n  B[i, j, k] = A[i, j, k] + 1"
    s = scheduled(box())
    assert s.fuse(s.fuse("i", "j"), "k").name == "i_j_k"
    assert nest(s) == "for i, j, k in fused(2, 3, 4):\n  B[i, j, k] = A[i, j, k] + 1"
    check(s)


def test_the_extent_of_a_fused_loop_is_the_product_outer_times_inner():
    n, m = td.sizes("N M")
    s = scheduled(box(n, m, 4))
    fused = s.fuse("i", "j")
    assert (fused.extent.a, fused.extent.b) == (n.expr, m.expr)
    check(s, {"N": 2, "M": 3})


def test_the_name_of_a_fused_loop_is_a_new_one():
    a = td.placeholder((2, 3, 4), "float32", name="A")
    b = td.compute((2, 3, 4), lambda i, j, i_j: a[i, j, i_j] + 1, name="B")
    s = scheduled(td.func("f", [a], [b]))
    assert s.fuse("i", "j").name == "i_j_1"
    c = td.compute((2, 3), lambda i, i_i: a[i, i_i, 0], name="C")
    s = scheduled(td.func("g", [a], [c]))
    io, ii = s.split("i", 1)
    s.fuse(io, ii)
    assert [loop.name for loop in s.loops("C")] == ["io_ii", "i_i"]


def test_loops_that_do_not_nest_directly_do_not_fuse():
    s = scheduled(box())
    with pytest.raises(td.ScheduleError, match="'i' is around 'j', not inside it") as caught:
        s.fuse("j", "i")
    assert caught.value.hint == "fuse('i', 'j')"
    with pytest.raises(td.ScheduleError, match="'k' is not the only statement directly inside 'i'"):
        s.fuse("i", "k")
    with pytest.raises(td.ScheduleError, match="'i' is not the only statement directly inside 'k'"):
        s.fuse("k", "i")


PIECES = [
    (10, (3, 7), [("3", "i"), ("4", "3 + i"), ("3", "7 + i")]),
    (10, 1, [("1", "i"), ("9", "1 + i")]),
    (10, 9, [("9", "i"), ("1", "9 + i")]),
    # a piece of a symbolic loop ends where the loop does, and may have no iteration
    (
        "N", (3, 8),
        [("min(N, 3)", "i"), ("max(min(N, 8) - 3, 0)", "3 + i"), ("max(N - 8, 0)", "8 + i")],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("extent", "points", "pieces"), PIECES)
def test_a_loop_in_pieces(extent, points, pieces):
    s = scheduled(increment(extent))
    loops = s.partition("i", points)
    assert nest(s) == "\n".join(
        f"for i in {length}:\n  B[{at}] = A[{at}] + 1" for length, at in pieces
    )
    assert [str(loop) for loop in loops] == [f"<Loop B@{n}.i>" for n in range(len(pieces))]
    for n in (0, 1, 3, 5, 8, 9) if extent == "N" else (None,):
        check(s, None if n is None else {"N": n})


def test_each_piece_has_inner_loops_and_a_mark_of_its_own():
    s = scheduled(matmul(4, 3, 2))
    s.parallel("i")
    j = s.loops("C")[1]
    pieces = s.partition("i", 1)
    assert [loop.kind.value for loop in pieces] == ["parallel", "parallel"]
    assert s.loops("C@0")[1] == j  # the first piece keeps the loops inside
    s.reorder("C@1.k", "C@1.j")
    assert nest(s) == text("""
        for i in parallel(1):
          for j in 3:
            C[i, j] = 0
            for k in 2:  # reduction
              C[i, j] += A[i, k] * B[k, j]
        for i in parallel(3):
          for j in 3:
            C[1 + i, j] = 0
          for k in 2:  # reduction
            for j in 3:
              C[1 + i, j] += A[1 + i, k] * B[k, j]
    """)
    check(s)


def test_a_fused_loop_in_pieces_counts_pairs():
    s = scheduled(matmul(4, 3, 2))
    s.partition(s.fuse("i", "j"), 5)
    assert nest(s) == text("""
        for i_j in 5:
          C[i_j // 3, i_j % 3] = 0
          for k in 2:  # reduction
            C[i_j // 3, i_j % 3] += A[i_j // 3, k] * B[k, i_j % 3]
        for i_j in 7:
          C[(5 + i_j) // 3, (5 + i_j) % 3] = 0
          for k in 2:  # reduction
            C[(5 + i_j) // 3, (5 + i_j) % 3] += A[(5 + i_j) // 3, k] * B[k, (5 + i_j) % 3]
    """)
    check(s)


def test_a_reduction_loop_in_pieces_once_its_init_stands_apart():
    s = scheduled(matmul(4, 3, 6))
    s.partition("i", 2)  # no reduction loop: each piece has an init that follows it
    assert nest(s).count("= 0") == 2
    s = scheduled(matmul(4, 3, 6))
    with pytest.raises(td.ScheduleError, match="'k' is a reduction loop of 'C', whose init"):
        s.partition("k", 5)
    s.decompose_reduction("C", "i")
    s.partition("k", 5)
    assert nest(s) == text("""
        for i in 4:
          for j in 3:
            C[i, j] = 0
        for i in 4:
          for j in 3:
            for k in 5:  # reduction
              C[i, j] += A[i, k] * B[k, j]
            for k in 1:  # reduction
              C[i, j] += A[i, 5 + k] * B[5 + k, j]
    """)
    check(s)


@pytest.mark.parametrize("at", [10, 11, (3, 10)])
def test_pieces_start_inside_the_loop(at):
    s = scheduled(increment(10))
    with pytest.raises(td.ScheduleError, match="is not inside loop 'i' of extent 10") as caught:
        s.partition("i", at)
    assert caught.value.hint == "points from 1 to 9"


def three_in_one():
    """B, C and D in one loop, each of what the one before made in the same iteration."""
    s = scheduled(chain(8, 0))
    s.compute_with("C", "B.i")
    s.compute_with("D", "B.i")
    return s


@pytest.mark.parametrize(("after", "first", "second"), [("B", "B", "CD"), ("C", "BC", "D")])
def test_a_loop_falls_apart_after_a_block(after, first, second):
    s = three_in_one()
    s.parallel("i")
    (i,) = s.loops("B")
    one, two = s.fission("i", after)
    assert (one, two) == (i, s.loops("D")[0])  # the handle stays with the first part
    assert one != two
    line = {
        "B": "  B[i] = A[i] * A[i]",
        "C": "  C[i] = B[i] + B[i + 0]",
        "D": "  D[i] = C[i] * C[i + 0]",
    }
    storage = ["alloc B: f32[8]", "alloc C: f32[8]"]
    loop = "for i in parallel(8):"
    wanted = [*storage, loop, *(line[b] for b in first), loop, *(line[b] for b in second)]
    assert nest(s) == "\n".join(wanted)
    check(s)


def test_a_loop_falls_apart_between_blocks_that_it_holds():
    s = three_in_one()
    with pytest.raises(td.ScheduleError, match="nothing follows 'D' directly inside 'i'"):
        s.fission("i", "D")
    with pytest.raises(td.ScheduleError, match="nothing follows 'B' directly inside 'i'"):
        scheduled(chain(8, 0)).fission("B.i", "B")
    s = scheduled(chain(8, 0))
    with pytest.raises(td.ScheduleError, match="block 'C' is not inside loop 'i'") as caught:
        s.fission("B.i", "C")
    assert caught.value.hint == "one of 'B'"


def test_a_loop_falls_apart_after_the_statement_that_holds_a_block():
    a = td.placeholder((4, 5), "float32", name="A")
    b = td.compute((4, 5), lambda i, j: a[i, j] * 2, name="B")
    c = td.compute((4, 5), lambda i, j: b[i, j] + 1, name="C")
    d = td.compute((4, 5), lambda i, j: c[i, j] * 3, name="D")
    s = scheduled(td.func("f", [a], [d]))
    s.compute_with("C", "B.j")
    s.compute_with("D", "B.i")
    s.fission("i", after="B")  # the loop j over B and C stays whole
    assert nest(s) == text("""
        alloc B: f32[4, 5]
        alloc C: f32[4, 5]
        for i in 4:
          for j in 5:
            B[i, j] = A[i, j] * 2
            C[i, j] = B[i, j] + 1
        for i in 4:
          for j in 5:
            D[i, j] = C[i, j] * 3
    """)
    check(s)


def test_a_fused_loop_falls_apart_into_two():
    s = scheduled(matmul(3, 4, 5, relu=True))
    s.compute_with("D", "C.j")
    s.fission(s.fuse("C.i", "C.j"), "C")
    assert nest(s) == text("""
        alloc C: f32[3, 4]
        for i, j in fused(3, 4):
          C[i, j] = 0
          for k in 5:  # reduction
            C[i, j] += A[i, k] * B[k, j]
        for i, j in fused(3, 4):
          D[i, j] = max(C[i, j], 0)
    """)
    check(s)


def test_storage_that_was_private_to_a_loop_moves_out_in_its_order():
    s = scheduled(chain(8, 1))
    io, _ = s.split("D.i", 4)
    s.compute_at("C", io)
    s.compute_at("B", io)
    first, second = s.fission(io, "B")
    assert [loop.name for loop in (first, second)] == ["io", "io"]
    assert nest(s) == text("""
        alloc B: f32[10]
        alloc C: f32[9]
        for io in 2:
          for i in 6:
            B[io * 4 + i] = A[io * 4 + i] * A[io * 4 + i]
        for io in 2:
          for i in 5:
            C[io * 4 + i] = B[io * 4 + i] + B[io * 4 + i + 1]
          for ii in 4:
            D[io * 4 + ii] = C[io * 4 + ii] * C[io * 4 + ii + 1]
    """)
    check(s)


def two_readers():
    a = td.placeholder((8,), "float32", name="A")
    b = td.compute((8,), lambda i: a[i] + 1, name="B")
    c = td.compute((8,), lambda i: b[i] * 2, name="C")
    d = td.compute((8,), lambda i: b[i] * 3, name="D")
    return td.func("two", [a], [c, d])


def test_a_consumer_that_is_not_the_only_one_leaves_storage_outside():
    s = scheduled(two_readers())
    io, _ = s.split("B.i", 4)
    (i,) = s.reverse_compute_at("C", io)
    assert s.loops("C") == (io, i)
    assert nest(s) == text("""
        alloc B: f32[8]
        for io in 2:
          for ii in 4:
            B[io * 4 + ii] = A[io * 4 + ii] + 1
          for i in 4:
            C[io * 4 + i] = B[io * 4 + i] * 2
        for i in 8:
          D[i] = B[i] * 3
    """)
    check(s)


def test_a_producer_is_made_where_it_is_read():
    s = scheduled(matmul(4, 6, 5, relu=True))
    i, j = s.loops("D")
    rebuilt = s.compute_at("C", i)
    assert [loop.name for loop in rebuilt] == ["i_1", "j", "k"]
    assert s.loops("C") == (i, *rebuilt)
    assert s.loops("D") == (i, j)
    s = scheduled(matmul(4, 6, 5, relu=True))
    i = s.loops("C")[0]
    rebuilt = s.reverse_compute_at("D", i)
    assert [loop.name for loop in rebuilt] == ["i_1", "j"]
    assert s.loops("D") == (i, *rebuilt)
    check(s)


def test_copies_stand_beside_what_reads_and_what_writes_them():
    a = td.placeholder((4,), "int32", name="A")
    b, c, d = (td.compute((4,), lambda i: a[i] * 2, name=name) for name in "BCD")
    s = scheduled(td.func("three", [a], [b, c, d]))
    s.cache_read("C", "A")
    s.cache_write("C")
    assert s.blocks() == ("B", "A.C", "C", "C.out", "D")
    check(s)


# how iterations run, whatever they did before; a mark that another one takes the place of is noted
MARKED = {
    "parallel": (lambda s: s.parallel("i"), "parallel"),
    "unroll": (lambda s: s.unroll("i"), "unrolled"),
    "vectorize": (lambda s: s.vectorize("i", 8), "vectorized"),
    "group": (lambda s: s.bind("i", "group.x"), "group.x"),
    "local": (lambda s: s.bind("i", "local.y"), "local.y"),
    "vector": (lambda s: s.bind("i", "vector"), "vectorized"),
}


@pytest.mark.parametrize("first", [None, *MARKED])
@pytest.mark.parametrize("mark", MARKED)
def test_a_mark_takes_the_place_of_another(first, mark):
    s = scheduled(increment(8), "opencl")
    (i,) = s.loops("B")
    was = None
    if first:
        MARKED[first][0](s)
        was = MARKED[first][1]
    step, kind = MARKED[mark]
    assert step(s) == i
    assert i.kind.value == kind
    assert f"for i in {kind}(8):" in nest(s)
    noted = [line for line in str(s.trace).splitlines() if "#" in line]
    assert noted == ([f"# 'i' was {was}"] if was not in (None, kind) else [])


def test_an_axis_is_bound_once_along_a_path_and_lanes_as_often_as_wanted():
    s = scheduled(box(), "opencl")
    s.bind("i", "group.x")
    s.bind("j", "local.x")
    s.bind("i", "group.x")  # it is that loop already
    with pytest.raises(td.ScheduleError, match=r"loop 'i' of the same path .* 'group\.x' already"):
        s.bind("k", "group.x")
    s.bind("j", "vector")
    s.bind("k", "vector")
    assert [loop.kind.value for loop in s.loops("B")] == ["group.x", "vectorized", "vectorized"]


def test_handles_end_with_their_loops():
    s = scheduled(increment(8))
    (i,) = s.loops("B")
    other = scheduled(s.func)
    assert i == s.loops("B")[0]
    assert hash(i) == hash(s.loops("B")[0])
    assert i != other.loops("B")[0]  # the same loop of another schedule
    assert i != i.var
    assert i != "i"
    io, ii = s.split(i, 4)
    assert io != ii
    assert (repr(io), repr(i)) == ("<Loop B.io>", "<Loop i (ended)>")
    assert (io.extent, ii.extent) == (2, 4)
    assert scheduled(increment("N")).loops("B")[0].extent.name == "N"
    with pytest.raises(AttributeError):
        i.note = "handles hold nothing else"
