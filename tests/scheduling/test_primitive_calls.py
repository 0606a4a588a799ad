"""Calls of primitives and combinators: how arguments are bound and recorded, and what is asked."""

from dataclasses import replace

import pytest

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.errors import InternalError, UnknownAttribute
from tdsl.ir.stmt import Scope
from tdsl.ir.visit import free_vars
from tdsl.scheduling import remembered
from tdsl.scheduling.arguments import CountArg, LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.primitive import PRIMITIVES, Primitive, primitive
from tests.scheduling.algorithms import blur, increment, matmul
from tests.scheduling.running import scheduled


@pytest.fixture
def s():
    return scheduled(matmul(8, 8, 8))


def mistake(call):
    with pytest.raises(td.TypeMismatch) as caught:
        call()
    return caught.value


def test_calls_are_recorded_in_one_way_however_they_were_written(s):
    s.split(loop="C.i", inner=4)
    s.split("C.j", 3, "mask")
    s.split("C.k", 2, tail="exact")
    s.reorder("C.ko", "C.jo", unsafe=False)
    assert [str(step) for step in s.trace] == [
        's.split("C.i", 4)',
        's.split("C.j", 3, tail="mask")',
        's.split("C.k", 2, tail="exact")',
        's.reorder("C.ko", "C.jo")',
    ]


def test_a_default_that_is_given_is_left_out(s):
    default = PRIMITIVES["split"].signature.parameters["tail"].default
    s.split("C.i", 4, tail=default, unsafe=False)
    assert str(s.trace[0]) == 's.split("C.i", 4)'


def test_a_wrong_keyword_comes_with_the_one_that_was_meant(s):
    error = mistake(lambda: s.split("C.i", inner=4, tial="mask"))
    assert error.hint == "did you mean 'tail'?"
    error = mistake(lambda: s.split("C.i"))
    assert error.message == "split: missing a required argument: 'inner'"
    assert error.hint.startswith("the call is s.split(loop, inner")
    assert mistake(lambda: s.split("C.i", 4, "mask", True, 3)).message == (
        "split: too many positional arguments"
    )


def test_every_item_of_a_variable_argument_is_checked(s):
    assert "argument 'loops' of reorder" in mistake(lambda: s.reorder("C.k", 3)).message


def test_unsafe_is_told_from_what_could_not_be_proven_because_of_it(s):
    s.split("C.i", 4)
    s.parallel("C.k", unsafe=True)
    s.reverse("C.j", unsafe=True)
    s.split("C.j", 4)
    assert [(step.unsafe, step.unproven) for step in s.trace] == [
        (False, False), (True, False), (True, False), (False, True),
    ]  # fmt: skip


def test_a_primitive_is_documented_on_the_class_and_bound_on_a_schedule(s):
    assert isinstance(td.Schedule.split, Primitive)
    assert td.Schedule.split.__name__ == s.split.__name__ == "split"
    assert s.split.__doc__ == td.Schedule.split.__doc__
    assert s.split.__doc__.startswith("Split a loop")
    assert list(s.split.__signature__.parameters)[:2] == ["loop", "inner"]


def test_primitives_have_arguments_of_known_kinds_and_names_of_their_own():
    def strange(edit: Edit, loop: "Unheard") -> None:  # noqa: F821 - that is the fault
        """Nothing."""

    with pytest.raises(InternalError, match="strange: no argument kind 'Unheard'"):
        primitive(strange)

    def split(edit: Edit, loop: "LoopArg", by: "CountArg") -> None:
        """Another one."""

    known = PRIMITIVES["split"]
    with pytest.raises(InternalError, match="two primitives are called 'split'"):
        primitive(split)
    assert PRIMITIVES["split"] is known
    split.__module__ = known.__module__  # a module that is loaded again
    try:
        declared = primitive(split)
        assert PRIMITIVES["split"] is declared
        assert list(PRIMITIVES["split"].kinds) == ["loop", "by"]
    finally:
        PRIMITIVES["split"] = known


def test_attempts_leave_the_schedule_as_it_is(s):
    before = s.state
    state = PRIMITIVES["parallel"].attempt(s, "C.i")
    assert s.state is before
    assert len(s.trace) == 0
    assert state.program is not before.program
    assert PRIMITIVES["parallel"].apply(s, "C.i").name == "i"
    assert str(s.nest) == str(type(s.nest)(state.program, state.index))


