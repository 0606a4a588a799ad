"""Features: what a cost model sees of a candidate, as terms over knobs.

Every structure has the same features in the same order, so that one model serves all of them. They
say how the blocks that do most of the work run: instructions, vectors, chains of dependent
additions, bytes that each cache must fetch, threads, tails. Counts enter as logarithms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tdsl.autotune.nests import NestAccess, NestBlock, NestLoop, SymbolicNest
from tdsl.autotune.nests.rules import shape_of
from tdsl.autotune.terms import (
    Term,
    at_most,
    ceildiv,
    constant,
    knob_term,
    log2,
    maximum,
    minimum,
    product,
    total,
    where,
)
from tdsl.ir.expr import Buffer
from tdsl.ir.stmt import LoopKind, Scope
from tdsl.target import Target

BLOCKS = 3  # described one by one; all others only in the sums
ACCESSES = 4  # of each
KNOBS = 12
CHOICES = 8

_LINE = 64  # bytes
_LATENCY = 4.0  # cycles until a sum can be added to
_LOADS_A_CYCLE = 2.0
_OPERATIONS_A_CYCLE = 2.0
_LOOP_CYCLES = 1.0
_FETCH_BYTES_A_CYCLE = (32.0, 16.0, 6.0)  # out of the second and third cache, and of memory

Features = list[tuple[str, Term]]


@dataclass(frozen=True)
class Machine:
    """What the features know of a target and of the measurement."""

    target: Target
    threads: int

    @property
    def caches(self) -> tuple[int, ...]:
        """Bytes of each cache, innermost first."""
        return (self.target.l1, self.target.l2, max(self.target.l3, self.target.l2))


def features(
    nest: SymbolicNest,
    machine: Machine,
    *,
    knobs: int,
    choices: Sequence[tuple[str, int]],
) -> Features:
    """The features of a structure, by name."""
    ranked = sorted(nest.blocks.values(), key=_canonical_work, reverse=True)
    described = [_Block(nest, block, machine) for block in ranked]
    found = _sums(described, machine)
    for slot in range(BLOCKS):
        own = described[slot].features() if slot < len(described) else []
        found += _slot(own, f"block{slot}", _BLOCK_NAMES)
    found += [(f"knob{n}", log2(knob_term(n)) if n < knobs else constant(-1)) for n in range(KNOBS)]
    options = dict(enumerate(option for _, option in choices))
    found += [(f"choice{n}", constant(options.get(n, -1))) for n in range(CHOICES)]
    return found


def conditions(nest: SymbolicNest, target: Target, most_unrolled: int) -> list[Term]:
    """What every sensible candidate meets: registers that exist, code of bounded length."""
    machine = Machine(target, 1)
    found: list[Term] = []
    for block in nest.blocks.values():
        described = _Block(nest, block, machine)
        found.append(at_most(described.code, most_unrolled))
        for access in block.accesses:
            scope, home = nest.scopes.get(access.buffer, (Scope.GLOBAL, ()))
            if access.writes and scope is Scope.REGISTER:
                needed = described.registers_of(access, home)
                found.append(at_most(needed, target.vector_registers))
    return found


def _slot(own: Features, prefix: str, names: Sequence[str]) -> Features:
    """Features of one slot; a slot without a block has minus ones."""
    values = dict(own)
    return [(f"{prefix}.{name}", values.get(name, constant(-1))) for name in names]


def _canonical_work(block: NestBlock) -> float:
    """Arithmetic of the block as declared: extents of iters are constants."""
    count = 1.0
    for extent in block.extents:
        count *= extent.value
    return count * (block.flops + 0.5)


def _sums(blocks: Sequence[_Block], machine: Machine) -> Features:
    """Features of the nest as a whole."""
    compute = total(block.cycles for block in blocks)
    found: Features = [
        ("cycles", log2(compute)),
        ("code", log2(total(block.code for block in blocks))),
        ("instances", log2(total(block.instances for block in blocks))),
        ("slowest_block", log2(_largest(block.cycles / block.workers for block in blocks))),
    ]
    time = total(block.cycles / block.workers for block in blocks)
    for level, rate in enumerate(_FETCH_BYTES_A_CYCLE):
        fetched = total(block.fetched(level) for block in blocks)
        found.append((f"fetched{level}", log2(fetched)))
        shared = constant(1) if level == 2 else blocks[0].workers
        time = maximum(time, fetched / (shared * constant(rate)))
    temporary = total(block.temporary for block in blocks)
    found.append(("temporary_bytes", log2(temporary)))
    found.append(("regions", constant(sum(block.is_parallel for block in blocks))))
    found.append(("time", log2(time)))
    found.append(("threads", constant(machine.threads)))
    return found


def _largest(terms: object) -> Term:
    result = constant(0)
    for term in terms:  # type: ignore[attr-defined]  # any iterable of terms
        result = maximum(result, term)
    return result


_BLOCK_NAMES = (
    *("instances", "waste", "vector", "lanes_used", "unrolled", "body", "inner", "cycles"),
    *("chains", "loads", "stores", "workers", "chunks", "balance", "reduction_inside", "registers"),
    *(f"fetched{level}" for level in range(3)),
    *(f"intensity{level}" for level in range(3)),
    *(
        f"access{n}.{name}"
        for n in range(ACCESSES)
        for name in ("stride", "bytes", "inner_bytes", "reuse", "lines")
    ),
)


class _Block:
    """Terms about one block."""

    def __init__(self, nest: SymbolicNest, block: NestBlock, machine: Machine) -> None:
        self.nest = nest
        self.block = block
        self.machine = machine
        self.path = block.path
        self.serial = self._innermost_serial()
        self.body = self.path[self.serial + 1 :]
        bits = max(a.buffer.dtype.bits for a in block.accesses if a.writes)
        self.lanes = machine.target.lanes(bits)
        self.instances = product(loop.extent for loop in self.path)
        self.vector = self._product(LoopKind.VECTORIZED)
        self.unrolled = self._product(LoopKind.UNROLLED)
        self.chunks = self._product(LoopKind.PARALLEL)
        self.is_parallel = any(loop.kind is LoopKind.PARALLEL for loop in self.path)
        threads = constant(machine.threads)
        self.workers = minimum(threads, self.chunks)
        self.rounds = product(loop.extent for loop in self.path[: self.serial + 1])
        self.code = self._vectors(self.body)
        self._fetched: dict[int, Term] = {}
        self._reading()

    def _innermost_serial(self) -> int:
        """The place of the innermost loop that stays a loop; -1 where none does."""
        straight = (LoopKind.UNROLLED, LoopKind.VECTORIZED)
        places = [n for n, loop in enumerate(self.path) if loop.kind not in straight]
        return max(places, default=-1)

    def _product(self, kind: LoopKind) -> Term:
        return product(loop.extent for loop in self.path if loop.kind is kind)

    def _vectors(self, loops: Sequence[NestLoop]) -> Term:
        """Vector instructions that some loops take, for one each instance."""
        return product(
            ceildiv(loop.extent, self.lanes) if loop.kind is LoopKind.VECTORIZED else loop.extent
            for loop in loops
        )

    def _moved_by(self, access: NestAccess) -> dict[NestLoop, Term]:
        """The loops that an access depends on, with its stride in the last dimension or 0."""
        moved: dict[NestLoop, Term] = {}
        for dim in range(len(access.dims)):
            for loop, stride in self.block.strides(access, dim).items():
                last = dim == len(access.dims) - 1
                moved[loop] = stride if last else moved.get(loop, constant(0))
        return moved

    def registers_of(self, access: NestAccess, home: Sequence[NestLoop]) -> Term:
        """Vector registers of what is kept inside the loops `home`."""
        moved = self._moved_by(access)
        return self._vectors([x for x in self.path if x not in home and x in moved])

    def _reading(self) -> None:
        """Loads and stores in the body of the innermost loop, and the cycles that it takes."""
        loads, stores, held = constant(0), constant(0), constant(0)
        around = self.path[self.serial] if self.serial >= 0 else None
        for access in self.block.accesses:
            moved = self._moved_by(access)
            count = self._vectors([loop for loop in self.body if loop in moved])
            held = held + count
            if around is None or around not in moved:
                continue  # stays in a register while the innermost loop runs
            if access.writes:
                stores = stores + count
            else:
                loads = loads + count * self._penalty(moved)
        self.loads, self.stores, self.registers = loads, stores, held
        operations = self.code * (self.block.flops / 2.0)
        cycles = maximum(operations / _OPERATIONS_A_CYCLE, loads / _LOADS_A_CYCLE)
        cycles = maximum(cycles, stores)
        reduced = self.block.reduction_loops()
        self.chains = self._vectors([loop for loop in self.body if loop not in reduced])
        if around is not None and around in reduced:
            steps = self._vectors([loop for loop in self.body if loop in reduced])
            cycles = maximum(cycles, steps * _LATENCY)
        spilled = maximum(held - constant(self.machine.target.vector_registers), 0)
        self.cycles = self.rounds * (cycles + spilled * 2.0 + constant(_LOOP_CYCLES))

    def _penalty(self, moved: Mapping[NestLoop, Term]) -> Term:
        """How many loads a vector takes: one where lanes are neighbours, else one for each."""
        cost = constant(1)
        for loop in self.body:
            if loop.kind is LoopKind.VECTORIZED and loop in moved:
                neighbours = at_most(moved[loop], 1)
                gathers = moved[loop] is constant(0)
                each = minimum(loop.extent, self.lanes)
                cost = maximum(cost, each if gathers else where(neighbours, 1, each))
        return cost

    @property
    def temporary(self) -> Term:
        """Bytes of allocated tensors that it writes."""
        found = constant(0)
        for access in self.block.accesses:
            scope, home = self.nest.scopes.get(access.buffer, (None, ()))
            if access.writes and scope is not None:
                inner = [loop for loop in self.path if loop not in home]
                found = found + self._bytes(access, inner)
        return found

    def _bytes(self, access: NestAccess, inner: Sequence[NestLoop]) -> Term:
        """Bytes of the lines that an access touches while the inner loops run."""
        shape = shape_of(access.buffer, self.nest.sizes)
        size = access.buffer.dtype.bytes
        found = constant(1)
        for dim, full in enumerate(shape):
            count = minimum(self.block.span(access, dim, inner) + constant(1), full)
            if dim == len(shape) - 1:
                count = ceildiv(count * size, _LINE) * _LINE
            found = found * count
        return found if shape else constant(size)

    def fetched(self, level: int) -> Term:
        """Bytes that do not fit a cache and come from behind it, over the whole run."""
        if level not in self._fetched:
            self._fetched[level] = self._fetch(self.machine.caches[level])
        return self._fetched[level]

    def _fetch(self, cache: int) -> Term:
        accesses = [a for a in self.block.accesses if not self._in_registers(a.buffer)]
        found = [self.rounds * self._bytes(access, self.body) for access in accesses]
        for at in range(self.serial, -1, -1):
            inner = self.path[at:]
            sizes = [self._bytes(access, inner) for access in accesses]
            fits = at_most(total(sizes), cache)
            outer = product(loop.extent for loop in self.path[:at])
            found = [
                where(fits, outer * size, before) for size, before in zip(sizes, found, strict=True)
            ]
        return total(found)

    def _in_registers(self, buffer: Buffer) -> bool:
        return self.nest.scopes.get(buffer, (None, ()))[0] is Scope.REGISTER

    def features(self) -> Features:
        """All features of the block, by name."""
        useful = product(self.block.extents)
        used = self.vector / (ceildiv(self.vector, self.lanes) * self.lanes)
        inner = self.path[self.serial].extent if self.serial >= 0 else constant(1)
        rounds = ceildiv(self.chunks, self.machine.threads)
        reduced = self.block.reduction_loops()
        found: Features = [
            ("instances", log2(self.instances)),
            ("waste", self.instances / useful),
            ("vector", log2(self.vector)),
            ("lanes_used", used),
            ("unrolled", log2(self.unrolled)),
            ("body", log2(self.code)),
            ("inner", log2(inner)),
            ("cycles", log2(self.cycles)),
            ("chains", log2(self.chains)),
            ("loads", self.loads / self.code),
            ("stores", self.stores / self.code),
            ("workers", self.workers),
            ("chunks", log2(self.chunks)),
            ("balance", self.chunks / (rounds * self.machine.threads)),
            ("reduction_inside", log2(product(x.extent for x in self.body if x in reduced))),
            ("registers", self.registers / self.machine.target.vector_registers),
        ]
        work = self.instances * float(self.block.flops + 1)
        for level in range(3):
            found.append((f"fetched{level}", log2(self.fetched(level))))
            found.append((f"intensity{level}", log2(work / maximum(self.fetched(level), 1))))
        for number, access in enumerate(self.block.accesses[:ACCESSES]):
            found += [(f"access{number}.{name}", term) for name, term in self._access(access)]
        return found

    def _access(self, access: NestAccess) -> Features:
        moved = self._moved_by(access)
        vectors = [loop for loop in self.path if loop.kind is LoopKind.VECTORIZED]
        inner = vectors or self.path[-1:]
        stride = total(moved.get(loop, constant(0)) for loop in inner)
        body = self._bytes(access, self.body)
        reuse = product(loop.extent for loop in self.path if loop not in moved)
        return [
            ("stride", log2(stride)),
            ("bytes", log2(self._bytes(access, self.path))),
            ("inner_bytes", log2(body)),
            ("reuse", log2(reuse)),
            ("lines", log2(body / _LINE)),
        ]
