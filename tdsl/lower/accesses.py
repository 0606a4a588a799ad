"""Blocks whose accesses go to other storage: ``C[i, j]`` -> ``C'[f(i, j)]`` in reads and writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from tdsl.ir.expr import Buffer, Expr, Load, Node
from tdsl.ir.stmt import Block, Write
from tdsl.ir.visit import block_reads, map_block, map_children

Indices = tuple[Expr, ...]


def touched_buffers(block: Block) -> set[Buffer]:
    """The buffers that a block reads or writes."""
    reads = {load.buffer for load in block_reads(block)}
    return reads | {write.buffer for write in block.writes}


def redirect(
    block: Block,
    storage: Mapping[Buffer, Buffer],
    indices: Callable[[Buffer, Indices], Indices],
) -> Block:
    """*block* with accesses of `storage`'s keys made to its values, at `indices(key, old)`."""

    def visit(n: Node) -> Node:
        new = map_children(n, visit)
        if isinstance(new, Load) and new.buffer in storage:
            return Load(storage[new.buffer], indices(new.buffer, new.indices), new.mask)
        return new

    def expr(e: Expr) -> Expr:
        new = visit(e)
        assert isinstance(new, Expr)
        return new

    mapped = map_block(block, expr)
    writes = tuple(
        Write(storage[w.buffer], indices(w.buffer, w.indices), w.value)
        if w.buffer in storage
        else w
        for w in mapped.writes
    )
    return dataclasses.replace(mapped, writes=writes)
