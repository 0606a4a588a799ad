import numpy as np
import pytest

import tdsl as td
from tdsl.autotune.candidates import Candidate
from tdsl.autotune.knobs import KnobError
from tdsl.autotune.search import RandomSearch
from tdsl.autotune.space import Space
from tdsl.records import replay_steps
from tests.autotune.algorithms import TARGET, increment, increment_space, matmul, task


@pytest.fixture(scope="module")
def space():
    return Space(task())


def test_each_combination_of_choices_is_a_structure(space):
    assert [dict(s.choices) for s in space.structures] == [{"pack": 0}, {"pack": 1}]
    assert [s.names for s in space.structures] == [("ti.1", "tj.1")] * 2


def test_choices_that_only_some_options_reach_are_found():
    def nested(s, knob):
        if knob.choice("a", [0, 1]):
            knob.choice("b", [0, 1, 2])
        else:
            knob.choice("c", [0, 1])

    found = {s.choices for s in Space(task(increment(), nested)).structures}
    assert found == {
        (("a", 0), ("c", 0)),
        (("a", 0), ("c", 1)),
        (("a", 1), ("b", 0)),
        (("a", 1), ("b", 1)),
        (("a", 1), ("b", 2)),
    }


def test_a_structure_that_the_prover_refuses_is_left_out():
    def sometimes(s, knob):
        if knob.choice("loop", ["k", "i"]) == "k":
            s.parallel("C.k")
        else:
            s.parallel("C.i")

    assert [s.choices for s in Space(task(matmul(), sometimes)).structures] == [(("loop", 1),)]


def test_a_space_without_a_legal_candidate_says_so():
    with pytest.raises(KnobError, match="no candidate of test is legal for matmul"):
        Space(task(matmul(), lambda s, knob: s.parallel("C.k")))


def test_random_vectors_meet_the_conditions(space):
    structure = space.structures[0]
    values = structure.values(structure.random(np.random.default_rng(0), 500))
    assert len(values) == 500
    assert (values[:, 0] * values[:, 1] <= 256).all()


def test_a_candidate_becomes_the_schedule_that_its_steps_rebuild(space):
    rng = np.random.default_rng(1)
    for structure in space.structures:
        candidate = structure.candidate(structure.random(rng, 1)[0])
        schedule = space.realise(candidate)
        again = td.Schedule(matmul(), TARGET)
        replay_steps(again, schedule.steps)
        assert str(again.nest) == str(schedule.nest)


def test_candidates_survive_json_and_are_found_again(space):
    candidate = space.structures[1].candidate(
        space.structures[1].random(np.random.default_rng(2), 1)[0]
    )
    again = Candidate.parse(candidate.json())
    assert again.key == candidate.key
    number, indices = space.find(again)
    assert space.structures[number].candidate(indices) == candidate
    assert Candidate.parse({"space": 1}) is None


def test_random_search_repeats_itself_and_nothing_else(space):
    search = RandomSearch(space)
    one = search.propose([], 20, np.random.default_rng([0, 0]))
    two = search.propose([], 20, np.random.default_rng([0, 0]))
    assert one == two
    assert len({p.candidate.key for p in one}) == 20


def test_a_space_runs_out():
    search = RandomSearch(Space(task(increment(6), increment_space)))
    assert 4 <= len(search.propose([], 50, np.random.default_rng(0))) <= 7


def test_a_refusal_names_the_step_though_all_are_proven_as_one():
    found = Space(task(matmul(), lambda s, knob: knob.int("t", 1, 2)))
    found.task = task(matmul(), lambda s, knob: (knob.int("t", 1, 2), s.parallel("k")))
    with pytest.raises(td.ScheduleError) as caught:
        found.realise(found.structures[0].candidate(np.array([0])))
    assert caught.value.primitive == "parallel"


def test_steps_proven_as_a_whole_make_what_steps_proven_one_by_one_make(space):
    for structure in space.structures:
        candidate = structure.candidate(structure.random(np.random.default_rng(3), 1)[0])
        schedule = space.realise(candidate)
        again = td.Schedule(matmul(), TARGET)
        replay_steps(again, schedule.steps)
        assert again.numerics is schedule.numerics
        assert schedule.proof.program is schedule.program
