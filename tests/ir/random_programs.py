"""Random well-formed programs with every node and attribute; they need not be runnable."""

import random

from tdsl import dtypes
from tdsl.ir import build
from tdsl.ir.expr import Broadcast, Buffer, Const, Expr, Load, Ramp, Shuffle, Var
from tdsl.ir.stmt import (
    Alloc,
    Barrier,
    Block,
    BlockKind,
    For,
    Guard,
    If,
    IterKind,
    IterVar,
    Layout,
    Leaf,
    Let,
    LoopKind,
    Param,
    Part,
    Prefetch,
    Program,
    Reducer,
    Role,
    Scope,
    Seq,
    Stmt,
    Store,
    Tail,
    Write,
)
from tests.ir.random_exprs import Exprs

NAMES = ["i", "j", "k", "i.1", "x", "C", "in", "f32", "a b", "C@0", "`q`", "inf", "for"]


class Programs:
    """Draws programs: blocks in loops (scheduled), or stores and vectors (lowered)."""

    def __init__(self, seed: int, *, lowered: bool) -> None:
        self.rng = random.Random(seed)
        self.lowered = lowered
        self.sizes = [Var("N"), Var("M")]
        self.loops: list[tuple[Var, Expr]] = []
        self.values: list[Var] = []
        self.blocks: list[Block] = []

    def pick(self, *options):
        return self.rng.choice(options)

    def name(self) -> str:
        return self.rng.choice(NAMES)

    def program(self) -> Program:
        params = []
        for number in range(self.rng.randint(1, 4)):
            role = self.pick(*Role)
            buffer = self.buffer(f"{self.pick('A', 'B b', 'in')}{number}")
            layout = self.layout(buffer) if self.rng.random() < 0.2 else None
            strides = ()
            if buffer.strided and self.lowered:
                strides = tuple(Var(f"{buffer.name}.stride{n}") for n in range(buffer.rank))
            params.append(Param(buffer, role, layout, strides))
        self.buffers = [p.buffer for p in params]
        self.strides = [v for p in params for v in p.strides]
        assume = [self.exprs(self.sizes).condition(1) for _ in range(self.rng.randrange(3))]
        body = self.stmt(4)
        sizes = self.sizes if self.rng.random() < 0.5 else list(reversed(self.sizes))
        return Program(self.name(), tuple(params), tuple(sizes), tuple(assume), body)

    def exprs(self, variables: list[Var]) -> Exprs:
        return Exprs(self.rng, variables, getattr(self, "buffers", []))

    def extent(self) -> Expr:
        return self.pick(*self.sizes, build.index(4), build.mul(self.sizes[0], 2))

    def buffer(self, name: str) -> Buffer:
        shape = tuple(self.extent() for _ in range(self.rng.randrange(3)))
        return Buffer(name, self.pick(*dtypes.ALL), shape, self.rng.random() < 0.2)

    def layout(self, buffer: Buffer) -> Layout:
        inputs = tuple(Var(self.name()) for _ in buffer.shape)
        draw = Exprs(self.rng, [*inputs, *self.sizes], [])
        outputs = tuple(draw.index(2) for _ in range(self.rng.randint(1, 3)))
        shape = tuple(self.extent() for _ in outputs) if self.rng.random() < 0.5 else None
        return Layout(inputs, outputs, shape)

    def stmt(self, depth: int) -> Stmt:
        if depth <= 0:
            return self.simple()
        kinds = [self.loop, self.loop, self.seq, self.alloc, self.simple]
        if self.lowered:
            kinds += [self.branch, self.let]
        return self.rng.choice(kinds)(depth)

    def simple(self, depth: int = 0) -> Stmt:
        del depth
        if not self.lowered:
            return self.leaf()
        kind = self.rng.randrange(4)
        if kind == 0:
            return self.pick(Barrier(), Seq(()))
        buffer = self.rng.choice(self.buffers)
        if kind == 1:
            return Prefetch(buffer, (self.index(),))
        return self.store(buffer)

    def seq(self, depth: int) -> Stmt:
        return Seq(tuple(self.stmt(depth - 1) for _ in range(self.rng.randrange(4))))

    def index(self) -> Expr:
        variables = [v for v, _ in self.loops] + self.sizes
        return Exprs(self.rng, variables, []).index(2)

    def loop(self, depth: int) -> Stmt:
        kind = self.pick(LoopKind.SERIAL, LoopKind.SERIAL, *LoopKind)
        if self.rng.random() < 0.25:
            return self.fused(kind, depth)
        var, extent = Var(self.name()), self.extent()
        self.loops.append((var, extent))
        body = self.stmt(depth - 1)
        self.loops.pop()
        return For(var, extent, body, kind)

    def fused(self, kind: LoopKind, depth: int) -> Stmt:
        parts = tuple(Part(Var(self.name()), self.extent()) for _ in range(2))
        extent = build.product([p.extent for p in parts])
        if self.rng.random() < 0.2:
            extent = build.index(12)
        self.loops += [(p.var, p.extent) for p in parts]
        body = self.stmt(depth - 1)
        del self.loops[-2:]
        return For(Var(self.name()), extent, body, kind, parts)

    def alloc(self, depth: int) -> Stmt:
        buffer = self.buffer(self.name())
        layout = self.layout(buffer) if self.rng.random() < 0.2 else None
        self.buffers.append(buffer)
        body = self.stmt(depth - 1)
        self.buffers.remove(buffer)
        return Alloc(buffer, body, self.pick(*Scope), layout)

    def branch(self, depth: int) -> Stmt:
        cond = Exprs(self.rng, [v for v, _ in self.loops] + self.sizes, []).condition(2)
        otherwise = self.stmt(depth - 1) if self.rng.random() < 0.5 else None
        return If(cond, self.stmt(depth - 1), otherwise)

    def let(self, depth: int) -> Stmt:
        value = self.vector(self.pick(*dtypes.ALL), self.pick(1, 4))
        var = Var(self.name(), value.dtype, value.lanes)
        self.values.append(var)
        body = self.stmt(depth - 1)
        self.values.pop()
        return Let(var, value, body)

    def vector(self, dtype, lanes: int) -> Expr:
        scalars = [v for v, _ in self.loops] + [v for v in self.values if v.width == 1]
        scalar = self.exprs([*scalars, *self.sizes, *self.strides]).expr(dtype, 2)
        if lanes == 1:
            return scalar
        known = [v for v in self.values if v.width == lanes and v.type is dtype]
        kind = self.rng.randrange(4)
        if kind == 0 and dtype.is_integer:
            return Ramp(scalar, build.const(2, dtype), lanes)
        if kind == 1 and known:
            return self.rng.choice(known)
        if kind == 2:
            picks = tuple(self.rng.randrange(2 * lanes) for _ in range(lanes))
            return Shuffle((Broadcast(scalar, lanes), Broadcast(scalar, lanes)), picks)
        loads = [b for b in self.buffers if b.type is dtype]
        if kind == 3 and loads:
            at = Ramp(self.index(), build.index(1), lanes)
            mask = self.pick(None, Broadcast(Const(True, dtypes.bool_), lanes))
            return Load(self.rng.choice(loads), (at,), mask)
        return Broadcast(scalar, lanes)

    def store(self, buffer: Buffer) -> Stmt:
        lanes = self.pick(1, 4)
        at = self.index() if lanes == 1 else Ramp(self.index(), build.index(1), lanes)
        mask = None
        if self.rng.random() < 0.3:
            mask = self.vector(dtypes.bool_, lanes)
        value = self.vector(buffer.type, lanes)
        return Store(buffer, (at,), value, mask, self.pick(True, False), self.pick(True, False))

    def leaf(self) -> Leaf:
        rng = self.rng
        if self.blocks and rng.random() < 0.2:
            block = rng.choice(self.blocks)
            if {w.buffer for w in block.writes} <= set(self.buffers) and self.reads(block):
                return self.bound(block)
        kinds = [IterKind.DATA, IterKind.DATA, *IterKind]
        iters, bindings = [], []
        for var, extent in rng.sample(self.loops, min(len(self.loops), rng.randrange(4))):
            name = var.name if rng.random() < 0.6 else self.name()
            own = extent if rng.random() < 0.7 else self.extent()
            binding = var if rng.random() < 0.6 else self.index()
            iters.append(IterVar(Var(name), own, rng.choice(kinds)))
            bindings.append(binding)
        block = self.block(tuple(iters))
        return self.bound(block, tuple(bindings))

    def reads(self, block: Block) -> bool:
        from tdsl.ir.visit import accessed_buffers

        leaf = Leaf(block, tuple(build.index(0) for _ in block.iters))
        below = [leaf, *([Leaf(block.init, ())] if block.init else [])]
        return all(accessed_buffers(s) <= set(self.buffers) for s in below)

    def bound(self, block: Block, bindings: tuple[Expr, ...] | None = None) -> Leaf:
        if bindings is None:
            bindings = tuple(self.index() for _ in block.iters)
        guards = tuple(
            Guard(build.lt(self.index(), self.index()), self.pick(*Tail))
            for _ in range(self.rng.randrange(3))
        )
        return Leaf(block, bindings, guards, self.pick(True, False), self.pick(True, False))

    def block(self, iters: tuple[IterVar, ...]) -> Block:
        rng = self.rng
        draw = self.exprs([it.var for it in iters] + self.sizes)
        writes = tuple(self.write(b, draw) for b in rng.sample(self.buffers, rng.choice([1, 1, 1])))
        if rng.random() < 0.2:
            writes = tuple(self.write(b, draw) for b in self.buffers[: rng.randrange(3)])
        reduces = any(it.kind is IterKind.REDUCE for it in iters)
        kind = BlockKind.REDUCE if reduces else self.pick(BlockKind.COMPUTE, *BlockKind)
        init = reducer = None
        sources: tuple[Expr, ...] = ()
        if kind is BlockKind.REDUCE and rng.random() < 0.8:
            init = self.init(iters, writes)
            reducer = self.reducer([w.buffer.type for w in writes])
            sources = tuple(draw.expr(w.buffer.type, 2) for w in writes)
        where = draw.condition(2) if rng.random() < 0.2 else None
        block = Block(self.name(), iters, writes, kind, where, init, reducer, sources)
        self.blocks.append(block)
        if init is not None:
            self.blocks.append(init)
        return block

    def write(self, buffer: Buffer, draw: Exprs) -> Write:
        return Write(buffer, tuple(draw.index(1) for _ in buffer.shape), draw.expr(buffer.type, 3))

    def init(self, iters: tuple[IterVar, ...], writes: tuple[Write, ...]) -> Block:
        own = tuple(
            IterVar(Var(it.var.name), it.extent) for it in iters if it.kind is not IterKind.REDUCE
        )
        draw = self.exprs([it.var for it in own] + self.sizes)
        made = tuple(self.write(w.buffer, draw) for w in writes)
        return Block(self.name(), own, made, BlockKind.INIT)

    def reducer(self, types) -> Reducer:
        left = tuple(Var(self.name(), t) for t in types)
        right = tuple(Var(self.name(), t) for t in types)
        draw = Exprs(self.rng, [*left, *right], [])
        alone = Exprs(self.rng, [], [])
        return Reducer(
            self.pick("sum", "custom", "a b"),
            tuple(alone.expr(t, 1) for t in types),
            left,
            right,
            tuple(draw.expr(t, 2) for t in types),
        )
