"""Happens-before and exclusivity in one walk over the loops that two leaves share.

A pair of iterations is ordered by the first common loop at which they differ: by its direction
where the loop is serial, not at all where it is concurrent. Where they differ at none, the static
order of the two leaves decides.
"""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.analysis.model import Meeting, Site
from tdsl.ir.frames import IslMap, isl


def concurrency(site: Site, common: int) -> tuple[bool, ...]:
    """For each of the first `common` levels, whether its iterations may run in any order."""
    return tuple(level.kind.concurrent for level in site.levels[:common])


def unordered(
    pairs: IslMap,
    concurrent: Sequence[bool],
    *,
    first: bool,
    start: int = 0,
    races_only: bool = False,
) -> IslMap | None:
    """The pairs of times (left must come before right) that a schedule does not keep in order.

    `start`: levels before it are known to be equal. `first`: the left leaf comes first in the
    body. `races_only` accepts any order that is an order: only concurrent levels are looked at.
    Returns the offending pairs of the outermost level that has some, None if there are none.
    """
    kinds = isl().dim_type
    for level, anyhow in enumerate(concurrent):
        if level >= start:
            if anyhow or not races_only:
                bad = pairs.order_gt(kinds.in_, level, kinds.out, level)
                if not bad.is_empty():
                    return bad
            if anyhow:
                bad = pairs.order_lt(kinds.in_, level, kinds.out, level)
                if not bad.is_empty():
                    return bad
        pairs = pairs.equate(kinds.in_, level, kinds.out, level)
        if pairs.is_empty():
            return None
    return None if first or races_only else pairs


def differing(pairs: IslMap, depth: int) -> IslMap | None:
    """The pairs that differ within the first `depth` levels, None if there are none."""
    kinds = isl().dim_type
    for level in range(depth):
        for bad in (
            pairs.order_gt(kinds.in_, level, kinds.out, level),
            pairs.order_lt(kinds.in_, level, kinds.out, level),
        ):
            if not bad.is_empty():
                return bad
        pairs = pairs.equate(kinds.in_, level, kinds.out, level)
    return None


def same_prefix(pairs: IslMap, depth: int) -> IslMap:
    """The pairs that agree in the first `depth` levels."""
    kinds = isl().dim_type
    for level in range(depth):
        pairs = pairs.equate(kinds.in_, level, kinds.out, level)
    return pairs


def before(late: IslMap, concurrent: Sequence[bool], met: Meeting, start: int) -> list[IslMap]:
    """Parts of a relation (right end: earlier time) in which the right end surely comes first.

    `late` holds candidate pairs (reader's time to writer's time), `met.first` tells whether the
    writer's leaf comes first; levels before `start` are to be equal (a private copy).
    """
    kinds = isl().dim_type
    parts = []
    for level, anyhow in enumerate(concurrent):
        if level >= start and not anyhow:
            parts.append(late.order_gt(kinds.in_, level, kinds.out, level))
        late = late.equate(kinds.in_, level, kinds.out, level)
    if met.first:
        parts.append(late)
    return parts[::-1]


def unless_before(pairs: IslMap, concurrent: Sequence[bool], *, first: bool) -> IslMap:
    """The pairs of times whose left end does not surely come before the right one.

    `first`: the left leaf comes first where all common levels agree.
    """
    kinds = isl().dim_type
    result = isl().Map.empty(pairs.get_space())
    for level, anyhow in enumerate(concurrent):
        result = result.union(pairs.order_gt(kinds.in_, level, kinds.out, level))
        if anyhow:
            result = result.union(pairs.order_lt(kinds.in_, level, kinds.out, level))
        pairs = pairs.equate(kinds.in_, level, kinds.out, level)
    return result if first else result.union(pairs)
