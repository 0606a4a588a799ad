"""Random algorithms, from a seed or as a Hypothesis strategy."""

from __future__ import annotations

from hypothesis import assume, strategies as st

import tdsl as td
from tdsl.fuzzing.draw import Draw, RandomDraw
from tests.fuzz import ordered
from tests.fuzz.algorithms import Algorithm, Dim
from tests.fuzz.draw import HypothesisDraw
from tests.fuzz.expressions import INTEGERS
from tests.fuzz.grammar import FAMILIES, Builder, finish
from tests.fuzz.products import products

_WEIGHTS = {**FAMILIES, ordered.scan: 2, ordered.update: 2.5, ordered.running: 3, products: 5}
_ATTEMPTS = 50


def _dims(draw: Draw) -> list[Dim]:
    names = ["N", "M", "K"][: draw.weighted({1: 2, 2: 5, 3: 3})]
    free = draw.chance(0.35)
    dims = []
    for name in names:
        value = draw.weighted(
            {1: 1, 2: 2, 3: 4, 4: 4, 5: 5, 6: 4, 7: 2, 8: 1, 11: 0.4, 16: 0.4, 19: 0.4}
        )
        dims.append(Dim(name, value, free and draw.chance(0.7)))
    return dims


def _dtypes(draw: Draw) -> list[str]:
    if draw.chance(0.3):
        return [draw.weighted({"float32": 6, "float64": 2, "float16": 1, "bfloat16": 1})]
    count = draw.weighted({1: 6, 2: 3})
    weights = dict.fromkeys(INTEGERS, 1) | {"int32": 6, "int64": 2}
    return [draw.weighted(weights) for _ in range(count)]


def draw_algorithm(draw: Draw) -> Algorithm:
    """One algorithm of one to four declarations; it may turn out not to be declarable."""
    builder = Builder(draw, _dims(draw), _dtypes(draw))
    builder.input(builder.shape(1, 2), builder.dtypes[0])
    for _ in range(draw.weighted({1: 2, 2: 4, 3: 3, 4: 1})):
        draw.weighted(_WEIGHTS)(builder)
    return finish(builder)


def random_algorithm(seed: int | str) -> Algorithm:
    """The algorithm of a seed, the same in every process.

    Raises:
        AssertionError: the grammar made nothing declarable in many attempts.
    """
    for attempt in range(_ATTEMPTS):
        algorithm = draw_algorithm(RandomDraw(f"{seed}/{attempt}"))
        if is_declarable(algorithm):
            return algorithm
    raise AssertionError(f"no declarable algorithm for seed {seed}")


def is_declarable(algorithm: Algorithm) -> bool:
    """Whether td takes it: an index that leaves its tensor for some sizes is refused."""
    try:
        return algorithm.func is not None and algorithm.admits({})
    except td.DeclarationError:
        return False


@st.composite
def algorithms(draw) -> Algorithm:
    """A strategy of declarable algorithms."""
    algorithm = draw_algorithm(HypothesisDraw(draw))
    assume(is_declarable(algorithm))
    return algorithm
