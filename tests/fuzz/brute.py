"""What is legal, found out by running: a step is legal if no order, size or data shows a fault.

Right results are needed, and not enough. A step that was refused counts as legal only if each
instance reads what the instances wrote that its algorithm names (`flows`), and not another value
that happens to be equal; and that at sizes beyond the small ones too, where loops that were split
have a second iteration and specialised branches are taken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import prod
from unittest.mock import patch

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.fuzzing.differences import Disagreement
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.step import Step
from tdsl.ir.interp_memory import PADDED, MemoryFault
from tdsl.ir.interp_stmts import StmtCompiler
from tdsl.ir.stmt import Block, BlockKind
from tests.fuzz import flows, lowering
from tests.fuzz.algorithms import Algorithm
from tests.fuzz.oracles import program_against_canonical

_SAMPLES = 4
_LARGEST = 6
_EVEN_LARGER = (3, 4, 8, 13)
_BEYOND = 13
_MOST_POINTS = 2500


def fork(s: td.Schedule) -> td.Schedule:
    """A schedule of its own with the same state; the trace is not carried over."""
    other = copy.copy(s)
    other.trace = type(s.trace)(s.trace.func, s.trace.target)
    other._ended = dict(s._ended)
    return other


def size_samples(algorithm: Algorithm, seed: str) -> list[Algorithm]:
    """The algorithm at its own sizes, and at a few more that its assumptions admit."""
    known = algorithm.__dict__.setdefault("_samples", {})
    if seed not in known:
        known[seed] = [algorithm, *_other_sizes(algorithm, seed)]
    return known[seed]


def _other_sizes(algorithm: Algorithm, seed: str) -> Iterator[Algorithm]:
    names = list(algorithm.sizes())
    if not names:
        return
    draw = RandomDraw(seed)
    tried = [dict.fromkeys(names, 1), dict.fromkeys(names, 0)]
    tried += [dict.fromkeys(names, 2) | {name: 0} for name in names if len(names) > 1]
    tried += [{name: draw.integer(1, _LARGEST) for name in names} for _ in range(_SAMPLES)]
    for sizes in tried:
        if algorithm.admits(sizes) and sizes != algorithm.sizes():
            yield algorithm.with_sizes(sizes)


def larger_samples(algorithm: Algorithm, seed: str) -> Iterator[Algorithm]:
    """The algorithm at sizes up to 13: all equal, then mixed, as far as it is run in short time."""
    names = list(algorithm.sizes())
    if not names:
        return
    draw = RandomDraw(f"{seed}/larger")
    tried = [dict.fromkeys(names, n) for n in _EVEN_LARGER]
    tried += [{name: draw.integer(1, _BEYOND) for name in names} for _ in range(_SAMPLES)]
    for sizes in tried:
        if prod(sizes.values()) <= _MOST_POINTS and algorithm.admits(sizes):
            yield algorithm.with_sizes(sizes)


@contextmanager
def watched_repeats() -> Iterator[None]:
    """Instances of single-assigned blocks that run again must write the same value again.

    A copy made of half a sum and made again of the whole is right in the end only; a schedule may
    not rely on it.
    """
    plain = StmtCompiler._writes

    def writes(self: StmtCompiler, block: Block) -> Callable[[list[object]], None]:
        update = plain(self, block)
        if block.kind not in (BlockKind.COMPUTE, BlockKind.COPY):
            return update
        slots = [self.exprs.slots[v] for v in block.vars]
        values = [self.exprs.code(w.value) for w in block.writes]
        seen: dict[tuple[object, ...], str] = {}
        run = [0]

        def watched(f: list[object]) -> None:
            if run[0] != self.memory.runs:
                run[0] = self.memory.runs
                seen.clear()
            if not f[PADDED]:
                at = tuple(f[slot] for slot in slots)
                value = repr([v(f) for v in values])
                if seen.setdefault(at, value) != value:
                    raise MemoryFault(f"{block.name}{at} writes another value when it runs again")
            update(f)

        return watched

    with patch.object(StmtCompiler, "_writes", writes):
        yield


def data_seeds(algorithm: Algorithm) -> tuple[int, ...]:
    """Seeds for `Algorithm.arrays`: with index tensors, some that collide everywhere."""
    return (0, 1, 3) if any(x.below is not None for x in algorithm.inputs) else (0, 1)


def fault(s: td.Schedule, algorithm: Algorithm, seed: str) -> Disagreement | None:
    """What goes wrong when the schedule runs, for any of the sizes, data and orders tried."""
    return _first_fault(s, algorithm, size_samples(algorithm, seed), _wrong_result)


def hidden_fault(s: td.Schedule, algorithm: Algorithm, seed: str) -> Disagreement | None:
    """What is wrong with a schedule whose results are right at the small sizes."""
    larger = list(larger_samples(algorithm, seed))
    return _first_fault(
        s, algorithm, [*size_samples(algorithm, seed), *larger], flows.against_algorithm
    ) or _first_fault(s, algorithm, larger, _wrong_result)


def _first_fault(
    s: td.Schedule,
    algorithm: Algorithm,
    samples: Iterable[Algorithm],
    check: Callable[[td.Schedule, Algorithm, int], Disagreement | None],
) -> Disagreement | None:
    for at in samples:
        for data in data_seeds(algorithm):
            found = check(s, at, data)
            if found is not None:
                sizes = ", ".join(f"{k}={v}" for k, v in at.sizes().items())
                detail = f"{found.detail} (data {data}{', ' + sizes if sizes else ''})"
                return Disagreement(found.oracle, detail)
    return None


def _wrong_result(s: td.Schedule, at: Algorithm, data: int) -> Disagreement | None:
    exact = s.numerics is Numerics.EXACT and not s.trace.is_unsafe
    with watched_repeats():
        found = program_against_canonical(s.program, at, data, exact=exact)
    folded = any(alloc.layout is not None for alloc in s.index.allocs.values())
    if found is None and folded and data == 0:
        return _stored(s, at, exact=exact)
    return found


def _stored(s: td.Schedule, at: Algorithm, *, exact: bool) -> Disagreement | None:
    """Scheduled programs keep whole tensors apart; what shares a place is seen when lowered."""
    try:
        return lowering.against_canonical(s.program, at, s.target, 0, exact=exact)
    except td.LoweringError:
        return None


def unproven(s: td.Schedule, step: Step) -> td.Schedule | None:
    """The schedule after a step that the prover refused; None if it cannot be done at all."""
    other = fork(s)
    try:
        step.apply(other, unsafe=True)
    except (td.ScheduleError, td.TypeMismatch):
        return None
    return other


def step_is_legal(s: td.Schedule, step: Step, algorithm: Algorithm, seed: str) -> bool | None:
    """Whether a refused step would have been harmless; None if it cannot even be done unproven."""
    other = unproven(s, step)
    if other is None:
        return None
    wrong = fault(other, algorithm, seed) or hidden_fault(other, algorithm, seed)
    return wrong is None
