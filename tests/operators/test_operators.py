"""A few random cases of every operator; `python -m tests.operators --cases 2000` runs many."""

import pytest

pytest.importorskip("onnx")

from tests.operators import elementwise_cases
from tests.operators.running import FAMILIES, attempt

GRAPHS = [name for name in FAMILIES if name.startswith("graph.")]  # the library has its own test
FEW = [name for name in GRAPHS if not hasattr(elementwise_cases, name.removeprefix("graph."))]


SYMBOLIC = [name for name in FAMILIES if name.startswith("symbolic.")]


@pytest.mark.parametrize("name", FEW)
def test_random_cases_agree_with_numpy(name):
    assert attempt(name, 1) is None


@pytest.mark.fuzz
@pytest.mark.parametrize("name", GRAPHS)
def test_many_random_cases(name):
    for seed in range(2, 40):
        assert attempt(name, seed) is None


@pytest.mark.fuzz
@pytest.mark.parametrize("name", SYMBOLIC)
def test_one_kernel_serves_many_sizes(name):
    for seed in range(40):
        assert attempt(name, seed) is None
