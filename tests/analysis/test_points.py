"""Accesses and witnesses point by point: what is touched, where two accesses meet, and when."""

import pytest

import tdsl as td
from tdsl import dtypes
from tdsl.analysis.access import Access, accesses, elements, is_affine, relation
from tdsl.analysis.dependences import dependences
from tdsl.analysis.inside import _depends_on_data
from tdsl.analysis.model import Models
from tdsl.analysis.refusal import Refused
from tdsl.analysis.sharing import check_sharing
from tdsl.analysis.state import Memo, State
from tdsl.analysis.witness import (
    _moment,
    _shared,
    conflict,
    element_at,
    moment,
    two_moments,
    unwritten,
)
from tdsl.ir import build, frames
from tdsl.ir.expr import Buffer, Checked, Load, Var
from tdsl.ir.frames import Sizes, isl
from tdsl.ir.visit import leaves
from tests.analysis.nests import expression, schedule
from tests.analysis.test_relations import points

i, j = Var("i"), Var("j")
ENV = {"i": i, "j": j}
X = Buffer("X", dtypes.float32, (build.index(8), build.index(8)))
DATA = Load(Buffer("P", dtypes.int64, (build.index(8),)), (i,))


def at(*indices, when=()):
    """An access of X, of indices as text or as they are."""
    made = (expression(e, ENV) if isinstance(e, str) else e for e in indices)
    return Access(X, tuple(made), tuple(expression(c, ENV) for c in when), is_write=False)


def test_accesses_share_an_element_if_all_indices_agree():
    two, three = {i: 2, j: 5}, {i: 3, j: 5}
    assert _shared(at("i", "j"), at("i", "j"), two, two) == (2, 5)
    assert _shared(at("i", "j"), at("i", "j"), two, three) is None
    assert _shared(at("j", "i"), at("j", "i"), two, three) is None
    assert _shared(at("i+1", "j"), at("i", "j"), two, three) == (3, 5)
    assert _shared(at("i", "j"), at("i-1", "j"), two, three) == (2, 5)


def test_what_depends_on_data_is_taken_to_agree():
    two, three = {i: 2, j: 5}, {i: 3, j: 5}
    assert _shared(at(DATA, "j"), at("i", "j"), two, three) == (3, 5)
    assert _shared(at("i", "j"), at(DATA, "j"), two, three) == (2, 5)
    assert _shared(at(DATA, "j"), at(DATA, "j"), two, three) == (0, 5)
    assert _shared(at(DATA, "i"), at("i", "i"), two, three) is None
    assert element_at(at(DATA, "j"), two) == (0, 5)
    assert element_at(at("i*2", "j+1"), two) == (4, 6)


def test_accesses_share_nothing_where_a_condition_does_not_hold():
    two, three = {i: 2, j: 5}, {i: 3, j: 5}
    one = at("j", "j", when=["i < 3", "j > 4"])
    assert _shared(one, at("j", "j"), two, three) == (5, 5)
    assert _shared(one, at("j", "j"), three, two) is None
    assert _shared(at("j", "j"), one, two, three) is None
    assert _shared(at("j", "j"), one, three, two) == (5, 5)
    assert _shared(at("j", "j", when=["i < 3", "j > 5"]), at("j", "j"), two, two) is None


def masked():
    """Sums over a triangle, of places that data tell too."""
    x = td.placeholder((6,), "float32", name="X")
    p = td.placeholder((6,), "int64", name="P")
    k = td.reduce_axis(4, name="k")
    y = td.compute((4,), lambda i: td.sum(x[k] + x[p[i]], axis=k, where=k <= i), name="Y")
    return td.func("f", [x, p], [y]).program


def test_a_moment_is_one_at_which_a_leaf_runs():
    program = masked()
    text = "i in 4:\n  Y.init(i)\n  k in i+1:\n    Y(3-i, k) if k < 3, i >= 1\n"
    state = State.of(dependences(program), schedule(program, text), Memo())
    site = state.sites[-1]
    found = _moment(site, (1, 1), {})
    assert found.loops == {"i": 1, "k": 1}
    assert {v.name: n for v, n in found.env.items()} == {"i": 2, "k": 1}
    assert _moment(site, (1, 0), {}).loops == {"i": 1, "k": 0}
    assert _moment(site, (0, 0), {}) is None  # a guard
    assert _moment(site, (3, 3), {}) is None  # the other one
    assert _moment(site, (1, 2), {}) is None  # beyond the loop
    assert _moment(site, (4, 0), {}) is None
    assert _moment(site, (1, -1), {}) is None
    assert _moment(site, (3, 2), {}) is None  # `where`
    assert _moment(site, (3, 0), {}).loops == {"i": 3, "k": 0}


def test_pairs_of_times_at_which_a_leaf_does_not_run_are_no_witness():
    program = masked()
    text = "i in 4:\n  Y.init(i)\n  k in i+1:\n    Y(3-i, k) if k < 3, i >= 1\n"
    state = State.of(dependences(program), schedule(program, text), Memo())
    site, sizes = state.sites[-1], state.deps.models.sizes
    (write,) = [x for x in state.deps.accesses[id(site.block)] if x.is_write]

    def asked(pairs):
        bad = isl().Map.read_from_str(frames.context(), f"{{ {pairs} }}")
        found = two_moments(bad, (site, site), sizes)
        shown = conflict("WAW", bad, (site, site), [(write, write)], sizes)
        return found and (found[0].loops, found[1].loops), shown and shown.element

    times = {"i": 1, "k": 1}, {"i": 1, "k": 0}
    assert asked("[1, 1] -> [1, 0]") == (times, (2,))
    assert asked("[0, 0] -> [1, 0]") == (None, None)
    assert asked("[1, 1] -> [0, 0]") == (None, None)
    assert asked("[a, b] -> [c, d] : 1 = 0") == (None, None)
    never = isl().Map.read_from_str(frames.context(), "{ [a, b] -> [c, d] : 1 = 0 }")
    assert moment("bounds", never.domain(), site, write, sizes) is None
    assert unwritten(never, site, site.block, [(write, write)], sizes) is None