def test_numerics_are_the_weakest_of_rewriting_and_order(s):
    s.rfactor(s.split("C.k", 4)[0])
    assert s.numerics.value == "reassociates"
    s.unroll("C.rf.ki")
    assert s.numerics.value == "reassociates"
    assert [step.numerics for step in s.trace] == ["exact", "reassociates", "reassociates"]


# ---- combinators


def test_the_first_argument_of_a_combinator_is_a_schedule(s):
    @td.combinator
    def turned(s, one, *, two):
        s.reverse(one)
        return s.reverse(two)

    error = mistake(lambda: turned("C.i", "C.j", two="C.k"))
    assert error.message == "the first argument of turned is a schedule, got 'C.i'"
    assert turned(s, "C.i", two=s.loops("C")[1]).name == "j"
    assert 'turned(s, "C.i", two="C.j")' in str(s.trace)


@td.combinator
def reversed_pair(s, one, two):
    s.reverse(one)
    return s.reverse(two)


def test_a_combinator_is_known_by_module_and_name(s):
    again = td.combinator(reversed_pair.__wrapped__)  # as when its module is loaded again
    assert again(s, "C.i", "C.j").name == "j"

    def reversed_pair_(s):
        return None

    reversed_pair_.__name__ = "reversed_pair"  # of the same module, but another function
    with pytest.raises(td.TdslError, match="'reversed_pair' is registered already") as caught:
        td.combinator(reversed_pair_)
    assert caught.value.hint == "give one of them another name"


# ---- what a schedule answers


def test_what_a_schedule_has_not_is_answered_with_what_was_meant(s):
    for name, hint in (
        ("splitt", "did you mean 'split'"),
        ("compute_inline", "s.inline(block)"),
        ("build", "td.build(s)"),
    ):
        with pytest.raises(UnknownAttribute, match=f"no primitive '{name}'") as caught:
            getattr(s, name)
        assert caught.value.hint.startswith(hint)
    with pytest.raises(UnknownAttribute) as caught:
        _ = s.zzzzzzzz
    named = [part.strip(" '") for part in caught.value.hint.removeprefix("one of ").split(",")]
    assert named == [*sorted(PRIMITIVES), "loops", "blocks", "moves", "save", "nest", "trace"]


def test_private_names_and_failing_properties_are_no_primitives(s, monkeypatch):
    for name in ("_nothing", "__array__"):
        with pytest.raises(AttributeError) as caught:
            getattr(s, name)
        assert type(caught.value) is AttributeError

    def fail(*_):
        raise AttributeError("inside")

    monkeypatch.setattr("tdsl.scheduling.core.NestView", fail)
    with pytest.raises(AttributeError) as caught:
        _ = s.nest
    assert type(caught.value) is AttributeError


def test_a_primitive_is_applied_by_name(s):
    assert s.apply("split", "C.i", inner=4) == s.loops("C")[:2]
    with pytest.raises(td.FormatError, match="there is no primitive 'spilt'") as caught:
        s.apply("spilt", "C.i")
    assert "'split'" in caught.value.hint


def test_printing_a_schedule_names_its_unsafe_steps_alone(s):
    s.reverse("C.j")
    s.parallel("C.k", unsafe=True)
    s.unroll("C.i")
    assert str(s) == (
        f"{s.nest}\nnumerics: exact\n" 'unsafe: s.parallel("C.k", unsafe=True)'
    )  # fmt: skip


# ---- the nest as data


def test_the_view_shows_what_each_block_touches_where():
    s = scheduled(blur("H", 6))
    s.split("Y.i", 4)
    s.set_scope("X", "stack")
    view = s.nest
    x, y = view.blocks
    assert [(loop.name, loop.label, loop.reduces) for loop in view.loops] == [
        ("i", "X.i", False), ("j", "X.j", False),
        ("io", "Y.io", False), ("ii", "Y.ii", False), ("j", "Y.j", False),
    ]  # fmt: skip
    assert [loop.extent for loop in view.loops][1] == 6
    assert [loop.extent for loop in view.loops][3:] == [4, 6]
    assert str(view.loops[0].extent) == str(s.loops("X")[0].extent)
    assert [loop.blocks for loop in view.loops] == [("X",)] * 2 + [("Y",)] * 3
    assert [[v.name for v in loop.variables] for loop in x.loops] == [["i"], ["j"]]
    assert [access.tensor for access in x.reads] == ["A"] * 3
    assert [access.tensor for access in y.writes] == ["Y"]
    assert [access.scope for access in x.reads] == [None] * 3
    assert {access.scope for access in (*x.writes, *y.reads)} == {Scope.STACK}
    io, ii, j = (loop.variables[0] for loop in y.loops)
    (written,) = y.writes
    assert [sorted(v.name for v in free_vars(e)) for e in written.indices] == [["ii", "io"], ["j"]]
    assert {io, ii, j} == set().union(*(free_vars(e) for e in written.indices))
    assert [len(free_vars(e)) for e in y.reads[2].indices] == [2, 1]
    assert (x.guarded, y.guarded) == (False, True)
    with pytest.raises(KeyError):
        view.block("Z")


