"""Names: of loops and blocks, of what is made out of them, and what an unknown one is answered."""

import pytest

import tdsl as td
from tdsl.ir.expr import Var
from tdsl.ir.stmt import Alloc, Seq
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.naming import names_around, split_names, unique_name
from tests.scheduling.algorithms import blur, chain, increment, matmul
from tests.scheduling.running import scheduled


def refusal(call):
    with pytest.raises(td.ScheduleError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize(
    ("count", "names"),
    [(1, ("i",)), (2, ("io", "ii")), (3, ("io", "im", "ii")), (4, ("io", "im0", "im1", "ii")),
     (5, ("io", "im0", "im1", "im2", "ii"))],
)  # fmt: skip
def test_parts_of_a_split_are_outer_middle_and_inner(count, names):
    assert split_names("i", count) == names


def test_a_name_that_is_taken_is_numbered_from_one():
    taken = {"i"}
    assert [unique_name("i", taken) for _ in range(3)] == ["i_1", "i_2", "i_3"]
    assert unique_name("j", taken) == "j"
    assert taken == {"i", "i_1", "i_2", "i_3", "j"}


def test_names_around_a_loop_are_those_above_and_below_it_and_parts_of_fused_ones():
    s = scheduled(matmul(8, 8, 8, relu=True))
    s.fuse("C.i", "C.j")
    path = s.index.paths["C"]
    (k,) = s.index.loops_named("k")
    assert names_around(path[: path.index(k)], k) == {"i_j", "i", "j", "k"}
    assert names_around((), k) == {"k"}
    path = s.index.paths["D"]
    j = s.loops("D")[1].node
    assert names_around(path[: path.index(j)], j) == {"i", "j"}


def test_leaves_are_named_by_block_and_numbered_where_there_are_several():
    s = scheduled(chain(16))
    assert s.blocks() == ("B", "C", "D")
    s.partition("C.i", 3)
    assert s.blocks() == ("B", "C@0", "C@1", "D")
    s.partition("C@1.i", 7)
    assert s.blocks() == ("B", "C@0", "C@1", "C@2", "D")
    index = s.index
    assert index.leaves_of("C") == ["C@0", "C@1", "C@2"]
    assert index.leaves_of("C@1") == ["C@1"]
    assert index.leaves_of("B") == ["B"]
    assert index.leaves_of("0") == index.leaves_of("") == index.leaves_of("E") == []
    assert [index.leaves[name].block.name for name in s.blocks()] == ["B", "C", "C", "C", "D"]
    assert [loop.extent for name in index.leaves_of("C") for loop in s.loops(name)] == [3, 7, 8]


def test_the_index_finds_paths_loops_and_allocations():
    s = scheduled(blur(8, 8))
    index = s.index
    assert list(index.paths) == list(index.leaves) == ["X", "Y"]
    alloc, body, *_ = index.paths["X"]
    assert (type(alloc), type(body)) == (Alloc, Seq)
    assert index.paths["Y"][-1] is index.leaves["Y"]
    assert [loop.var.name for loop in index.loop_path("X")] == ["i", "j"]
    assert [index.label(var) for var in index.loops] == ["X.i", "X.j", "Y.i", "Y.j"]
    assert index.loops_named("i") == [s.loops("X")[0].node, s.loops("Y")[0].node]
    assert [buffer.name for buffer in index.allocs] == ["X"]
    assert index.allocs[alloc.buffer] is alloc
    assert index.label(Var("gone")) == "gone"


def test_a_shared_loop_is_named_by_the_first_block_in_it():
    s = scheduled(blur(8, 8))
    s.compute_at("X", "Y.i")
    assert s.loops("Y")[0].label == s.loops("X")[0].label == "X.i"
    assert s.loops("Y")[1].label == "Y.j"


def test_names_that_a_new_loop_may_take_are_those_that_no_neighbour_has():
    s = scheduled(matmul(8, 8, 8))
    edit = Edit(s, "test")
    i, j, k = (loop.node for loop in s.loops("C"))
    assert edit.names_near(j) == {"i", "k"}
    assert [x.var.name for x in edit.related_loops(j)] == ["i", "k"]
    assert edit.related_loops(i) == [j, k]


def test_a_split_loop_whose_parts_have_the_names_of_others_is_numbered():
    s = scheduled(matmul(8, 8, 8))
    o, i = s.split("C.i", 4)
    assert (o.name, i.name) == ("io", "ii")
    a = td.placeholder((8, 8), "float32", name="A")
    b = td.compute((8, 8), lambda i, ii: a[i, ii] + 1, name="B")
    s = scheduled(td.func("f", [a], [b]))
    o, i = s.split("B.i", 4)
    assert o.name == "io"
    assert i.name != "ii"
    assert len({loop.name for loop in s.loops("B")}) == 3


def test_a_loop_that_is_like_none_comes_with_the_names_of_some():
    s = scheduled(matmul(8, 8, 8))
    error = refusal(lambda: s.unroll("kk"))
    assert (error.reason, error.hint) == ("there is no loop 'kk'", "did you mean 'k'?")
    error = refusal(lambda: s.unroll("Q.k"))
    assert (error.reason, error.hint) == ("there is no loop 'Q.k'", "did you mean 'C.k'?")
    error = refusal(lambda: s.unroll("zz"))
    assert error.hint == "one of 'i', 'j', 'k', 'C.i', 'C.j', 'C.k'"
    error = refusal(lambda: s.unroll("C.zz"))
    assert error.reason == "block 'C' has no loop 'zz'"
    assert error.hint == "did you mean 'C.k' or 'C.j' or 'C.i'?"


def test_a_name_that_several_loops_have_is_asked_back():
    s = scheduled(blur(8, 8))
    error = refusal(lambda: s.unroll("j"))
    assert error.reason == "2 loops are called 'j'"
    assert error.hint == "say which: 'X.j', 'Y.j'"


def test_a_loop_that_pieces_share_is_one_and_their_own_are_several():
    s = scheduled(matmul(8, 8, 8))
    s.partition("C.j", 3)
    assert s.loops("C@0")[0] == s.loops("C@1")[0]
    assert s.unroll("C.i").name == "i"
    error = refusal(lambda: s.unroll("C.j"))
    assert error.reason == "block 'C' has several loops 'j'"
    assert error.hint == "name one of its pieces: C@0, C@1"
    error = refusal(lambda: s.loops("C"))
    assert error.reason == "block 'C' stands in 2 pieces"
    assert error.hint == "name one of 'C@0', 'C@1'"


def test_an_init_goes_where_its_reduction_goes():
    s = scheduled(matmul(8, 8, 8, relu=True))
    for call in (lambda: s.loops("C.init"), lambda: s.unroll("C.init.i")):
        error = refusal(call)
        assert error.reason == "'C.init' follows the loops of 'C'"
        assert error.hint == "decompose_reduction first"
    error = refusal(lambda: s.loops("F"))
    assert (error.reason, error.hint) == ("there is no block 'F'", "one of 'C', 'D'")
    error = refusal(lambda: s.unroll("F.i"))
    assert error.reason == "there is no loop 'F.i'"
    assert s.blocks() == ("C", "D")


def test_tensors_are_arguments_and_what_is_allocated():
    s = scheduled(blur(8, 8))
    error = refusal(lambda: s.cache_read("Y", "Q"))
    assert (error.reason, error.hint) == ("there is no tensor 'Q'", "one of 'A', 'Y', 'X'")
    assert s.buffer("X", "test") is next(iter(s.index.allocs))
    assert s.buffer("A", "test").name == "A"


def test_the_first_argument_that_is_wrong_is_the_one_that_is_told():
    s = scheduled(increment(64))
    (i,) = s.loops("B")
    s.split(i, 8)
    assert "was ended by step 1" in refusal(lambda: s.split(i, "four")).reason
    with pytest.raises(td.TypeMismatch, match="argument 'inner' of split"):
        s.split("B.io", "four")


def test_a_loop_of_another_schedule_is_told_from_one_that_has_ended():
    one, two = scheduled(increment(64)), scheduled(blur(8, 8))
    error = refusal(lambda: one.unroll(two.loops("X")[0]))
    assert error.reason == "loop 'i' belongs to another schedule (of 'blur')"
    assert error.hint == "get handles from s.loops(block) of this schedule"
    (i,) = one.loops("B")
    one.split(i, 8)
    one.split("B.io", 4)
    error = refusal(lambda: one.unroll(i))
    assert error.reason == """loop 'i' was ended by step 1, s.split("B.i", 8)"""
    assert error.hint == "use the handles which that step returned, or s.loops(block)"


def test_handles_of_a_combinator_that_failed_are_as_they_were():
    @td.combinator
    def fails_late(s, loop):
        s.split(loop, 8)
        s.split(loop, 8)

    s = scheduled(increment(64))
    (i,) = s.loops("B")
    assert "was ended by step 1" in refusal(lambda: fails_late(s, i)).reason
    assert i.is_alive
    s.unroll(i)
    assert [str(step) for step in s.trace] == ['s.unroll("B.i")']


def test_a_schedule_is_of_an_algorithm():
    with pytest.raises(td.TypeMismatch, match="takes an algorithm, got int") as caught:
        td.Schedule(3)
    assert caught.value.hint == "td.func(name, inputs, outputs) makes one"


def test_the_loop_that_was_given_first_is_pointed_at():
    s = scheduled(matmul(8, 8, 8, relu=True))
    for one, other, marked in (("C.k", "D.j", "for k in 8"), ("D.j", "C.k", "for j in 8")):
        lines = refusal(lambda one=one, other=other: s.fuse(one, other)).nest.splitlines()
        (pointed,) = [line for line in lines if line.startswith(">")]
        assert marked in pointed
        assert len(lines) == len(str(s.nest).splitlines()) - 1  # without the init
