import warnings

import pytest

import tdsl as td
from tdsl.ir.build import index
from tdsl.ir.expr import Checked, Load, Select
from tdsl.ir.nest import print_expr, print_nest
from tdsl.ir.parser import parse_program
from tdsl.ir.stmt import Alloc, For, If, LoopKind, Scope, Seq, Store, Tail
from tdsl.ir.visit import walk
from tdsl.lower import LoweringWarning, lower
from tdsl.lower.unroll import MOST_COPIES, unroll
from tests.lower import algorithms
from tests.lower.nests import (
    PARALLEL,
    TARGET,
    UNROLLED,
    VECTORIZED,
    cache_write,
    check_every_pass,
    count,
    find,
    mark,
    reorder,
    split,
    with_stmt,
)


def after(program, name):
    """The program after the last run of a pass."""
    dumps = lower(program, TARGET, keep=True).dumps
    return [p for n, p in dumps if n == name][-1]


def loops(program):
    return [n for n in walk(program.body) if isinstance(n, For)]


def test_a_triangular_condition_becomes_the_extent_of_its_loop():
    program = algorithms.triangular()
    check_every_pass(program, {"N": 6})
    tightened = after(program, "partition_loops")
    assert count(tightened, If) == 0
    assert "for k in i + 1" in print_nest(tightened)


def test_a_condition_from_below_becomes_the_start_of_its_loop():
    N = td.sizes("N")
    x = td.placeholder((N, N), "float32", name="x")
    k = td.reduce_axis(N, name="k")
    y = td.compute((N,), lambda i: td.sum(x[i, k], axis=k, where=k >= i + 1), name="y")
    program = td.func("f", inputs=[x], outputs=[y]).program
    check_every_pass(program, {"N": 6})
    tightened = after(program, "partition_loops")
    assert count(tightened, If) == 0
    assert "for k in N - (i + 1)" in print_nest(tightened)


def test_a_split_reduction_tail_becomes_the_extent_of_the_inner_loop():
    program = split(algorithms.matmul(), "k", 4)
    check_every_pass(program, {"M": 2, "N": 2, "K": 7})
    assert count(after(program, "partition_loops"), If) == 0


def test_a_padded_border_leaves_a_steady_loop_without_masks():
    lowered = check_every_pass(algorithms.blur(), {"N": 9})
    bodies = [list(walk(loop.body)) for loop in loops(lowered)]
    plain = [b for b in bodies if all(n.mask is None for n in b if isinstance(n, Load))]
    assert len(bodies) == 3
    assert len(plain) == 1
    assert not any(isinstance(n, If | Select) for n in plain[0])


def test_a_vector_tail_leaves_a_steady_loop_without_masks():
    program = split(algorithms.relu_of_sum(), "j", 4, Tail.MASK)
    program = mark(program, "ji", VECTORIZED)
    lowered = check_every_pass(program, {"N": 3, "M": 11})
    assert count(lowered, If) == 0
    steady, tail = [n for n in loops(lowered) if n.var.name == "jo"]
    assert all(n.mask is None for n in walk(steady) if isinstance(n, Load))
    assert any(n.mask is not None for n in walk(tail) if isinstance(n, Load))


@pytest.mark.parametrize("kind", [LoopKind.SERIAL, LoopKind.PARALLEL])
def test_balanced_parts_of_two_sizes_have_no_conditions(kind):
    program = split(algorithms.relu_of_sum(11, 3), "i", 4, Tail.BALANCE)
    program = mark(mark(program, "ii", UNROLLED), "io", kind)
    lowered = check_every_pass(program, {})
    branches = [n for n in walk(lowered.body) if isinstance(n, If)]
    assert len(branches) == (1 if kind is LoopKind.PARALLEL else 0)
    assert not any(isinstance(n, If) for branch in branches for n in walk(branch.then))


def test_guards_of_a_private_tile_are_dropped_and_its_rows_clamped():
    program = split(split(algorithms.matmul(), "i", 3), "j", 4)
    program = reorder(program, "io", "jo", "k", "ii", "ji")
    program = cache_write(mark(mark(program, "ii", UNROLLED), "ji", VECTORIZED), "C")
    text = print_nest(after(program, "relax_guards"))
    assert "A[min(io * 3 + ii, M - 1), k]" in text
    assert "B[k, jo * 4 + ji; jo * 4 + ji < N]" in text
    assert text.count("if io * 3 + ii < M") == 1  # the copy to C keeps its guard


