"""What single facts of the prover mean: accesses, witnesses, labels, areas."""

import pytest

import tdsl as td
from tdsl.analysis.access import Access, accesses, relation
from tdsl.analysis.dependences import dependences
from tdsl.analysis.model import Models
from tdsl.analysis.numerics import swaps_exactly
from tdsl.analysis.refusal import Refused
from tdsl.ir import frames
from tdsl.ir.frames import Sizes, isl
from tdsl.ir.visit import leaves
from tests.analysis.asking import accepted, refused
from tests.analysis.nests import schedule


def block_of(func, name):
    return next(leaf.block for leaf in leaves(func.program.body) if leaf.block.name == name)


def reduced(make, dtype, identity=None):
    x = td.placeholder((4, 5), dtype, name="X")
    k = td.reduce_axis(5, name="k")
    y = td.compute((4,), lambda i: make(x[i, k], k), name="Y")
    return block_of(td.func("f", [x], [y]), "Y")


@pytest.mark.parametrize("name", ["sum", "prod", "min", "max"])
def test_whole_numbers_may_swap_exactly_and_fractions_only_where_they_round_nothing(name):
    make = getattr(td, name)
    assert swaps_exactly(reduced(lambda v, k: make(v, axis=k), "int32"))
    exact = swaps_exactly(reduced(lambda v, k: make(v, axis=k), "float32"))
    assert not exact or name in ("min", "max")


@pytest.mark.parametrize("name", ["any", "all"])
def test_truths_may_swap_exactly(name):
    make = getattr(td, name)
    assert swaps_exactly(reduced(lambda v, k: make(v, axis=k), "bool"))
    s = td.Schedule(td.func("f", *declared_truths(make)))
    s.rfactor("Y.k")
    assert str(s.numerics) in ("exact", "Numerics.EXACT")


def declared_truths(make):
    x = td.placeholder((4, 5), "bool", name="X")
    k = td.reduce_axis(5, name="k")
    return [x], [td.compute((4,), lambda i: make(x[i, k], axis=k), name="Y")]


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places_may_swap_exactly_since_ties_go_by_place(name):
    make = getattr(td, name)
    assert swaps_exactly(reduced(lambda v, k: make(v, axis=k), "float32"))


def histogram():
    """Counts, in places that are made by a block of the kernel."""
    a = td.placeholder((6,), "int32", name="A")
    place = td.compute((6,), lambda i: td.minimum(td.maximum(a[i], 0), 3), name="P")
    h = td.inout(td.placeholder((4,), "int32", name="H"))
    r = td.reduce_axis(6, name="r")
    u = td.update(h, over=(r,), at=(place[r],), value=lambda cur: 1, op="add", name="U")
    return td.func("f", [a, h], [u])


def test_places_that_are_written_to_are_read_from_where_they_are_made():
    read = [x.buffer.name for x in accesses(block_of(histogram(), "U")) if not x.is_write]
    assert "P" in read


def test_a_place_that_depends_on_data_is_one_of_the_tensor():
    func = histogram()
    block = block_of(func, "U")
    models = Models(Sizes(func.program.sizes, func.program.assume))
    write = next(x for x in accesses(block) if x.is_write)
    reached = relation(write, models.instances(block), models).range()
    assert reached.is_bounded()
    points = []
    reached.foreach_point(lambda p: points.append(p.get_coordinate_val(isl().dim_type.set, 0)))
    assert sorted(int(str(p)) for p in points) == [0, 1, 2, 3]


def test_conditions_hold_at_the_iterations_of_a_witness():
    a = td.inout(td.placeholder((8,), "float32", name="A"))
    r = td.reduce_axis(8, name="r")
    u = td.update(
        a, over=(r,), at=(r,), value=lambda cur: td.select(r >= 5, cur[r - 3], 1.0), op="set",
        name="U",
    )  # fmt: skip
    s = td.Schedule(td.func("f", [a], [u]))
    with pytest.raises(td.ScheduleError) as caught:
        s.parallel("U.r")
    witness = caught.value.witness
    first, second = witness.first["r"], witness.second["r"]
    assert abs(first - second) == 3
    assert max(first, second) >= 5
    assert witness.element == (min(first, second),)


def test_conditions_that_are_no_sets_hold_at_a_witness_too():
    a = td.inout(td.placeholder((8,), "float32", name="A"))
    r = td.reduce_axis(8, name="r")
    u = td.update(
        a, over=(r,), at=(r,), op="set", name="U",
        value=lambda cur: td.select((r * r == 16) & (r >= 1), cur[r - 1], 1.0),
    )  # fmt: skip
    s = td.Schedule(td.func("f", [a], [u]))
    with pytest.raises(td.ScheduleError) as caught:
        s.parallel("U.r")
    witness = caught.value.witness
    assert witness is None or {witness.first["r"], witness.second["r"]} == {3, 4}


