"""The mutation runner itself, and the long run that it is for."""

from __future__ import annotations

import ast

import pytest

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.operators import OPERATORS, mutants, mutated
from tests.mutants.runner import chosen, every, run

SOURCE = '''
def check(a, b, kinds=(K.RAW, K.WAR)):
    """Text with a < b stays."""
    total = a.intersect(b) & a
    if a < b and any(kinds):
        raise Refused(f"{a + 1}")
    for x in reversed([k for k in kinds if k > 1]):
        visit(x, a)
    total |= a | b
    return False
'''


def changes(operator):
    made = [m for m in mutants("x.py", SOURCE) if m.operator == operator]
    for mutant in made:
        assert mutated(mutant, SOURCE) != ast.unparse(ast.parse(SOURCE))
    return {(m.before, m.after) for m in made}


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        ("swapped_comparison", "a < b", "a <= b"),
        ("dropped_intersection", "a.intersect(b) & a", "a.intersect(b)"),
        ("dropped_intersection", "a.intersect(b)", "a"),
        ("dropped_union", "a | b", "a"),
        ("mixed_up_junction", "a < b and any(kinds)", "a < b or any(kinds)"),
        ("mixed_up_quantifier", "any(kinds)", "all(kinds)"),
        ("wrong_answer", "return False", "return True"),
        ("dropped_call", "visit(x, a)", "pass"),
        ("swapped_arguments", "visit(x, a)", "visit(a, x)"),
        ("dropped_update", "total |= a | b", "pass"),
        ("dropped_element", "(K.RAW, K.WAR)", "(K.RAW,)"),
    ],
)
def test_operator_makes_its_fault(operator, before, after):
    assert (before, after) in changes(operator)


def test_forgotten_filter_takes_everything():
    ((_, after),) = changes("forgotten_filter")
    assert "if" not in after


def test_wrong_order_drops_reversed():
    ((before, after),) = changes("wrong_order")
    assert before.startswith("reversed")
    assert after.startswith("list")


def test_texts_of_errors_are_left_alone():
    assert changes("off_by_one") == set()


def test_every_operator_applies_to_the_prover_or_the_passes():
    assert {m.operator for m in every()} == set(OPERATORS)


def test_a_sample_covers_the_operators():
    assert {m.operator for m in chosen(len(OPERATORS), 1)} == set(OPERATORS)


@pytest.mark.mutants
def test_seeded_faults_are_found():
    found = run(chosen(60, 1), 2, print)
    assert not found.survivors, found.table()


def test_equivalent_mutants_still_exist():
    known = {mutant.key for mutant in every()}
    assert set(EQUIVALENT) <= known, "the code changed: drop what is gone from equivalent.py"
