"""Leaves as integer maps: which iterations exist, and which block instance each one runs.

A `Site` is a leaf in its place: the loops around it, its static position and the allocations it
sees. A `Run` is the isl side of it: `dom`, the set of loop iterations (time) at which the leaf
runs, and `bind`, the map from time to instances. Runs are positional and cached by structure, so
that a step only pays for the leaves it changed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tdsl.analysis.digits import counts_through
from tdsl.analysis.refusal import Refused
from tdsl.ir import build
from tdsl.ir.affine import linear
from tdsl.ir.expr import Binary, Buffer, Const, Expr, Unary, Var
from tdsl.ir.frames import (
    Frame,
    IslMap,
    IslSet,
    NotAffine,
    Sizes,
    budget,
    isl,
    operands,
)
from tdsl.ir.stmt import Alloc, Block, For, Leaf, LoopKind, Program, Seq, Stmt
from tdsl.ir.visit import loads, substitute

MOST_RUNS = 4096


@dataclass(frozen=True, slots=True)
class Level:
    """One component of time: a loop, or one part of a fused loop."""

    var: Var
    extent: Expr
    kind: LoopKind


@dataclass(frozen=True, slots=True)
class Home:
    """Where a copy of a buffer lives: its Alloc (None for a parameter) inside `depth` levels.

    One object for each place in the tree, so that identity tells copies apart.
    """

    alloc: Alloc | None
    depth: int


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A leaf in its place in the tree.

    `turns` holds, for each Seq on the path, its identity, the branch taken and the number of
    levels outside it; `homes` the allocations on the path.
    """

    leaf: Leaf
    levels: tuple[Level, ...]
    turns: tuple[tuple[int, int, int], ...]
    homes: Mapping[Buffer, Home]

    @property
    def block(self) -> Block:
        """The block that the leaf runs."""
        return self.leaf.block

    def home(self, buffer: Buffer) -> Home | None:
        """The copy of a buffer that this leaf accesses, None where none is in sight."""
        return self.homes.get(buffer)


@dataclass(frozen=True, slots=True)
class Meeting:
    """How two sites lie to each other: levels in common, and which comes first after them.

    `first` is true where the left site's branch comes before the right one's.
    """

    common: int
    first: bool


def meeting(a: Site, b: Site) -> Meeting:
    """Common levels and static order of two sites of one tree."""
    for (_, left, depth), (_, right, _) in zip(a.turns, b.turns, strict=False):
        if left != right:
            return Meeting(depth, left < right)
    return Meeting(len(a.levels), first=False)  # only a leaf never parts from itself


def sites_of(program: Program, body: Stmt) -> list[Site]:
    """The leaves of a body, in static order, in their places.

    Raises:
        Refused: the tree holds statements of lowered IR, or allocates an argument or a result.
    """
    params = {p.buffer: Home(None, 0) for p in program.params}
    return list(_sites(body, (), (), params))


def _sites(
    s: Stmt,
    levels: tuple[Level, ...],
    turns: tuple[tuple[int, int, int], ...],
    homes: Mapping[Buffer, Home],
) -> Iterator[Site]:
    match s:
        case Leaf():
            yield Site(s, levels, turns, homes)
        case For():
            yield from _sites(s.body, (*levels, *levels_of(s)), turns, homes)
        case Seq(body=body):
            for n, child in enumerate(body):
                yield from _sites(child, levels, (*turns, (id(s), n, len(levels))), homes)
        case Alloc(buffer=buffer, body=body):
            outer = homes.get(buffer)
            if outer is not None and outer.alloc is None:
                raise Refused(f"{buffer.name} is an argument or a result, which is the caller's")
            inner = {**homes, buffer: Home(s, len(levels))}
            yield from _sites(body, levels, turns, inner)
        case _:
            raise Refused(f"{type(s).__name__} is lowered IR, which has no proof")


def levels_of(loop: For) -> tuple[Level, ...]:
    """The levels of a loop: itself, or its parts where it is fused."""
    return tuple(Level(level.var, level.extent, loop.kind) for level in loop.levels)


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """A block's instances: its space, the box of its iters, and the part where `where` may hold.

    `exact` is false where `where` depends on data, so that an instance of `dom` may do nothing.
    """

    frame: Frame
    box: IslSet
    dom: IslSet
    exact: bool


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """When a leaf runs (`dom`, a set of time vectors, ghost dimensions last) and what (`bind`).

    `raw` leaves the block's own `where` out. `inside` tells whether all of it lies in the block's
    iteration domain; where not (padded tails), `dom` holds only what does. `complete`: seen
    without isl that the leaf runs every instance exactly once.
    """

    key: int
    depth: int
    raw: IslSet
    dom: IslSet
    bind: Any
    inside: bool
    complete: bool

    def instances(self) -> IslMap:
        """Time to instance, as a map."""
        return as_map(self.bind).intersect_domain(self.dom)

    def pull_domain(self, pairs: IslMap) -> IslMap:
        """A relation whose left ends are instances, as one whose left ends are times."""
        if isinstance(self.bind, isl().MultiAff):
            return pairs.preimage_domain_multi_aff(self.bind)
        return pairs.preimage_domain_pw_multi_aff(self.bind)

    def pull_range(self, pairs: IslMap) -> IslMap:
        """A relation whose right ends are instances, as one whose right ends are times."""
        if isinstance(self.bind, isl().MultiAff):
            return pairs.preimage_range_multi_aff(self.bind)
        return pairs.preimage_range_pw_multi_aff(self.bind)


