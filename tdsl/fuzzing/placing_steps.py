"""Random steps that place blocks and their storage."""

from __future__ import annotations

from tdsl.fuzzing.step import Options, Step, View, read_by, written_by
from tdsl.ir.expr import Buffer, Const
from tdsl.ir.stmt import Alloc, Block, BlockKind, For, IterKind, IterVar, LoopKind
from tdsl.ir.visit import block_reads, free_vars
from tdsl.scheduling.arguments import SCOPES
from tdsl.scheduling.view import BlockView, LoopView

_MOST_PADDED = 3
_PASSED = 0.2  # share of layouts that are of arguments and results
_PREPACKED = 0.8  # share of those that the caller packs


def compute_at(v: View) -> Step | None:
    """A producer at a loop of one of its consumers."""
    consumers = [c for c in v.blocks if c.loops]
    pairs = [
        (b.name, c)
        for b in v.blocks
        for c in consumers
        if c.name != b.name and written_by(b) & read_by(c)
    ]
    if not pairs:
        return None
    name, consumer = v.draw.choice(pairs)
    return Step("compute_at", (name, v.draw.choice(consumer.loops).label))


def reverse_compute_at(v: View) -> Step | None:
    """A consumer at a loop of one of its producers."""
    producers = [p for p in v.blocks if p.loops]
    pairs = [
        (b.name, p)
        for b in v.blocks
        for p in producers
        if p.name != b.name and written_by(p) & read_by(b)
    ]
    if not pairs:
        return None
    name, producer = v.draw.choice(pairs)
    return Step("reverse_compute_at", (name, v.draw.choice(producer.loops).label))


def compute_with(v: View) -> Step | None:
    """Mostly loops of two different nests."""
    found = [b for b in v.blocks if b.loops]
    if len(found) < 2:
        return None
    one, two = v.draw.shuffled(found)[:2]
    depth = v.draw.integer(0, min(len(one.loops), len(two.loops)) - 1)
    return Step("compute_with", (one.name,), (("at", two.loops[depth].label),))


def inline(v: View) -> Step | None:
    """Mostly a block that computes no result."""
    results = {t.name for t in v.schedule.func.outputs}
    found = [
        b.name
        for b in v.blocks
        if b.kind in (BlockKind.COMPUTE, BlockKind.COPY) and not written_by(b) & results
    ]
    block = v.block()
    if block is None:
        return None
    return Step("inline", (v.draw.choice(found) if found else block.name,))


def reverse_inline(v: View) -> Step | None:
    """Mostly a block that reads one expression, at its own place; now and then any that reads."""
    written = {name for b in v.blocks for name in written_by(b)}
    found = [b for b in v.blocks if read_by(b) & written - written_by(b)]
    fitting = [b for b in found if b.kind in _EXPRESSIONS and _reads_one_expression(v, b)]
    if v.draw.chance(0.8):
        found = fitting
    return Step("reverse_inline", (v.draw.choice(found).name,)) if found else None


_EXPRESSIONS = (BlockKind.COMPUTE, BlockKind.COPY)


def _reads_one_expression(v: View, block: BlockView) -> bool:
    inner = [a for a in block.reads if a.scope is not None]
    if len({a.tensor for a in inner}) != 1:
        return False
    producers = [b for b in v.blocks if inner[0].tensor in written_by(b)]
    places = {
        load.indices for load in block_reads(block.leaf.block) if load.buffer is inner[0].buffer
    }
    own = set(block.leaf.block.vars)
    return all(b.kind in _EXPRESSIONS for b in producers) and all(set(p) == own for p in places)


def _at_option(v: View, block: BlockView) -> Options:
    if not block.loops or v.draw.chance(0.4):
        return ()
    return (("at", v.draw.choice(block.loops).label),)


def cache_read(v: View) -> Step | None:
    """A tensor that a block reads."""
    found = [b for b in v.blocks if b.reads]
    if not found:
        return None
    block = v.draw.choice(found)
    tensor = v.draw.choice(block.reads).tensor
    return Step("cache_read", (block.name, tensor), _at_option(v, block))


