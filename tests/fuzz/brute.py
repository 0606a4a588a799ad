"""What is legal, found out by running: a step is legal if no order, size or data shows a fault."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.fuzzing.differences import Disagreement
from tdsl.fuzzing.draw import RandomDraw
from tdsl.fuzzing.step import Step
from tdsl.ir.interp_memory import PADDED, MemoryFault
from tdsl.ir.interp_stmts import StmtCompiler
from tdsl.ir.stmt import Block, BlockKind
from tests.fuzz import lowering
from tests.fuzz.algorithms import Algorithm
from tests.fuzz.oracles import program_against_canonical

_SAMPLES = 4
_LARGEST = 6


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
    exact = s.numerics is Numerics.EXACT and not s.trace.is_unsafe
    folded = any(alloc.layout is not None for alloc in s.index.allocs.values())
    for at in size_samples(algorithm, seed):
        for data in data_seeds(algorithm):
            with watched_repeats():
                found = program_against_canonical(s.program, at, data, exact=exact)
            if found is None and folded and data == 0:
                found = _stored(s, at, exact=exact)
            if found is not None:
                sizes = ", ".join(f"{k}={v}" for k, v in at.sizes().items())
                detail = f"{found.detail} (data {data}{', ' + sizes if sizes else ''})"
                return Disagreement(found.oracle, detail)
    return None


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
    return None if other is None else fault(other, algorithm, seed) is None
