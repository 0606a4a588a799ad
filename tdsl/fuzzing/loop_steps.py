"""Random steps that split, join, order and mark loops."""

from __future__ import annotations

from tdsl.fuzzing.step import Step, View, tail_option
from tdsl.ir.expr import Binary, BinaryOp, Fma, Select
from tdsl.ir.stmt import Block, BlockKind, For, IterKind
from tdsl.scheduling.arguments import AXES


def split(v: View) -> Step | None:
    """Any loop, mostly by one factor."""
    loop, draw = v.loop(), v.draw
    if loop is None:
        return None
    factors: object = draw.integer(2, 5)
    if draw.chance(0.2):
        factors = draw.choice([(2, None), (None, 2, 2), (2, None, 2), (3, None), (None, 1, 3)])
    return Step("split", (loop, factors), tail_option(v))


def tile(v: View) -> Step | None:
    """Two loops of one path."""
    path = v.path(2)
    if path is None:
        return None
    first = v.draw.integer(0, len(path) - 2)
    second = v.draw.integer(first + 1, len(path) - 1)
    sizes = (v.draw.integer(2, 4), v.draw.integer(2, 4))
    return Step("tile", (path[first], path[second], *sizes), tail_option(v))


def fuse(v: View) -> Step | None:
    """Mostly two loops that stand directly inside one another."""
    pairs = _nested_pairs(v)
    if pairs and v.draw.chance(0.9):
        return Step("fuse", v.draw.choice(pairs))
    path = v.path(2)
    return Step("fuse", tuple(v.draw.shuffled(path)[:2])) if path else None


def _nested_pairs(v: View) -> list[tuple[str, str]]:
    """Loops that stand directly inside one another."""
    index = v.schedule.index
    return [
        (index.label(loop.var), index.label(loop.body.var))
        for loop in index.loops.values()
        if isinstance(loop.body, For)
    ]


def reorder(v: View) -> Step | None:
    """Some loops of one path, shuffled."""
    path = v.path(2)
    if path is None:
        return None
    count = v.draw.integer(2, min(4, len(path)))
    return Step("reorder", tuple(v.draw.shuffled(path)[:count]))


def vectorize(v: View) -> Step | None:
    """Mostly an innermost loop."""
    path = v.path(1)
    if path is None:
        return None
    loop = path[-1] if v.draw.chance(0.6) else v.draw.choice(path)
    lanes = v.draw.choice([2, 4, 4, 8, None])
    return Step("vectorize", (loop,) if lanes is None else (loop, lanes))


def bind(v: View) -> Step | None:
    """Any loop to any axis."""
    loop = v.loop()
    return None if loop is None else Step("bind", (loop, v.draw.choice(AXES)))


def partition(v: View) -> Step | None:
    """Any loop at one point, seldom at two."""
    loop = v.loop()
    if loop is None:
        return None
    points: object = v.draw.integer(1, 4)
    if v.draw.chance(0.15):
        points = (1, v.draw.integer(2, 4))
    return Step("partition", (loop, points))


def shift(v: View) -> Step | None:
    """Half of the time one block of several in a loop."""
    shared = [loop for b in v.blocks for loop in b.loops if len(loop.blocks) > 1]
    by = v.draw.choice([1, 1, 2, 3, -1, -2])
    if shared and v.draw.chance(0.7):
        loop = v.draw.choice(shared)
        return Step("shift", (loop.label, by), (("block", v.draw.choice(loop.blocks)),))
    loop_name = v.loop()
    return None if loop_name is None else Step("shift", (loop_name, by))


def skew(v: View) -> Step | None:
    """Mostly an inner loop by one around it."""
    path = v.path(2)
    if path is None:
        return None
    outer = v.draw.integer(0, len(path) - 2)
    inner = v.draw.integer(outer + 1, len(path) - 1)
    return Step("skew", (path[inner], path[outer], v.draw.choice([1, 1, 2, -1])))


def fission(v: View) -> Step | None:
    """Mostly a loop with several blocks, and one of them that is not the last."""
    shared = [loop for b in v.blocks for loop in b.loops if len(loop.blocks) > 1]
    if not shared:
        return None
    loop = v.draw.choice(shared)
    return Step("fission", (loop.label,), (("after", v.draw.choice(loop.blocks[:-1])),))


def rfactor(v: View) -> Step | None:
    """Mostly a loop that walks part of a reduction."""
    index = v.schedule.index
    found = []
    for b in v.blocks:
        block = index.leaves[b.name].block
        reduced = [it for it in block.iters if it.kind is IterKind.REDUCE]
        if reduced and block.reducer is not None:
            found += [loop.label for loop in b.loops if loop.reduces]
    loop = v.draw.choice(found) if found and v.draw.chance(0.9) else v.loop()
    if loop is None:
        return None
    return Step("rfactor", (loop,), (("axis", 1),) if v.draw.chance(0.15) else ())


def decompose_reduction(v: View) -> Step | None:
    """A reduction at any of its loops."""
    block = v.block(BlockKind.REDUCE)
    if block is None or not block.loops:
        return None
    return Step("decompose_reduction", (block.name,), (("at", v.draw.choice(block.loops).label),))


def specialize(v: View) -> Step | None:
    """For sizes that are small or divide."""
    sizes = [var.name for var in v.schedule.program.sizes]
    if not sizes:
        return None
    name, number = v.draw.choice(sizes), v.draw.integer(2, 4)
    condition = v.draw.choice([f"{name} % {number} == 0", f"{name} <= {number}"])
    loop = v.loop() if v.draw.chance(0.6) else None
    return Step("specialize", (condition,), () if loop is None else (("loop", loop),))


def split_scan(v: View) -> Step | None:
    """The loop of a scan, mostly one that runs nothing else and adds up."""
    found = [
        (b, loop)
        for b in v.blocks
        for loop in b.loops
        for it, at in zip(b.leaf.block.iters, b.leaf.bindings, strict=True)
        if it.kind is IterKind.ORDERED and at in loop.variables
    ]
    if not v.draw.chance(0.05):
        found = [(b, x) for b, x in found if len(x.blocks) == 1 and _adds_up(b.leaf.block)]
    if not found:
        return None
    return Step("split_scan", (v.draw.choice(found)[1].label, v.draw.integer(1, 4)))


_ASSOCIATIVE = {
    BinaryOp.ADD, BinaryOp.MUL, BinaryOp.MIN, BinaryOp.MAX, BinaryOp.AND, BinaryOp.OR,
}  # fmt: skip


def _adds_up(block: Block) -> bool:
    """Whether a scan may be a running sum, product or the like."""
    ordered = [it for it in block.iters if it.kind is IterKind.ORDERED]
    if block.kind is not BlockKind.COMPUTE or len(ordered) != 1 or len(block.writes) != 1:
        return False
    match block.writes[0].value:
        case Binary(op=op, a=Select()) | Binary(op=op, b=Select()):
            return op in _ASSOCIATIVE
        case Fma(c=Select()):
            return True
        case _:
            return False
