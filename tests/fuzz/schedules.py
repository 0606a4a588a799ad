"""Random schedule steps: every primitive, with names, factors and tails drawn at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tdsl as td
from tdsl.ir.stmt import Alloc, BlockKind, For, IterKind
from tdsl.scheduling.arguments import AXES, SCOPES, TAILS
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.scheduling.view import BlockView
from tests.fuzz.draw import Draw

Options = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Step:
    """One call of a primitive, in literals: loops and blocks by name."""

    primitive: str
    args: tuple[object, ...]
    options: Options = ()

    def source(self) -> str:
        """The call as Python."""
        shown = [_literal(a) for a in self.args]
        shown += [f"{key}={_literal(value)}" for key, value in self.options]
        return f"s.{self.primitive}({', '.join(shown)})"

    def apply(self, s: td.Schedule, *, unsafe: bool = False) -> object:
        """Do the step on a schedule."""
        options = dict(self.options)
        if unsafe:
            options["unsafe"] = True
        return getattr(s, self.primitive)(*self.args, **options)


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


@dataclass
class View:
    """What a random step chooses from."""

    draw: Draw
    schedule: td.Schedule
    blocks: tuple[BlockView, ...]

    def block(self, *kinds: BlockKind) -> BlockView | None:
        """Any block, of these kinds if there is one."""
        found = [b for b in self.blocks if b.kind in kinds]
        return self.draw.choice(found or self.blocks) if self.blocks else None

    def labels(self) -> list[str]:
        """Labels of all loops."""
        return list(dict.fromkeys(loop.label for b in self.blocks for loop in b.loops))

    def loop(self) -> str | None:
        """Any loop."""
        labels = self.labels()
        return self.draw.choice(labels) if labels else None

    def path(self, least: int) -> list[str] | None:
        """The labels of the loops around a random block that has enough of them."""
        found = [b for b in self.blocks if len(b.loops) >= least]
        return [loop.label for loop in self.draw.choice(found).loops] if found else None

    def tail(self) -> str:
        """A tail, mostly the plain one."""
        return self.draw.choice(TAILS) if self.draw.chance(0.6) else "guard"


def view(draw: Draw, s: td.Schedule) -> View:
    """The schedule as it stands, to draw a step from."""
    return View(draw, s, s.nest.blocks)


def _split(v: View) -> Step | None:
    loop, draw = v.loop(), v.draw
    if loop is None:
        return None
    factors: object = draw.integer(2, 5)
    if draw.chance(0.2):
        factors = draw.choice([(2, None), (None, 2, 2), (2, None, 2), (3, None), (None, 1, 3)])
    return Step("split", (loop, factors), _tail_option(v))


def _tail_option(v: View) -> Options:
    tail = v.tail()
    return () if tail == "guard" else (("tail", tail),)


def _tile(v: View) -> Step | None:
    path = v.path(2)
    if path is None:
        return None
    first = v.draw.integer(0, len(path) - 2)
    second = v.draw.integer(first + 1, len(path) - 1)
    sizes = (v.draw.integer(2, 4), v.draw.integer(2, 4))
    return Step("tile", (path[first], path[second], *sizes), _tail_option(v))


def _fuse(v: View) -> Step | None:
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


def _reorder(v: View) -> Step | None:
    path = v.path(2)
    if path is None:
        return None
    count = v.draw.integer(2, min(4, len(path)))
    return Step("reorder", tuple(v.draw.shuffled(path)[:count]))


def _vectorize(v: View) -> Step | None:
    path = v.path(1)
    if path is None:
        return None
    loop = path[-1] if v.draw.chance(0.6) else v.draw.choice(path)
    lanes = v.draw.choice([2, 4, 4, 8, None])
    return Step("vectorize", (loop,) if lanes is None else (loop, lanes))


def _compute_at(v: View) -> Step | None:
    consumers = [c for c in v.blocks if c.loops]
    pairs = [
        (b.name, c)
        for b in v.blocks
        for c in consumers
        if c.name != b.name and _written(b) & _read(c)
    ]
    if not pairs:
        return None
    name, consumer = v.draw.choice(pairs)
    return Step("compute_at", (name, v.draw.choice(consumer.loops).label))


def _reverse_compute_at(v: View) -> Step | None:
    producers = [p for p in v.blocks if p.loops]
    pairs = [
        (b.name, p)
        for b in v.blocks
        for p in producers
        if p.name != b.name and _written(p) & _read(b)
    ]
    if not pairs:
        return None
    name, producer = v.draw.choice(pairs)
    return Step("reverse_compute_at", (name, v.draw.choice(producer.loops).label))


def _written(b: BlockView) -> set[str]:
    return {access.tensor for access in b.writes}


def _read(b: BlockView) -> set[str]:
    return {access.tensor for access in b.reads}


def _inline(v: View) -> Step | None:
    results = {t.name for t in v.schedule.func.outputs}
    found = [
        b.name
        for b in v.blocks
        if b.kind in (BlockKind.COMPUTE, BlockKind.COPY) and not _written(b) & results
    ]
    block = v.block()
    if block is None:
        return None
    return Step("inline", (v.draw.choice(found) if found else block.name,))


def _at_option(v: View, block: BlockView) -> Options:
    if not block.loops or v.draw.chance(0.4):
        return ()
    return (("at", v.draw.choice(block.loops).label),)


def _cache_read(v: View) -> Step | None:
    found = [b for b in v.blocks if b.reads]
    if not found:
        return None
    block = v.draw.choice(found)
    tensor = v.draw.choice(block.reads).tensor
    return Step("cache_read", (block.name, tensor), _at_option(v, block))


def _cache_write(v: View) -> Step | None:
    block = v.block()
    if block is None:
        return None
    scope = (("scope", v.draw.choice(["global", "stack"])),)
    return Step("cache_write", (block.name,), (*scope, *_at_option(v, block)))


def _set_scope(v: View) -> Step | None:
    block = v.block()
    if block is None:
        return None
    scope = v.draw.weighted({"global": 2, "stack": 3, "register": 2, "shared": 1, "constant": 0.5})
    assert scope in SCOPES
    results = {t.name for t in v.schedule.func.outputs}
    inner = [b.name for b in v.blocks if not _written(b) & results]
    return Step("set_scope", (v.draw.choice(inner) if inner else block.name, scope))


def _transform_layout(v: View) -> Step | None:
    buffers = {a.tensor: a.buffer for b in v.blocks for a in b.accesses if a.buffer.rank}
    inner = {a.tensor for b in v.blocks for a in b.accesses if a.scope is not None}
    if not buffers:
        return None
    name = v.draw.choice(sorted(inner & set(buffers)) if inner & set(buffers) else sorted(buffers))
    names = list("abcd"[: buffers[name].rank])
    outputs = list(names)
    factor = v.draw.integer(2, 4)
    match v.draw.integer(0, 3):
        case 0 if len(names) > 1:
            outputs = v.draw.shuffled(names)
        case 1:
            chosen = v.draw.choice(names)
            outputs = [f"{n} // {factor}" if n == chosen else n for n in names]
            outputs.append(f"{chosen} % {factor}")
        case 2:
            chosen = v.draw.choice(names)
            outputs = [f"{chosen} % {factor}", *outputs]
            outputs[names.index(chosen) + 1] = f"{chosen} // {factor}"
        case _:
            outputs = [*names[1:], names[0]]
    options: Options = ()
    if v.draw.chance(0.15):
        options = (("pad", tuple(v.draw.integer(0, 2) for _ in outputs)),)
    return Step("transform_layout", (name, f"{', '.join(names)} -> {', '.join(outputs)}"), options)


def _rfactor(v: View) -> Step | None:
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


def _decompose_reduction(v: View) -> Step | None:
    block = v.block(BlockKind.REDUCE)
    if block is None or not block.loops:
        return None
    return Step("decompose_reduction", (block.name,), (("at", v.draw.choice(block.loops).label),))


def _bind(v: View) -> Step | None:
    loop = v.loop()
    return None if loop is None else Step("bind", (loop, v.draw.choice(AXES)))


def _on_a_loop(name: str) -> Callable[[View], Step | None]:
    def made(v: View) -> Step | None:
        loop = v.loop()
        return None if loop is None else Step(name, (loop,))

    return made


def _atomic(v: View) -> Step | None:
    block = v.block(BlockKind.REDUCE, BlockKind.UPDATE)
    return None if block is None else Step("atomic", (block.name,))


def _stream(v: View) -> Step | None:
    block = v.block()
    return None if block is None else Step("stream", (block.name,))


def _partition(v: View) -> Step | None:
    loop = v.loop()
    if loop is None:
        return None
    points: object = v.draw.integer(1, 4)
    if v.draw.chance(0.15):
        points = (1, v.draw.integer(2, 4))
    return Step("partition", (loop, points))


def _prefetch(v: View) -> Step | None:
    """An element near that of the instance, mostly of an argument or a result."""
    outer = {a.tensor: a.buffer for b in v.blocks for a in b.accesses if a.scope is None}
    if not outer:
        return None
    block, name = v.draw.choice(v.blocks), v.draw.choice(sorted(outer))
    names = list("abcdefgh"[: len(block.leaf.block.iters)])
    places = [*names, "0", *(f"{n} + 1" for n in names)]
    at = ", ".join(v.draw.choice(places) for _ in range(outer[name].rank))
    return Step("prefetch", (block.name, name, f"{', '.join(names)} -> {at}"))


def _inner_tensors(v: View) -> list[str]:
    """Tensors that are allocated inside some loop, if any are; else all that are allocated."""
    index = v.schedule.index
    known = {buffer.name for buffer in index.allocs}
    inside = {
        s.buffer.name
        for path in index.paths.values()
        for n, s in enumerate(path)
        if isinstance(s, Alloc) and any(isinstance(outer, For) for outer in path[:n])
    }
    return sorted(inside or known)


def _store_at(v: View) -> Step | None:
    names = _inner_tensors(v)
    if not names:
        return None
    name = v.draw.choice(names)
    users = [b for b in v.blocks if any(a.tensor == name for a in b.accesses) and b.loops]
    if not users or v.draw.chance(0.4):
        return Step("store_at", (name,))
    return Step("store_at", (name,), (("at", v.draw.choice(v.draw.choice(users).loops).label),))


def _hoist_storage(v: View) -> Step | None:
    names = _inner_tensors(v)
    return Step("hoist_storage", (v.draw.choice(names),)) if names else None


def _fold_storage(v: View) -> Step | None:
    buffers = [b for b in v.schedule.index.allocs if b.rank]
    if not buffers:
        return None
    buffer = v.draw.choice(buffers)
    if v.draw.chance(0.4):
        return Step("fold_storage", (buffer.name,))
    dim = v.draw.integer(0, buffer.rank - 1)
    return Step("fold_storage", (buffer.name, v.draw.integer(1, 6)), (("dim", dim),))


def _fission(v: View) -> Step | None:
    """Mostly a loop with several blocks, and one of them that is not the last."""
    shared = [loop for b in v.blocks for loop in b.loops if len(loop.blocks) > 1]
    if not shared:
        return None
    loop = v.draw.choice(shared)
    return Step("fission", (loop.label,), (("after", v.draw.choice(loop.blocks[:-1])),))


def _shift(v: View) -> Step | None:
    """Half of the time one block of several in a loop."""
    shared = [loop for b in v.blocks for loop in b.loops if len(loop.blocks) > 1]
    by = v.draw.choice([1, 1, 2, 3, -1, -2])
    if shared and v.draw.chance(0.7):
        loop = v.draw.choice(shared)
        return Step("shift", (loop.label, by), (("block", v.draw.choice(loop.blocks)),))
    loop_name = v.loop()
    return None if loop_name is None else Step("shift", (loop_name, by))


def _skew(v: View) -> Step | None:
    """Mostly an inner loop by one around it."""
    path = v.path(2)
    if path is None:
        return None
    outer = v.draw.integer(0, len(path) - 2)
    inner = v.draw.integer(outer + 1, len(path) - 1)
    return Step("skew", (path[inner], path[outer], v.draw.choice([1, 1, 2, -1])))


def _compute_with(v: View) -> Step | None:
    """Mostly loops of two different nests."""
    found = [b for b in v.blocks if b.loops]
    if len(found) < 2:
        return None
    one, two = v.draw.shuffled(found)[:2]
    depth = v.draw.integer(0, min(len(one.loops), len(two.loops)) - 1)
    return Step("compute_with", (one.name,), (("at", two.loops[depth].label),))


def _reverse_inline(v: View) -> Step | None:
    """Mostly a block that reads what another one writes."""
    written = {name for b in v.blocks for name in _written(b)}
    found = [b.name for b in v.blocks if _read(b) & written - _written(b)]
    return Step("reverse_inline", (v.draw.choice(found),)) if found else None


def _specialize(v: View) -> Step | None:
    sizes = [var.name for var in v.schedule.program.sizes]
    if not sizes:
        return None
    name, number = v.draw.choice(sizes), v.draw.integer(2, 4)
    condition = v.draw.choice([f"{name} % {number} == 0", f"{name} <= {number}"])
    loop = v.loop() if v.draw.chance(0.6) else None
    return Step("specialize", (condition,), () if loop is None else (("loop", loop),))


def _tensor(v: View) -> str | None:
    names = sorted({a.tensor for b in v.blocks for a in b.accesses})
    return v.draw.choice(names) if names else None


_GENERIC: dict[str, Callable[[View], object]] = {
    "LoopArg": View.loop,
    "MaybeLoopArg": View.loop,
    "BlockArg": lambda v: v.draw.choice(v.blocks).name,
    "StoredArg": lambda v: v.draw.choice(v.blocks).name,
    "TensorArg": _tensor,
    "FactorArg": lambda v: v.draw.integer(1, 5),
    "FactorsArg": lambda v: v.draw.integer(1, 5),
    "LanesArg": lambda v: v.draw.choice([2, 4, 8]),
    "CountArg": lambda v: v.draw.integer(-2, 3),
    "DimArg": lambda v: v.draw.integer(0, 2),
    "PointsArg": lambda v: v.draw.integer(1, 4),
    "TailArg": View.tail,
    "ScopeArg": lambda v: v.draw.choice(SCOPES),
    "AxisArg": lambda v: v.draw.choice(AXES),
    "FlagArg": lambda v: v.draw.chance(0.5),
    "bool": lambda v: v.draw.chance(0.5),
}


def _generic(name: str) -> Callable[[View], Step | None]:
    """A maker that follows the primitive's declared argument kinds."""
    parameters = [p for p in PRIMITIVES[name].signature.parameters.values() if p.name != "unsafe"]

    def made(v: View) -> Step | None:
        if not v.blocks:
            return None
        args: list[object] = []
        options: list[tuple[str, object]] = []
        for p in parameters:
            value = _GENERIC[str(p.annotation)](v)
            if p.default is p.empty:
                args.append(value)
            elif v.draw.chance(0.5):
                options.append((p.name, value))
        return None if None in args else Step(name, tuple(args), tuple(options))

    return made


