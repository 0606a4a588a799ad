"""The corpus: each algorithm agrees with numpy, and keeps its meaning under random schedules."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.fuzz.case import Options, Result, check_canonical, run_case
from tests.fuzz.named import CORPUS, algorithm_of, case_seeds, named
from tests.fuzz.tally import Tally

SOME = list(CORPUS)[::5]


@pytest.mark.parametrize("name", CORPUS)
def test_every_algorithm_agrees_with_numpy_at_any_size(name):
    symbolic = named(name)
    static = replace(symbolic, dims=tuple(replace(d, symbolic=False) for d in symbolic.dims))
    assert {v.name for v in symbolic.func.sizes} == {d.name for d in symbolic.dims}
    assert not static.func.sizes
    check_canonical(symbolic, "corpus")


@pytest.mark.parametrize("name", SOME)
def test_random_schedules_of_the_corpus_keep_the_meaning(name, tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path))
    compiled = SOME.index(name) % 4 == 0
    result = run_case(f"{name}.suite.1", Options(compiled=compiled, judged=0.0))
    assert result.failure is None, f"python -m tests.fuzz --case {result.seed}"
    assert result.kinds == (name,)


def test_indices_are_known_by_what_they_index():
    below = {x.name: str(x.below) for x in named("sparse_matvec").inputs if x.below}
    assert below == {"column": "N"}
    assert algorithm_of("sparse_matvec.1").arrays()["column"].max() < 6


def test_algorithms_of_the_corpus_take_turns():
    seeds = list(case_seeds(10 * len(CORPUS), 3, 0.2))
    names = Counter(name for seed in seeds if (name := seed.partition(".")[0]) in CORPUS)
    assert names == dict.fromkeys(CORPUS, 2)
    assert list(case_seeds(3, 3, 0.0)) == ["3.0", "3.1", "3.2"]


def test_the_tally_counts_algorithms_of_the_corpus_by_name():
    tally = Tally()
    tally.add(Result("matmul.1.0", ("matmul",), accepted=["split", "fuse"]))
    tally.add(Result("matmul.1.7", ("matmul",), failure=("crash", "")))
    tally.add(Result("1.1", ("matmul", "scan")))
    assert tally.json()["algorithms"] == {"matmul": {"cases": 2, "steps": 2, "failures": 1}}
    assert tally.kinds == {"matmul": 1, "scan": 1}
