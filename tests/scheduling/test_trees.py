"""Surgery on loop trees: what each operation makes of small nests, and what it leaves alone."""

import pytest

import tdsl as td
from tdsl.errors import InternalError, ScheduleError
from tdsl.ir.equal import alpha_equal
from tdsl.ir.expr import Var
from tdsl.ir.stmt import Alloc, For, Guard, Leaf, Seq
from tdsl.ir.visit import own_vars
from tdsl.scheduling import tree
from tdsl.scheduling.edit import Edit
from tests.analysis.nests import expression
from tests.scheduling.algorithms import blur, matmul
from tests.scheduling.running import scheduled


@pytest.fixture
def s():
    """alloc C { for i { for j { for k C } }; for i { for j D } }"""
    return scheduled(matmul(4, 5, 6, relu=True))


@pytest.fixture
def body(s):
    return s.program.body


def shape(stmt):
    """A tree as nested lists of names."""
    match stmt:
        case For(var=var, body=below):
            return [var.name, shape(below)]
        case Alloc(buffer=buffer, body=below):
            return [f"alloc {buffer.name}", shape(below)]
        case Seq(body=items):
            return [shape(item) for item in items]
        case Leaf(block=block):
            return block.name


C_NEST, D_NEST = ["i", ["j", ["k", "C"]]], ["i", ["j", "D"]]


def parts(body):
    """The allocation's body, the nests of C and D, and their leaves."""
    one, two = body.body.body
    return body.body, one, two, *tree.leaves_below(body)


def test_statements_come_in_static_order(body):
    names = [shape(stmt) if isinstance(stmt, Leaf) else type(stmt).__name__
             for stmt in tree.statements(body)]  # fmt: skip
    assert names == ["Alloc", "Seq", "For", "For", "For", "C", "For", "For", "D"]
    assert [leaf.block.name for leaf in tree.leaves_below(body)] == ["C", "D"]


def test_loop_variables_are_those_of_loops_and_of_the_parts_of_fused_ones(s):
    s.fuse("C.i", "C.j")
    _, one, two, *_ = parts(s.program.body)
    assert {var.name for var in tree.loop_vars(one)} == {"i_j", "i", "j", "k"}
    assert {var.name for var in tree.loop_vars(two)} == {"i", "j"}
    assert [var.name for var in own_vars(one)] == ["i", "j"]
    assert own_vars(two) == (two.var,)


def test_sequences_are_flat_and_one_statement_is_none(body):
    seq, one, two, *_ = parts(body)
    assert tree.sequence(one) is one
    assert shape(tree.sequence(one, two)) == [C_NEST, D_NEST]
    assert shape(tree.sequence(two, seq)) == [D_NEST, C_NEST, D_NEST]


def test_rebuilding_shares_what_is_as_it_was(body):
    seen = []

    def edit(stmt):
        seen.append(type(stmt).__name__)
        return stmt

    assert tree.rebuild(body, edit) is body
    assert seen == ["Leaf", "For", "For", "For", "Leaf", "For", "For", "Seq", "Alloc"]
    _, one, two, *_ = parts(body)
    changed = tree.rebuild(body, lambda x: None if x is two else x)
    assert shape(changed) == ["alloc C", C_NEST]
    assert changed.body is one


def test_rebuilding_drops_loops_and_sequences_that_are_left_empty(body):
    _, one, _, c, d = parts(body)
    assert shape(tree.rebuild(body, lambda x: None if x is d else x)) == ["alloc C", C_NEST]
    assert shape(tree.rebuild(body, lambda x: None if x is c else x)) == ["alloc C", D_NEST]
    assert tree.rebuild(body, lambda x: None if isinstance(x, Leaf) else x) is None
    assert tree.rebuild(one, lambda x: None if isinstance(x, For) else x) is None


