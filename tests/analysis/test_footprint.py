"""How much cache accesses need, and how much of their loops' turns leaves use: counted by hand."""

import pytest

import tdsl as td
from tdsl.analysis.footprint import Home, Level, Touch, carrying, touches, useful_part
from tdsl.ir.expr import Buffer, Var
from tdsl.ir.stmt import LoopKind, Scope
from tdsl.ir.visit import leaves, loop_path
from tests.analysis.nests import schedule

LINE = 64
I, J, K, Q = (Var(name) for name in "ijkq")


def level(var, trips):
    return Level(var, trips, LoopKind.SERIAL)


def touch(slopes, most, dtype="float32"):
    buffer = td.placeholder(most, dtype, name="T").buffer
    assert isinstance(buffer, Buffer)
    return Touch(buffer, Scope.GLOBAL, False, False, tuple(slopes), tuple(most))


def cube(*most):
    """T[i, j, k]."""
    return touch([{I: 1.0}, {J: 1.0}, {K: 1.0}], most)


def test_whole_rows_follow_one_another():
    # rows of 16 floats are a line
    assert cube(8, 4, 16).room((level(K, 16),)) == LINE
    assert cube(8, 4, 16).room((level(J, 4), level(K, 16))) == 4 * LINE
    assert cube(8, 4, 16).room((level(I, 8), level(J, 4), level(K, 16))) == 32 * LINE
    assert cube(8, 4, 3).room((level(J, 4), level(K, 3))) == LINE  # 48 bytes
    assert cube(8, 4, 5).room((level(J, 4), level(K, 5))) == 2 * LINE  # 80 bytes


def test_parts_of_rows_take_lines_of_their_own():
    assert cube(8, 4, 16).room((level(J, 4), level(K, 8))) == 4 * LINE
    assert cube(8, 4, 32).room((level(J, 3), level(K, 17))) == 3 * 2 * LINE
    assert cube(8, 4, 16).room((level(I, 3), level(K, 16))) == 3 * LINE
    assert cube(8, 4, 16).room((level(I, 3), level(J, 2))) == 6 * LINE


def test_loops_that_an_access_does_not_move_with_take_no_room():
    assert cube(8, 4, 16).room(()) == LINE
    assert cube(8, 4, 16).room((level(Q, 100),)) == LINE
    assert not cube(8, 4, 16).moves_with(Q)
    assert all(cube(8, 4, 16).moves_with(var) for var in (I, J, K))


def test_no_dimension_takes_more_than_it_has():
    assert cube(8, 4, 16).room((level(K, 1000),)) == LINE
    window = touch([{I: 1.0, J: 1.0}], (100,))  # T[i + j]
    assert window.room((level(I, 30), level(J, 3))) == 2 * LINE  # 32 floats
    assert window.room((level(I, 31), level(J, 3))) == 3 * LINE
    assert window.room((level(I, 100), level(J, 100))) == 7 * LINE  # 400 bytes
    backwards = touch([{I: -1.0}], (100,))
    assert backwards.room((level(I, 33),)) == 3 * LINE
    assert touch([{I: 2.0}], (100,)).room((level(I, 9),)) == 2 * LINE  # 17 floats from end to end
    assert touch([{I: 1.0}], (100,), "float64").room((level(I, 9),)) == 2 * LINE


@pytest.mark.parametrize(
    ("most", "levels", "factor"),
    [
        # one line in four: 16 of 64 sets
        ((8, 4, 16), ((I, 3),), 4),
        ((8, 4, 16), ((I, 2),), 4),
        # one in two, and the next row fills the gap
        ((8, 2, 16), ((I, 3), (J, 2)), 1),
        # the inner dimension that moves is what tells how far lines are apart
        ((8, 4, 16), ((I, 3), (J, 2)), 1),
        # a page apart: all in one set
        ((4, 1, 1024), ((I, 3),), 64),
        # two lines each time, eight apart
        ((8, 4, 32), ((I, 3), (K, 32)), 4),
        # five apart, which is prime to the number of sets
        ((8, 4, 20), ((I, 3), (K, 20)), 1),
        # several in one line
        ((8, 1, 4), ((I, 3),), 1),
    ],
)
def test_lines_at_a_distance_share_sets(most, levels, factor):
    levels = tuple(level(var, trips) for var, trips in levels)
    access = cube(*most)
    assert access.room(levels, sets=64) == factor * access.room(levels)
    assert access.room(levels, sets=1) == access.room(levels)


