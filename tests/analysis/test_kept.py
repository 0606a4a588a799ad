"""What the prover keeps from question to question, and how much of it."""

import pytest

import tdsl as td
from tdsl.analysis import dependences as module, model, prove, state
from tdsl.analysis.dependences import dependences
from tdsl.analysis.model import Models, sites_of
from tdsl.analysis.prover import Proof
from tdsl.analysis.state import Memo, State
from tdsl.ir.frames import Sizes
from tests.analysis.nests import schedule


def copied(n=4):
    x = td.placeholder((n,), "float32", name="X")
    y = td.compute((n,), lambda i: x[i], name="Y")
    z = td.compute((n,), lambda i: y[i] * 2.0, name="Z")
    return td.func("f", [x], [z]).program


def test_dependences_are_computed_once():
    program = copied()
    assert dependences(program) is dependences(program)
    assert dependences(program).models is dependences(copied(5)).models


def test_sizes_with_other_facts_have_other_models():
    n = td.sizes("N")
    x = td.placeholder((n,), "float32", name="X")

    def program(assume):
        y = td.compute((n,), lambda i: x[i], name="Y")
        return td.func("f", [x], [y], assume=assume).program

    free, bound = dependences(program([])), dependences(program(["N >= 4"]))
    assert free.models is not bound.models
    assert not free.models.sizes.context.is_equal(bound.models.sizes.context)


def test_the_algorithm_that_was_asked_about_last_is_kept_longest(monkeypatch):
    monkeypatch.setattr(module, "MOST_ALGORITHMS", 2)
    monkeypatch.setattr(module, "_ALGORITHMS", type(module._ALGORITHMS)())
    one, two, three = (copied(n) for n in (3, 4, 5))
    first, second = dependences(one), dependences(two)
    assert dependences(one) is first
    dependences(three)
    assert len(module._ALGORITHMS) == 2
    assert dependences(one) is first
    assert dependences(two) is not second


def test_few_systems_of_sizes_are_kept(monkeypatch):
    monkeypatch.setattr(module, "MOST_ALGORITHMS", 2)
    monkeypatch.setattr(module, "_MODELS", type(module._MODELS)())
    for _ in range(5):
        dependences(copied(td.sizes("N")))
    assert len(module._MODELS) == 2


def test_pairs_of_blocks_are_asked_about_once_and_not_too_many_are_kept(monkeypatch):
    monkeypatch.setattr(module, "_MODELS", type(module._MODELS)())
    program = copied()
    again = type(program)(program.name, program.params, program.sizes, program.assume, program.body)
    assert dependences(program).all == dependences(again).all
    ((_, cache),) = module._MODELS.values()
    assert cache
    monkeypatch.setattr(module, "MOST_PAIRS", 1)
    for n in range(3, 6):
        dependences(copied(n))
        assert len(cache) == 1


def test_instances_and_runs_are_made_once(monkeypatch):
    program = copied()
    models = Models(Sizes(program.sizes, program.assume))
    y, z = sites_of(program, program.body)
    assert models.instances(y.block) is models.instances(y.block)
    assert models.run(y) is models.run(y)
    monkeypatch.setattr(model, "MOST_RUNS", 1)
    models.instances(z.block), models.run(z)
    assert len(models._instances) == len(models._runs) == 1
    assert models.run(z) is models.run(z)


def test_runs_are_told_apart_by_loops_and_conditions():
    program = copied()
    models = Models(Sizes(program.sizes, program.assume))
    leaves = ("Y(i) if i < 3", "Y(i) if i < 2", "Y(3-i)", "Z(i)", "Y(i)")
    texts = [f"i in 4:\n  {leaf}\n" for leaf in leaves]
    texts += ["i in 5:\n  Y(i)\n", "j in 4:\n  Y(j)\n"]
    runs = [models.run(sites_of(program, schedule(program, t).body)[0]) for t in texts]
    assert runs[-1] is runs[4]
    assert len({run.key for run in runs}) == len(texts) - 1


def test_answers_are_kept_by_key_and_not_too_many(monkeypatch):
    memo, asked = Memo(), []

    def ask(key):
        return memo.recall(key, lambda: asked.append(key))

    ask(1), ask(1), ask(2)
    assert asked == [1, 2]
    monkeypatch.setattr(state, "MOST_ANSWERS", 2)
    ask(3)
    assert list(memo._answers) == [3]
    ask(4), ask(3)
    assert asked == [1, 2, 3, 4]


def test_what_raises_is_asked_again():
    memo = Memo()
    with pytest.raises(ZeroDivisionError):
        memo.recall(1, lambda: 1 // 0)
    assert memo.recall(1, lambda: 5) == 5


def test_a_proof_is_continued_from_the_one_before(monkeypatch):
    program = copied()
    whole = schedule(program, "i in 4:\n  Y(i)\ni in 4:\n  Z(i)\n")
    first = prove(program, whole)
    assert prove(program, whole).memo is not first.memo
    again = prove(program, whole, previous=first)
    assert again.memo is first.memo
    assert Proof.recalled(program, whole, first.numerics).memo is not first.memo


def signature(text, buffer="Y"):
    program = PROGRAM
    made = State.of(dependences(program), schedule(program, text), Memo())
    (found,) = [b for b in made.deps.buffers if b.name == buffer]
    return made.signature(found)


PROGRAM = copied()
PLAIN = "i in 4:\n  Y(i)\n  Z(i)\n"


@pytest.mark.parametrize(
    "other",
    [
        "i in 4:\n  Y(3-i)\n  Z(i)\n",
        "par i in 4:\n  Y(i)\n  Z(i)\n",
        "i in 4:\n  Z(i)\n  Y(i)\n",
        "i in 4:\n  Y(i)\ni in 4:\n  Z(i)\n",
        "i in 4:\n  alloc Y:\n    Y(i)\n    Z(i)\n",
        "alloc Y layout a -> a % 2:\n  i in 4:\n    Y(i)\n    Z(i)\n",
        "i in 4:\n  atomic Y(i)\n  Z(i)\n",
        "i in 4:\n  Y(i)\n  Z(i) if i < 3\n",
        "i in 4:\n  Y(i)\n",
    ],
)
def test_whatever_matters_to_a_buffer_is_in_its_signature(other):
    assert signature(PLAIN) == signature(PLAIN.replace("i in", "j in").replace("(i)", "(j)"))
    assert signature(PLAIN) != signature(other)


def test_sites_meet_once():
    made = State.of(dependences(PROGRAM), schedule(PROGRAM, PLAIN), Memo())
    y, z = made.sites
    assert made.met(y, z) is made.met(y, z)
    assert (made.met(y, z).common, made.met(y, z).first) == (1, True)
    assert (made.met(z, y).common, made.met(z, y).first) == (1, False)
    assert made.run(y) is made.run(y)
