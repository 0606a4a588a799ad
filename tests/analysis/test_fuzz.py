import random

import pytest
from hypothesis import example, given, settings, strategies as st

from tdsl.analysis import Refused, prove
from tdsl.ir.nest import print_nest
from tests.analysis.oracle import replay, verdict
from tests.analysis.random_nests import random_algorithm, random_schedule


def case(seed):
    rng = random.Random(seed)
    symbolic = rng.random() < 0.4
    algorithm = random_algorithm(rng, symbolic=symbolic)
    program = random_schedule(rng, algorithm)
    return algorithm, program, [{"N": n} for n in (range(1, 5) if symbolic else [0])]


def proven(algorithm, program):
    try:
        return prove(algorithm, program).numerics.value, None
    except Refused as refused:
        return "refused", refused


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**40))
def test_what_is_proven_runs_as_the_algorithm_means(seed):
    algorithm, program, sizes = case(seed)
    label, _ = proven(algorithm, program)
    if label == "refused":
        return
    for size in sizes:
        found, why = verdict(algorithm, program, size)
        assert found != "illegal", (size, why, print_nest(program))
        assert label != "exact" or found == "exact", (size, print_nest(program))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**40))
@example(246169153)  # beyond the domain, a select leaves out the access at the first step
def test_witnesses_are_true(seed):
    algorithm, program, _ = case(seed)
    _, refused = proven(algorithm, program)
    if refused is not None and refused.witness is not None:
        why = replay(algorithm, program, refused.witness)
        assert why is None, (why, str(refused), print_nest(program))


def test_what_brute_force_finds_legal_is_accepted():
    legal = refused = 0
    for seed in range(200, 600):
        algorithm, program, sizes = case(seed)
        if all(verdict(algorithm, program, size)[0] != "illegal" for size in sizes):
            legal += 1
            refused += proven(algorithm, program)[0] == "refused"
    assert legal > 200
    assert refused <= 0.01 * legal


@pytest.mark.fuzz
def test_a_long_run_of_random_schedules():
    legal = refused = 0
    for seed in range(10_000, 16_000):
        algorithm, program, sizes = case(seed)
        label, refusal = proven(algorithm, program)
        found = [verdict(algorithm, program, size)[0] for size in sizes]
        fine = "illegal" not in found
        assert fine or label == "refused", (seed, print_nest(program))
        assert label != "exact" or set(found) == {"exact"}, seed
        legal += fine
        refused += fine and label == "refused"
        if refusal is not None and refusal.witness is not None:
            assert replay(algorithm, program, refusal.witness) is None, seed
    assert refused <= 0.01 * legal
