"""Dependences of an algorithm: which instance must stay before which, on which buffer.

They are fixed by the canonical program, never by a schedule: relations from instances to
instances, memory-based (all earlier writers, not only the last one), so an over-approximated
access stays sound. Computed once per algorithm, cached per pair of blocks.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import reduce
from itertools import count

from tdsl.analysis.access import Access, accesses, relation
from tdsl.analysis.model import Instances, Meeting, Models, Site, meeting, site_key, sites_of
from tdsl.analysis.refusal import Refused
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.frames import LOCK, IslMap, Sizes, Unknown, budget, isl
from tdsl.ir.inits import derive_inits
from tdsl.ir.stmt import Block, BlockKind, Program, Role

MOST_ALGORITHMS = 32
MOST_PAIRS = 10_000


class Hazard(Enum):
    """What two accesses of one element are to each other, in the order of the algorithm."""

    RAW = "RAW"
    WAR = "WAR"
    WAW = "WAW"


@dataclass(frozen=True, slots=True, eq=False)
class Dependence:
    """`relation`: instances of `source` to later instances of `target` that share an element.

    `own` marks updates of one accumulator by one reduction, which a reducer may let swap. `pairs`
    are the accesses that meet.
    """

    number: int
    source: Block
    target: Block
    buffer: Buffer
    hazards: frozenset[Hazard]
    own: bool
    relation: IslMap
    pairs: tuple[tuple[Access, Access], ...]


class Storage(Enum):
    """How a buffer is written, which decides what may run again."""

    SINGLE = "each element once"
    REDUCED = "by one reduction and its init"
    SHARED = "more than once"


@dataclass(frozen=True, slots=True, eq=False)
class Dependences:
    """Everything the prover knows about an algorithm.

    `steps`: for a buffer that is allocated inside loops, the iteration variables (by position) of
    each block that tell its copies apart.
    """

    algorithm: Program
    models: Models
    sites: tuple[Site, ...]
    accesses: dict[int, tuple[Access, ...]]
    all: tuple[Dependence, ...]
    storage: dict[Buffer, Storage]
    writers: dict[Buffer, tuple[Block, ...]]
    reducers: dict[Buffer, Block]
    steps: dict[Buffer, dict[int, tuple[int, ...]]]

    def of_buffer(self, buffer: Buffer) -> list[Dependence]:
        """The dependences on one buffer."""
        return [d for d in self.all if d.buffer is buffer]

    @property
    def buffers(self) -> list[Buffer]:
        """The buffers that some block writes."""
        return [buffer for buffer, blocks in self.writers.items() if blocks]

    @property
    def blocks(self) -> dict[int, Block]:
        """The blocks by identity, derived inits included."""
        return {id(s.block): s.block for s in self.sites}


_ALGORITHMS: OrderedDict[int, tuple[Program, Dependences]] = OrderedDict()
_MODELS: OrderedDict[Hashable, tuple[Models, dict[Hashable, tuple[Dependence, ...]]]] = (
    OrderedDict()
)
_NUMBERS = count()


def dependences(algorithm: Program) -> Dependences:
    """The dependences of a canonical program; cached, so asking again is free.

    Raises:
        Refused: an extent of the algorithm is not quasi-affine, so that nothing can be proven.
    """
    with LOCK:
        known = _ALGORITHMS.get(id(algorithm))
        if known is not None and known[0] is algorithm:
            _ALGORITHMS.move_to_end(id(algorithm))
            return known[1]
        try:
            made = _compute(algorithm)
        except Unknown as error:
            raise Refused(f"the dependences of {algorithm.name} are unknown: {error}") from error
        _ALGORITHMS[id(algorithm)] = (algorithm, made)
        if len(_ALGORITHMS) > MOST_ALGORITHMS:
            _ALGORITHMS.popitem(last=False)
        return made


def _models(algorithm: Program) -> tuple[Models, dict[Hashable, tuple[Dependence, ...]]]:
    key = (algorithm.sizes, algorithm.assume)
    found = _MODELS.get(key)
    if found is None:
        found = _MODELS[key] = (Models(Sizes(algorithm.sizes, algorithm.assume)), {})
        if len(_MODELS) > MOST_ALGORITHMS:
            _MODELS.popitem(last=False)
    return found


def _compute(algorithm: Program) -> Dependences:
    models, cache = _models(algorithm)
    sites = sites_of(algorithm, derive_inits(algorithm.body))
    touched = {id(s.block): accesses(s.block) for s in sites}
    found: list[Dependence] = []
    buffers = [frozenset(x.buffer for x in touched[id(s.block)]) for s in sites]
    for m, a in enumerate(sites):
        for n, b in enumerate(sites[m:], m):
            if buffers[m].isdisjoint(buffers[n]):
                continue
            met = meeting(a, b)
            found += _between(a, b, met, models, touched, cache)
            if a is not b and met.common:
                # in a loop around both, the second may come before the first
                found += _between(b, a, Meeting(met.common, first=False), models, touched, cache)
    return _classified(algorithm, models, tuple(sites), touched, found)


def _between(
    a: Site,
    b: Site,
    met: Meeting,
    models: Models,
    touched: dict[int, tuple[Access, ...]],
    cache: dict[Hashable, tuple[Dependence, ...]],
) -> tuple[Dependence, ...]:
    depths = tuple(
        (x.buffer, None if home is None else home.depth)
        for x in touched[id(a.block)]
        for home in (a.home(x.buffer),)
    )
    key = (site_key(a), site_key(b), met, depths)
    known = cache.get(key)
    if known is None:
        if len(cache) >= MOST_PAIRS:
            cache.clear()
        known = cache[key] = tuple(_pairs(a, b, met, models, touched))
    return known


def _pairs(
    a: Site, b: Site, met: Meeting, models: Models, touched: dict[int, tuple[Access, ...]]
) -> Iterable[Dependence]:
    groups: dict[tuple[Buffer, frozenset[Hazard], bool], list[tuple[Access, Access]]] = {}
    for x in touched[id(a.block)]:
        for y in touched[id(b.block)]:
            if x.buffer is not y.buffer or not (x.is_write or y.is_write):
                continue
            here, there = a.home(x.buffer), b.home(y.buffer)
            if here is None or there is None:
                raise Refused(f"{x.buffer.name} is accessed outside its allocation")
            if here is not there:
                continue
            own = a is b and x.own and x == y
            groups.setdefault((x.buffer, _hazards(x, y), own), []).append((x, y))
    spaces = models.instances(a.block), models.instances(b.block)
    for (buffer, hazards, own), pairs in groups.items():
        same = [_meeting_elements(x, y, spaces, models) for x, y in pairs]
        with budget():
            meets = reduce(lambda p, q: p.union(q), same)
            home = a.home(buffer)
            assert home is not None
            ordered = earlier(meets, a, b, met, models, home.depth)
        ordered = _coalesced(ordered)
        if _is_empty(ordered):
            continue
        yield Dependence(
            next(_NUMBERS), a.block, b.block, buffer, hazards, own, ordered, tuple(pairs)
        )


def _meeting_elements(
    x: Access, y: Access, spaces: tuple[Instances, Instances], models: Models
) -> IslMap:
    """The pairs of instances that touch one element."""
    with budget():
        return relation(x, spaces[0], models).apply_range(relation(y, spaces[1], models).reverse())


def _coalesced(pairs: IslMap) -> IslMap:
    """The same relation in fewer pieces, if those are found quickly."""
    try:
        with budget():
            return pairs.coalesce()
    except Unknown:
        return pairs


def _is_empty(pairs: IslMap) -> bool:
    """Whether a relation is known to be empty: one that is not only gives more to prove."""
    try:
        with budget():
            return bool(pairs.is_empty())
    except Unknown:
        return False


def _hazards(x: Access, y: Access) -> frozenset[Hazard]:
    found = set()
    if x.is_write and y.is_write:
        found.add(Hazard.WAW)
    if x.is_write and (y.own or not y.is_write):
        found.add(Hazard.RAW)
    if y.is_write and (x.own or not x.is_write):
        found.add(Hazard.WAR)
    return frozenset(found)


def earlier(meets: IslMap, a: Site, b: Site, met: Meeting, models: Models, private: int) -> IslMap:
    """The part of an instance relation whose left end comes first in the canonical order."""
    kinds = isl().dim_type
    left, right = _positions(a), _positions(b)
    if left is None or right is None:
        return _earlier_in_time(meets, a, b, met, models)
    result = isl().Map.empty(meets.get_space())
    for level in range(met.common):
        if level >= private:
            result = result.union(meets.order_lt(kinds.in_, left[level], kinds.out, right[level]))
        meets = meets.equate(kinds.in_, left[level], kinds.out, right[level])
    return result.union(meets) if met.first else result


def _positions(site: Site) -> list[int] | None:
    """For each level the iteration variable it is bound to, if the bindings are just the loops."""
    vars_of: dict[Expr, int] = {}
    for n, binding in enumerate(site.leaf.bindings):
        if not isinstance(binding, Var):
            return None
        vars_of[binding] = n
    if len(vars_of) != len(site.leaf.bindings) or site.leaf.guards:
        return None
    found = [vars_of.get(level.var) for level in site.levels]
    positions = [n for n in found if n is not None]
    return positions if len(positions) == len(found) else None


def _earlier_in_time(meets: IslMap, a: Site, b: Site, met: Meeting, models: Models) -> IslMap:
    """`earlier` for bindings other than loops; nothing has copies then, see `_steps`."""
    kinds = isl().dim_type
    one, two = models.run(a), models.run(b)
    time = isl().Map.from_domain_and_range(one.dom, two.dom)
    before = isl().Map.empty(time.get_space())
    for level in range(met.common):
        before = before.union(time.order_lt(kinds.in_, level, kinds.out, level))
        time = time.equate(kinds.in_, level, kinds.out, level)
    if met.first:
        before = before.union(time)
    instances = one.instances().reverse().apply_range(before).apply_range(two.instances())
    return meets.intersect(instances)


def _classified(
    algorithm: Program,
    models: Models,
    sites: tuple[Site, ...],
    touched: dict[int, tuple[Access, ...]],
    found: list[Dependence],
) -> Dependences:
    writers: dict[Buffer, tuple[Block, ...]] = {}
    for site in sites:
        for access in touched[id(site.block)]:
            known = writers.setdefault(access.buffer, ())
            if access.is_write and site.block not in known:
                writers[access.buffer] = (*known, site.block)
    storage, reducers = {}, {}
    for buffer, blocks in writers.items():
        on_buffer = [d for d in found if d.buffer is buffer]
        storage[buffer] = _storage(blocks, on_buffer)
        if storage[buffer] is Storage.REDUCED:
            reducers[buffer] = next(b for b in blocks if b.kind is BlockKind.REDUCE)
    changed = {p.buffer for p in algorithm.params if p.role is Role.INOUT}
    for buffer in changed:
        if writers.get(buffer):
            storage[buffer] = Storage.SHARED
    steps = _steps(sites, touched)
    return Dependences(
        algorithm, models, sites, touched, tuple(found), storage, writers, reducers, steps
    )


def _steps(
    sites: tuple[Site, ...], touched: dict[int, tuple[Access, ...]]
) -> dict[Buffer, dict[int, tuple[int, ...]]]:
    found: dict[Buffer, dict[int, tuple[int, ...]]] = {}
    for site in sites:
        for buffer in {a.buffer for a in touched[id(site.block)]}:
            home = site.home(buffer)
            if home is None or not home.depth:
                continue
            positions = _positions(site)
            if positions is None:
                raise Refused(f"the copies of {buffer.name} cannot be told apart")
            found.setdefault(buffer, {})[id(site.block)] = tuple(positions[: home.depth])
    return found


def _storage(blocks: tuple[Block, ...], on_buffer: list[Dependence]) -> Storage:
    if all(b.kind in (BlockKind.COMPUTE, BlockKind.COPY) for b in blocks):
        if not any(Hazard.WAW in d.hazards for d in on_buffer):
            return Storage.SINGLE
        return Storage.SHARED
    updates = [b for b in blocks if b.kind is BlockKind.REDUCE]
    if len(updates) != 1 or updates[0].init is None:
        return Storage.SHARED
    family = {id(updates[0]), id(updates[0].init)}
    if {id(b) for b in blocks} != family:
        return Storage.SHARED
    for d in on_buffer:
        ends = {id(d.source), id(d.target)}
        if id(d.source) not in family or (ends <= family and not d.own and not _starts(d)):
            return Storage.SHARED  # read before it is complete
    return Storage.REDUCED


def _starts(d: Dependence) -> bool:
    return d.source is d.target.init
