"""store_at, hoist_storage, fold_storage, set_scope, transform_layout: what allocations become."""

import pytest

import tdsl as td
from tests.scheduling.running import check, nest, scheduled, shown


def stencil(n=6, m=5):
    """C[i, j] adds two rows of B that are two apart."""
    n, m = td.sizes("N M") if isinstance(n, str) else (n, m)
    a = td.placeholder((n + 2, m), "float32", name="A")
    b = td.compute((n + 2, m), lambda i, j: a[i, j] * 2, name="B")
    c = td.compute((n, m), lambda i, j: b[i, j] + b[i + 2, j], name="C")
    return scheduled(td.func("stencil", [a], [c]))


def window(n=6, m=5):
    """The same; B is computed in each row of C, and stored outside all loops."""
    s = stencil(n, m)
    s.compute_at("B", at="C.i")
    s.store_at("B")
    return s


def strips():
    """The same in two strips of three rows; B is private to each row."""
    s = stencil()
    s.split("C.i", 3)
    s.compute_at("B", at="C.ii")
    return s


def pair_in_a_loop():
    """A block of two tensors, both private to each iteration of their reader's loop."""
    a = td.placeholder((6,), "float32", name="A")
    p, q = td.compute((6,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    c = td.compute((6,), lambda i: p[i] * q[i], name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.compute_at("P", at="C.i")
    return s


def layout_of(s):
    """The text of how B is stored, and the padded shape if there is one."""
    alloc = s.index.allocs[next(b for b in s.index.allocs if b.name == "B")]
    shape = alloc.layout.shape and tuple(int(e.value) for e in alloc.layout.shape)
    return nest(s).partition(" stored at ")[2].partition("\n")[0], shape


def test_storage_at_a_loop_is_just_inside_of_it():
    s = strips()
    s.store_at("B", at="C.io")
    shown(s, """
        for io in 2:
          alloc B: f32[8, 5]
          for ii in 3:
            for i in 3:
              for j in 5:
                B[io * 3 + ii + i, j] = A[io * 3 + ii + i, j] * 2
            for j in 5:
              C[io * 3 + ii, j] = B[io * 3 + ii, j] + B[io * 3 + ii + 2, j]
    """)  # fmt: skip


def test_the_tensors_of_a_block_move_together_or_one_by_its_name():
    s = pair_in_a_loop()
    s.store_at("P")
    assert nest(s).startswith("alloc P.1: f32[6]\nalloc P.0: f32[6]\nfor i in 6:\n  for i_1 in 1:")
    s.store_at("P.1", at="C.i")
    assert nest(s).startswith("alloc P.0: f32[6]\nfor i in 6:\n  alloc P.1: f32[6]\n  for i_1 in 1")
    check(s)
    s = pair_in_a_loop()
    s.hoist_storage("P")
    assert nest(s).startswith("alloc P.1: f32[6]\nalloc P.0: f32[6]\nfor i in 6:\n  for i_1 in 1:")
    check(s)


def test_hoisting_leaves_all_serial_loops():
    s = strips()
    s.hoist_storage("B")
    assert nest(s).startswith("alloc B: f32[8, 5]\nfor io in 2:\n  for ii in 3:\n    for i in 3:")
    check(s)


def test_hoisting_stops_at_the_innermost_of_the_loops_that_run_at_once():
    s = stencil(8, 6)
    s.tile("C.i", "C.j", 4, 3)
    s.parallel("C.io")
    s.compute_at("B", at="C.ji")
    s.parallel("C.ii")
    s.hoist_storage("B")
    assert nest(s).splitlines()[:5] == [
        "for io in parallel(2):",
        "  for jo in 2:",
        "    for ii in parallel(4):",
        "      alloc B: f32[10, 6]",
        "      for ji in 3:",
    ]
    check(s)


@pytest.mark.parametrize("within", [None, "C.i"])
def test_storage_outside_all_serial_loops_is_not_hoisted(within):
    s = stencil()
    if within:
        s.compute_at("B", at=within)
        s.parallel(within)
    with pytest.raises(td.ScheduleError, match="'B' is not stored inside a serial loop"):
        s.hoist_storage("B")


def test_storage_stays_around_all_that_use_it():
    s = stencil()
    with pytest.raises(td.ScheduleError, match=r"block 'B' uses 'B' outside loop 'i'") as caught:
        s.store_at("B", at="C.i")
    assert caught.value.hint is not None
    for tensor in "AC":
        for step in (s.store_at, s.hoist_storage, s.fold_storage):
            with pytest.raises(td.ScheduleError, match=f"'{tensor}' is an argument or a result"):
                step(tensor)


@pytest.mark.parametrize(
    ("given", "layout"),
    [
        ({}, "[i % 3, j]"),  # one row of C uses three rows of B, which move along with it
        ({"factor": 4}, "[i % 4, j]"),
        ({"factor": 4, "dim": 0}, "[i % 4, j]"),
        ({"dim": 1}, "[i, j % 5]"),  # of a row, all five
        ({"factor": 8, "dim": 1}, "[i, j % 8]"),
    ],
    ids=str,
)
def test_a_window_is_as_long_as_one_iteration_needs_or_as_is_said(given, layout):
    s = window()
    s.fold_storage("B", **given)
    assert layout_of(s) == (layout, None)
    check(s)


def test_the_innermost_loop_around_all_users_says_what_moves():
    a = td.placeholder((8,), "float32", name="A")
    b = td.compute((8,), lambda i: a[i] * 2, name="B")
    c = td.compute((6,), lambda i: b[i] + b[i + 2], name="C")
    d = td.compute((6,), lambda i: a[i] * 5, name="D")
    s = scheduled(td.func("f", [a], [c, d]))
    s.split("C.i", 3)
    s.split("D.i", 3)
    s.compute_at("B", at="C.ii")
    s.store_at("B")
    s.compute_with("D", at="C.io")  # beside them, and no user
    s.fold_storage("B")
    shown(s, """
        alloc B: f32[8] stored at [i % 3]
        for io in 2:
          for ii in 3:
            for i in 3:
              B[io * 3 + ii + i] = A[io * 3 + ii + i] * 2
            C[io * 3 + ii] = B[io * 3 + ii] + B[io * 3 + ii + 2]
          for ii in 3:
            D[io * 3 + ii] = A[io * 3 + ii] * 5
    """)  # fmt: skip


def test_a_fold_without_a_loop_needs_all_that_is_kept():
    s = stencil()
    s.fold_storage("B", 5, dim=1)
    assert layout_of(s) == ("[i, j % 5]", None)
    check(s)
    s = stencil()
    with pytest.raises(td.ScheduleError) as caught:
        s.fold_storage("B", 4, dim=1)  # the fifth column would lie on the first
    assert caught.value.witness.element is not None


@pytest.mark.parametrize(
    ("algorithm", "given", "reason"),
    [
        (stencil, {}, "no loop stands between the storage of 'B' and the blocks that use it"),
        (lambda: window("N", "M"), {"dim": 1}, "uses no constant number of elements of 'B' along"),
        (window, {"dim": 2, "factor": 4}, "'B' has 2 dimensions, there is no dimension 2"),
        (window, {"dim": -1, "factor": 4}, "'B' has 2 dimensions, there is no dimension -1"),
    ],
    ids=["no loop", "symbolic", "too many", "negative"],
)
def test_windows_that_nobody_knows(algorithm, given, reason):
    s = algorithm()
    with pytest.raises(td.ScheduleError, match=reason):
        s.fold_storage("B", **given)


def test_symbolic_rows_have_a_constant_window():
    s = window("N", "M")
    s.fold_storage("B")
    assert layout_of(s) == ("[i % 3, j]", None)
    for n, m in ((0, 1), (1, 0), (1, 1), (5, 3)):
        check(s, {"N": n, "M": m})


def test_a_loop_that_moves_along_two_dimensions():
    s = stencil()
    s.compute_at("B", at=s.fuse("C.i", "C.j"))
    s.store_at("B")
    with pytest.raises(td.ScheduleError, match="'B' moves along 2 dimensions with 'i_j'") as caught:
        s.fold_storage("B")
    assert caught.value.hint == "say which: dim=0 is the first dimension"
    s.fold_storage("B", 3, dim=0)
    assert layout_of(s) == ("[i % 3, j]", None)
    check(s)


@pytest.mark.parametrize("again", [{"factor": 5, "dim": 1}, {"factor": 8, "dim": 0}])
def test_a_tensor_is_folded_once(again):
    s = window()
    s.fold_storage("B", 4)
    with pytest.raises(td.ScheduleError, match="'B' is folded already"):
        s.fold_storage("B", **again)


def test_remainders_in_a_layout_are_no_fold():
    s = window()
    s.transform_layout("B", "i, j -> i // 2, i % 2, j")  # every element has a place of its own
    s.fold_storage("B", 4)
    assert layout_of(s) == ("[i % 4 // 2, i % 4 % 2, j]", None)
    check(s)
    s = stencil()
    s.compute_at("B", at="C.i")
    s.transform_layout("B", "i, j -> i % 4, j")  # one iteration has three rows
    s.fold_storage("B", 5, dim=1)
    assert layout_of(s) == ("[i.1 % 4, j % 5]", None)
    check(s)


def test_a_dimension_that_takes_no_place_is_no_ring():
    s = stencil(6, 1)
    s.transform_layout("B", "i, j -> i")
    s.fold_storage("B", 1, dim=1)
    assert layout_of(s) == ("[i]", None)
    check(s)


@pytest.mark.parametrize(
    ("rank", "names"), [(6, "[i, j, k, l, m, 0]"), (7, "[i0, i1, i2, i3, i4, i5, 0]")]
)
def test_indices_of_a_layout_are_letters_as_long_as_they_last(rank, names):
    shape = (1,) * (rank - 1) + (3,)
    a = td.placeholder(shape, "float32", name="A")
    b = td.compute(shape, at_all(a, rank), name="B")
    s = scheduled(td.func("f", [a], [td.compute(shape, at_all(b, rank), name="C")]))
    s.compute_at("B", at=s.loops("C")[-1])
    s.store_at("B")
    s.fold_storage("B", 1, dim=rank - 1)
    assert layout_of(s) == (names, None)
    check(s)


def at_all(a, rank):
    """One more than the element of a tensor of rank 6 or 7."""
    if rank == 6:
        return lambda p, q, r, s, t, u: a[p, q, r, s, t, u] + 1
    return lambda p, q, r, s, t, u, v: a[p, q, r, s, t, u, v] + 1


def test_a_scope_is_set_of_all_tensors_of_a_block_or_of_one():
    s = pair_in_a_loop()
    s.set_scope("P", "stack")
    assert nest(s).splitlines()[1:3] == [
        "  alloc P.1: f32[6] in stack",
        "  alloc P.0: f32[6] in stack",
    ]
    s.set_scope("P.1", "register")
    assert nest(s).splitlines()[1:3] == [
        "  alloc P.1: f32[6] in register",
        "  alloc P.0: f32[6] in stack",
    ]
    check(s)


@pytest.mark.parametrize(
    ("pad", "shape"), [(None, None), (3, (5, 11)), ((1, 2), (6, 10)), (0, (5, 8))], ids=str
)
def test_padding_lengthens_what_is_stored(pad, shape):
    s = stencil()
    s.transform_layout("B", "i, j -> j, i", pad=pad)
    assert layout_of(s) == ("[j, i]", shape)
    check(s)


def test_an_argument_gets_a_layout_and_the_others_keep_theirs():
    s = stencil()
    s.transform_layout("A", "i, j -> j, i", pad=1, prepacked=True)
    packed, result = s.program.params
    assert [v.name for v in packed.layout.outputs] == ["j", "i"]
    assert [int(e.value) for e in packed.layout.shape] == [5, 9]
    assert result.layout is None
    assert "stored at" not in nest(s)
    check(s)


@pytest.mark.parametrize(
    ("tensor", "index_map", "options", "reason"),
    [
        ("B", "i, j -> j, i", {"pad": (1, 2, 3)}, "pad has 3 numbers for 2 storage dimensions"),
        ("B", "i -> i", {}, "'B' has 2 dimensions, the map takes 1"),
        ("B", "i, j -> j, i", {"prepacked": True}, "'B' is made by the kernel, not passed to it"),
        ("B", lambda i, j: (), {}, "the index map has no outputs"),
        ("B", "i, j -> i % 4, j", {}, r"elements \[0, 0\] and \[4, 0\] share a place"),
        ("A", "i, j -> i", {"prepacked": True, "unsafe": True}, "share a place"),
    ],
    ids=["pads", "rank", "made", "empty", "clash", "callers"],
)
def test_layouts_that_do_not_fit(tensor, index_map, options, reason):
    s = stencil()
    with pytest.raises(td.ScheduleError, match=reason):
        s.transform_layout(tensor, index_map, **options)


def test_an_unsafe_layout_is_taken_as_it_is():
    s = stencil()
    s.transform_layout("B", "i, j -> i", pad=2, unsafe=True)  # rows of one place: it is a lie
    assert layout_of(s) == ("[i]", (10,))
