"""Lanes in another order: what becomes one `shufflevector`, or a few."""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.codegen.llvm.builder import Builder
from tdsl.codegen.llvm.types import Value, lane_count, vector


def shuffle(b: Builder, vectors: Sequence[Value], picks: Sequence[int]) -> Value:
    """Lanes picked from the concatenation of vectors of one length; -1 leaves a lane undefined."""
    lanes = lane_count(vectors[0].type)
    if len(vectors) > 2:
        return _shuffle_many(b, vectors, picks, lanes)
    if len(vectors) == 1 and list(picks) == list(range(lanes)):
        return vectors[0]
    second = vectors[1].typed if len(vectors) == 2 else f"{vectors[0].type} poison"
    numbers = ", ".join(f"i32 {'poison' if p < 0 else p}" for p in picks)
    element_type = vectors[0].type[1:-1].partition(" x ")[2]
    return b.pure(
        f"shufflevector {vectors[0].typed}, {second}, <{len(picks)} x i32> <{numbers}>",
        vector(element_type, len(picks)),
    )


def _shuffle_many(b: Builder, vectors: Sequence[Value], picks: Sequence[int], lanes: int) -> Value:
    """Pick from each pair of vectors, then merge the pairs' results lane by lane."""
    width = len(picks)
    merged: Value | None = None
    taken = [False] * width
    for k in range(0, len(vectors), 2):
        pair = vectors[k : k + 2]
        inside = [k * lanes <= p < (k + len(pair)) * lanes for p in picks]
        if not any(inside):
            continue
        local = [p - k * lanes if here else -1 for p, here in zip(picks, inside, strict=True)]
        part = shuffle(b, pair, local)
        if merged is None:
            merged = part
        else:
            blend = [
                lane if was else lane + width if here else -1
                for lane, (was, here) in enumerate(zip(taken, inside, strict=True))
            ]
            merged = shuffle(b, [merged, part], blend)
        taken = [was or here for was, here in zip(taken, inside, strict=True)]
    assert merged is not None
    return merged


def resized(b: Builder, value: Value, lanes: int) -> Value:
    """The first lanes of a value, with undefined ones behind its own if there are fewer."""
    own = lane_count(value.type)
    if own == lanes:
        return value
    if own == 1:
        value, own = b.broadcast(value, lanes), lanes
    return shuffle(b, [value], [k if k < own else -1 for k in range(lanes)])
