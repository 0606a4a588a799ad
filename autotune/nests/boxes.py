"""Boxes: which part of a tensor the loops inside some place touch, as terms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tdsl.autotune.nests.model import Binding, NestAccess, NestBlock, NestLoop
from tdsl.autotune.terms import Term, constant, maximum, minimum
from tdsl.ir.expr import Buffer


@dataclass(frozen=True)
class Box:
    """Of each dimension: how many elements, and how loops outside move it."""

    extents: tuple[Term, ...]
    origins: tuple[Binding, ...]


def touched_box(
    users: Iterable[NestBlock], buffer: Buffer, place: list[NestLoop], shape: tuple[Term, ...]
) -> Box | None:
    """The box of a buffer that blocks touch inside `place`; None where they don't.

    `place` are the loops outside, and `shape` what the box cannot exceed.
    """
    found = [(b, a) for b in users for a in b.accesses if a.buffer is buffer]
    if not found:
        return None
    extents, origins = [], []
    for dim, full in enumerate(shape):
        low = min(access.offsets[dim] for _, access in found)
        extent = constant(0)
        for block, access in found:
            extent = maximum(extent, _reach(block, access, dim, place) - constant(low))
        extents.append(minimum(extent + constant(1), full))
        first, access = found[0]
        strides = first.strides(access, dim)
        origins.append({loop: strides[loop] for loop in place if loop in strides})
    return Box(tuple(extents), tuple(origins))


def _reach(block: NestBlock, access: NestAccess, dim: int, place: list[NestLoop]) -> Term:
    """The largest index while the loops inside `place` run, those outside standing at zero."""
    inner = [loop for loop in block.path if loop not in place]
    return block.span(access, dim, inner) + constant(access.offsets[dim])
