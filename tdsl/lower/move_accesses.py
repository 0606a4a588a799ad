"""Accesses that go to other storage: ``C[i]`` -> ``C'[g, i]`` in loads and stores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Buffer, Expr, Load, Node
from tdsl.ir.stmt import Alloc, Prefetch, Stmt, Store
from tdsl.ir.visit import map_children

Indices = tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a buffer's elements go: another buffer, at indices made from the old ones."""

    buffer: Buffer
    indices: Callable[[Indices], Indices]


def moved(s: Stmt, places: Mapping[Buffer, Place]) -> Stmt:
    """*s* with the accesses of the given buffers, and their allocations, moved."""

    def visit(n: Node) -> Node:
        new = map_children(n, visit)
        match new:
            case Load() | Store() | Prefetch() if new.buffer in places:
                place = places[new.buffer]
                indices = place.indices(new.indices)
                return dataclasses.replace(new, buffer=place.buffer, indices=indices)
            case Alloc() if new.buffer in places:
                return dataclasses.replace(new, buffer=places[new.buffer].buffer)
            case _:
                return new

    if not places:
        return s
    result = visit(s)
    assert isinstance(result, Stmt)
    return result