def test_rebuilding_one_of_several_keeps_the_others(body):
    _, one, two, c, _ = parts(body)
    guard = Guard(expression("i < 3", {"i": one.var}))
    for wanted in (c, parts(body)[4]):
        changed = tree.rebuild(
            body, lambda x, w=wanted: Leaf(x.block, x.bindings, (guard,)) if x is w else x
        )
        assert shape(changed) == ["alloc C", [C_NEST, D_NEST]]
        guards = [leaf.guards for leaf in tree.leaves_below(changed)]
        assert guards == ([(guard,), ()] if wanted is c else [(), (guard,)])
        untouched = changed.body.body[1 if wanted is c else 0]
        assert untouched is (two if wanted is c else one)


def test_swapping_puts_a_statement_in_the_place_of_another(body):
    seq, one, two, c, d = parts(body)
    assert shape(tree.swap(body, one, two)) == ["alloc C", [D_NEST, D_NEST]]
    assert shape(tree.swap(body, one, None)) == ["alloc C", D_NEST]
    assert shape(tree.swap(body, two, None)) == ["alloc C", C_NEST]
    assert shape(tree.swap(body, c, None)) == ["alloc C", D_NEST]
    assert shape(tree.swap(body, one.body.body, c)) == ["alloc C", [["i", ["j", "C"]], D_NEST]]
    assert shape(tree.swap(body, d, seq)) == ["alloc C", [C_NEST, ["i", ["j", [C_NEST, D_NEST]]]]]
    assert tree.swap(body, body, one) is one
    assert tree.swap(body, Seq((one,)), two) is body
    assert tree.swap(body, one, two).body.body[1] is two
    with pytest.raises(InternalError, match="removed the whole program"):
        tree.swap(body, body, None)
    with pytest.raises(InternalError, match="removed the whole program"):
        tree.swap(one, c, None)


def test_statements_are_put_before_and_after_others(body):
    _, one, two, c, _ = parts(body)
    assert shape(tree.put_before(body, two, c)) == ["alloc C", [C_NEST, "C", D_NEST]]
    assert shape(tree.put_after(body, one, c)) == ["alloc C", [C_NEST, "C", D_NEST]]
    assert shape(tree.put_before(body, one, c)) == ["alloc C", ["C", C_NEST, D_NEST]]
    assert shape(tree.put_after(body, two, c)) == ["alloc C", [C_NEST, D_NEST, "C"]]


def test_allocations_are_taken_off_and_put_around(body):
    seq, one, *_ = parts(body)
    assert shape(tree.drop_alloc(body, body)) == [C_NEST, D_NEST]
    assert tree.below_allocs(body) is seq
    assert tree.below_allocs(one) is one
    assert shape(tree.allocs_around(body, one)) == ["alloc C", C_NEST]
    assert tree.allocs_around(seq, one) is one
    double = Alloc(body.buffer, body)
    assert shape(tree.allocs_around(double, one)) == ["alloc C", ["alloc C", C_NEST]]
    assert tree.below_allocs(double) is seq


def test_guards_are_added_to_every_leaf_behind_its_own(body):
    _, one, *_ = parts(body)
    first, second = (Guard(expression(f"i < {n}", {"i": one.var})) for n in (3, 2))
    assert tree.guarded(body, ()) is body
    once = tree.guarded(body, (first,))
    twice = tree.guarded(once, (second,))
    assert [leaf.guards for leaf in tree.leaves_below(twice)] == [(first, second)] * 2
    assert [leaf.guards for leaf in tree.leaves_below(body)] == [(), ()]


def test_copies_have_loops_of_their_own(body):
    copy, mapping = tree.renamed(body)
    assert shape(copy) == shape(body)
    assert alpha_equal_bodies(copy, body)
    old, new = tree.loop_vars(body), tree.loop_vars(copy)
    assert not old & new
    assert set(mapping) == old
    assert set(mapping.values()) == new
    assert all((var.name, var.dtype) == (to.name, to.dtype) for var, to in mapping.items())


def alpha_equal_bodies(a, b):
    program = scheduled(matmul(4, 5, 6, relu=True)).program
    return alpha_equal(tree.with_body(program, a), tree.with_body(program, b))


def test_blocks_are_replaced_in_their_leaves(body):
    *_, c, d = parts(body)
    other = tree.replace_blocks(body, {d.block: c.block})
    assert shape(other) == ["alloc C", [C_NEST, ["i", ["j", "C"]]]]
    assert tree.replace_blocks(body, {}) is body