def test_loops_whose_extent_is_not_known_have_no_moment():
    n = td.sizes("N")
    x = td.placeholder((n,), "float32", name="X")
    program = td.func("f", [x], [td.compute((n,), lambda i: x[i], name="Y")]).program
    (site,) = State.of(dependences(program), program, Memo()).sites
    assert _moment(site, (0,), {}) is None
    assert _moment(site, (0,), {program.sizes[0]: 1}).loops == {"i": 0}
    last = schedule(program, "i in 1:\n  Y(N-1-i)\n")
    (site,) = State.of(dependences(program), last, Memo()).sites
    assert _moment(site, (0,), {}) is None  # which instance it is is not known either


def test_no_dependence_is_found_twice():
    """Also of a block on itself, in loops around it."""
    found = dependences(masked())
    assert found.all
    assert len({id(d) for d in found.all}) == len(found.all)


def block_of(program, name):
    return next(leaf.block for leaf in leaves(program.body) if leaf.block.name == name)


def test_an_access_through_data_is_no_affine_one():
    program = masked()
    block = block_of(program, "Y")
    models = Models(Sizes(program.sizes, program.assume))
    space = models.instances(block)
    told = [
        a for a in accesses(block) if a.buffer.name == "X" and any(map(frames.loads, a.indices))
    ]
    plain = [a for a in accesses(block) if a not in told]
    assert told
    assert plain
    assert not any(is_affine(a, space) for a in told)
    assert all(is_affine(a, space) for a in plain)
    assert {len(points(relation(a, space, models).range(), ())) for a in told} == {6}


def test_an_index_that_is_checked_depends_on_data_wherever_it_stands():
    checked = Checked(i, build.index(8))
    for indices in ((checked, j), (j, checked), (DATA, j), (j, DATA)):
        assert _depends_on_data(at(*indices))
    assert not _depends_on_data(at("i", "j+1"))


def test_elements_of_a_tensor_are_those_inside():
    n, m = td.sizes("N M")
    x = td.placeholder((n, m), "float32", name="X")
    func = td.func("f", [x], [td.compute((n, m), lambda i, j: x[i, j], name="Y")])
    rows, columns = func.program.sizes
    models = Models(Sizes((rows, columns)))
    assert points(elements(X, models), (0, 0)) == {(a, b) for a in range(8) for b in range(8)}
    sized = Buffer("Z", dtypes.float32, (rows, columns))
    assert points(elements(sized, models), (2, 1)) == {(0, 0), (1, 0)}
    # an extent that is no affine expression bounds nothing above
    odd = Buffer("Z", dtypes.float32, (build.floordiv(rows, columns), build.index(2)))
    found = elements(odd, models)
    inside = isl().Set.read_from_str(frames.context(), "[N] -> { [a, b] : a >= 0 and 0 <= b < 2 }")
    kinds = isl().dim_type
    assert found.project_out(kinds.param, 0, found.dim(kinds.param)).is_equal(
        inside.project_out(kinds.param, 0, 1)
    )
    assert elements(X, models, []).is_equal(elements(sized, models, []))
    one = elements(X, models, [1]).project_out(kinds.set, 0, 1)
    assert points(one, (0, 0)) == {(b,) for b in range(8)}


def test_conditions_whose_parts_join_leave_one_piece():
    x = td.placeholder((9,), "float32", name="X")
    y = td.compute((6,), lambda i: td.select((i < 2) | (i >= 2) & (i < 5), x[i + 2], 0.0), name="Y")
    program = td.func("f", [x], [y]).program
    block = block_of(program, "Y")
    models = Models(Sizes(program.sizes, program.assume))
    (read,) = [a for a in accesses(block) if not a.is_write]
    found = relation(read, models.instances(block), models)
    assert points(found.domain(), ()) == {(n,) for n in range(5)}
    assert found.n_basic_map() == 1


def test_what_shares_storage_is_not_decided_beyond_the_budget(monkeypatch):
    a = td.placeholder((9,), "float32", name="A")
    b = td.compute((9,), lambda i: a[i] * a[i], name="B")
    c = td.compute((9,), lambda i: b[8 - i] + 1.0, name="C")
    d = td.compute((9,), lambda i: c[i] * 2.0, name="D")
    program = td.func("f", [a], [d]).program
    buffers = {s.block.name: s.block.writes[0].buffer for s in dependences(program).sites}
    check_sharing(program, buffers["B"], buffers["D"])
    with pytest.raises(Refused, match="C still reads B after C has written C"):
        check_sharing(program, buffers["B"], buffers["C"])
    monkeypatch.setattr(frames, "BUDGET", 1)
    with pytest.raises(Refused, match="C needs B after C has taken its place could not be decided"):
        check_sharing(program, buffers["B"], buffers["C"])
