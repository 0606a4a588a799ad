from dataclasses import replace

import pytest

import tdsl as td
from tdsl.scheduling.moves import _CANDIDATES
from tdsl.scheduling.primitive import PRIMITIVES
from tests.scheduling.algorithms import blur, cumsum, matmul, softmax
from tests.scheduling.running import scheduled


def state_of(s):
    return s.program, s.algorithm, len(list(s.trace))


def legal(moves):
    return {move.primitive for move in moves.legal}


@pytest.mark.parametrize("make", [blur, matmul, softmax, cumsum])
def test_trying_moves_changes_nothing(make):
    s = scheduled(make())
    before = state_of(s)
    loop = s.loops(s.blocks()[-1])[0]
    moves = s.moves(loop)
    assert state_of(s) == before
    assert len(moves) == len(moves.legal) + len(moves.refused)
    assert loop.is_alive


def test_what_is_called_legal_is_accepted_and_the_rest_refused_for_the_same_reason():
    for number in range(len(scheduled(matmul(8, 8, 4, relu=True)).moves("C.k"))):
        s = scheduled(matmul(8, 8, 4, relu=True))
        move = tuple(s.moves("C.k"))[number]
        if move.is_legal:
            getattr(s, move.primitive)(*move.args)
            assert s.numerics is move.numerics
            continue
        with pytest.raises(td.TdslError) as caught:
            getattr(s, move.primitive)(*move.args)
        assert move.reason in caught.value.message


def test_a_reduction_loop_may_be_unrolled_but_not_run_in_parallel():
    s = scheduled(matmul(8, 8, 4))
    moves = s.moves("k")
    assert {"split", "unroll", "rfactor", "reverse"} <= legal(moves)
    (refused,) = [move for move in moves.refused if move.primitive == "parallel"]
    assert refused.witness.buffer == "C"
    assert 'no   s.parallel("C.k")  # iterations of k may run at once' in str(moves)


def test_a_stencil_may_take_its_producer_in():
    s = scheduled(blur(8, 8))
    moves = s.moves("Y.i")
    assert ("compute_at", ("X", "Y.i")) in [(m.primitive, m.args) for m in moves.legal]
    lines = str(moves).splitlines()
    kinds = [line[:3] for line in lines]
    assert kinds == sorted(kinds, reverse=True)  # all that is legal comes first


MACHINE = replace(td.target("llvm -mcpu=znver4"), l1=48 << 10, l2=1 << 20, l3=32 << 20, cores=2)


def gains(moves):
    return {move.call: move.gain for move in moves.legal}


def test_gains_tell_good_steps_from_bad_ones():
    s = scheduled(matmul(256, 256, 256), MACHINE)
    at_j = gains(s.moves("C.j"))
    assert next(iter(at_j)) == 's.vectorize("C.j")'
    assert at_j['s.vectorize("C.j")'] > 8
    assert 1.5 < at_j['s.reorder("C.k", "C.j")'] < 5
    assert 1.5 < at_j['s.unroll_and_jam("C.j", 2)'] < 2.5
    assert at_j['s.split("C.j", 4)'] == pytest.approx(1, rel=0.01)
    assert at_j['s.cache_read("C", "B", "global", "C.j")'] < 0.9
    s.reorder("C.i", "C.k", "C.j")
    assert gains(s.moves("C.i"))['s.reorder("C.j", "C.i")'] < 0.7
    shown = str(s.moves("C.j"))
    assert 's.split("C.j", 4)  # as quick' in shown
    assert 's.parallel("C.j")  # 0.' in shown


def test_gains_depend_on_sizes_which_may_be_given():
    s = scheduled(blur(), MACHINE)
    small, large = (s.moves("Y.i", {"H": n, "W": n}) for n in (8, 4096))
    assert gains(small)['s.parallel("Y.i")'] < 1 < gains(large)['s.parallel("Y.i")']
    with pytest.raises(td.TdslError, match="has no size 'h'") as caught:
        s.moves("Y.i", {"h": 8})
    assert caught.value.hint == "one of 'H', 'W'"


def test_devices_have_no_gains():
    moves = scheduled(blur(8, 8), "opencl").moves("Y.i")
    assert moves.legal
    assert {move.gain for move in moves} == {None}


def test_a_refused_step_comes_with_its_help():
    s = scheduled(blur(8, 8))
    (line,) = [x for x in str(s.moves("Y.i")).splitlines() if "store_at" in x]
    assert line.startswith('no   s.store_at("X", "Y.i")  # ')
    assert line.endswith("or compute_at them there first")


def test_steps_for_scans_and_instructions_are_tried_where_they_might_fit():
    assert "split_scan" in legal(scheduled(cumsum(1000)).moves("t"))
    s = scheduled(matmul(16, 16, 4))
    tried = [move.args for move in s.moves("C.j") if move.primitive == "tensorize"]
    assert not {"vpdpbusd", "vdpbf16ps"} & {name for _, name in tried}
    a, b = td.placeholder((4, 8), "uint8", name="a"), td.placeholder((16, 8), "int8", name="b")
    k = td.reduce_axis(8, name="k")

    def term(i, j):
        return td.sum(td.cast(a[i, k], "int32") * td.cast(b[j, k], "int32"), axis=k)

    s = scheduled(td.func("dots", [a, b], [td.compute((4, 16), term, name="C")]))
    ko, ki = s.split("k", 4)
    s.reorder(ko, "C.j", ki)
    shipped = ("vpdpbusd", "vdpbf16ps")  # other tests may declare more
    moves = [m for m in s.moves("C.j").legal if m.primitive != "tensorize" or m.args[1] in shipped]
    assert moves[0].call == 's.tensorize("C.j", "vpdpbusd")'


def test_an_unknown_loop_is_named():
    s = scheduled(blur(8, 8))
    with pytest.raises(td.ScheduleError, match="has no loop 'z'"):
        s.moves("Y.z")


def test_every_move_is_a_primitive():
    assert set(_CANDIDATES) <= set(PRIMITIVES)
