"""Which steps are tried at a loop, to the last one, and how each is shown."""

import pytest

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.errors import Witness
from tdsl.scheduling import moves as moves_module
from tdsl.scheduling.moves import Move, Moves
from tests.scheduling.algorithms import blur, cumsum, increment, matmul, softmax
from tests.scheduling.running import scheduled


def tried(s, loop):
    """Calls in the order of the table, without those that every loop and each instruction gets."""
    calls = [move.call for move in s.moves(loop) if move.primitive != "tensorize"]
    label = s.loop(loop, "test").label
    always = [
        f's.split("{label}", 4)', f's.parallel("{label}")', f's.vectorize("{label}")',
        f's.unroll("{label}")', f's.unroll_and_jam("{label}", 2)', f's.reverse("{label}")',
    ]  # fmt: skip
    kept = [call for call in calls if call not in always]
    assert [call for call in calls if call in always] == always
    return kept


def test_an_inner_loop_of_a_consumer():
    assert tried(scheduled(blur(8, 8)), "Y.j") == [
        's.skew("Y.j", "Y.i")',
        's.compute_at("X", "Y.j")',
        's.inline("X")',
        's.store_at("X", "Y.j")',
        's.cache_read("Y", "X", "global", "Y.j")',
        's.cache_write("Y", "stack", "Y.j")',
    ]


def test_an_outer_loop_of_a_producer():
    assert tried(scheduled(blur(8, 8)), "X.i") == [
        's.reorder("X.j", "X.i")',
        's.fuse("X.i", "X.j")',
        's.tile("X.i", "X.j", 4, 4)',
        's.reverse_compute_at("Y", "X.i")',
        's.store_at("X", "X.i")',
        's.cache_read("X", "A", "global", "X.i")',
        's.cache_write("X", "stack", "X.i")',
    ]


def test_a_loop_that_holds_a_tensor_and_two_blocks():
    s = scheduled(blur(8, 8))
    s.compute_at("X", "Y.i")
    # X is allocated in the loop: it is folded, not cached or stored there, and never leaves it
    assert tried(s, "X.i") == [
        's.fold_storage("X")',
        's.fission("X.i", "X")',
        's.cache_read("X", "A", "global", "X.i")',
        's.cache_write("Y", "stack", "X.i")',
    ]
    # a nest of its own in there sees what is around it
    assert tried(s, "Y.j") == [
        's.skew("Y.j", "X.i")',
        's.compute_at("X", "Y.j")',
        's.inline("X")',
        's.store_at("X", "Y.j")',
        's.cache_read("Y", "X", "global", "Y.j")',
        's.cache_write("Y", "stack", "Y.j")',
    ]


def test_a_reduction_loop():
    assert tried(scheduled(matmul(8, 8, 8, relu=True)), "C.k") == [
        's.skew("C.k", "C.i")',
        's.skew("C.k", "C.j")',
        's.reverse_compute_at("D", "C.k")',
        's.store_at("C", "C.k")',
        's.decompose_reduction("C", "C.k")',
        's.rfactor("C.k")',
        's.cache_read("C", "A", "global", "C.k")',
        's.cache_read("C", "B", "global", "C.k")',
        's.cache_write("C", "stack", "C.k")',
        's.pad_einsum("C", 8)',
    ]


def test_an_allocation_between_loops_is_walked_through():
    s = scheduled(matmul(8, 8, 8, relu=True))
    s.compute_at("C", "D.j")
    s.store_at("C", "D.i")
    assert 's.reorder("C.j", "C.i")' in tried(s, "C.i")


def test_tiles_are_tried_where_the_inner_loop_is_longer_than_they_are():
    for extent, tiled in ((4, False), (5, True)):
        calls = tried(scheduled(matmul(8, extent, 3)), "C.i")
        assert ('s.tile("C.i", "C.j", 4, 4)' in calls) is tiled
        assert 's.tile("C.i", "C.k", 4, 4)' not in calls
    assert 's.tile("C.i", "C.k", 4, 4)' in tried(scheduled(matmul()), "C.i")


def test_a_scan_is_split_by_its_own_loop():
    s = scheduled(cumsum(100))
    (t,) = s.loops(s.blocks()[-1])
    calls = tried(s, "t")
    assert [call for call in calls if "split_scan" in call] == [f's.split_scan("{t.label}", 64)']
    assert not [call for call in tried(scheduled(softmax()), "E.i") if "split_scan" in call]


def test_blocks_that_read_the_same_run_together_unless_one_feeds_the_other():
    a = td.placeholder((8,), "float32", name="A")
    b = td.compute((8,), lambda i: a[i] + 1, name="B")
    c = td.compute((8,), lambda i: a[i] * b[i], name="C")
    d = td.compute((8,), lambda i: a[7 - i] * 2, name="D")
    e = td.placeholder((8,), "float32", name="E")
    f = td.compute((8,), lambda i: e[i] * 2, name="F")
    s = scheduled(td.func("f", [a, e], [b, c, d, f]))
    assert [call for call in tried(s, "B.i") if "compute_with" in call] == [
        's.compute_with("D", "B.i")'
    ]
    assert [call for call in tried(s, "D.i") if "compute_" in call] == [
        's.compute_with("B", "D.i")', 's.compute_with("C", "D.i")',
    ]  # fmt: skip
    assert not [call for call in tried(s, "F.i") if "compute_" in call]


