"""Who is right: numpy's reference, the interpreter in hostile orders, and compiled kernels."""

from __future__ import annotations

from collections.abc import Sequence

import tdsl as td
from tdsl.fuzzing.differences import Disagreement, difference
from tdsl.ir.interp import CANONICAL, HOSTILE, Interpreter, Order, different, interpret
from tdsl.ir.stmt import Program
from tests.fuzz.algorithms import Algorithm, Arrays


def run(
    program: Program, algorithm: Algorithm, arrays: Arrays, order: Order = CANONICAL, *,
    detect: bool = False,
) -> Arrays:  # fmt: skip
    """Interpret a program of this algorithm."""
    return interpret(program, arrays, known_sizes(algorithm), order, detect)


def known_sizes(algorithm: Algorithm) -> dict[str, int]:
    """The sizes that the function has, with their values."""
    values = algorithm.sizes()
    return {v.name: values[v.name] for v in algorithm.func.sizes}


def canonical_against_reference(algorithm: Algorithm, seed: int) -> Disagreement | None:
    """The unscheduled program in the interpreter against numpy."""
    arrays = algorithm.arrays(seed)
    expected = reference(algorithm, arrays)
    try:
        found = run(algorithm.func.program, algorithm, arrays, detect=True)
    except td.TdslError as error:
        return Disagreement("canonical", error.message)
    wrong = difference(expected, found, exact=False, narrowest=algorithm.narrowest)
    return Disagreement("canonical", wrong) if wrong else None


def canonical_results(algorithm: Algorithm, seed: int) -> tuple[Arrays, Arrays]:
    """The arguments of a data seed, and what the unscheduled program makes of them."""
    known = algorithm.__dict__.setdefault("_results", {})
    if seed not in known:
        arrays = algorithm.arrays(seed)
        known[seed] = arrays, run(algorithm.func.program, algorithm, arrays)
    return known[seed]


def reference(algorithm: Algorithm, arrays: Arrays) -> Arrays:
    """What numpy says, by output name."""
    func = algorithm.func
    results = td.reference(func)(*arrays.values(), **known_sizes(algorithm))
    together = results if isinstance(results, tuple) else (results,)
    return {t.name: r for t, r in zip(func.outputs, together, strict=True)}


def _interpreter(program: Program, algorithm: Algorithm) -> Interpreter:
    """Made once for all data and orders of a program that an algorithm is compared with."""
    known = algorithm.__dict__.get("_interpreter")
    if known is None or known[0] is not program:
        arrays, _ = canonical_results(algorithm, 0)
        made = Interpreter(program, arrays, known_sizes(algorithm), detect_conflicts=True)
        known = algorithm.__dict__["_interpreter"] = program, made
    return known[1]


def program_against_canonical(
    program: Program, algorithm: Algorithm, seed: int, *, exact: bool,
    orders: Sequence[Order] = HOSTILE,
) -> Disagreement | None:  # fmt: skip
    """A scheduled or lowered program in every order against the unscheduled one."""
    arrays, expected = canonical_results(algorithm, seed)
    for order in different(program, orders):
        try:
            found = _interpreter(program, algorithm).run(arrays, order)
        except td.TdslError as error:
            return Disagreement("scheduled", f"{order.kind.value} order: {error.message}")
        except (KeyError, TypeError, IndexError) as error:  # no program that it can run
            return Disagreement("scheduled", f"the interpreter raised {error!r}"[:200])
        wrong = difference(expected, found, exact=exact, narrowest=algorithm.narrowest)
        if wrong:
            return Disagreement("scheduled", f"{order.kind.value} order: {wrong}")
    return None
