"""Scheduled programs built by hand: loop edits without proofs, and comparisons pass by pass."""

from dataclasses import replace

import numpy as np

from tdsl.ir.build import add, as_index, ceildiv, lt, maximum, minimum, mul, sub
from tdsl.ir.expr import Buffer, Const, Var
from tdsl.ir.interp import interpret
from tdsl.ir.stmt import (
    Alloc,
    Block,
    BlockKind,
    For,
    Guard,
    IterKind,
    IterVar,
    Leaf,
    LoopKind,
    Program,
    Scope,
    Seq,
    Tail,
    Write,
)
from tdsl.ir.verify import Stage, verify
from tdsl.ir.visit import map_children, substitute, transform, walk
from tdsl.lower import lower
from tdsl.target import target

TARGET = target("llvm -mcpu=znver4")
SERIAL, PARALLEL = LoopKind.SERIAL, LoopKind.PARALLEL
UNROLLED, VECTORIZED = LoopKind.UNROLLED, LoopKind.VECTORIZED


def find(program: Program, name: str, block: str | None = None) -> For:
    """The first loop of a name (around a block of a name)."""
    for n in walk(program.body):
        if isinstance(n, For) and n.var.name == name:
            blocks = {m.block.name for m in walk(n) if isinstance(m, Leaf)}
            if block is None or block in blocks:
                return n
    raise KeyError(name)


def with_stmt(program: Program, old, new) -> Program:
    def visit(n):
        return new if n is old else map_children(n, visit)

    return replace(program, body=visit(program.body))


def mark(program: Program, name: str, kind: LoopKind, block: str | None = None) -> Program:
    loop = find(program, name, block)
    return with_stmt(program, loop, replace(loop, kind=kind))


