import numpy as np
import pytest

import tdsl as td
from tdsl.autotune.domains import int_domain, tile_domain
from tdsl.autotune.knobs import KnobError, KnobInt, Knobs
from tdsl.autotune.terms import TermProgram, constant, knob_term, log2, where


def knobs(choices=None, numbers=None, sizes=None, extent=100):
    a = td.placeholder((extent,), "float32", name="A")
    b = td.compute((extent,), lambda i: a[i] + 1.0, name="B")
    s = td.Schedule(td.func("increment", [a], [b]))
    numbers = numbers or {}

    def pick(name, domain):
        return numbers.get(name, domain[len(domain) // 2])

    return s, Knobs(s, sizes or {}, choices or {}, pick)


def evaluate(term, *values):
    return float(TermProgram([term]).run(np.array([values]))[0, 0])


def test_a_knob_computes_its_value_and_the_expression_for_it():
    a, b = KnobInt(7, knob_term(0)), KnobInt(3, knob_term(1))
    for made, expected in [
        (a + b, lambda x, y: x + y),
        (2 * a - b, lambda x, y: 2 * x - y),
        (a // b, lambda x, y: x // y),
        (100 // a, lambda x, y: 100 // x),
        (a % b, lambda x, y: x % y),
        (10 - a * b, lambda x, y: 10 - x * y),
    ]:
        assert made.value == expected(7, 3)
        assert evaluate(made.term, 12, 5) == expected(12, 5)


def test_comparisons_are_conditions_over_knobs():
    a, b = KnobInt(7, knob_term(0)), KnobInt(3, knob_term(1))
    for made, expected in [
        (a <= b, lambda x, y: x <= y),
        (a < 7, lambda x, y: x < 7),
        (a > b, lambda x, y: x > y),
        ((a >= 4) & (b == 3), lambda x, y: x >= 4 and y == 3),
        ((a != 7) | ~(b >= 1), lambda x, y: x != 7 or y < 1),
    ]:
        assert made.holds == expected(7, 3)
        for x, y in [(2, 5), (7, 3), (8, 0)]:
            assert evaluate(made.term, x, y) == expected(x, y)


@pytest.mark.parametrize(
    "use",
    [bool, lambda k: 1 if k > 3 else 2, lambda k: k in (1, 2)],
    ids=["knob", "comparison", "membership"],
)
def test_branching_on_a_knob_is_refused(use):
    with pytest.raises(KnobError, match="no truth value"):
        use(KnobInt(4, knob_term(0)))


def test_primitives_and_combinators_take_knobs():
    @td.combinator
    def knob_halves(s, loop, width):
        return s.split(loop, width)

    s, knob = knobs(numbers={"w": 25})
    assert [loop.extent for loop in knob_halves(s, "B.i", knob.int("w", 1, 50))] == [4, 25]


def test_a_tile_gives_the_parts_of_a_loop_and_the_first_is_what_they_leave():
    s, knob = knobs(numbers={"t.1": 5, "t.2": 8})
    outer, middle, inner = knob.tile("t", s.loops("B")[0], parts=3)
    assert (outer.value, middle.value, inner.value) == (3, 5, 8)
    assert evaluate(outer.term, 10, 4) == 3
    assert list(knob.declared.columns) == ["t.1", "t.2"]


def test_domains_hold_divisors_and_round_numbers():
    assert set(tile_domain(60, 64)) >= {1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60, 16, 48}
    assert max(tile_domain(1000, 64)) == 64
    assert tile_domain(1, 64) == (1,)
    assert int_domain(2, 9, 3) == (2, 5, 8)
    assert len(int_domain(0, 10**7, 1)) <= 256


def test_names_are_used_once():
    _, knob = knobs()
    knob.tile("t", "B.i")
    with pytest.raises(KnobError, match="two knobs are called 't'"):
        knob.int("t", 1, 4)
    with pytest.raises(KnobError, match="nothing to choose from"):
        knob.choice("c", [])


def test_a_choice_gives_the_option_that_the_candidate_has():
    _, knob = knobs(choices={"c": 2})
    assert knob.choice("c", "xyz") == "z"
    assert knob.choice("d", "xyz") == "x"
    assert knob.declared.choices == {"c": (2, 3), "d": (0, 3)}


def test_equal_terms_are_computed_once():
    a = knob_term(0)
    program = TermProgram([a * 3 + 1, log2(a * 3), where(constant(1), a * 3, 0)])
    assert len(program._lines) == len({id(term) for term, _ in program._lines})
    assert program.run(np.array([[5]])).tolist() == [[16.0, 4.0, 15.0]]