MAKERS: dict[str, tuple[float, Callable[[View], Step | None]]] = {
    "split": (5, _split),
    "tile": (3, _tile),
    "fuse": (4, _fuse),
    "reorder": (6, _reorder),
    "unroll": (3, _on_a_loop("unroll")),
    "parallel": (3, _on_a_loop("parallel")),
    "vectorize": (3, _vectorize),
    "bind": (1.5, _bind),
    "compute_at": (6, _compute_at),
    "reverse_compute_at": (6, _reverse_compute_at),
    "inline": (3, _inline),
    "cache_read": (2.5, _cache_read),
    "cache_write": (2.5, _cache_write),
    "set_scope": (2.5, _set_scope),
    "transform_layout": (2.5, _transform_layout),
    "store_at": (4, _store_at),
    "hoist_storage": (1.5, _hoist_storage),
    "fold_storage": (3, _fold_storage),
    "rfactor": (4, _rfactor),
    "decompose_reduction": (3, _decompose_reduction),
    "atomic": (3, _atomic),
    "stream": (2, _stream),
    "partition": (2, _partition),
    "fission": (4, _fission),
    "prefetch": (1.5, _prefetch),
    "reverse": (2.5, _on_a_loop("reverse")),
    "shift": (2.5, _shift),
    "skew": (3, _skew),
    "specialize": (1.5, _specialize),
    "compute_with": (3, _compute_with),
    "reverse_inline": (2.5, _reverse_inline),
}


def makers() -> dict[str, tuple[float, Callable[[View], Step | None]]]:
    """A weight and a maker for each primitive there is."""
    found = {name: MAKERS[name] for name in MAKERS if name in PRIMITIVES}
    for name, primitive in PRIMITIVES.items():
        kinds = {str(p.annotation) for p in primitive.signature.parameters.values()}
        if name not in found and kinds <= set(_GENERIC):
            found[name] = (2.0, _generic(name))
    return found


def without_maker() -> list[str]:
    """Primitives that exist but that no step is drawn of."""
    return sorted(set(PRIMITIVES) - set(makers()))


def random_step(draw: Draw, s: td.Schedule) -> Step | None:
    """A step that may or may not be legal; None where nothing was found to apply it to."""
    known = makers()
    weights = {name: weight for name, (weight, _) in known.items()}
    return known[draw.weighted(weights)][1](view(draw, s))
