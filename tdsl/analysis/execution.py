"""Which instances of a block run, and whether any runs twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.analysis.model import Models, Run
from tdsl.analysis.order import differing
from tdsl.ir.frames import IslMap, IslSet, budget, isl
from tdsl.ir.stmt import Block


@dataclass(frozen=True, slots=True, eq=False)
class Execution:
    """How often the instances of one block run.

    `missing`: instances that never run (None: all run). `twice`: two leaves (by position) and
    pairs of their times that run one instance (None: each runs at most once).
    """

    missing: IslSet | None
    twice: tuple[int, int, IslMap] | None

    @property
    def exactly_once(self) -> bool:
        """Whether every instance runs, and none twice."""
        return self.missing is None and self.twice is None


def execution(block: Block, runs: Sequence[Run], models: Models) -> Execution:
    """How the leaves of one block together run its instances."""
    if len(runs) == 1 and runs[0].complete:
        return Execution(None, None)
    wanted = models.instances(block).dom
    with budget():
        ranges = [run.instances().range() for run in runs]
        done = isl().Set.empty(wanted.get_space())
        for more in ranges:
            done = done.union(more)
        missing = None if wanted.is_subset(done) else wanted.subtract(done)
    return Execution(missing, _twice(runs, ranges))


def _twice(runs: Sequence[Run], ranges: Sequence[IslSet]) -> tuple[int, int, IslMap] | None:
    for n, run in enumerate(runs):
        with budget():
            moments = run.instances()
            repeated = differing(moments.apply_range(moments.reverse()), run.depth)
        if repeated is not None:
            return n, n, repeated
    for n, run in enumerate(runs):
        for m in range(n):
            with budget():
                if not ranges[n].is_disjoint(ranges[m]):
                    both = runs[m].instances().apply_range(run.instances().reverse())
                    return m, n, both
    return None
