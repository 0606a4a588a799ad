"""Change blocks and put new ones in, in the algorithm and in the scheduled program alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tdsl.ir.expr import Buffer, Expr, Load, Var
from tdsl.ir.stmt import (
    Alloc,
    Block,
    BlockKind,
    IterKind,
    IterVar,
    Leaf,
    Program,
    Scope,
    Seq,
    Stmt,
    Write,
)
from tdsl.ir.visit import accessed_buffers, block_reads, path_to, redirect
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.naming import unique_name
from tdsl.scheduling.tree import leaves_below, statements


def redirected(
    block: Block, reads: Mapping[Buffer, Buffer], writes: Mapping[Buffer, Buffer]
) -> Block:
    """*block* (and its init) with loads and stores of some buffers going to others."""
    return redirect(block, lambda load: reads.get(load.buffer, load.buffer), writes)


def copy_block(
    edit: Edit,
    name: str,
    source: tuple[Buffer, ...],
    target: tuple[Buffer, ...],
    names: Iterable[str],
    kinds: Iterable[IterKind] | None = None,
) -> Block:
    """The block `target[i, ...] = source[i, ...]` over the whole shape."""
    kinds = kinds or [IterKind.DATA] * source[0].rank
    iters = tuple(
        IterVar(Var(label), extent, kind)
        for label, extent, kind in zip(names, source[0].shape, kinds, strict=True)
    )
    at = tuple(it.var for it in iters)
    writes = tuple(
        Write(into, at, Load(out_of, at)) for out_of, into in zip(source, target, strict=True)
    )
    return Block(name, iters, writes, BlockKind.COPY, span=edit.core.span())


def index_names(exprs: Iterable[Expr]) -> list[str]:
    """Names for the dimensions of a copy: those of the indices where they are plain variables."""
    taken: set[str] = set()
    return [
        unique_name(expr.name if isinstance(expr, Var) else f"d{n}", taken)
        for n, expr in enumerate(exprs)
    ]


def fresh_name(edit: Edit, name: str) -> str:
    """*name*, or `name.1`, `name.2`, ...: taken by no block and no tensor."""
    taken = {leaf.block.name for leaf in leaves_below(edit.algorithm.body)}
    taken |= {param.buffer.name for param in edit.program.params}
    taken |= {s.buffer.name for s in statements(edit.algorithm.body) if isinstance(s, Alloc)}
    number, candidate = 0, name
    while candidate in taken:
        number += 1
        candidate = f"{name}.{number}"
    return candidate


def anchor_of(body: Stmt, leaf: Leaf, blocks: Callable[[Stmt], bool]) -> Stmt:
    """The outermost statement around *leaf* of which *blocks* does not hold."""
    for stmt in path_to(body, leaf):
        if not isinstance(stmt, Alloc | Seq) and not blocks(stmt):
            return stmt
    return leaf


def makes(buffers: set[Buffer]) -> Callable[[Stmt], bool]:
    """Whether a statement writes one of *buffers*; what it allocates, it writes as well."""

    def holds(stmt: Stmt) -> bool:
        return any(w.buffer in buffers for leaf in leaves_below(stmt) for w in leaf.block.writes)

    return holds


def reads_any(buffers: set[Buffer]) -> Callable[[Stmt], bool]:
    """Whether a statement reads or allocates one of *buffers*."""

    def holds(stmt: Stmt) -> bool:
        read = {r.buffer for leaf in leaves_below(stmt) for r in block_reads(leaf.block)}
        held = {s.buffer for s in statements(stmt) if isinstance(s, Alloc)}
        return bool((read | held) & buffers)

    return holds


def allocated_around(body: Stmt, buffers: Iterable[Buffer], scope: Scope) -> Stmt:
    """*body* inside allocations of *buffers*."""
    for buffer in buffers:
        body = Alloc(buffer, body, scope)
    return body


def writers(program: Program, buffers: set[Buffer]) -> list[Leaf]:
    """The leaves that write one of *buffers*, in order."""
    return [
        leaf
        for leaf in leaves_below(program.body)
        if any(write.buffer in buffers for write in leaf.block.writes)
    ]


def top_child(body: Stmt, leaf: Leaf) -> Stmt:
    """The statement of the outermost sequence in which *leaf* stands."""
    return next(stmt for stmt in path_to(body, leaf) if not isinstance(stmt, Alloc | Seq))


def touches(stmt: Stmt, buffers: set[Buffer]) -> bool:
    """Whether a leaf below *stmt* reads or writes one of *buffers*."""
    return bool(accessed_buffers(stmt) & buffers)
