"""Walking and rebuilding trees. Unchanged parts are shared, so `is` tells "nothing changed"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar, cast

from tdsl.ir.below import BELOW, REBUILD, STATEMENTS
from tdsl.ir.expr import Buffer, Checked, Expr, Extern, Load, Node, Var
from tdsl.ir.stmt import (
    Alloc,
    Block,
    For,
    Leaf,
    Prefetch,
    Stmt,
    Store,
    Write,
)

N = TypeVar("N", bound=Node)


def children(n: Node) -> Iterator[Node]:
    """The nodes directly below *n*, in field order (blocks and buffers are not entered)."""
    read = BELOW[type(n)]
    return iter(() if read is None else read(n))


def walk(n: Node) -> Iterator[Node]:
    """*n* and everything below it, parents first, iteratively (long sums nest deeply)."""
    stack = [n]
    pop, below = stack.pop, BELOW
    while stack:
        top = pop()
        yield top
        read = below[type(top)]
        if read is not None:
            stack += read(top)[::-1]


def substatements(s: Stmt) -> tuple[Stmt, ...]:
    """The statements directly below *s*, in order."""
    read = STATEMENTS[type(s)]
    return () if read is None else read(s)


def statements(s: Stmt) -> Iterator[Stmt]:
    """*s* and the statements in it, parents first; expressions are not entered."""
    stack = [s]
    pop, inside = stack.pop, STATEMENTS
    while stack:
        top = pop()
        yield top
        read = inside[type(top)]
        if read is not None:
            stack += read(top)[::-1]


def map_children(n: N, f: Callable[[Node], Node]) -> N:
    """Rebuild *n* with `f` applied to each node directly below it; *n* itself if none changed."""
    rebuild = REBUILD[type(n)]
    return n if rebuild is None else cast("N", rebuild(n, f))


def transform(n: N, f: Callable[[Node], Node]) -> Node:
    """Rebuild bottom-up: children first, then `f` on each rebuilt node."""
    return f(map_children(n, lambda child: transform(child, f)))


def substitute(n: N, mapping: Mapping[Var, Expr]) -> N:
    """Replace variables by expressions. Loop variables being bound inside *n* are not renamed."""
    if not mapping:
        return n

    def visit(m: Node) -> Node:
        if isinstance(m, Var):
            return mapping.get(m, m)
        return map_children(m, visit)

    return cast("N", visit(n))


def replace_buffers(n: N, mapping: Mapping[Buffer, Buffer]) -> N:
    """Make loads, stores and allocations use other buffers (leaves are left alone)."""

    def visit(m: Node) -> Node:
        if isinstance(m, Buffer):
            return mapping.get(m, m)
        return map_children(m, visit)

    return cast("N", visit(n))


def free_vars(n: Node) -> set[Var]:
    """Variables mentioned in *n* (for statements: bound ones too)."""
    return {m for m in walk(n) if isinstance(m, Var)}


def own_vars(loop: For) -> tuple[Var, ...]:
    """The variables through which the body of *loop* sees its iteration."""
    return tuple(level.var for level in loop.levels)


def loads(e: Node) -> list[Load]:
    """All loads in an expression, outermost first."""
    return [m for m in walk(e) if isinstance(m, Load)]


def has_effects(n: Node) -> bool:
    """Whether it could be seen that *n* is evaluated: an index is checked, or C is called."""
    return any(isinstance(m, Checked | Extern) for m in walk(n))


def leaves(s: Stmt) -> list[Leaf]:
    """The leaves of a tree in static order."""
    return [m for m in statements(s) if isinstance(m, Leaf)]


def path_to(root: Stmt, target: Node) -> tuple[Stmt, ...]:
    """The statements from *root* down to *target* (both included), found by identity.

    Empty where *target* is not below *root*.
    """
    if root is target:
        return (root,)
    for child in children(root):
        if isinstance(child, Stmt):
            found = path_to(child, target)
            if found:
                return (root, *found)
    return ()


def loop_path(root: Stmt, target: Node) -> tuple[For, ...]:
    """The loops around *target*, outermost first."""
    return tuple(s for s in path_to(root, target) if isinstance(s, For) and s is not target)


def replace_stmt(root: Stmt, old: Stmt, new: Stmt) -> Stmt:
    """Put *new* in the place of *old* (found by identity)."""

    def visit(n: Node) -> Node:
        if n is old:
            return new
        return map_children(n, visit) if isinstance(n, Stmt) else n

    return cast("Stmt", visit(root))


def block_reads(block: Block) -> list[Load]:
    """Every load of the block: in values, indices and `where`."""
    found: list[Load] = []
    for write in block.writes:
        found += loads(write.value)
        for index in write.indices:
            found += loads(index)
    if block.where is not None:
        found += loads(block.where)
    return found


def map_block(block: Block, f: Callable[[Expr], Expr]) -> Block:
    """A new block with `f` applied to each expression of its body (not to extents)."""
    writes = tuple(
        Write(w.buffer, tuple(f(i) for i in w.indices), f(w.value)) for w in block.writes
    )
    return Block(
        block.name,
        block.iters,
        writes,
        block.kind,
        None if block.where is None else f(block.where),
        block.init,
        block.reducer,
        tuple(f(s) for s in block.sources),
        block.span,
    )


def redirect(
    block: Block, source: Callable[[Load], Buffer], targets: Mapping[Buffer, Buffer]
) -> Block:
    """The block (and its init) with each load from `source(load)`, and stores to other buffers."""

    def visit(e: Node) -> Node:
        new = map_children(e, visit)
        if isinstance(e, Load) and isinstance(new, Load) and source(e) is not e.buffer:
            return Load(source(e), new.indices, new.mask)
        return new

    new = map_block(block, lambda e: cast("Expr", visit(e)))
    writes = tuple(Write(targets.get(w.buffer, w.buffer), w.indices, w.value) for w in new.writes)
    init = block.init
    if init is not None and any(write.buffer in targets for write in init.writes):
        init = redirect(init, source, targets)
    return replace(new, writes=writes, init=init)


def accessed_buffers(s: Stmt) -> set[Buffer]:
    """Buffers that leaves, loads, stores and prefetches below *s* touch."""
    found: set[Buffer] = set()
    for n in walk(s):
        match n:
            case Leaf(block=block):
                found |= {w.buffer for w in block.writes}
                found |= {load.buffer for load in block_reads(block)}
            case Load(buffer=buffer) | Store(buffer=buffer) | Prefetch(buffer=buffer):
                found.add(buffer)
            case _:
                pass
    return found


def allocated(s: Stmt) -> dict[Buffer, Alloc]:
    """The allocations below *s*."""
    return {n.buffer: n for n in statements(s) if isinstance(n, Alloc)}