def cache_write(v: View) -> Step | None:
    """Any block."""
    block = v.block()
    if block is None:
        return None
    scope = (("scope", v.draw.choice(["global", "stack"])),)
    return Step("cache_write", (block.name,), (*scope, *_at_option(v, block)))


def pad_einsum(v: View) -> Step | None:
    """Mostly a reduction of every term, under its own loops, with an extent to round up.

    Few axes, and of a block once: the work grows with the product of what is added.
    """
    done = {step.args[0] for step in v.schedule.trace if step.primitive == "pad_einsum"}
    found = [b for b in v.blocks if b.name not in done and _is_untouched(v, b)]
    if v.draw.chance(0.03):
        found = list(v.blocks)
    if not found:
        return None
    block = v.draw.choice(found)
    iters = block.leaf.block.iters
    padded = v.draw.shuffled(range(len(iters)))[:_MOST_PADDED]
    multiples = (_multiple(v, it) if n in padded else 1 for n, it in enumerate(iters))
    return Step("pad_einsum", (block.name, tuple(multiples)))


def _is_untouched(v: View, block: BlockView) -> bool:
    """Whether it is a contraction that no step has scheduled."""
    body, leaf = block.leaf.block, block.leaf
    loops = v.schedule.index.loop_path(block.name)
    if block.kind is not BlockKind.REDUCE or body.where is not None or leaf.guards:
        return False
    if any(it.kind is IterKind.ORDERED for it in body.iters) or _stands_apart(v, body):
        return False
    plain = all(loop.kind is LoopKind.SERIAL and not loop.parts for loop in loops)
    own = [it.extent for it in body.iters] == [loop.extent for loop in loops]
    return plain and own and all(len(loop.blocks) == 1 for loop in block.loops)


def _stands_apart(v: View, reduction: Block) -> bool:
    """Whether the init of a reduction is a block with loops of its own."""
    return any(leaf.block is reduction.init for leaf in v.schedule.index.leaves.values())


def _multiple(v: View, it: IterVar) -> int:
    """A small number that the extent is mostly no multiple of; 1 leaves the axis as it is."""
    uneven = [n for n in range(2, 5) if not isinstance(it.extent, Const) or it.extent.value % n]
    return v.draw.choice(uneven) if uneven and v.draw.chance(0.8) else v.draw.integer(1, 4)


def reuse(v: View) -> Step | None:
    """Tensors of one shape; mostly one that is read where the other is written."""
    index = v.schedule.index
    inner = {b.name: b for b, alloc in index.allocs.items() if alloc.layout is None}
    pairs = [
        (write.tensor, read.tensor)
        for block in v.blocks
        for write in block.writes
        for read in block.reads
        if read.tensor in inner and write.tensor != read.tensor
    ]
    fitting = [(w, r) for w, r in pairs if _same_shape(v, w, inner[r])]
    if not inner or (not fitting and v.draw.chance(0.9)):
        return None
    written = sorted({name for block in v.blocks for name in written_by(block)})
    if not fitting or v.draw.chance(0.1):
        return Step("reuse", (v.draw.choice(written), v.draw.choice(sorted(inner))))
    return Step("reuse", v.draw.choice(fitting))


def _same_shape(v: View, name: str, other: Buffer) -> bool:
    buffers = {a.tensor: a.buffer for b in v.blocks for a in b.accesses}
    found = buffers[name]
    return found.dtype is other.dtype and found.shape == other.shape


def _in_one_loop(v: View) -> list[tuple[str, str]]:
    """Producers, and loops that they share with a consumer; mostly those of tensors used there."""
    anywhere = v.draw.chance(0.1)
    return [
        (b.name, loop.label)
        for c in v.blocks
        for loop in c.loops
        for b in v.blocks
        if b.name != c.name and b.name in loop.blocks and written_by(b) & read_by(c)
        if anywhere or (_is_plain(loop) and _is_kept_in(v, b, loop))
    ]


