"""Order: of two accesses that conflict, the earlier one stays the earlier one.

All pairs of executions are looked at, so this alone decides for storage that is written more
than once, and for any block that runs each instance once.
"""

from __future__ import annotations

from tdsl.analysis.commute import commutes
from tdsl.analysis.dependences import Dependence, Hazard
from tdsl.analysis.model import Run, Site
from tdsl.analysis.numerics import Numerics, swaps_exactly
from tdsl.analysis.order import concurrency, differing, same_prefix, unordered
from tdsl.analysis.refusal import Refused
from tdsl.analysis.state import State
from tdsl.analysis.witness import conflict
from tdsl.errors import Witness
from tdsl.ir.frames import IslMap, budget


def check_order(state: State, dep: Dependence) -> Numerics:
    """Check one dependence between all leaves of its two blocks.

    Raises:
        Refused: with two iterations that would run in the wrong order, or at the same time.
    """
    numerics = Numerics.EXACT
    for a in state.places(dep.source):
        for b in state.places(dep.target):
            numerics = max(numerics, _recalled(state, dep, a, b))
    return numerics


def moments(dep: Dependence, a: Run, b: Run) -> IslMap:
    """A dependence between instances as one between the times of two leaves."""
    pairs = a.pull_domain(dep.relation)
    return b.pull_range(pairs).intersect_domain(a.dom).intersect_range(b.dom)


def check_between(
    state: State, dep: Dependence, pairs: IslMap, sites: tuple[Site, Site], start: int
) -> Numerics:
    """Check pairs of times that agree before level `start`: the left one stays first.

    Raises:
        Refused: it does not; updates of one accumulator may swap where its reducer allows that.
    """
    a, b = sites
    met = state.met(a, b)
    ways = concurrency(a, met.common)
    bad = unordered(pairs, ways, first=met.first, start=start)
    if bad is None:
        return Numerics.EXACT
    if not dep.own:
        raise refusal(state, dep, bad, sites)
    # values that belong together, such as argmax and its maximum, are no atomic pair
    atomic = a.leaf.atomic and b.leaf.atomic and len(dep.source.writes) == 1
    if not atomic:
        race = unordered(pairs, ways, first=met.first, start=start, races_only=True)
        if race is not None:
            raise refusal(state, dep, race, sites)
    if swaps_exactly(dep.source):
        return Numerics.EXACT
    assert dep.source.reducer is not None
    if not commutes(dep.source.reducer):
        raise refusal(state, dep, bad, sites)
    return Numerics.UNORDERED if atomic and any(ways) else Numerics.REASSOCIATES


def _recalled(state: State, dep: Dependence, a: Site, b: Site) -> Numerics:
    met = state.met(a, b)
    here, there = state.home(a, dep.buffer), state.home(b, dep.buffer)
    key = (
        "order",
        dep.number,
        state.run(a).key,
        state.run(b).key,
        met,
        concurrency(a, met.common),
        (here.depth, there.depth, here is there),
        a.leaf.atomic and b.leaf.atomic,
    )
    return state.memo.recall(key, lambda: _check(state, dep, a, b))


def _check(state: State, dep: Dependence, a: Site, b: Site) -> Numerics:
    here, there = state.home(a, dep.buffer), state.home(b, dep.buffer)
    flows = Hazard.RAW in dep.hazards
    with budget():
        pairs = moments(dep, state.run(a), state.run(b))
        if pairs.is_empty():
            return Numerics.EXACT
        if here is not there:
            if flows:
                raise _lost(state, dep, pairs, (a, b))
            return Numerics.EXACT
        if flows and here.depth:
            lost = differing(pairs, here.depth)
            if lost is not None:
                raise _lost(state, dep, lost, (a, b))
        pairs = same_prefix(pairs, here.depth)
        return check_between(state, dep, pairs, (a, b), here.depth)


def _kind(dep: Dependence) -> Hazard:
    if dep.own:
        return Hazard.WAW
    return next(h for h in (Hazard.RAW, Hazard.WAW, Hazard.WAR) if h in dep.hazards)


def _witness(
    state: State, dep: Dependence, bad: IslMap, sites: tuple[Site, Site]
) -> Witness | None:
    return conflict(_kind(dep).value, bad, sites, dep.pairs, state.deps.models.sizes)


def _lost(state: State, dep: Dependence, bad: IslMap, sites: tuple[Site, Site]) -> Refused:
    a, b = sites
    return Refused(
        f"{b.block.name} uses {dep.buffer.name} in another copy than the one that "
        f"{a.block.name} writes",
        _witness(state, dep, bad, sites),
        hint=f"move the allocation of {dep.buffer.name} outward (store_at)",
    )


_REASONS = {
    Hazard.RAW: "{second} reads what {first} writes to {buffer}",
    Hazard.WAR: "{second} overwrites what {first} reads from {buffer}",
    Hazard.WAW: "{first} and {second} write the same element of {buffer}",
}


def refusal(state: State, dep: Dependence, bad: IslMap, sites: tuple[Site, Site]) -> Refused:
    """Say which iterations conflict, and whether they race or come in the wrong order."""
    a, b = sites
    witness = _witness(state, dep, bad, sites)
    reason = _REASONS[_kind(dep)].format(
        first=a.block.name, second=b.block.name, buffer=dep.buffer.name
    )
    racing = None if witness is None else _racing_loop(state, witness, sites)
    if racing is not None:
        text = f"iterations of {racing} may run at once, but {reason}"
        return Refused(text, witness, hint=_race_hint(dep))
    return Refused(f"the order changes, but {reason}", witness, hint=_order_hint(dep))


def _racing_loop(state: State, witness: Witness, sites: tuple[Site, Site]) -> str | None:
    """The concurrent loop at which two iterations part, if it is one."""
    for level in sites[0].levels[: state.met(*sites).common]:
        name = level.var.name
        if witness.first[name] != witness.second[name]:
            return name if level.kind.concurrent else None
    return None


def _race_hint(dep: Dependence) -> str:
    if dep.own:
        return "rfactor the reduction over this loop, make the block atomic, or leave it serial"
    return "leave the loop serial, or finish the producer before it (fission, compute_at)"


def _order_hint(dep: Dependence) -> str:
    if dep.source is dep.target:
        return "keep the loops in the order that the recurrence needs, or skew them first"
    return f"{dep.source.name} has to run before {dep.target.name}: fission, or move it outward"
