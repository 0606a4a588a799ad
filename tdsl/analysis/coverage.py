"""Coverage: every read finds its value written before it, in the same copy of the storage.

For storage whose elements are written once each, this is all there is to show: a value that is
computed again is the same value.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tdsl.analysis.dependences import Dependence
from tdsl.analysis.model import Meeting, Site, as_map
from tdsl.analysis.order import before, concurrency
from tdsl.analysis.refusal import Refused
from tdsl.analysis.state import State
from tdsl.analysis.witness import unwritten
from tdsl.ir.frames import IslMap, budget, isl


def check_reads(state: State, dep: Dependence) -> None:
    """Check that each read of a dependence comes after its write, at every execution.

    Raises:
        Refused: with an iteration that reads an element too early, or that is never written.
    """
    for reader in state.places(dep.target):
        home = state.home(reader, dep.buffer)
        producers = [
            (p, state.met(p, reader))
            for p in state.places(dep.source)
            if state.home(p, dep.buffer) is home
        ]
        offers = tuple((state.run(p).key, met, concurrency(p, met.common)) for p, met in producers)
        key = ("reads", dep.number, state.run(reader).key, home.depth, offers)
        state.memo.recall(key, partial(_check, state, dep, reader, producers))


def _check(
    state: State, dep: Dependence, reader: Site, producers: list[tuple[Site, Meeting]]
) -> None:
    run = state.run(reader)
    with budget():
        missing = run.pull_domain(dep.relation.reverse()).intersect_domain(run.dom)
    start = state.home(reader, dep.buffer).depth
    for offered in _offers(state, reader, producers, start):
        with budget():
            if missing.is_subset(offered):
                return
            missing = missing.subtract(offered)
    with budget():
        if missing.is_empty():
            return
    raise _refusal(state, dep, reader, missing)


def _offers(
    state: State, reader: Site, producers: list[tuple[Site, Meeting]], start: int
) -> Iterator[IslMap]:
    """Reader's time to instances surely written before, the nearest writes first."""
    later: list[IslMap] = []
    for p, met in producers:
        run, late = state.run(p), state.run(reader)
        with budget():
            times = isl().Map.from_domain_and_range(late.dom, run.dom)
            parts = before(times, concurrency(p, met.common), met, start)
            done = [part.apply_range(as_map(run.bind)) for part in parts]
        if met.first:
            yield done[0]
            done = done[1:]
        later += done
    yield from later


def _refusal(state: State, dep: Dependence, reader: Site, missing: IslMap) -> Refused:
    """`missing`: times of the reader to instances of the writer that it waits for in vain."""
    return Refused(
        f"{reader.block.name} reads {dep.buffer.name} where {dep.source.name} has not written "
        "it before, in that copy",
        unwritten(missing, reader, dep.source, dep.pairs, state.deps.models.sizes),
        hint=f"compute {dep.source.name} further out, or over a larger region",
    )