def _is_plain(loop: LoopView) -> bool:
    return len(loop.variables) == 1 and loop.kind is LoopKind.SERIAL


def _is_kept_in(v: View, block: BlockView, loop: LoopView) -> bool:
    """Whether what a block makes moves with a loop, and is needed in no other."""
    inner = {b.name for b in v.schedule.index.allocs}
    made = written_by(block)
    used = {b.name for b in v.blocks if any(a.tensor in made for a in b.accesses)}
    moved = [
        sum(bool(free_vars(i) & set(loop.variables)) for i in access.indices)
        for access in block.writes
    ]
    return made <= inner and used <= set(loop.blocks) and all(n == 1 for n in moved)


def pipeline(v: View) -> Step | None:
    """A producer ahead of a consumer in a loop around both."""
    found = _in_one_loop(v)
    if not found:
        return None
    options = (("ahead", v.draw.integer(1, 3)),) if v.draw.chance(0.5) else ()
    return Step("pipeline", v.draw.choice(found), options)


def double_buffer(v: View) -> Step | None:
    """A producer one iteration ahead of a consumer in a loop around both."""
    found = _in_one_loop(v)
    return Step("double_buffer", v.draw.choice(found)) if found else None


def set_scope(v: View) -> Step | None:
    """Mostly a tensor that is no result."""
    block = v.block()
    if block is None:
        return None
    scope = v.draw.weighted({"global": 2, "stack": 3, "register": 2, "shared": 1, "constant": 0.5})
    assert scope in SCOPES
    results = {t.name for t in v.schedule.func.outputs}
    inner = [b.name for b in v.blocks if not written_by(b) & results]
    return Step("set_scope", (v.draw.choice(inner) if inner else block.name, scope))


def transform_layout(v: View) -> Step | None:
    """Dimensions swapped, rotated, or one of them cut in two; now and then elements meet.

    Of arguments and results too: those that are not packed by the caller are refused.
    """
    buffers = {a.tensor: a.buffer for b in v.blocks for a in b.accesses if a.buffer.rank}
    inner = {a.tensor for b in v.blocks for a in b.accesses if a.scope is not None}
    if not buffers:
        return None
    arguments, made = sorted(set(buffers) - inner), sorted(inner & set(buffers))
    passed = not made or (bool(arguments) and v.draw.chance(_PASSED))
    name = v.draw.choice(arguments if passed else made)
    names = list("abcd"[: buffers[name].rank])
    outputs = _places(v, names)
    options: list[tuple[str, object]] = []
    if v.draw.chance(0.15):
        options.append(("pad", tuple(v.draw.integer(0, 2) for _ in outputs)))
    if passed and v.draw.chance(_PREPACKED):
        options.append(("prepacked", True))
    index_map = f"{', '.join(names)} -> {', '.join(outputs)}"
    return Step("transform_layout", (name, index_map), tuple(options))


def _places(v: View, names: list[str]) -> list[str]:
    """Where an index map sends an element."""
    outputs, factor = list(names), v.draw.integer(2, 4)
    match v.draw.integer(0, 4):
        case 0 if len(names) > 1:
            outputs = v.draw.shuffled(names)
        case 1:
            cut = v.draw.choice(names)
            outputs = [f"{n} // {factor}" if n == cut else n for n in names]
            outputs.append(f"{cut} % {factor}")
        case 2:
            cut = v.draw.choice(names)
            outputs = [f"{cut} % {factor}", *outputs]
            outputs[names.index(cut) + 1] = f"{cut} // {factor}"
        case 3:
            outputs = _meeting(v, names)
        case _:
            outputs = [*names[1:], names[0]]
    return outputs


