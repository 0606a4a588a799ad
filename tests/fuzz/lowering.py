"""Lowered programs in the interpreter: which pass breaks what, before any code is generated."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import lru_cache, partial

import numpy as np

import tdsl as td
from tdsl.fuzzing.differences import Disagreement, difference
from tdsl.fuzzing.subject import has_maths
from tdsl.ir.interp import REVERSED, Order, OrderKind, different, interpret
from tdsl.ir.stmt import Layout, Program
from tdsl.lang.bounds import evaluate
from tdsl.lower import Lowered, LoweringWarning, lower
from tdsl.target import Target, TargetKind
from tests.fuzz.algorithms import Algorithm, Arrays
from tests.fuzz.oracles import canonical_results, known_sizes

_ORDERS = (REVERSED, Order(OrderKind.INTERLEAVED, 2))


@lru_cache(maxsize=2)
def lowered(program: Program, target: Target) -> Lowered:
    """The program and what each pass made of it: the same for every size, and for the kernel.

    Raises:
        LoweringError: the target cannot run the schedule.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LoweringWarning)
        return lower(program, target, keep=True)


def against_canonical(
    program: Program, algorithm: Algorithm, target: Target, seed: int, *, exact: bool
) -> Disagreement | None:
    """The lowered program, in two orders; if it is wrong, the first pass after which it is.

    On a device, work-items are watched for conflicts: it is lowering that keeps them apart. On a
    processor selects evaluate both arms in the end, so that their loads must stay inside.

    Raises:
        LoweringError: the target cannot run the schedule.
    """
    arrays, expected = canonical_results(algorithm, seed)
    made = lowered(program, target)
    on_device = target.kind is TargetKind.OPENCL
    fault = partial(_fault, layouts=_layouts(program), exact=exact, detect=on_device)
    wrong = fault(made.program, algorithm, arrays, expected, both_arms=not on_device)
    if wrong is None:
        return None
    for name, after in made.dumps:
        first = fault(after, algorithm, arrays, expected)
        if first is not None:
            return Disagreement("lowered", f"after {name}: {first}")
    return Disagreement("lowered", wrong)


def _layouts(program: Program) -> dict[str, Layout]:
    """How prepacked arguments are stored."""
    return {p.buffer.name: p.layout for p in program.params if p.layout is not None}


def _passed(
    program: Program, arrays: Arrays, layouts: Mapping[str, Layout], sizes: Mapping[str, int]
) -> Arrays:
    """The arguments as a lowered program takes them: prepacked ones as they are stored."""
    at = {v: sizes[v.name] for v in program.sizes}
    made = dict(arrays)
    for param in program.params:
        name = param.buffer.name
        if param.layout is not None or name not in layouts:
            continue
        storage = np.zeros([evaluate(e, at) for e in param.buffer.shape], arrays[name].dtype)
        for index in np.ndindex(arrays[name].shape):
            place = at | dict(zip(layouts[name].inputs, index, strict=True))
            storage[tuple(evaluate(e, place) for e in layouts[name].outputs)] = arrays[name][index]
        made[name] = storage
    return made


def _fault(
    program: Program, algorithm: Algorithm, arrays: Arrays, expected: Arrays, *,
    layouts: Mapping[str, Layout], exact: bool, detect: bool, both_arms: bool = False,
) -> str | None:  # fmt: skip
    sizes = known_sizes(algorithm)
    given = _passed(program, arrays, layouts, sizes)
    for order in different(program, _ORDERS):
        try:
            found = interpret(program, given, sizes, order, detect, both_arms=both_arms)
        except td.TdslError as error:
            return f"{order.kind.value} order: {error.message}"
        # polynomials stand for functions of the reference from expand_maths on
        close = exact and not has_maths(algorithm.func)
        wrong = difference(expected, found, exact=close, narrowest=algorithm.narrowest)
        if wrong:
            return f"{order.kind.value} order: {wrong}"
    return None