def test_a_result_takes_the_place_of_operands_of_its_shape_and_type():
    a = td.placeholder((8, 8), "float32", name="A")
    b = td.compute((8, 8), lambda i, j: a[i, j] + 1, name="B")
    half = td.compute((8, 8), lambda i, j: td.cast(a[i, j], "float64"), name="half")
    row = td.compute((8,), lambda i: a[i, 0] + 1, name="row")
    c = td.compute(
        (8, 8), lambda i, j: b[i, j] * a[i, j] + td.cast(half[i, j], "float32") + row[i], name="C"
    )
    s = scheduled(td.func("f", [a], [c]))
    # A is an argument, `half` has another type and `row` another shape
    assert [call for call in tried(s, "C.j") if "reuse" in call] == ['s.reuse("C", "B")']
    assert not [call for call in tried(s, "B.j") if "reuse" in call]


def dots(dtypes=("uint8", "int8", "int32")):
    one, two, out = dtypes
    a = td.placeholder((4, 8), one, name="a")
    b = td.placeholder((16, 8), two, name="b")
    k = td.reduce_axis(8, name="k")
    c = td.compute(
        (4, 16),
        lambda i, j: td.sum(td.cast(a[i, k], out) * td.cast(b[j, k], out), axis=k),
        name="C",
    )
    return td.func("dots", [a, b], [c])


def test_instructions_are_those_of_the_operands_types():
    names = [
        move.args[1] for move in scheduled(dots()).moves("C.j") if move.primitive == "tensorize"
    ]
    assert "vpdpbusd" in names
    for name in names:
        instruction = moves_module.INSTRUCTIONS[name]
        types = {str(b.dtype) for b in (instruction.output, *instruction.inputs)}
        assert types == {"uint8", "int8", "int32"}
        assert not instruction.by_pointer
    floats = scheduled(dots(("float32", "float32", "float32"))).moves("C.j")
    assert "vpdpbusd" not in [move.args[1] for move in floats if move.primitive == "tensorize"]


def test_instructions_are_asked_for_where_there_is_a_reduction(monkeypatch):
    asked = []
    monkeypatch.setattr(moves_module, "declare_instructions", lambda: asked.append("library"))
    scheduled(increment(8)).moves("B.i")
    assert asked == []
    scheduled(matmul(4, 4, 4)).moves("C.i")
    assert asked == ["library"]


def test_devices_have_axes():
    calls = tried(scheduled(increment(64), "opencl"), "B.i")
    assert calls[:4] == [
        's.bind("B.i", "group.x")', 's.bind("B.i", "group.y")',
        's.bind("B.i", "local.x")', 's.bind("B.i", "local.y")',
    ]  # fmt: skip
    assert not [call for call in tried(scheduled(increment(64)), "B.i") if "bind" in call]


@pytest.mark.parametrize(
    ("gain", "shown"),
    [(8.125, "8.12 x quicker"), (1.0051, "1.01 x quicker"), (1.005, "1 x quicker"),
     (1.0049, "as quick"), (1.0, "as quick"), (0.9951, "as quick"), (0.995, "0.99 x as quick"),
     (0.25, "0.25 x as quick"), (0.0123, "0.012 x as quick")],
)  # fmt: skip
def test_a_gain_is_a_quotient_or_none(gain, shown):
    assert str(Move("unroll", ("C.i",), Numerics.EXACT, gain)) == f'yes  s.unroll("C.i")  # {shown}'


def test_a_move_is_shown_as_the_call_with_what_it_does_or_why_not():
    call = ("split", ("C.i", 4))
    assert str(Move(*call, Numerics.EXACT)) == 'yes  s.split("C.i", 4)'
    assert str(Move(*call, Numerics.REASSOCIATES)) == 'yes  s.split("C.i", 4)  # reassociates'
    assert str(Move(*call, Numerics.UNORDERED, 2.0)) == (
        'yes  s.split("C.i", 4)  # 2 x quicker, unordered'
    )
    assert str(Move(*call, reason="so")) == 'no   s.split("C.i", 4)  # so'
    assert str(Move(*call, reason="so", hint="else")) == 'no   s.split("C.i", 4)  # so; else'


def test_legal_moves_are_sorted_by_gain_and_come_first():
    slow, quick, unknown, no = (
        Move("slow", (), Numerics.EXACT, 0.5),
        Move("quick", (), Numerics.EXACT, 2.0),
        Move("unknown", (), Numerics.EXACT),
        Move("no", (), reason="so"),
    )
    moves = Moves((no, unknown, slow, quick))
    assert moves.legal == (quick, slow, unknown)
    assert moves.refused == (no,)
    assert [line.split()[0] for line in str(moves).splitlines()] == ["yes", "yes", "yes", "no"]
    assert tuple(moves) == (no, unknown, slow, quick)
    assert len(moves) == 4


def test_a_refusal_keeps_its_witness_and_hint():
    (move,) = [m for m in scheduled(matmul(4, 4, 4)).moves("C.k") if m.primitive == "parallel"]
    assert isinstance(move.witness, Witness)
    assert (move.numerics, move.gain, move.is_legal) == (None, None, False)
    assert "run at once" in move.reason


def test_a_step_that_changes_the_order_of_sums_says_so():
    labels = {m.primitive: m.numerics for m in scheduled(matmul(4, 4, 4)).moves("C.k").legal}
    assert labels["reverse"] is labels["rfactor"] is Numerics.REASSOCIATES
    assert labels["split"] is labels["unroll"] is Numerics.EXACT


def test_sizes_that_are_not_given_are_512():
    s = scheduled(matmul())
    given = {m.call: m.gain for m in s.moves("C.k", {"M": 512, "N": 512, "K": 512}).legal}
    assert {m.call: m.gain for m in s.moves("C.k").legal} == given
    assert {m.call: m.gain for m in s.moves("C.k", {"M": 512}).legal} == given
    assert {m.call: m.gain for m in s.moves("C.k", {"K": 8}).legal} != given
    with pytest.raises(td.TypeMismatch, match="increment has no size 'N'") as caught:
        scheduled(increment(8)).moves("B.i", {"N": 3})
    assert caught.value.hint == "there are none"