@pytest.mark.parametrize(
    ("places", "kept"),
    [
        ("i, j -> j, i", 0),
        ("i, j -> i, j // 4, j % 4", 0),
        ("i, j -> i, j + 1", 0),
        ("i, j -> i, 6 - j", 1),  # column 7 would be below 0
        ("i, j -> i, (i + j) % 8", 1),  # column 8 is column 0
        ("i, j -> i * 7 + j", 1),  # column 7 is the next row's first
        ("i, j -> (i * 7 + j) // 4, (i * 7 + j) % 4", 1),
    ],
)
def test_a_guard_stays_where_elements_outside_share_places_with_those_in_use(places, kept):
    A = td.placeholder((10, 7), "float32", name="A")
    B = td.compute((10, 7), lambda i, j: A[i, j] * 2.0, name="B")
    C = td.compute((10, 7), lambda i, j: B[i, j] + 1.0, name="C")
    s = td.Schedule(td.func("f", [A], [C]), TARGET)
    io, _ = s.split("C.i", 5)
    i, j = s.compute_at("B", io)
    s.transform_layout("B", places)
    s.reverse(i)  # a row is written before the one above it
    s.unroll(s.split(j, 4)[1])
    assert print_nest(after(s.program, "relax_guards")).count("< 7:") == kept
    check_every_pass(s.program, {})


def test_a_guard_of_a_reduction_variable_is_kept():
    program = split(algorithms.matmul(), "k", 4)
    program = cache_write(mark(program, "ki", UNROLLED), "C")
    text = print_nest(after(program, "relax_guards"))
    assert "if ko * 4 + ki < K" in text
    check_every_pass(program, {"M": 2, "N": 3, "K": 6})


def test_a_balanced_guard_of_a_private_tile_is_kept_and_settled_by_partitioning():
    program = split(algorithms.matmul(7, 4, 3), "i", 3, Tail.BALANCE)
    program = reorder(program, "io", "j", "k", "ii")
    program = cache_write(mark(program, "ii", UNROLLED), "C")
    lowered = check_every_pass(program, {})
    assert count(lowered, If) == 0


def test_storage_in_a_loop_shrinks_to_the_tile():
    program = split(split(algorithms.matmul(), "i", 3), "j", 4)
    program = reorder(program, "io", "jo", "k", "ii", "ji")
    program = cache_write(program, "C", Scope.GLOBAL)
    (alloc,) = [n for n in walk(after(program, "compact_storage").body) if isinstance(n, Alloc)]
    assert [extent.value for extent in alloc.buffer.shape] == [3, 4]
    check_every_pass(program, {"M": 5, "N": 6, "K": 2})


