"""What split, tile and vectorize write: the new loops, the old index in them, and its condition."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import increment, matmul
from tests.scheduling.running import check, nest, scheduled, text

# factors, tail -> the new loops, the old loop variable, the condition that keeps it in its range
CONSTANT = [
    # blocks of 4 over 10: three of them, the last of which has 2 iterations too many
    (10, 4, "guard", "io 3, ii 4", "io * 4 + ii", "io * 4 + ii < 10"),
    (10, 4, "mask", "io 3, ii 4", "io * 4 + ii", "io * 4 + ii < 10"),
    (10, 4, "peel", "io 3, ii 4", "io * 4 + ii", "io * 4 + ii < 10"),
    # the last block starts at 10 - 4, and there is room for it: nothing to ask
    (10, 4, "shift", "io 3, ii 4", "min(io * 4, 6) + ii", None),
    # blocks of 4, 3 and 3: the first 10 % 3 have one more, and each ends where the next one starts
    (
        10, 4, "balance", "io 3, ii 4", "io * 3 + min(io, 1) + ii",
        "io * 3 + min(io, 1) + ii < (io + 1) * 3 + min(io + 1, 1)",
    ),
    (9, 4, "balance", "io 3, ii 3", "io * 3 + ii", None),  # three equal blocks
    (3, 4, "balance", "io 1, ii 3", "io * 3 + ii", None),
    (3, 4, "shift", "io 1, ii 4", "min(io * 4, 0) + ii", "min(io * 4, 0) + ii < 3"),
    (3, 4, "guard", "io 1, ii 4", "io * 4 + ii", "io * 4 + ii < 3"),
    (12, 4, "guard", "io 3, ii 4", "io * 4 + ii", None),
    (12, 4, "mask", "io 3, ii 4", "io * 4 + ii", None),
    (12, 4, "shift", "io 3, ii 4", "io * 4 + ii", None),
    (12, 4, "balance", "io 3, ii 4", "io * 4 + ii", None),
    (12, 4, "exact", "io 3, ii 4", "io * 4 + ii", None),
    (0, 4, "guard", "io 0, ii 4", "io * 4 + ii", None),
    (7, 1, "guard", "io 7, ii 1", "io + ii", None),
    # several parts: the None has what is left of 24, or of 23 rounded up
    (24, (None, 2, 3), "exact", "io 4, im 2, ii 3", "io * 6 + (im * 3 + ii)", None),
    (
        23, (None, 2, 3), "guard", "io 4, im 2, ii 3", "io * 6 + (im * 3 + ii)",
        "io * 6 + (im * 3 + ii) < 23",
    ),
    (23, (None, 2, 3), "shift", "io 4, im 2, ii 3", "min(io * 6, 17) + (im * 3 + ii)", None),
    (24, (2, None, 3), "exact", "io 2, im 4, ii 3", "(io * 4 + im) * 3 + ii", None),
    (24, (2, None, 3), "shift", "io 2, im 4, ii 3", "(io * 4 + im) * 3 + ii", None),
    (
        23, (2, None, 3), "peel", "io 2, im 4, ii 3", "(io * 4 + im) * 3 + ii",
        "(io * 4 + im) * 3 + ii < 23",
    ),
    (23, (2, None, 3), "guard", "io 2, im 4, ii 3", "(io * 4 + im) * 3 + ii",
     "(io * 4 + im) * 3 + ii < 23"),
    (10, (2, 3, None), "mask", "io 2, im 3, ii 2", "(io * 3 + im) * 2 + ii",
     "(io * 3 + im) * 2 + ii < 10"),
    # fewer iterations than factors: the None has one
    (5, (2, None, 4), "guard", "io 2, im 1, ii 4", "(io + im) * 4 + ii", "(io + im) * 4 + ii < 5"),
    (0, (3, None), "guard", "io 3, ii 1", "io + ii", "io + ii < 0"),
    (9, (3, None), "guard", "io 3, ii 3", "io * 3 + ii", None),
    (48, (None, 2, 3, 4), "guard", "io 2, im0 2, im1 3, ii 4",
     "io * 24 + ((im0 * 3 + im1) * 4 + ii)", None),
]  # fmt: skip

SYMBOLIC = [
    ("N", 4, "guard", "io (N + 3) // 4, ii 4", "io * 4 + ii", "io * 4 + ii < N"),
    ("N", 4, "mask", "io (N + 3) // 4, ii 4", "io * 4 + ii", "io * 4 + ii < N"),
    ("N", 4, "peel", "io (N + 3) // 4, ii 4", "io * 4 + ii", "io * 4 + ii < N"),
    # N may be less than a block, which then starts at 0 and is left early
    (
        "N", 4, "shift", "io (N + 3) // 4, ii 4", "min(io * 4, max(N - 4, 0)) + ii",
        "min(io * 4, max(N - 4, 0)) + ii < N",
    ),
    ("N", 1, "guard", "io N, ii 1", "io + ii", None),
]  # fmt: skip


def expected(loops, index, condition, tail):
    """The nest of `B[i] = A[i] + 1` with other loops."""
    lines = []
    for depth, loop in enumerate(loops.split(", ")):
        name, extent = loop.split(" ", 1)
        lines.append(f"{'  ' * depth}for {name} in {extent}:")
    asked = f"if {condition}: " if condition else ""
    mark = f"  # {tail}" if condition and tail != "guard" else ""
    lines.append(f"{'  ' * len(lines)}{asked}B[{index}] = A[{index}] + 1{mark}")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("extent", "factors", "tail", "loops", "index", "condition"), CONSTANT + SYMBOLIC
)
def test_a_split_loop(extent, factors, tail, loops, index, condition):
    s = scheduled(increment(extent))
    parts = s.split("i", factors, tail=tail)
    assert nest(s) == expected(loops, index, condition, tail)
    assert [part.name for part in parts] == [loop.split(" ")[0] for loop in loops.split(", ")]
    assert parts == s.loops("B")
    check(s, {"N": 7} if extent == "N" else None)


def test_the_names_of_the_parts_are_new_ones():
    a = td.placeholder((4, 4, 4), "float32", name="A")
    b = td.compute((4, 4, 4), lambda i, io, ji: a[i, io, ji] + 1, name="B")
    s = scheduled(td.func("f", [a], [b]))
    assert [loop.name for loop in s.tile("i", "ji", 2, 2)] == ["io_1", "jio", "ii", "jii"]
    assert nest(s) == text("""
        for io_1 in 2:
          for jio in 2:
            for io in 4:
              for ii in 2:
                for jii in 2:
                  B[io_1 * 2 + ii, io, jio * 2 + jii] = A[io_1 * 2 + ii, io, jio * 2 + jii] + 1
    """)


def test_a_tiled_loop_may_give_its_name_to_a_part_of_the_other():
    a = td.placeholder((4, 6), "float32", name="A")
    b = td.compute((4, 6), lambda x, xo: a[x, xo] + 1, name="B")
    s = scheduled(td.func("f", [a], [b]))
    assert [loop.name for loop in s.tile("x", "xo", 2, 3)] == ["xo", "xoo", "xi", "xoi"]
    other = scheduled(s.func)
    assert [loop.name for loop in other.tile("xo", "x", 3, 2)] == ["xoo", "xo", "xoi", "xi"]
    check(s)
    check(other)


def test_tiles_have_conditions_of_both_loops():
    s = scheduled(matmul(10, 7, 3))
    io, jo, ii, ji = s.tile("i", "j", 4, 3)
    assert s.loops("C")[:4] == (io, jo, ii, ji)
    inside = "if io * 4 + ii < 10 and jo * 3 + ji < 7: C[io * 4 + ii, jo * 3 + ji]"
    assert nest(s) == text(f"""
        for io in 3:
          for jo in 3:
            for ii in 4:
              for ji in 3:
                {inside} = 0
                for k in 3:  # reduction
                  {inside} += A[io * 4 + ii, k] * B[k, jo * 3 + ji]
    """)


def test_tiles_of_an_inner_and_an_outer_loop_come_in_the_order_given():
    s = scheduled(matmul(8, 6, 3))
    jo, io, ji, ii = s.tile("j", "i", 3, 4)
    assert [loop.extent for loop in (jo, io, ji, ii)] == [2, 2, 3, 4]
    assert s.loops("C")[:4] == (jo, io, ji, ii)
    check(s)


# Which mark the parts of a marked loop of 24 get: what runs at once is outermost, lanes innermost
MARKS = {
    "parallel": (lambda s: s.parallel("i"), ("parallel", "serial", "serial"), "io"),
    "unroll": (lambda s: s.unroll("i"), ("unrolled", "unrolled", "unrolled"), "io, im, ii"),
    "vectorize": (lambda s: s.vectorize("i", 32), ("unrolled", "unrolled", "vectorized"), "ii"),
    "bind": (lambda s: s.bind("i", "group.x"), ("group.x", "serial", "serial"), "io"),
}


@pytest.mark.parametrize("mark", MARKS)
def test_the_parts_of_a_marked_loop(mark):
    make, kinds, now = MARKS[mark]
    s = scheduled(increment(24), "opencl" if mark == "bind" else "llvm -mcpu=znver4")
    was = make(s).kind.value
    parts = s.split("i", (None, 2, 4))
    assert tuple(part.kind.value for part in parts) == kinds
    assert f"# 'i' was {was}; now {now} is" in str(s.trace).splitlines()
    check(s)


def test_the_parts_of_a_serial_loop_are_no_news():
    s = scheduled(increment(24))
    s.split("i", 4)
    assert "#" not in str(s.trace)


def test_blocks_of_lanes_of_a_symbolic_loop_stay_serial():
    s = scheduled(increment("N"), "opencl")
    s.bind("i", "vector")
    io, ii = s.split("i", 4)
    assert (io.kind.value, ii.kind.value) == ("serial", "vectorized")  # N blocks are not unrolled
    check(s, {"N": 7})


def test_a_fused_loop_tells_its_parts_by_quotients_and_remainders():
    s = scheduled(matmul(3, 4, 5))
    s.split(s.fuse(s.fuse("i", "j"), "k"), 7)
    # (i, j, k) of 3 x 4 x 5 is number (i * 4 + j) * 5 + k
    at = "i_j_ko * 7 + i_j_ki"
    i, j, k = f"({at}) // 5 // 4", f"({at}) // 5 % 4", f"({at}) % 5"
    assert f"if {at} < 60: C[{i}, {j}] += A[{i}, {k}] * B[{k}, {j}]" in nest(s)
    check(s)


def test_a_fused_loop_over_a_symbolic_outer_part_is_split():
    s = scheduled(matmul("M", 4, 2))
    s.split(s.fuse("i", "j"), 8)
    assert nest(s).startswith("for i_jo in (M * 4 + 7) // 8:\n  for i_ji in 8:")
    for m in (0, 1, 3):
        check(s, {"M": m})


def test_a_fused_loop_over_a_symbolic_inner_part_is_not():
    s = scheduled(matmul(3, "N", 2))
    with pytest.raises(td.ScheduleError, match="'i_j' has a component 'j' of symbolic extent"):
        s.split(s.fuse("i", "j"), 8)


VECTORIZED = {
    # a loop of at most that many iterations stays, whatever it is called
    "short": (4, None, "for i in vectorized(4):", "i"),
    "exact": (8, None, "for io in unrolled(2):\n  for ii in vectorized(4):", "ii"),
    "tail": (9, None, "for io in unrolled(3):\n  for ii in vectorized(4):", "ii"),
    "symbolic": ("N", None, "for io in (N + 3) // 4:\n  for ii in vectorized(4):", "ii"),
    "unrolled": (
        8, lambda s: s.unroll("i"), "for io in unrolled(2):\n  for ii in vectorized(4):", "ii",
    ),
    "parallel": (
        8, lambda s: s.parallel("i"), "for io in parallel(2):\n  for ii in vectorized(4):", "ii",
    ),
    "parallel and symbolic": (
        "N", lambda s: s.parallel("i"),
        "for io in parallel((N + 3) // 4):\n  for ii in vectorized(4):", "ii",
    ),
    "wider lanes": (
        8, lambda s: s.vectorize("i", 8), "for io in unrolled(2):\n  for ii in vectorized(4):",
        "ii",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", VECTORIZED)
def test_a_vectorized_loop(case):
    extent, before, loops, name = VECTORIZED[case]
    s = scheduled(increment(extent))
    if before:
        before(s)
    lanes = s.vectorize("i", 4)
    assert lanes.name == name
    assert lanes == s.loops("B")[-1]
    at = "i" if name == "i" else "io * 4 + ii"
    guard = {9: f"if {at} < 9: ", "N": f"if {at} < N: "}.get(extent, "")
    mark = "  # mask" if guard else ""
    depth = "  " * (1 + loops.count("\n"))
    assert nest(s) == f"{loops}\n{depth}{guard}B[{at}] = A[{at}] + 1{mark}"
    check(s, {"N": 6} if extent == "N" else None)


def test_lanes_hold_the_widest_element_that_is_written():
    a = td.placeholder((64,), "float32", name="A")
    b = td.compute((64,), lambda i: td.cast(a[i], "float64"), name="B")
    c = td.compute((64,), lambda i: td.cast(b[i], "float32"), name="C")
    s = scheduled(td.func("f", [a], [c]))  # registers of 512 bits
    s.compute_with("C", "B.i")
    assert s.vectorize("B.i").extent == 8


def test_the_name_of_a_loop_is_free_again_where_it_ends():
    s = scheduled(increment(8))
    io, ii = s.split("i", 4)
    fused = s.fuse(io, ii)
    assert [loop.name for loop in s.split(fused, 2)] == ["io_iio", "io_iii"]
    assert [loop.name for loop in s.split("io_iio", 2)] == ["io_iioo", "io_iioi"]


def test_exact_splits_say_what_remains():
    with pytest.raises(td.ScheduleError, match="and 10 % 8 = 2"):
        scheduled(increment(10)).split("i", (2, None, 4), tail="exact")
    with pytest.raises(td.ScheduleError, match="and 10 % 3 = 1"):
        scheduled(increment(10)).split("i", 3, tail="exact")
    with pytest.raises(td.ScheduleError, match="symbolic and not known to be a multiple of 3"):
        scheduled(increment("N")).split("i", 3, tail="exact")


def test_what_a_part_of_a_symbolic_loop_has_is_counted_from_the_inside():
    s = scheduled(increment("N"))
    with pytest.raises(td.ScheduleError, match="symbolic, so the None must come first") as caught:
        s.split("i", (2, None, 4))
    assert caught.value.hint == "split it as (None, 2, 4)"
    s.split("i", (None, 2, 4))
    for n in (0, 7, 17):
        check(s, {"N": n})


def test_balanced_blocks_are_two_loops_of_a_constant_extent():
    with pytest.raises(td.ScheduleError, match="needs a constant extent, and that of 'i' is sym"):
        scheduled(increment("N")).split("i", 4, tail="balance")
    with pytest.raises(td.ScheduleError, match="tail='balance' splits in two"):
        scheduled(increment(10)).split("i", (None, 2, 2), tail="balance")


@pytest.mark.parametrize("tail", ["shift", "balance"])
def test_tails_that_size_the_outermost_part_want_it_to_be_open(tail):
    s = scheduled(increment(10))
    with pytest.raises(td.ScheduleError, match=f"tail='{tail}' sizes the outermost part"):
        s.split("i", (4, None), tail=tail)
    s.split("i", (5, None), tail=tail)  # 5 divides 10: there is no tail
    check(s)


def test_a_tile_has_two_sides():
    s = scheduled(matmul(4, 4, 4))
    i = s.loops("C")[0]
    with pytest.raises(td.ScheduleError, match="both loops are 'i'"):
        s.tile("i", i, 2, 2)
