"""Every pass leaves the meaning of random models as it is, and so does all that follows."""

import numpy as np
import pytest

import tdsl as td
from tdsl.graph.passes.outputs import separate_outputs
from tdsl.graph.passes.pipeline import PASSES
from tests.graph.random_graphs import RandomGraph, by_numpy


def assert_same(got, want, what):
    assert got.keys() == want.keys()
    for name, array in want.items():
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        assert got[name].shape == array.shape, (what, name)
        worst = np.abs(got[name] - array).max(initial=0)
        assert worst <= 2e-5 * scale, (what, name, worst, scale)


def check_passes(seed):
    drawn = RandomGraph(seed)
    model = drawn.model
    want = by_numpy(model, drawn.feeds)
    changed = []
    for one in PASSES:
        before, model = str(model), one.run(model)
        if str(model) != before:
            changed.append(one.name)
            assert_same(by_numpy(model, drawn.feeds), want, f"{seed}: {one.name}")
    assert_same(by_numpy(separate_outputs(model), drawn.feeds), want, f"{seed}: outputs")
    return changed


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_each_pass_keeps_the_meaning(first):
    changed = {name for seed in range(first, first + 10) for name in check_passes(seed)}
    assert {"constants", "dead code", "algebra", "layout"} <= changed


@pytest.mark.fuzz
def test_each_pass_keeps_the_meaning_of_many():
    changed = {name for seed in range(100, 1100) for name in check_passes(seed)}
    assert changed >= {one.name for one in PASSES} - {"winograd"}  # of images larger than these


@pytest.mark.parametrize("seed", range(2))
def test_sessions_compute_what_numpy_does(seed):
    drawn = RandomGraph(seed, size=7)
    want = by_numpy(drawn.model, drawn.feeds)
    assert_same(td.Session(drawn.graph).run(drawn.feeds), want, seed)
