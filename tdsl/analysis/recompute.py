"""Reductions that run again: only as a whole, init included, once per episode.

An episode is one iteration of the loops that a reduction's init and its updates share: after
compute_at, the tile; after a shifted tail, the tile that overlaps its neighbour. What one
episode leaves behind is overwritten by the next one's init, so a reader has to come after a
whole episode and outside any other, which serial loops guarantee.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from tdsl.analysis.coverage import check_reads
from tdsl.analysis.dependences import Dependence
from tdsl.analysis.flow import check_between, moments, refusal
from tdsl.analysis.model import Site
from tdsl.analysis.numerics import Numerics
from tdsl.analysis.order import concurrency, same_prefix, unordered
from tdsl.analysis.refusal import Refused
from tdsl.analysis.repeat import check_repeats
from tdsl.analysis.state import State
from tdsl.analysis.witness import moment
from tdsl.errors import Witness
from tdsl.ir.expr import Buffer
from tdsl.ir.frames import IslMap, budget, isl
from tdsl.ir.stmt import Block


@dataclass(frozen=True, slots=True)
class Episode:
    """An init leaf, the update leaves that continue it, and how many loops they share."""

    start: Site
    updates: tuple[Site, ...]
    depth: int


def check_episodes(state: State, buffer: Buffer, update: Block) -> Numerics:
    """Check a reduction that does not run each instance exactly once.

    Raises:
        Refused: an episode is cut short, runs an update twice, or meets another one.
    """
    init = update.init
    assert init is not None
    episodes = _episodes(state, buffer, init, update)
    deps = state.deps.of_buffer(buffer)
    numerics = Numerics.EXACT
    for episode in episodes:
        check_repeats(state, update, episode.updates, episode.depth)  # inits may well run again
        for dep in deps:
            if dep.source is init and dep.target is update:
                _check_whole(state, dep, episode)
            elif dep.own:
                numerics = max(numerics, _check_inner_order(state, dep, episode))
    for n, one in enumerate(episodes):
        for two in episodes[n:]:
            _check_apart(state, buffer, one, two)
    for dep in deps:
        if dep.target in (init, update):
            continue
        if dep.source is init:
            check_reads(state, dep)
        else:
            _check_readers(state, dep, episodes)
    return numerics


def _episodes(state: State, buffer: Buffer, init: Block, update: Block) -> list[Episode]:
    starts = state.places(init)
    found: dict[int, list[Site]] = {id(s): [] for s in starts}
    for u in state.places(update):
        ahead = [s for s in starts if state.met(s, u).first]
        own = max(ahead, key=lambda s: (state.met(s, u).common, starts.index(s)), default=None)
        if own is None or state.home(own, buffer) is not state.home(u, buffer):
            raise Refused(
                f"{update.name} runs where nothing initialises it in that copy of {buffer.name}",
                hint=f"move the allocation of {buffer.name} outside the reduction",
            )
        found[id(own)].append(u)
    episodes = []
    for s in starts:
        depths = {state.met(s, u).common for u in found[id(s)]}
        if len(depths) != 1:
            raise Refused(f"{init.name} and {update.name} do not run together as a whole")
        episodes.append(Episode(s, tuple(found[id(s)]), depths.pop()))
    return episodes


def _check_whole(state: State, dep: Dependence, episode: Episode) -> None:
    """Each episode that starts an element runs all its updates, and no others."""
    begun = _outer(state, episode.start, episode.depth)
    with budget():
        started = begun.apply_range(dep.relation)
        updated = reduce(
            lambda a, b: a.union(b), (_outer(state, u, episode.depth) for u in episode.updates)
        )
        cut = started.subtract(updated)
        stray = updated.subtract(started)
        whole, clean = cut.is_empty(), stray.is_empty()
    hint = "a reduction may run again only as a whole, its init and all its loops included"
    if not whole:
        with budget():
            short = cut.apply_range(dep.relation.reverse())
        raise Refused(
            f"a part of the reduction {dep.target.name} would run without the rest of it",
            _moment_of(state, short, [episode.start], episode.depth),
            hint,
        )
    if not clean:
        raise Refused(
            f"a part of the reduction {dep.target.name} would run without its init",
            _moment_of(state, stray, episode.updates, episode.depth),
            hint,
        )


def _moment_of(state: State, bad: IslMap, sites: Sequence[Site], depth: int) -> Witness | None:
    """A time at which one of the instances runs that `bad` gives for the outer levels."""
    kinds = isl().dim_type
    for site in sites:
        moves = state.run(site).instances()
        inner = moves.dim(kinds.in_) - depth
        with budget():
            times = bad.insert_dims(kinds.in_, depth, inner).intersect(moves).domain()
        write = next(a for a in state.deps.accesses[id(site.block)] if a.is_write)
        found = moment("coverage", times, site, write, state.deps.models.sizes)
        if found is not None:
            return found
    return None


def _outer(state: State, site: Site, depth: int) -> IslMap:
    """The first `depth` levels to the instances that run there."""
    moves = state.run(site).instances()
    kinds = isl().dim_type
    return moves.project_out(kinds.in_, depth, moves.dim(kinds.in_) - depth)


def _check_inner_order(state: State, dep: Dependence, episode: Episode) -> Numerics:
    numerics = Numerics.EXACT
    for a in episode.updates:
        for b in episode.updates:
            with budget():
                pairs = moments(dep, state.run(a), state.run(b))
                pairs = same_prefix(pairs, episode.depth)
                if pairs.is_empty():
                    continue
                found = check_between(state, dep, pairs, (a, b), episode.depth)
            numerics = max(numerics, found)
    return numerics


def _check_apart(state: State, buffer: Buffer, one: Episode, two: Episode) -> None:
    """Episodes of one element in one copy never run at the same time."""
    a, b = one.start, two.start
    private = state.home(a, buffer).depth  # other copies part inside of all loops in common
    shared = min(state.met(a, b).common, one.depth)
    with budget():
        again = state.run(a).instances().apply_range(state.run(b).instances().reverse())
        again = same_prefix(again, private)
        race = unordered(again, concurrency(a, shared), first=True, start=private, races_only=True)
    if race is not None:
        raise Refused(
            f"iterations that may run at once compute the same element of {buffer.name}, in one "
            "copy",
            state.repetition(a, b, race),
            hint=f"give each its own copy: put the allocation of {buffer.name} inside the loop",
        )


def _check_readers(state: State, dep: Dependence, episodes: list[Episode]) -> None:
    """No reader meets an episode that is under way."""
    for reader in state.places(dep.target):
        home = state.home(reader, dep.buffer)
        for episode in episodes:
            for u in episode.updates:
                if state.home(u, dep.buffer) is not home:
                    continue
                _check_reader(state, dep, episode, u, reader)


def _check_reader(
    state: State, dep: Dependence, episode: Episode, update: Site, reader: Site
) -> None:
    met = state.met(update, reader)
    start = state.home(reader, dep.buffer).depth
    ways = concurrency(update, met.common)
    with budget():
        pairs = same_prefix(moments(dep, state.run(update), state.run(reader)), start)
        bad = unordered(pairs, ways, first=met.first, start=start, races_only=True)
        wholly_after = met.common == episode.depth and not state.met(episode.start, reader).first
        if bad is None and met.common >= episode.depth and not (wholly_after and not met.first):
            inner = same_prefix(pairs, episode.depth)
            bad = unordered(inner, ways, first=met.first, start=episode.depth)
    if bad is not None:
        raise refusal(state, dep, bad, (update, reader))
