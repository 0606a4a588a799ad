"""The mutation runner itself, and the long run that it is for."""

from __future__ import annotations

import ast
import importlib.util
import sys

import pytest

from tests.mutants.equivalent import EQUIVALENT
from tests.mutants.operators import OPERATORS, mutants, mutated
from tests.mutants.patch import NotLiveError, put
from tests.mutants.reach import Reach
from tests.mutants.runner import Plan, chosen, every, run

SOURCE = '''
def check(a, b, kinds):
    """Text with a < b stays."""
    visit((K.RAW, K.WAR))
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


LIVE = """
KINDS = ("sum", "max")

class Sum:
    limit: int = 1

    def of(self, a, b):
        return a - b

TABLE = {"below": lambda a, b: a < b}

def first(items, count=1):
    return [i for i in items if i > 1][0]
"""


@pytest.fixture
def live(tmp_path):
    path = tmp_path / "live_module.py"
    path.write_text(LIVE)
    spec = importlib.util.spec_from_file_location("live_module", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["live_module"] = module
    spec.loader.exec_module(module)
    yield module, tmp_path
    del sys.modules["live_module"]


@pytest.mark.parametrize(
    ("operator", "ask", "before", "after"),
    [
        ("dropped_subtraction", lambda m: m.Sum().of(5, 2), 3, 5),
        ("swapped_comparison", lambda m: m.TABLE["below"](2, 2), False, True),
        ("forgotten_filter", lambda m: m.first([1, 2]), 2, 1),
        ("dropped_element", lambda m: m.KINDS, ("sum", "max"), ("sum",)),
    ],
)
def test_a_mutant_changes_what_is_loaded(live, operator, ask, before, after):
    module, root = live
    (mutant, *_) = [m for m in mutants("live_module.py", LIVE) if m.operator == operator]
    assert ask(module) == before
    put(mutant, root)
    assert ask(module) == after


def test_a_mutant_of_code_that_is_not_loaded_is_no_mutant(tmp_path):
    (tmp_path / "x.py").write_text(SOURCE)
    mutant = next(mutants("x.py", SOURCE))
    with pytest.raises(NotLiveError):
        put(mutant, tmp_path)


def test_defaults_are_left_alone():
    assert not [m for m in mutants("x.py", LIVE) if m.operator == "added_one" and m.line in (5, 12)]


def test_probes_of_a_line_are_asked_from_the_nearest_on():
    lines = {
        "tdsl/lower/x.py": {"3": ["fuzz 7.1", "tests/e2e/a", "tests/lower/slow", "tests/lower/a"]}
    }
    seconds = {"fuzz 7.1": 0.2, "tests/e2e/a": 0.1, "tests/lower/slow": 9.0, "tests/lower/a": 0.3}
    reach = Reach(seconds, {}, lines)
    source = "def f(a):\n    g(a)\n    return a < 2\n"
    (mutant,) = [m for m in mutants("tdsl/lower/x.py", source) if m.line == 3]
    assert reach.probes(mutant) == ["tests/lower/a", "tests/e2e/a", "fuzz 7.1", "tests/lower/slow"]


def test_data_of_a_folder_is_asked_for_by_all_code_beside_it():
    lines = {
        "tdsl/lower/maths/a.py": {"1": ["tests/lower/a"]},
        "tdsl/lower/maths/b.py": {"1": ["tests/lower/b"]},
        "tdsl/lower/c.py": {"1": ["tests/lower/c"]},
    }
    reach = Reach({"tests/lower/a": 0.1, "tests/lower/b": 0.2, "tests/lower/c": 0.1}, {}, lines)
    (mutant,) = mutants("tdsl/lower/maths/data.py", "TABLE = (1.5, 2.5)\n")
    assert reach.probes(mutant) == ["tests/lower/a", "tests/lower/b"]
    (mutant,) = mutants("tdsl/lower/maths/a.py", "TABLE = (1.5, 2.5)\n")
    assert reach.probes(mutant) == ["tests/lower/a"]


def test_a_record_is_read_as_it_was_written(tmp_path):
    seconds = {"tests/a.py::x": 1.0, "fuzz 7.0": 2.5}
    lines = {"f.py": {"1": ["fuzz 7.0"], "2": ["fuzz 7.0", "tests/a.py::x"], "3": []}}
    reach = Reach(seconds, {"fuzz 7.0": 1}, lines, ["tests/b.py::y"], {"f.py": "0"})
    reach.save(tmp_path / "reach.json")
    assert Reach.load(tmp_path / "reach.json") == reach


def test_a_record_forgets_tests_that_changed():
    seconds = {"tests/a.py::x": 1.0, "tests/b.py::y": 1.0, "fuzz 7.0": 1.0}
    reach = Reach(
        dict(seconds), {}, {"f": {"1": list(seconds)}}, [], {"tests/a.py": "1", "t.py": "1"}
    )
    reach.keep({"tests/a.py": "2", "t.py": "1"})
    assert list(reach.seconds) == reach.lines["f"]["1"] == ["tests/b.py::y", "fuzz 7.0"]
    reach.keep({"tests/a.py": "2", "t.py": "2"})
    assert not reach.seconds


@pytest.mark.mutants
def test_seeded_faults_are_found():
    found = run(Plan(chosen(100, 1)), print)
    assert len(found.survivors) <= 0.1 * len(found.verdicts), found.table()


def test_equivalent_mutants_still_exist():
    known = {mutant.key for mutant in every()}
    assert set(EQUIVALENT) <= known, "the code changed: drop what is gone from equivalent.py"