def test_the_nest_of_a_leaf_holds_no_other_leaf(s, body):
    _, one, two, c, d = parts(body)
    assert tree.nest_of(body, c) is one
    assert tree.nest_of(body, d) is two
    assert tree.nest_of(one.body, c) is one.body
    assert tree.nest_of(c, c) is c
    s.compute_at("C", "D.j")
    body = s.program.body
    c, d = tree.leaves_below(body)
    assert shape(tree.nest_of(body, d)) == "D"
    assert shape(tree.nest_of(body, c)) == ["i_1", ["j_1", ["k", "C"]]]  # one element of C
    alloc = Alloc(next(iter(s.index.allocs)), two)
    assert tree.nest_of(alloc, tree.leaves_below(two)[0]) is two  # an allocation is no loop


# ---- what a primitive is given to work with


def test_an_edit_finds_statements_by_identity(s):
    edit = Edit(s, "test")
    i, j, k = (loop.node for loop in s.loops("C"))
    assert edit.path_to_loop(j)[-2:] == (i, j)
    assert edit.path("C")[-1] is edit.leaf("C")
    assert edit.blocks_below(i) == ["C"]
    assert edit.blocks_below(s.program.body) == ["C", "D"]
    assert edit.find(s.program.body, k.var) is k
    assert edit.alloc_of(s.program.body, s.program.body.buffer) is s.program.body
    assert edit.nest_handles(s.program.body, edit.leaf("C").block) == s.loops("C")
    assert [buffer.name for buffer in edit.stored("C")] == ["C"]
    assert [buffer.name for buffer in edit.stored("A")] == ["A"]
    other = scheduled(blur(4, 4))
    for lost in (
        lambda: edit.path_to_loop(other.loops("X")[0].node),
        lambda: edit.find(i, Var("i")),
        lambda: edit.alloc_of(i, s.program.body.buffer),
        lambda: edit.outcome,
    ):
        with pytest.raises(InternalError):
            lost()


def test_a_block_of_several_tensors_stores_them_all():
    a = td.placeholder((8,), "float32", name="A")
    p, q = td.compute((8,), lambda i: (a[i] + 1, a[i] * 2), name="P")
    c = td.compute((8,), lambda i: p[i] + q[i], name="C")
    edit = Edit(scheduled(td.func("f", [a], [c])), "test")
    names = [buffer.name for buffer in edit.stored("P")]
    assert len(names) == 2
    assert [buffer.name for buffer in edit.stored(names[1])] == names[1:]


def test_a_step_that_does_not_commit_is_a_fault_of_tdsl(s):
    with pytest.raises(InternalError, match="test returned without a commit"):
        _ = Edit(s, "test").outcome


def test_attempts_are_made_until_one_is_accepted(s):
    edit, made = Edit(s, "test"), []

    def attempt(name, accepted):
        def make():
            made.append(name)
            if not accepted:
                raise edit.error(name)

        return make

    edit.first_accepted([attempt("a", False), attempt("b", True), attempt("c", True)])
    assert made == ["a", "b"]
    with pytest.raises(ScheduleError) as caught:
        edit.first_accepted([attempt("d", False), attempt("e", False)])
    assert caught.value.reason == "e"


def test_what_all_leaves_run_under_is_known_of_the_sizes():
    s = scheduled(blur("H", 8))
    s.specialize("H % 4 == 0", "X.i")
    assert s.blocks() == ("X@0", "X@1", "Y")
    first, second = s.loops("X@0")[0].node, s.loops("X@1")[0].node
    edit = Edit(s, "test")
    assert [str(fact) for fact in edit.facts_in(s.program.body)] == []
    assert edit.facts_in(s.loops("Y")[0].node) == ()
    (fact,) = edit.facts_in(first)
    (other,) = edit.facts_in(second)
    assert fact != other
    s.split("X@0.j", 3)  # its tail has a guard of loops, which says nothing of the sizes
    edit = Edit(s, "test")
    assert len(s.index.leaves["X@0"].guards) == 2
    assert edit.facts_in(s.loops("X@0")[0].node) == (fact,)