def as_map(bind: Any) -> IslMap:
    """A multi-affine function, plain or piecewise, as a map."""
    return bind.as_map()


@dataclass
class Models:
    """Builds and caches instances and runs for one algorithm's sizes."""

    sizes: Sizes
    _instances: dict[Block, Instances] = field(default_factory=dict)
    _runs: dict[Hashable, Run] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def instances(self, block: Block) -> Instances:
        """The instance space of a block.

        Raises:
            NotAffine: an iteration extent is not quasi-affine.
        """
        known = self._instances.get(block)
        if known is not None:
            return known
        wheres = [] if block.where is None else build.conjuncts(block.where)
        exprs = [*(it.extent for it in block.iters), *wheres]
        frame = Frame(self.sizes, block.vars, operands(exprs), ghosts=False)
        box = frame.universe().intersect_params(self.sizes.context)
        for it in block.iters:
            box = frame.bounded(box, it.var, it.extent)
        dom, exact = box, True
        for cond in wheres:
            try:
                dom = dom.intersect(frame.condition(cond))
            except NotAffine:
                exact = False
        made = Instances(frame, box, dom, exact)
        if len(self._instances) >= MOST_RUNS:
            self._instances.clear()
        self._instances[block] = made
        return made

    def run(self, site: Site) -> Run:
        """The run of a site.

        Raises:
            NotAffine: an extent, a binding or a guard is not quasi-affine.
        """
        key = site_key(site)
        known = self._runs.get(key)
        if known is None:
            if len(self._runs) >= MOST_RUNS:
                self._runs.clear()
            known = self._runs[key] = self._build(site, next(self._numbers))
        return known

    def _build(self, site: Site, number: int) -> Run:
        block = site.block
        mapping = dict(zip(block.vars, site.leaf.bindings, strict=True))
        guards = [cond for g in site.leaf.guards for cond in build.conjuncts(g.cond)]
        wheres = [] if block.where is None else build.conjuncts(substitute(block.where, mapping))
        exprs = [level.extent for level in site.levels]
        exprs += [*site.leaf.bindings, *operands(guards), *operands(wheres)]
        frame = Frame(self.sizes, [level.var for level in site.levels], exprs)
        raw = frame.universe().intersect_params(self.sizes.context)
        for level in site.levels:
            raw = frame.bounded(raw, level.var, level.extent)
        for cond in guards:
            raw = raw.intersect(frame.condition(cond))
        dom = raw
        for cond in wheres:
            try:
                dom = dom.intersect(frame.condition(cond))
            except NotAffine:
                continue
        bind = _bind(frame, site.leaf.bindings)
        complete = counts_through(site.leaf, [(v.var, v.extent) for v in site.levels])
        inside = complete
        if not complete:
            # `where` is evaluated first: what it loads must be in its domain too
            asked = raw if block.where is not None and loads(block.where) else dom
            valid = _preimage(self.instances(block).box, bind)
            with budget():
                inside = bool(asked.is_subset(valid))
            dom = dom if inside else dom.intersect(valid)
        return Run(number, len(site.levels), raw, dom, bind, inside, complete)


def _preimage(points: IslSet, bind: Any) -> IslSet:
    if isinstance(bind, isl().MultiAff):
        return points.preimage_multi_aff(bind)
    return points.preimage_pw_multi_aff(bind)


def _bind(frame: Frame, bindings: tuple[Expr, ...]) -> Any:
    module = isl()
    space = frame.space.from_domain().add_dims(module.dim_type.out, len(bindings))
    if all(frame.is_plain(b) for b in bindings):
        result = module.MultiAff.zero(space)
        for n, binding in enumerate(bindings):
            result = result.set_at(n, frame.form(linear(binding)))
        return result
    multi = module.MultiPwAff.zero(space)
    for n, binding in enumerate(bindings):
        multi = multi.set_at(n, frame.piecewise(binding))
    return module.PwMultiAff.from_multi_pw_aff(multi)


def site_key(site: Site) -> Hashable:
    """What a run depends on, with loop variables by position."""
    index: dict[Var, int] = {level.var: n for n, level in enumerate(site.levels)}
    return (
        site.block,
        tuple(encode(level.extent, index) for level in site.levels),
        tuple(encode(b, index) for b in site.leaf.bindings),
        tuple(encode(g.cond, index) for g in site.leaf.guards),
    )


def encode(e: Expr, index: Mapping[Var, int]) -> Hashable:
    """An expression as a hashable value in which bound variables are numbers."""
    match e:
        case Var():
            return index.get(e, e)
        case Const(value=value):
            return ("c", value)
        case Binary(op, a, b):
            return (op.value, encode(a, index), encode(b, index))
        case Unary(op, a):
            return (op.value, encode(a, index))
        case _:
            return substitute(e, {v: build.index(n) for v, n in index.items()})
