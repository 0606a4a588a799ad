"""How long a scheduled program takes, predicted: to compare schedules without building them.

A leaf costs what its instructions cost: arithmetic, loads and stores of the straight-line code
inside its innermost loop, the latency of sums that wait for one another, and the loop itself.
Values that an inner loop does not move stay in registers while it lasts. Beside it run the caches:
a loop whose single iteration fits one fetches each of its lines once, any other again and again;
and what holds all data of the program has them from the call before. The slowest of these decides;
threads share it. Rates are those of a current processor with vectors of the target's width, so
quotients mean more than the cycles themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from math import prod

from tdsl.analysis.footprint import LINE, Home, Level, Touch, carrying, touches, useful_part
from tdsl.analysis.model import levels_of
from tdsl.analysis.witness import value_at
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Cast, Expr, Fma, Load, Math, Select, Unary, Var
from tdsl.ir.stmt import Alloc, Block, For, Leaf, LoopKind, Program, Scope, Stmt
from tdsl.ir.visit import children, substatements
from tdsl.target import Target

_OPERATIONS_A_CYCLE = 2.0
_LOADS_A_CYCLE = 2.0
_INSTRUCTIONS_A_CYCLE = 4.0
_LATENCY = 4.0  # cycles until a sum can be added to
_LOOP = 1.0  # cycles of one turn of a loop
_FORK = 1000.0  # cycles until all threads run and have come back
_DIVISION, _FUNCTION = 8.0, 16.0  # operations that they count as
_APART = 2.0  # loads or stores that a lane counts as which is fetched by itself
_WINDOW = 256  # instructions that the processor looks ahead
_LONG = 2000  # instructions of straight-line code that still run from the decoded cache
_FETCHED_A_CYCLE = (48.0, 16.0, 10.0)  # bytes out of the second and third cache, and of memory
_OVERLAP = 0.25  # how much of what is not the slowest shows all the same
_STRAIGHT = (LoopKind.UNROLLED, LoopKind.VECTORIZED, LoopKind.INSTRUCTION)


def forecast(program: Program, target: Target, sizes: Mapping[Var, int]) -> float:
    """Cycles of one call.

    Args:
        program: what runs.
        target: whose vectors, caches and cores.
        sizes: a number for each size of the program.
    """
    walk = _Walk(target, dict(sizes))
    nests = [(s, list(walk.summaries(s, ()))) for s in _nests(program.body, walk)]
    whole = walk.touched(program.body, 0, 1)
    return sum(walk.cycles(s, leaves, whole) for s, leaves in nests)


@dataclass(frozen=True, slots=True)
class _Cache:
    """Bytes that it holds, sets that an address picks one of, bytes a cycle from behind it."""

    capacity: int
    sets: int
    rate: float
    is_own: bool


def _caches(target: Target) -> tuple[_Cache, ...]:
    last = max(target.l3, target.l2)  # its sets are picked by a hash
    near, middle, far = _FETCHED_A_CYCLE
    return (
        _Cache(target.l1, 64, near, is_own=True),
        _Cache(target.l2, 1024, middle, is_own=True),
        _Cache(last, 1, far, is_own=False),
    )


@dataclass
class _Walk:
    """What is known while a program is walked through; leaves are summed up once."""

    target: Target
    env: dict[Var, int]
    homes: dict[Buffer, Home] = field(default_factory=dict)
    leaves: dict[int, _Summary] = field(default_factory=dict)

    def cycles(self, s: Stmt, leaves: list[_Summary], whole: float) -> float:
        """One top-level nest; a cache that holds the whole program's data has them from before."""
        busy = sum(leaf.cycles(self.target) for leaf in leaves)
        workers = max(leaf.workers(self.target) for leaf in leaves)
        parts = [busy]
        for cache in _caches(self.target):
            if whole <= cache.capacity:
                continue
            shared = workers if cache.is_own else 1.0
            parts.append(self._fetched(s, (), cache) / (cache.rate * shared))
        slowest = max(parts)
        forks = {leaf.fork: leaf.forks for leaf in leaves if leaf.fork is not None}
        return slowest + _OVERLAP * (sum(parts) - slowest) + _FORK * sum(forks.values())

    def levels(self, s: For) -> tuple[Level, ...]:
        """A loop as numbers; of loops of several lengths, the middle one."""
        found = []
        for level in levels_of(s):
            trips = max(1, value_at(level.extent, self.env) or 1)
            self.env[level.var] = (trips - 1) // 2
            found.append(Level(level.var, trips, s.kind))
        return tuple(found)

    def enter(self, s: Alloc, depth: int) -> None:
        """Note where a buffer is allocated."""
        self.homes[s.buffer] = Home(s.scope, depth, s.layout)

    def summaries(self, s: Stmt, path: tuple[Level, ...]) -> Iterator[_Summary]:
        match s:
            case Leaf():
                found = touches(s, path, self.homes, self.env)
                summary = _Summary(s, path, found, useful_part(s, path, self.env))
                self.leaves[id(s)] = summary
                yield summary
            case For():
                yield from self.summaries(s.body, (*path, *self.levels(s)))
            case _:
                if isinstance(s, Alloc):
                    self.enter(s, len(path))
                for child in substatements(s):
                    yield from self.summaries(child, path)

    def _fetched(self, s: Stmt, path: tuple[Level, ...], cache: _Cache) -> float:
        """Bytes that one run of a statement brings into a cache."""
        inside = self.touched(s, len(path), 1)
        if isinstance(s, Leaf) or self.touched(s, len(path), cache.sets) <= cache.capacity:
            return inside
        if isinstance(s, For) and s.kind is LoopKind.VECTORIZED:
            return self._fetched(s.body, path, cache)
        if isinstance(s, For):
            path = (*path, *self.levels(s))
            if self.touched(s.body, len(path), cache.sets) <= cache.capacity:
                return inside
            trips = prod(level.trips for level in path[-len(levels_of(s)) :])
            return trips * self._fetched(s.body, path, cache)
        return sum(self._fetched(child, path, cache) for child in substatements(s))

    def touched(self, s: Stmt, depth: int, sets: int) -> float:
        """Bytes of a cache that keeps what one run of a statement touches."""
        found: dict[Buffer, float] = {}
        for leaf in _leaves(s):
            summary = self.leaves[id(leaf)]
            for touch in summary.touches:
                if touch.scope is not Scope.REGISTER:
                    size = touch.room(summary.run[depth:], sets)
                    # a line that is written is read before, and goes back
                    cost = 2 * size if touch.is_write and not leaf.stream else size
                    found[touch.buffer] = max(found.get(touch.buffer, 0.0), cost)
        return sum(found.values())