def split(
    program: Program,
    name: str,
    factor: int,
    tail: Tail | None = Tail.GUARD,
    block: str | None = None,
) -> Program:
    """Split a loop `i` into `io` and `ii` with a tail (None: no guard at all)."""
    loop = find(program, name, block)
    outer, inner = Var(f"{name}o"), Var(f"{name}i")
    extent = loop.extent
    parts, inner_extent = ceildiv(extent, factor), as_index(factor)
    value = add(mul(outer, factor), inner)
    cond = lt(value, extent)
    if tail is Tail.SHIFT:
        value = add(minimum(mul(outer, factor), maximum(sub(extent, factor), 0)), inner)
        cond = lt(value, extent)
    if tail is Tail.BALANCE:
        count = -(-int(extent.value) // factor)
        q, r = divmod(int(extent.value), max(count, 1))
        value = add(add(mul(outer, q), minimum(outer, r)), inner)
        end = add(mul(add(outer, 1), q), minimum(add(outer, 1), r))
        cond = lt(value, end)
        inner_extent = as_index(q + (1 if r else 0))
    guard = () if tail is None else (Guard(cond, tail),)

    def visit(n):
        if isinstance(n, Leaf):
            bindings = tuple(substitute(b, {loop.var: value}) for b in n.bindings)
            guards = tuple(replace(g, cond=substitute(g.cond, {loop.var: value})) for g in n.guards)
            return replace(n, bindings=bindings, guards=guards + guard)
        if isinstance(n, For):
            return replace(n, extent=substitute(n.extent, {loop.var: value}))
        return n

    body = transform(loop.body, visit)
    return with_stmt(program, loop, For(outer, parts, For(inner, inner_extent, body, loop.kind)))


def reorder(program: Program, *names: str, block: str | None = None) -> Program:
    """Put perfectly nested loops in another order."""
    loops = [find(program, name, block) for name in names]
    depth = {id(loop): n for n, loop in enumerate(walk(program.body)) if isinstance(loop, For)}
    top = min(loops, key=lambda loop: depth[id(loop)])
    bottom = max(loops, key=lambda loop: depth[id(loop)])
    body = bottom.body
    for loop in reversed(loops):
        body = replace(loop, body=body)
    return with_stmt(program, top, body)


def cache_write(program: Program, block: str, scope: Scope = Scope.REGISTER) -> Program:
    """Compute the tensor of a block in a copy at each iteration of its outermost two loops."""
    outer = find(program, program_loops(program, block)[0], block)
    inner = outer.body
    leaf = next(n for n in walk(inner) if isinstance(n, Leaf))
    (write,) = leaf.block.writes
    tile = Buffer(f"{write.buffer.name}.tile", write.buffer.dtype, write.buffer.shape)

    def moved(n):
        if n is write.buffer:
            return tile
        return map_children(n, moved)

    def block_moved(b: Block) -> Block:
        writes = tuple(Write(tile, w.indices, map_children(w.value, moved)) for w in b.writes)
        init = None if b.init is None else block_moved(b.init)
        sources = tuple(map_children(s, moved) for s in b.sources)
        return replace(b, writes=writes, init=init, sources=sources)

    def relabel(n):
        return replace(n, block=block_moved(n.block)) if n is leaf else n

    update = transform(inner.body, relabel)
    out = copy_nest(leaf, inner, write.buffer, tile)
    body = Alloc(tile, Seq((update, out)), scope)
    return with_stmt(program, inner, replace(inner, body=body))


def copy_nest(leaf: Leaf, top: For, target: Buffer, source: Buffer):
    """The data loops below *top* again, copying the leaf's elements from *source*."""
    from tdsl.ir.expr import Load

    data = [it for it in leaf.block.iters if it.kind is IterKind.DATA]
    iters = tuple(IterVar(Var(it.var.name), it.extent) for it in data)
    at = tuple(it.var for it in iters)
    block = Block(
        f"{target.name}.out", iters, (Write(target, at, Load(source, at)),), BlockKind.COPY
    )
    reduced = {
        v
        for it, b in zip(leaf.block.iters, leaf.bindings, strict=True)
        if it.kind is not IterKind.DATA
        for v in walk(b)
    }
    loops, n = [], top.body
    while isinstance(n, For):
        if n.var not in reduced:
            loops.append(n)
        n = n.body
    fresh = {loop.var: Var(loop.var.name) for loop in loops}
    bindings = tuple(
        substitute(b, fresh)
        for it, b in zip(leaf.block.iters, leaf.bindings, strict=True)
        if it.kind is IterKind.DATA
    )
    guards = tuple(
        replace(g, cond=substitute(g.cond, fresh))
        for g in leaf.guards
        if not reduced & set(walk(g.cond))
    )
    nest = Leaf(block, bindings, guards)
    for loop in reversed(loops):
        nest = replace(loop, var=fresh[loop.var], body=nest)
    return nest


def program_loops(program: Program, block: str) -> list[str]:
    """Names of the loops around a block, outermost first."""
    names = []

    def visit(n, path):
        if isinstance(n, Leaf) and n.block.name == block:
            names[:] = [s.var.name for s in path]
        if isinstance(n, For):
            path = (*path, n)
        for child in getattr(n, "body", ()) if isinstance(n, Seq) else [getattr(n, "body", None)]:
            if child is not None:
                visit(child, path)

    visit(program.body, ())
    return names


def arrays_for(program: Program, sizes: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """Random arguments for the IN and INOUT parameters."""
    rng = np.random.default_rng(seed)
    known = {v: sizes[v.name] for v in program.sizes}
    arrays = {}
    for param in program.params:
        if param.role.value == "out":
            continue
        shape = tuple(int(substitute_int(extent, known)) for extent in param.buffer.shape)
        dtype = param.buffer.dtype
        if dtype.is_float:
            arrays[param.buffer.name] = rng.standard_normal(shape).astype(dtype.numpy)
        else:
            arrays[param.buffer.name] = rng.integers(0, 5, shape).astype(dtype.numpy)
    return arrays


def substitute_int(extent, known) -> int:
    from tdsl.ir.affine import linear

    form = linear(substitute(extent, {v: as_index(n) for v, n in known.items()}))
    assert form.is_constant
    return form.const


def check_every_pass(program: Program, sizes: dict[str, int], seed: int = 0) -> Program:
    """Assert that the interpreter computes the same after each pass; return the lowered one."""
    arrays = arrays_for(program, sizes, seed)
    expected = interpret(program, arrays, sizes)
    lowered = lower(program, TARGET, keep=True)
    previous = program
    verify(lowered.program, Stage.LOWERED)
    for name, after in lowered.dumps:
        verify(after, Stage.LOWERING)
        if after is previous:
            continue
        previous = after
        got = interpret(after, arrays, sizes)
        for output, array in expected.items():
            same = np.array_equal(array.view(np.uint8), got[output].view(np.uint8))
            if name == "expand_maths":  # the formula differs from the reference in the last bits
                same = np.allclose(array, got[output], rtol=1e-5, atol=0, equal_nan=True)
            assert same, f"{name} changes {output} for {sizes}"
    return lowered.program


def count(program: Program, kind: type) -> int:
    return sum(isinstance(n, kind) for n in walk(program.body))


def constants(program: Program) -> list[Const]:
    return [n for n in walk(program.body) if isinstance(n, Const)]
