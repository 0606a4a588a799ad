"""Compiled kernels against the interpreter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import tdsl as td
from tdsl.analysis import Numerics
from tests.fuzz.algorithms import Algorithm
from tests.fuzz.oracles import Disagreement, difference, known_sizes, run

Kernel = Callable[..., object]


def build(s: td.Schedule) -> Kernel | str:
    """The kernel, or why this target cannot run the schedule."""
    try:
        return td.build(s)
    except td.LoweringError as error:
        return f"not lowered: {error.message}"[:100]


def against_canonical(
    kernel: Kernel, s: td.Schedule, algorithm: Algorithm, data: int
) -> Disagreement | None:
    """A kernel's results against the unscheduled program's, bit for bit where it is exact."""
    arrays = algorithm.arrays(data)
    expected = run(algorithm.func.program, algorithm, arrays)
    results = kernel(*(a.copy() for a in arrays.values()), **_free_sizes(algorithm))
    together = results if isinstance(results, tuple) else (results,)
    names = [t.name for t in algorithm.func.outputs]
    found = {name: np.asarray(x) for name, x in zip(names, together, strict=True)}
    wrong = difference(expected, found, exact=s.numerics is Numerics.EXACT)
    return Disagreement("kernel", wrong) if wrong else None


def _free_sizes(algorithm: Algorithm) -> dict[str, int]:
    """Sizes that no argument's shape fixes."""
    fixed = {e.dim for x in algorithm.inputs for e in x.shape}
    return {name: n for name, n in known_sizes(algorithm).items() if name not in fixed}