def test_neighbours_are_one_element_apart_and_in_one_row():
    row = level(K, 16)
    assert cube(8, 4, 16).is_dense(row)
    assert not cube(8, 4, 16).is_dense(level(J, 4))
    assert not touch([{K: 2.0}], (64,)).is_dense(row)
    assert not touch([{}], (64,)).is_dense(row)
    assert touch([{K: -1.0}], (64,)).is_dense(row)
    diagonal = touch([{K: 1.0}, {K: 1.0}], (64, 64))
    assert not diagonal.is_dense(row)
    assert diagonal.is_dense(level(K, 1))
    packed = touch([{K: 1 / 16}, {K: 1.0}], (4, 16))  # T[k // 16, k % 16]
    assert packed.is_dense(level(K, 16))
    assert not packed.is_dense(level(K, 17))
    turned = touch([{K: 1.0}, {J: 1.0}], (64, 64))
    assert not turned.is_dense(row)


def leaf_of(func, text, block):
    program = schedule(func.program, text)
    (leaf,) = [leaf for leaf in leaves(program.body) if leaf.block.name == block]
    path = loop_path(program.body, leaf)
    return leaf, tuple(level(loop.var, int(loop.extent.value)) for loop in path)


def slopes_of(index, shape=(64, 64), table=(1000,)):
    """The slopes of the access A[index(i, j)], by name of the loop."""
    a = td.placeholder(table, "float32", name="A")
    b = td.compute(shape, lambda i, j: a[index(i, j)], name="B")
    leaf, levels = leaf_of(td.func("f", [a], [b]), "i in 64:\n  j in 64:\n    B(i, j)\n", "B")
    (read,) = [x for x in touches(leaf, levels, {}, {}) if x.buffer.name == "A"]
    return [{var.name: slope for var, slope in slopes.items()} for slopes in read.slopes]