def test_a_loop_reduces_where_it_walks_a_reduction_of_some_block_in_it():
    s = scheduled(matmul(8, 8, 8, relu=True))
    s.split("C.k", 4)
    s.fuse("C.i", "C.j")
    assert [(loop.name, loop.reduces) for loop in s.nest.loops] == [
        ("i_j", False), ("ko", True), ("ki", True), ("i", False), ("j", False),
    ]  # fmt: skip
    s = scheduled(matmul(8, 8, 8, relu=True))
    s.fuse("C.j", "C.k")
    assert [loop.reduces for loop in s.nest.loops] == [False, True, False, False]
    s = scheduled(matmul(8, 8, 8, relu=True))
    s.compute_at("C", "D.i")
    assert [(loop.name, loop.reduces) for loop in s.nest.loops] == [
        ("i", False), ("i_1", False), ("j", False), ("k", True), ("j", False),
    ]  # fmt: skip


# ---- remembered proofs


@pytest.fixture
def store(monkeypatch):
    """A cache in memory, and what was stored in it, in order."""
    kept, stores = {}, []

    class Entry:
        def __init__(self, metadata):
            self.metadata = metadata

    class Cache:
        def load(self, key):
            return Entry(kept[key]) if key in kept else None

        def store(self, key, data, metadata):
            stores.append(dict(metadata))
            kept[key] = dict(metadata)

    cache = Cache()
    monkeypatch.setattr(remembered, "default_cache", lambda: cache)
    return stores


def test_states_are_told_apart_by_algorithm_program_and_arguments(store):
    func = increment(64)
    s = scheduled(func)
    s.reverse("B.i")
    proofs = remembered.RememberedProofs(func.program)
    plain = proofs.recall(func.program, func.program)[0]
    assert proofs.recall(func.program, func.program)[0] == plain
    turned = replace(s.program, params=s.program.params[::-1])
    others = [
        proofs.recall(func.program, s.program)[0],
        proofs.recall(s.program, func.program)[0],
        proofs.recall(func.program, turned)[0],
    ]
    assert len({plain, *others}) == 4
    assert store == []


def test_what_was_learned_is_written_once_and_read_back(store):
    program = increment(64).program
    proofs = remembered.RememberedProofs(program)
    proofs.keep()
    assert store == []
    proofs.learn("a", Numerics.EXACT)
    proofs.keep()
    proofs.keep()
    proofs.learn("a", Numerics.REASSOCIATES)
    proofs.keep()
    assert store == [{"a": "exact"}]
    name, label = remembered.RememberedProofs(program).recall(program, program)
    assert label is None
    proofs.learn(name, Numerics.REASSOCIATES)
    proofs.keep()
    assert store[1:] == [{"a": "exact", name: "reassociates"}]
    assert remembered.RememberedProofs(program).recall(program, program) == (
        name,
        Numerics.REASSOCIATES,
    )


def test_no_more_states_are_kept_than_there_is_room_for(store, monkeypatch):
    monkeypatch.setattr(remembered, "_MOST", 2)
    proofs = remembered.RememberedProofs(increment(64).program)
    for name in "abc":
        proofs.learn(name, Numerics.EXACT)
    proofs.keep()
    assert store == [{"a": "exact", "b": "exact"}]


def test_a_record_is_of_one_source_of_the_prover(monkeypatch):
    asked = []
    monkeypatch.setattr(remembered, "source_stamp", lambda *rooms: asked.append(rooms) or "stamp")
    remembered.RememberedProofs(increment(64).program)
    assert {"ir", "analysis"} <= set(asked[0])  # a proof is made by these
