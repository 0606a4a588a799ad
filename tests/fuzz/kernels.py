"""Compiled kernels against the interpreter."""

from __future__ import annotations

import re
import warnings
from unittest.mock import patch

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.codegen import lowering as codegen
from tdsl.fuzzing.differences import Disagreement, difference
from tdsl.fuzzing.subject import has_maths
from tdsl.lower import LoweringWarning
from tdsl.runtime.kernel import Kernel
from tests.fuzz import lowering
from tests.fuzz.algorithms import Algorithm, Arrays
from tests.fuzz.oracles import canonical_results, known_sizes
from tests.guarded import guarded, with_gaps

_UNWRITTEN = 77  # what results hold before the kernel runs


def build(s: td.Schedule) -> Kernel | str:
    """The kernel, or why this target cannot run the schedule.

    It is made from the very lowered program that is interpreted beside it.
    """
    try:
        with warnings.catch_warnings(), patch.object(codegen, "lower", lowering.lowered):
            warnings.simplefilter("ignore", LoweringWarning)
            return td.build(s)
    except td.LoweringError as error:
        return "not lowered: " + re.sub(r"'[^']*'|\b[A-Z]\w*(\.\w+)*", "_", error.message)[:70]


def against_canonical(
    kernel: Kernel, s: td.Schedule, algorithm: Algorithm, data: int
) -> Disagreement | None:
    """A kernel's results against the unscheduled program's, bit for bit where it is exact."""
    arrays, expected = canonical_results(algorithm, data)
    free = _free_sizes(algorithm)
    strided = frozenset(x.name for x in algorithm.inputs if x.strided)
    found = run_guarded(kernel, arrays, expected, free, at_end=data % 2 == 0, strided=strided)
    exact = s.numerics is Numerics.EXACT and not has_maths(algorithm.func)
    wrong = difference(expected, found, exact=exact, narrowest=algorithm.narrowest)
    return Disagreement("kernel", wrong) if wrong else None


def run_guarded(
    kernel: Kernel, arrays: Arrays, expected: Arrays, sizes: dict[str, int], *,
    at_end: bool, strided: frozenset[str] = frozenset(),
) -> Arrays:  # fmt: skip
    """A kernel's results where memory behind each array may not be touched, or in front of it.

    Args:
        kernel: takes *arrays*, and *sizes* as keywords.
        arrays: arguments, not changed.
        expected: results of the shapes and types that the kernel's have.
        sizes: those that no argument's shape fixes.
        at_end: whether what lies behind is forbidden. If not, prepacked arguments are packed here,
            and not by the kernel.
        strided: arguments that are passed with gaps between their elements.
    """
    given = {
        name: (with_gaps if name in strided else guarded)(array, at_end=at_end)
        for name, array in arrays.items()
    }
    # results that are arguments (inout) are changed in place
    made = {
        name: guarded(array, at_end=at_end) for name, array in expected.items() if name not in given
    }
    for array in made.values():
        array.fill(_UNWRITTEN)
    out = tuple(made.values())
    options = {"out": out[0] if len(out) == 1 else out} if out else {}
    packed = () if at_end else kernel.packed
    passed = [kernel.pack(n, x) if n in packed else x for n, x in given.items()]
    kernel(*passed, **sizes, **options)
    return given | made


def _free_sizes(algorithm: Algorithm) -> dict[str, int]:
    """Sizes that no argument's shape fixes."""
    fixed = {e.dim for x in algorithm.inputs for e in x.shape}
    return {name: n for name, n in known_sizes(algorithm).items() if name not in fixed}