@dataclass(frozen=True, slots=True)
class _Summary:
    """A leaf with its loops and accesses; `useful` is the part of the loops' turns that run it."""

    leaf: Leaf
    path: tuple[Level, ...]
    touches: tuple[Touch, ...]
    useful: float

    @property
    def run(self) -> tuple[Level, ...]:
        """The loops as they run: lanes are innermost, serial loops inside stay around them."""
        return tuple(sorted(self.path, key=lambda x: x.kind is LoopKind.VECTORIZED))

    @property
    def fork(self) -> Var | None:
        """The outermost loop that threads share."""
        return next((x.var for x in self.path if x.kind is LoopKind.PARALLEL), None)

    @property
    def forks(self) -> int:
        """How often it starts."""
        count = 1
        for level in self.path:
            if level.kind is LoopKind.PARALLEL:
                break
            count *= level.trips
        return count

    def workers(self, target: Target) -> float:
        """How many threads' worth of work is done at once."""
        chunks = next((x.trips for x in self.path if x.kind is LoopKind.PARALLEL), 1)
        return chunks / -(-chunks // target.cores)

    def cycles(self, target: Target) -> float:
        """Of all runs, on as many threads as there are."""
        path = self.run
        start = _straight_from(path)
        loops, body = path[:start], path[start:]
        runs = prod(level.trips for level in loops)
        bits = max(write.buffer.dtype.bits for write in self.leaf.block.writes)
        work = _operations(self.leaf.block) * _instructions(body, target, bits)
        loaded, stored, held = self._memory(loops, body, target)
        spilled = max(0.0, held - target.vector_registers) * runs
        loaded, stored = loaded + spilled, stored + spilled
        issued = runs * work + loaded + stored
        busy = max(
            runs * work / _OPERATIONS_A_CYCLE, loaded / _LOADS_A_CYCLE, stored,
            issued / _INSTRUCTIONS_A_CYCLE, runs * self._waiting(loops, body, work),
        )  # fmt: skip
        if issued / runs > _LONG:
            busy *= 2
        turns = runs if loops else 0
        return self.useful * (busy + _LOOP * turns) / self.workers(target)

    def _memory(
        self, loops: tuple[Level, ...], body: tuple[Level, ...], target: Target
    ) -> tuple[float, float, float]:
        """Loads and stores of all runs, and registers that hold what the innermost loop keeps."""
        loaded = stored = held = 0.0
        for touch in self.touches:
            count = _vectors(touch, body, target)
            moving = [n for n, level in enumerate(loops) if touch.moves_with(level.var)]
            around = 1 + max(moving, default=-1)
            if around < len(loops):
                held += count
            if touch.scope is Scope.REGISTER:
                continue
            times = prod(level.trips for level in loops[:around])
            loaded += times * count if not touch.is_write or touch.own else 0.0
            stored += times * count if touch.is_write else 0.0
        return loaded, stored, held

    def _waiting(self, loops: tuple[Level, ...], body: tuple[Level, ...], work: float) -> float:
        """Cycles that one run of the straight-line code waits for sums."""
        chained = carrying(self.leaf, self.path)
        chain = prod(
            x.trips for x in body if x.var in chained and x.kind is not LoopKind.INSTRUCTION
        )
        runs = prod(x.trips for x in takewhile(lambda x: x.var in chained, reversed(loops)))
        if chain * runs == 1:
            return 0.0
        # a chain that ends soon overlaps with the next one
        ahead = _WINDOW / (runs * (work + len(self.touches)))
        return _LATENCY * chain / max(1.0, ahead)


def _straight_from(path: tuple[Level, ...]) -> int:
    """How many loops are around the straight-line code."""
    return 1 + max((n for n, x in enumerate(path) if x.kind not in _STRAIGHT), default=-1)


def _vectors(touch: Touch, body: tuple[Level, ...], target: Target) -> float:
    """Instructions that fetch what the straight-line code accesses."""
    operand = tuple(x for x in body if x.kind is LoopKind.INSTRUCTION and touch.moves_with(x.var))
    count = 1.0
    if touch.room(operand) > LINE * -(-prod(x.trips for x in operand) * touch.size // LINE):
        count = prod(x.trips for x in operand) * _APART  # its elements lie apart
    for level in body:
        if not touch.moves_with(level.var):
            continue
        match level.kind:
            case LoopKind.VECTORIZED if touch.is_dense(level):
                count *= -(-level.trips // target.lanes(touch.buffer.dtype.bits))
            case LoopKind.VECTORIZED:
                count *= level.trips * _APART
            case LoopKind.INSTRUCTION:
                pass  # all of them are one operand
            case _:
                count *= level.trips
    return count


def _instructions(body: tuple[Level, ...], target: Target, bits: int) -> float:
    """How many instructions one operation of each instance takes."""
    lanes = prod(x.trips for x in body if x.kind is LoopKind.VECTORIZED)
    copies = prod(x.trips for x in body if x.kind is LoopKind.UNROLLED)
    return float(copies * -(-lanes // target.lanes(bits)))


def _operations(block: Block) -> float:
    """Arithmetic of one instance; what indices are computed by is left to the addresses."""
    return sum(_counted(write.value) for write in block.writes)


def _counted(e: Expr) -> float:
    match e:
        case Load():
            return 0.0
        case Math():
            own = _FUNCTION
        case Binary(op=BinaryOp.TRUEDIV):
            own = _DIVISION
        case Binary() | Fma() | Select() | Unary():
            own = 1.0
        case Cast():
            own = 0.5
        case _:
            own = 0.0
    return own + sum(_counted(child) for child in children(e) if isinstance(child, Expr))


def _nests(s: Stmt, walk: _Walk) -> Iterator[Stmt]:
    """The outermost loops and leaves, in order."""
    if isinstance(s, For | Leaf):
        yield s
        return
    if isinstance(s, Alloc):
        walk.enter(s, 0)
    for child in substatements(s):
        yield from _nests(child, walk)


def _leaves(s: Stmt) -> Iterator[Leaf]:
    if isinstance(s, Leaf):
        yield s
        return
    for child in substatements(s):
        yield from _leaves(child)