@pytest.mark.parametrize(("columns", "stored"), [(200, 208), (208, 224), (100, 102), (1000, 1008)])
def test_long_rows_of_private_storage_are_whole_vectors(columns, stored):
    x = td.placeholder((9, columns + 2), "float32", name="x")
    b = td.compute((9, columns + 2), lambda i, j: x[i, j] * 2.0, name="b")
    y = td.compute((8, columns), lambda i, j: b[i, j] + b[i, j + 2] + b[i + 1, j], name="y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.compute_at("b", at=s.loops("y")[0])
    compacted = after(s.program, "compact_storage")
    (alloc,) = [n for n in walk(compacted.body) if isinstance(n, Alloc)]
    assert [extent.value for extent in alloc.buffer.shape] == [2, stored]
    check_every_pass(s.program, {})


def test_folded_rows_are_whole_vectors():
    x = td.placeholder((10, 202), "float32", name="x")
    b = td.compute((10, 202), lambda i, j: x[i, j] * 2.0, name="b")
    y = td.compute((8, 200), lambda i, j: b[i, j] + b[i + 2, j + 2], name="y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.compute_at("b", at=s.loops("y")[0])
    s.store_at("b")
    s.fold_storage("b", 4)
    (alloc,) = [n for n in walk(after(s.program, "apply_layouts").body) if isinstance(n, Alloc)]
    assert [extent.value for extent in alloc.buffer.shape] == [4, 208]
    check_every_pass(s.program, {})


def test_padded_loops_enlarge_storage():
    N = td.sizes("N")
    x = td.placeholder((N,), "float32", name="x")
    z = td.compute((N,), lambda i: td.cast(i, "float32"), name="z")
    y = td.compute((N,), lambda i: z[i] * x[i], name="y")
    program = td.func("f", inputs=[x], outputs=[y]).program
    program = split(program, "i", 4, None, "z")
    check_every_pass(program, {"N": 5})
    (alloc,) = [n for n in walk(after(program, "compact_storage").body) if isinstance(n, Alloc)]
    (size,) = program.sizes
    assert [print_expr(e) for e in alloc.buffer.shape] in (
        ["max(N, (N + 3) // 4 * 4)"],
        ["(N + 3) // 4 * 4"],
    ), size


def test_small_private_storage_lives_on_the_stack_and_large_storage_leaves_the_loop():
    program = split(algorithms.matmul(None, 4096, None), "i", 3)
    program = reorder(program, "io", "ii", "j", "k")
    program = cache_write(program, "C", Scope.GLOBAL)
    lowered = after(program, "hoist_allocs")
    (alloc,) = [n for n in walk(lowered.body) if isinstance(n, Alloc)]
    assert alloc.scope is Scope.STACK


def test_storage_of_symbolic_size_is_allocated_once_per_parallel_chunk():
    program = mark(algorithms.matmul(), "i", PARALLEL)
    program = cache_write(reorder(program, "i", "k", "j"), "C", Scope.GLOBAL)
    lowered = lower(program, TARGET).program
    assert isinstance(lowered.body, For)
    assert isinstance(lowered.body.body, Alloc)


def test_serial_fused_loops_are_nests_again_without_divisions():
    program = algorithms.relu_of_sum()
    outer = find(program, "i")
    inner = outer.body
    from tdsl.ir.build import mul
    from tdsl.ir.expr import Var
    from tdsl.ir.stmt import Part

    parts = (Part(outer.var, outer.extent), Part(inner.var, inner.extent))
    fused = For(Var("f"), mul(outer.extent, inner.extent), inner.body, LoopKind.SERIAL, parts)
    serial = check_every_pass(with_stmt(program, outer, fused), {"N": 3, "M": 4})
    assert "//" not in print_nest(serial)
    shared = with_stmt(program, outer, fused)
    shared = check_every_pass(mark(shared, "f", PARALLEL), {"N": 3, "M": 4})
    assert "//" in print_nest(shared)


def test_an_unrolled_loop_of_symbolic_extent_warns_and_stays():
    program = mark(algorithms.relu_of_sum(), "j", UNROLLED)
    with pytest.warns(LoweringWarning, match="loop 'j' is not unrolled: its extent is not"):
        lower(program, TARGET)


@pytest.mark.parametrize(("extent", "copied"), [(MOST_COPIES, True), (MOST_COPIES + 1, False)])
def test_a_body_is_copied_only_so_often(extent, copied):
    text = (
        f"tdsl-ir 1\nfunc f() -> y: f32[{extent}]:\n  for i in unrolled({extent}):\n    y[i] = 1\n"
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        body = unroll(parse_program(text), TARGET).body
    assert isinstance(body, Seq if copied else For)
    assert ["too many" in str(w.message) for w in caught] == ([] if copied else [True])


def test_unchanged_passes_return_the_very_same_program():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dumps = lower(algorithms.relu_of_sum(), TARGET, keep=True).dumps
    programs = dict(dumps)
    assert programs["unroll"] is programs["partition_loops"]


def test_a_program_without_work_lowers_to_nothing():
    program = algorithms.relu_of_sum(0, 3)
    assert check_every_pass(program, {}).params == program.params
    assert index(0) == find(program, "i").extent


def test_an_accumulator_is_carried_in_a_register():
    program = algorithms.matmul()
    lowered = check_every_pass(program, {"M": 2, "N": 3, "K": 4})
    (k,) = [loop for loop in loops(lowered) if loop.var.name == "k"]
    (output,) = [p.buffer for p in lowered.params if p.role.value == "out"]
    assert not any(n.buffer is output for n in walk(k) if isinstance(n, Load | Store))
    check_every_pass(program, {"M": 2, "N": 3, "K": 0})


def test_an_element_that_the_loop_reads_elsewhere_stays_in_memory():
    n = td.sizes("N")
    x = td.placeholder((n,), "float32", name="x")
    t = td.scan_axis(n, name="t")
    s = td.scan(t, {"s": ((), 0.0)}, lambda i, prev: {"s": prev["s"] + x[i]}, name="r")["s"]
    program = td.func("running", inputs=[x], outputs=[s]).program
    check_every_pass(program, {"N": 5})


def test_what_an_innermost_loop_reads_every_time_is_loaded_in_front_of_it():
    n, m = td.sizes("N M")
    x = td.placeholder((n, m), "float32", name="x")
    w = td.placeholder((n,), "float32", name="w")
    y = td.compute((n, m), lambda i, j: x[i, j] * w[i], name="y")
    program = td.func("scaled", inputs=[x, w], outputs=[y]).program
    lowered = check_every_pass(program, {"N": 3, "M": 4})
    (j,) = [loop for loop in loops(lowered) if loop.var.name == "j"]
    assert [load.buffer.name for load in walk(j) if isinstance(load, Load)] == ["x"]
    check_every_pass(program, {"N": 2, "M": 0})


def test_storage_that_feeds_no_result_is_dropped():
    program = split(algorithms.matmul(7, 16, 3), "i", 3, Tail.BALANCE)
    program = reorder(program, "io", "j", "k", "ii")
    program = cache_write(mark(program, "ii", UNROLLED), "C")
    lowered = check_every_pass(program, {})
    tiles = [n.buffer.name for n in walk(lowered.body) if isinstance(n, Alloc)]
    assert len(tiles) == 3 + 2  # one range of three rows, one of two


def test_a_masked_statement_computes_its_value_only_where_the_mask_holds():
    x = td.placeholder((2,), "uint32", name="x")
    k = td.reduce_axis(2, name="k")
    y = td.compute((2,), lambda i: td.sum(x[k], axis=k), name="y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.split("y.k", 4)
    s.atomic("y")
    s.vectorize("y.ki", 8)
    check_every_pass(s.program, {})


def test_a_vector_of_a_fused_and_split_loop_walks_memory_without_divisions():
    a = td.placeholder((9, 7, 5), "float32", name="a")
    y = td.compute((9, 7, 5), lambda i, j, k: td.maximum(a[i, j, k], 0.0), name="y")
    s = td.Schedule(td.func("relu", [a], [y]), TARGET)
    i, j, k = s.loops("y")
    flat = s.fuse(s.fuse(i, j), k)
    outer, lanes = s.split(flat, 8)
    s.vectorize(lanes, 8)
    s.parallel(outer)
    lowered = check_every_pass(s.program, {})
    assert "//" not in print_nest(lowered)
    assert "%" not in print_nest(lowered)


def test_a_checked_read_into_dead_storage_still_checks():
    n = td.sizes("N")
    x = td.placeholder((n,), "float32", name="x")
    at = td.placeholder((3,), "int64", name="at")
    unused = td.compute((3,), lambda i: x[at[i]], name="unused")
    y = td.compute((3,), lambda i: td.select(i < 3, 1.0, unused[i]), name="y")
    program = td.func("f", inputs=[x, at], outputs=[y]).program
    lowered = check_every_pass(program, {"N": 6})
    assert any(isinstance(n, Checked) for n in walk(lowered.body))


def test_a_prefetch_of_a_packed_argument_follows_its_layout():
    a = td.placeholder((8, 32), "float32", name="a")
    y = td.compute((8, 32), lambda i, j: a[i, j] * 2.0, name="y")
    s = td.Schedule(td.func("f", [a], [y]), TARGET)
    s.transform_layout("a", "i, j -> j // 16, i, j % 16", prepacked=True)
    s.prefetch("y", "a", "i, j -> i + 1, j")
    s.vectorize(s.loops("y")[-1], 16)
    text = print_nest(lower(s.program, TARGET).program)
    assert "prefetch a[(i + 1) * 16]" in text
    assert "prefetch a[128 + (i + 1) * 16]" in text


def test_threads_cannot_share_a_register():
    x = td.placeholder((4, 8), "float32", name="x")
    k = td.reduce_axis(8, name="k")
    y = td.compute((4,), lambda i: td.sum(x[i, k], axis=k), name="y")
    s = td.Schedule(td.func("f", [x], [y]), TARGET)
    s.cache_write("y", at="i")
    s.atomic("y")
    s.parallel("k")
    with pytest.raises(td.LoweringError, match=r"parallel loop 'k' update it together"):
        lower(s.program, TARGET)