def test_the_witness_of_a_repeated_sum_names_what_it_writes():
    a = td.placeholder((5,), "int32", name="A")
    k = td.reduce_axis(5, name="k")
    y = td.compute((1,), lambda i: td.sum(a[k], axis=k, where=a[k] > 0), name="Y")
    s = td.Schedule(td.func("f", [a], [y]))
    with pytest.raises(td.ScheduleError) as caught:
        s.split("Y.k", 2, tail="shift")
    assert caught.value.witness.buffer == "Y"


def test_accesses_are_told_apart_by_their_conditions():
    x = td.placeholder((8,), "float32", name="X")
    y = td.compute((6,), lambda i: td.select(i < 3, x[i], x[i]) + x[i + 2], name="Y")
    found = [a for a in accesses(block_of(td.func("f", [x], [y]), "Y")) if not a.is_write]
    assert len(found) == 3
    assert all(isinstance(a, Access) for a in found)
    assert sum(bool(a.conditions) for a in found) == 2


def pairs_of(dependence):
    """Which instances depend on which, as numbers."""
    found = set()
    dims = isl().dim_type.set

    def note(point):
        count = point.get_space().dim(dims)
        found.add(tuple(int(str(point.get_coordinate_val(dims, n))) for n in range(count)))

    dependence.relation.wrap().flatten().foreach_point(note)
    return found


def test_what_is_allocated_in_a_loop_is_handed_on_inside_it_only():
    x = td.placeholder((3, 6), "float32", name="X")
    t = td.compute((3, 6), lambda i, j: x[i, j], name="T")
    y = td.compute((3, 6), lambda i, j: td.select(j > 0, t[i, j - 1], 0.0), name="Y")
    program = td.func("f", [x], [y]).program
    text = "i in 3:\n  alloc T:\n    j in 6:\n      T(i, j)\n      Y(i, j)\n"
    (made,) = [d for d in dependences(schedule(program, text)).all if d.buffer.name == "T"]
    assert pairs_of(made) == {(i, j - 1, i, j) for i in range(3) for j in range(1, 6)}


def test_copies_whose_iterations_are_not_just_loops_are_refused():
    x = td.placeholder((3, 6), "float32", name="X")
    t = td.compute((3, 6), lambda i, j: x[i, j], name="T")
    y = td.compute((3, 6), lambda i, j: t[i, j], name="Y")
    program = td.func("f", [x], [y]).program
    text = "i in 3:\n  alloc T:\n    j in 6:\n      T(i, j)\n      Y(i, j) if j < 6\n"
    with pytest.raises(Refused, match="copies of T cannot be told apart"):
        dependences(schedule(program, text))


def repeated_sum():
    """Sums of rows, each read by two results."""
    x = td.placeholder((4, 3), "float32", name="X")
    k = td.reduce_axis(3, name="k")
    r = td.compute((4,), lambda i: td.sum(x[i, k], axis=k), name="R")
    y = td.compute((2, 4), lambda t, i: r[i] * 2.0, name="Y")
    return td.func("f", [x], [y]).program


def test_a_sum_that_runs_again_is_whole_where_it_is_read():
    whole = "t in 2:\n  i in 4:\n    R.init(i)\n    k in 3:\n      R(i, k)\n    Y(t, i)\n"
    accepted(repeated_sum(), whole)


@pytest.mark.parametrize("place", ["before", "between"])
def test_a_sum_that_runs_again_is_not_read_early(place):
    lines = ["R.init(i)", "k in 3:", "  R(i, k)"]
    lines.insert({"before": 0, "between": 1}[place], "Y(t, i)")
    text = "t in 2:\n  i in 4:\n" + "".join(f"    {line}\n" for line in lines)
    refused(repeated_sum(), text)


def test_what_is_done_under_a_condition_comes_before_what_follows_it():
    x = td.placeholder((6,), "float32", name="X")
    t = td.compute((6,), lambda i: x[i], name="T")
    y = td.compute((6,), lambda i: td.select(i > 0, t[i - 1], 0.0) + t[i], name="Y")
    program = schedule(td.func("f", [x], [y]).program, "i in 6:\n  T(i) if i < 6\n  Y(i)\n")
    (made,) = [d for d in dependences(program).all if d.buffer.name == "T"]
    same, next_one = {(i, i) for i in range(6)}, {(i - 1, i) for i in range(1, 6)}
    assert pairs_of(made) == same | next_one


def test_dependences_that_take_too_long_are_unknown(monkeypatch):
    monkeypatch.setattr(frames, "BUDGET", 5)
    x = td.placeholder((7,), "float32", name="X")
    y = td.compute((7,), lambda i: x[i], name="Y")
    z = td.compute((7,), lambda i: y[6 - i], name="Z")
    with pytest.raises(Refused, match="dependences of slow are unknown"):
        dependences(td.func("slow", [x], [z]).program)
