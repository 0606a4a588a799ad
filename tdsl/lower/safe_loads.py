"""Whether an access is known to stay inside its buffer."""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.ir.build import product
from tdsl.ir.expr import Buffer, Expr
from tdsl.lower.facts import Facts, in_range


@dataclass(frozen=True, slots=True)
class Access:
    """An element of a buffer by its n-D index."""

    buffer: Buffer
    indices: tuple[Expr, ...]


def all_in_range(facts: Facts, access: Access) -> bool:
    """Whether every index is known to lie in its dimension (in the buffer, for a flat one)."""
    shape = access.buffer.shape
    if len(access.indices) != len(shape):
        shape = (product(shape),)
    return all(in_range(facts, i, extent) for i, extent in zip(access.indices, shape, strict=True))
