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
    assert str(moves).splitlines()[0].startswith("yes  s.split(")


def test_an_unknown_loop_is_named():
    s = scheduled(blur(8, 8))
    with pytest.raises(td.ScheduleError, match="has no loop 'z'"):
        s.moves("Y.z")


def test_every_move_is_a_primitive():
    assert set(_CANDIDATES) <= set(PRIMITIVES)