@pytest.mark.parametrize(
    ("index", "slopes"),
    [
        (lambda i, j: i, {"i": 1}),
        (lambda i, j: i * 3 + j, {"i": 3, "j": 1}),
        (lambda i, j: 3 * i - j + 63, {"i": 3, "j": -1}),
        (lambda i, j: (i + j) // 4, {"i": 0.25, "j": 0.25}),
        (lambda i, j: td.minimum(i * 2, j), {"i": 2, "j": 1}),
        (lambda i, j: td.select(i < 4, i // 2, j // 4), {"i": 0.5, "j": 0.25}),
        (lambda i, j: td.select(i < 4, i, i * 8), {"i": 8}),
    ],
)
def test_an_index_moves_as_far_as_its_terms(index, slopes):
    assert slopes_of(index) == [slopes]


def test_what_a_skew_adds_and_an_index_takes_away_is_no_move():
    a = td.placeholder((20,), "float32", name="A")
    b = td.compute((10, 4), lambda i, j: a[i + j], name="B")
    text = "t in 13:\n  q in 4:\n    B(t-q, q) if t-q < 10\n"
    leaf, levels = leaf_of(td.func("f", [a], [b]), text, "B")
    (read,) = [x for x in touches(leaf, levels, {}, {}) if x.buffer.name == "A"]
    assert [{v.name: slope for v, slope in s.items()} for s in read.slopes] == [{"t": 1}]


def looked_up(index, table):
    """The accesses of B[i, j] = A[index], where index is made of x[i, j]."""
    x = td.placeholder((64, 64), "int32", name="x")
    a = td.placeholder(table, "float32", name="A")
    b = td.compute((64, 64), lambda i, j: a[index(x[i, j], j)], name="B")
    leaf, levels = leaf_of(td.func("f", [x, a], [b]), "i in 64:\n  j in 64:\n    B(i, j)\n", "B")
    return levels, {t.buffer.name: t for t in touches(leaf, levels, {}, {})}


def test_a_looked_up_index_moves_with_all_that_picks_it():
    _, found = looked_up(lambda x, j: td.unchecked(x % 1000), (1000,))
    assert {var.name for var in found["A"].slopes[0]} == {"i", "j"}
    assert [sorted(v.name for v in s) for s in found["x"].slopes] == [["i"], ["j"]]


@pytest.mark.parametrize(
    ("index", "table", "trips", "lines"),
    [
        # as many lines as are looked up, and no more than the table has: 4000 bytes
        (lambda x, j: x % 1000, (1000,), (1, 1), 1),
        (lambda x, j: x % 1000, (1000,), (1, 2), 2),
        (lambda x, j: x % 1000, (1000,), (5, 7), 35),
        (lambda x, j: x % 1000, (1000,), (8, 8), 63),
        (lambda x, j: x % 4000 // 4, (1000,), (5, 7), 35),
        # one element of a row, in one of its four lines
        (lambda x, j: (j, x % 64), (64, 64), (1, 3), 3 * 3),
        (lambda x, j: (j, x % 64), (64, 64), (1, 64), 64 * 4),
    ],
)
def test_look_ups_take_as_many_lines_as_there_are_of_them(index, table, trips, lines):
    def unchecked(x, j):
        made = index(x, j)
        return tuple(map(td.unchecked, made)) if isinstance(made, tuple) else td.unchecked(made)

    levels, found = looked_up(unchecked, table)
    few = tuple(level(x.var, n) for x, n in zip(levels, trips, strict=True))
    assert found["A"].room(few) == lines * LINE


def test_a_copy_inside_of_loops_is_chosen_from_by_those_inside_alone():
    a = td.placeholder((64,), "float32", name="A")
    b = td.compute((64,), lambda i: a[i] + 1, name="B")
    c = td.compute((64,), lambda i: b[i] + 1, name="C")
    text = "io in 8:\n  alloc B:\n    ii in 8:\n      B(io*8+ii)\n    ij in 8:\n      C(io*8+ij)\n"
    func = td.func("f", [a], [c])
    leaf, levels = leaf_of(func, text, "B")
    buffer = leaf.block.writes[0].buffer
    for depth, names in ((0, {"io", "ii"}), (1, {"ii"}), (2, set())):
        homes = {buffer: Home(Scope.STACK, depth)}
        (write,) = [t for t in touches(leaf, levels, homes, {}) if t.is_write]
        assert {var.name for var in write.slopes[0]} == names
        assert write.scope is Scope.STACK
    (read,) = [t for t in touches(leaf, levels, {}, {}) if not t.is_write]
    assert read.scope is Scope.GLOBAL
    assert {var.name for var in read.slopes[0]} == {"io", "ii"}


def test_scalars_are_one_element_and_unknown_sizes_are_one():
    n = td.sizes("N")
    a = td.placeholder((n,), "float32", name="A")
    k = td.reduce_axis(n, name="k")
    total = td.compute((), lambda: td.sum(a[k], axis=k), name="T")
    program = td.func("f", [a], [total]).program
    (leaf,) = leaves(program.body)
    (loop,) = loop_path(program.body, leaf)
    found = {t.buffer.name: t for t in touches(leaf, (level(loop.var, 8),), {}, {})}
    assert (found["T"].slopes, found["T"].most) == (({},), (1,))
    assert (found["T"].is_write, found["T"].own) == (True, True)
    assert found["A"].most == (1,)
    known = touches(leaf, (level(loop.var, 8),), {}, {program.sizes[0]: 20})
    assert {t.buffer.name: t.most for t in known} == {"T": (1,), "A": (20,)}
    assert useful_part(leaf, (level(loop.var, 8),), {}) == 1 / 8
    assert useful_part(leaf, (level(loop.var, 8),), {program.sizes[0]: 6}) == 6 / 8


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("i in 100:\n  B(i)\n", 1),
        ("io in 13:\n  ii in 8:\n    B(io*8+ii) if io*8+ii < 100\n", 100 / 104),
        ("io in 25:\n  ii in 4:\n    B(io*4+ii)\n", 1),
        ("t in 109:\n  q in 10:\n    B(t-q) if t-q < 100\n", 100 / 109),  # skewed
        ("i in 100:\n  B(99-i)\n", 1),
        ("f in 1000:\n  B(f % 100)\n", 1),  # a part of a fused loop stays in its range
        ("i in 50:\n  B(i)\n", 1),
    ],
)
def test_a_part_of_the_turns_runs_a_leaf(text, part):
    a = td.placeholder((100,), "float32", name="A")
    b = td.compute((100,), lambda i: a[i] + 1, name="B")
    leaf, levels = leaf_of(td.func("f", [a], [b]), text, "B")
    assert useful_part(leaf, levels, {}) == pytest.approx(part)


def test_the_parts_of_several_indices_multiply():
    a = td.placeholder((10, 10), "float32", name="A")
    b = td.compute((10, 10), lambda i, j: a[i, j] + 1, name="B")
    text = "io in 3:\n  jo in 2:\n    ii in 4:\n      ji in 8:\n        B(io*4+ii, jo*8+ji)\n"
    leaf, levels = leaf_of(td.func("f", [a], [b]), text, "B")
    assert useful_part(leaf, levels, {}) == pytest.approx(10 / 12 * 10 / 16)


def test_loops_of_reductions_and_scans_wait_for_themselves():
    a = td.placeholder((8, 16), "float32", name="A")
    k = td.reduce_axis(16, name="k")
    b = td.compute((8,), lambda i: td.sum(a[i, k], axis=k), name="B")
    text = "ko in 4:\n  i in 8:\n    ki in 4:\n      B(i, ko*4+ki)\n"
    leaf, levels = leaf_of(td.func("f", [a], [b]), text, "B")
    assert {var.name for var in carrying(leaf, levels)} == {"ko", "ki"}
    text = "t in 23:\n  i in 8:\n    B(i, t-i) if t-i < 16\n"
    leaf, levels = leaf_of(td.func("f", [a], [b]), text, "B")
    assert {var.name for var in carrying(leaf, levels)} == {"t", "i"}