def _meeting(v: View, names: list[str]) -> list[str]:
    """Places that some elements may share: legal for those that are not alive at a time."""
    one, other = v.draw.choice(names), v.draw.choice(names)
    factor, turn = v.draw.integer(2, 8), v.draw.integer(1, 8)
    rest = [n for n in names if n not in (one, other)]
    place = v.draw.choice(
        [
            f"{one} * {factor} + {other}",
            f"({one} + {other}) % {turn}",
            f"{one} // {factor}",
            f"{one} % {turn}",
            f"{factor} - {one}",
            f"{one} + {other}",
            "0",
        ]
    )
    kept = [n for n in dict.fromkeys((one, other)) if v.draw.chance(0.5) or n not in place]
    return [*rest, place, *(n for n in kept if n not in place or v.draw.chance(0.5))]


def _stored_in_loops(v: View) -> list[str]:
    """Tensors that are allocated inside some loop."""
    found = {
        s.buffer.name
        for path in v.schedule.index.paths.values()
        for n, s in enumerate(path)
        if isinstance(s, Alloc) and any(isinstance(outer, For) for outer in path[:n])
    }
    return sorted(found)


def _stored(v: View) -> list[str]:
    """All tensors that are allocated."""
    return sorted({buffer.name for buffer in v.schedule.index.allocs})


def store_at(v: View) -> Step | None:
    """A tensor somewhere around its readers."""
    names = _stored_in_loops(v) or _stored(v)
    if not names:
        return None
    name = v.draw.choice(names)
    users = [b for b in v.blocks if any(a.tensor == name for a in b.accesses) and b.loops]
    if not users or v.draw.chance(0.4):
        return Step("store_at", (name,))
    return Step("store_at", (name,), (("at", v.draw.choice(v.draw.choice(users).loops).label),))


def align(v: View) -> Step | None:
    """A dimension of a tensor, mostly of one that is no argument and no result."""
    ranks = {b.name: b.rank for b in v.schedule.index.allocs if b.rank}
    if v.draw.chance(0.05):
        ranks = {a.tensor: a.buffer.rank for b in v.blocks for a in b.accesses if a.buffer.rank}
    if not ranks:
        return None
    name = v.draw.choice(sorted(ranks))
    options: Options = ()
    if v.draw.chance(0.6):
        options = (("dim", v.draw.integer(-ranks[name], ranks[name] - 1)),)
    return Step("align", (name, v.draw.integer(1, 8)), options)


def hoist_storage(v: View) -> Step | None:
    """Mostly a tensor that lives in a loop."""
    names = _stored(v) if v.draw.chance(0.1) else _stored_in_loops(v)
    return Step("hoist_storage", (v.draw.choice(names),)) if names else None


def fold_storage(v: View) -> Step | None:
    """A tensor along one dimension or the one that is found."""
    buffers = [b for b in v.schedule.index.allocs if b.rank]
    if not buffers:
        return None
    buffer = v.draw.choice(buffers)
    if v.draw.chance(0.4):
        return Step("fold_storage", (buffer.name,))
    dim = v.draw.integer(0, buffer.rank - 1)
    return Step("fold_storage", (buffer.name, v.draw.integer(1, 6)), (("dim", dim),))


def prefetch(v: View) -> Step | None:
    """An element near that of the instance, mostly of an argument or a result."""
    outer = {a.tensor: a.buffer for b in v.blocks for a in b.accesses if a.scope is None}
    if not outer:
        return None
    block, name = v.draw.choice(v.blocks), v.draw.choice(sorted(outer))
    names = list("abcdefgh"[: len(block.leaf.block.iters)])
    places = [*names, "0", *(f"{n} + 1" for n in names)]
    at = ", ".join(v.draw.choice(places) for _ in range(outer[name].rank))
    return Step("prefetch", (block.name, name, f"{', '.join(names)} -> {at}"))


def atomic(v: View) -> Step | None:
    """Mostly a reduction or an update."""
    block = v.block(BlockKind.REDUCE, BlockKind.UPDATE)
    return None if block is None else Step("atomic", (block.name,))


def stream(v: View) -> Step | None:
    """Any block."""
    block = v.block()
    return None if block is None else Step("stream", (block.name,))
