"""Random algorithms and random loop trees for them, legal and illegal."""

from dataclasses import dataclass, field

import tdsl as td
from tdsl.analysis.regions import needed_box
from tdsl.ir import build
from tdsl.ir.expr import Expr, Var
from tdsl.ir.stmt import (
    Alloc,
    For,
    Guard,
    IterKind,
    Layout,
    Leaf,
    LoopKind,
    Part,
    Program,
    Seq,
    Tail,
)
from tdsl.ir.visit import leaves, substitute

CONCURRENT = (LoopKind.PARALLEL, LoopKind.VECTORIZED, LoopKind.GROUP_X)


@dataclass
class Loop:
    vars: list
    extents: list
    kind: LoopKind = LoopKind.SERIAL


@dataclass
class Nest:
    """Loops and one leaf."""

    block: object
    loops: list
    bindings: list
    guards: list = field(default_factory=list)
    atomic: bool = False
    cut: int | None = None  # partition the first loop at this iteration

    def pieces(self, skip):
        """The first loop in two parts, each with a copy of the rest."""
        loop, rest = self.loops[skip], self.loops[skip + 1 :]
        if len(loop.vars) > 1:
            self.cut = None
            return self.stmt(skip)
        made = []
        v, extent = loop.vars[0], loop.extents[0]
        for start, count in (
            (0, build.minimum(extent, self.cut)),
            (self.cut, build.sub(extent, self.cut)),
        ):
            w = Var(v.name)
            fresh = {x: Var(x.name) for one in rest for x in one.vars}
            mapping = {v: build.add(w, start), **fresh}
            loops = [Loop([w], [count], loop.kind)] + [
                Loop(
                    [fresh[x] for x in one.vars],
                    [substitute(e, mapping) for e in one.extents],
                    one.kind,
                )
                for one in rest
            ]
            bindings = [substitute(b, mapping) for b in self.bindings]
            guards = [substitute(g, mapping) for g in self.guards]
            made.append(Nest(self.block, loops, bindings, guards, self.atomic).stmt())
        return Seq(tuple(made))

    def stmt(self, skip=0):
        if self.cut is not None and skip < len(self.loops):
            return self.pieces(skip)
        s = Leaf(
            self.block,
            tuple(self.bindings),
            tuple(Guard(g, Tail.GUARD) for g in self.guards),
            atomic=self.atomic,
        )
        return wrap(self.loops[skip:], s)

    def substitute(self, mapping):
        self.bindings = [substitute(b, mapping) for b in self.bindings]
        self.guards = [substitute(g, mapping) for g in self.guards]
        for loop in self.loops:
            loop.extents = [substitute(e, mapping) for e in loop.extents]


def wrap(loops, s):
    for loop in reversed(loops):
        if len(loop.vars) == 1:
            s = For(loop.vars[0], loop.extents[0], s, loop.kind)
        else:
            parts = tuple(Part(v, e) for v, e in zip(loop.vars, loop.extents, strict=True))
            s = For(Var("f"), build.product(loop.extents), s, loop.kind, parts)
    return s


def canonical(block):
    loops, bindings = [], []
    for it in block.iters:
        v = Var(it.var.name)
        loops.append(Loop([v], [it.extent]))
        bindings.append(v)
    return Nest(block, loops, bindings)


def is_number(e):
    return hasattr(e, "value")


def split(rng, nest):
    singles = [n for n, loop in enumerate(nest.loops) if len(loop.vars) == 1]
    if not singles:
        return
    at = rng.choice(singles)
    loop = nest.loops[at]
    f = rng.choice([1, 2, 2, 3, 4])
    v, extent = loop.vars[0], loop.extents[0]
    outer, inner = Var(v.name + "o"), Var(v.name + "i")
    mode = rng.choice(["guard"] * 5 + ["shift", "short", "over"])
    value = build.add(build.mul(outer, f), inner)
    parts = build.ceildiv(extent, f)
    guard = build.lt(value, extent)
    if mode == "shift":
        value = build.add(
            build.minimum(build.mul(outer, f), build.maximum(build.sub(extent, f), 0)), inner
        )
        guard = build.lt(value, extent)
    elif mode == "short":
        parts, guard = build.floordiv(extent, f), None
    elif mode == "over":
        guard = None
    nest.loops[at : at + 1] = [Loop([outer], [parts]), Loop([inner], [build.index(f)])]
    nest.substitute({v: value})
    if guard is not None and guard != build.TRUE:
        nest.guards.append(guard)


def permute(rng, nest):
    if len(nest.loops) < 2:
        return
    a, b = rng.sample(range(len(nest.loops)), 2)
    nest.loops[a], nest.loops[b] = nest.loops[b], nest.loops[a]


def fuse_loops(rng, nest):
    if len(nest.loops) < 2:
        return
    at = rng.randrange(len(nest.loops) - 1)
    a, b = nest.loops[at : at + 2]
    if rng.random() < 0.5 and all(is_number(e) for e in [*a.extents, *b.extents]):
        if len(a.vars) > 1 or len(b.vars) > 1:
            return
        f = Var("f")
        m = b.extents[0]
        nest.loops[at : at + 2] = [Loop([f], [build.mul(a.extents[0], m)])]
        nest.substitute({a.vars[0]: build.floordiv(f, m), b.vars[0]: build.floormod(f, m)})
    else:
        nest.loops[at : at + 2] = [Loop([*a.vars, *b.vars], [*a.extents, *b.extents])]


def reverse(rng, nest):
    singles = [loop for loop in nest.loops if len(loop.vars) == 1]
    if singles:
        loop = rng.choice(singles)
        v = loop.vars[0]
        nest.substitute({v: build.sub(build.sub(loop.extents[0], 1), v)})


def skew(rng, nest):
    if len(nest.loops) < 2:
        return
    a, b = sorted(rng.sample(range(len(nest.loops)), 2))
    if len(nest.loops[a].vars) > 1 or len(nest.loops[b].vars) > 1:
        return
    u, v = nest.loops[a].vars[0], nest.loops[b].vars[0]
    extent = nest.loops[b].extents[0]
    reach = nest.loops[a].extents[0]
    w = Var(v.name + "s")
    value = build.sub(w, u)
    nest.loops[b] = Loop([w], [build.add(extent, reach)], nest.loops[b].kind)
    nest.substitute({v: value})
    nest.guards += [build.ge(value, 0), build.lt(value, extent)]


def concurrent(rng, nest):
    if nest.loops:
        rng.choice(nest.loops).kind = rng.choice(CONCURRENT)


STEPS = [split, split, split, permute, permute, fuse_loops, reverse, skew, concurrent]


def shake(rng, nest, most=4):
    for _ in range(rng.randrange(most + 1)):
        rng.choice(STEPS)(rng, nest)
    if nest.block.reducer is not None and rng.random() < 0.15:
        nest.atomic = True
    if rng.random() < 0.12:
        nest.cut = rng.randint(0, 3)


def scoped(buffers, s):
    for b in buffers:
        s = Alloc(b, s)
    return s


def hidden(program):
    found = []
    s = program.body
    while isinstance(s, Alloc):
        found.append(s.buffer)
        s = s.body
    return found[::-1], s


def random_schedule(rng, program):
    """A random loop tree for the blocks of a program (scans keep their shared loop)."""
    buffers, body = hidden(program)
    if isinstance(body, For) and isinstance(strip(body.body), Seq):
        return rebuilt(program, scoped(buffers, shared_scan(rng, body)))
    nests = [canonical(leaf.block) for leaf in leaves(body)]
    for nest in nests:
        if rng.random() < 0.75:
            shake(rng, nest)
    if len(nests) == 1:
        return rebuilt(program, scoped(buffers, nests[0].stmt()))
    if rng.random() < 0.05:
        rng.shuffle(nests)
    style = rng.choice(["apart", "together", "together", "inside", "inside"])
    if style == "inside":
        made = compute_inside(rng, program, buffers, nests)
        if made is not None:
            return made
    if style == "together":
        merged = merge(rng, nests[-2], nests[-1], buffers)
        if merged is not None:
            taken, s = merged
            rest = [b for b in buffers if b not in taken]
            parts = [n.stmt() for n in nests[:-2]] + [s]
            return rebuilt(program, scoped(rest, Seq(tuple(parts)) if parts[1:] else s))
    return rebuilt(program, scoped(buffers, Seq(tuple(n.stmt() for n in nests))))


def strip(s):
    while isinstance(s, Alloc):
        s = s.body
    return s


def shared_scan(rng, loop):
    """A scan's nests under their common loop; now and then the temporaries allocated outside."""
    inner, s = [], loop.body
    while isinstance(s, Alloc):
        inner.append(s.buffer)
        s = s.body
    parts = []
    for leaf in leaves(s):
        loops, bindings = [], []
        for it, b in zip(leaf.block.iters, leaf.bindings, strict=True):
            if b is loop.var:
                bindings.append(b)
            else:
                v = Var(it.var.name)
                loops.append(Loop([v], [it.extent]))
                bindings.append(v)
        nest = Nest(leaf.block, loops, bindings)
        if rng.random() < 0.6 and loops:
            shake(rng, nest, 2)
        parts.append(nest.stmt())
    if rng.random() < 0.1:
        rng.shuffle(parts)
    body = Seq(tuple(parts))
    kind = LoopKind.PARALLEL if rng.random() < 0.2 else LoopKind.SERIAL
    if rng.random() < 0.5:
        return For(loop.var, loop.extent, scoped(inner[::-1], body), kind)
    return scoped(inner[::-1], For(loop.var, loop.extent, body, kind))


def merge(rng, a, b, buffers):
    """Two nests under common outer loops."""
    count = 0
    for x, y in zip(a.loops, b.loops, strict=False):
        if len(x.vars) > 1 or len(y.vars) > 1 or x.extents != y.extents:
            break
        count += 1
    if not count:
        return None
    count = rng.randint(1, count)
    b.substitute({b.loops[n].vars[0]: a.loops[n].vars[0] for n in range(count)})
    parts = [a.stmt(count), b.stmt(count)]
    if rng.random() < 0.08:
        parts.reverse()
    body = Seq(tuple(parts))
    mine = {w.buffer for w in a.block.writes}
    inner = [x for x in buffers if x in mine and rng.random() < 0.4]
    depth = rng.randint(0, count)
    s = wrap(a.loops[:depth], scoped(inner, wrap(a.loops[depth:count], body)))
    return inner, s


def compute_inside(rng, program, buffers, nests):
    """The last block's loops with its producer computed inside, over the box or nearly."""
    producer, consumer = nests[-2].block, nests[-1]
    target = producer.writes[0].buffer
    if producer.kind.value == "update" or not consumer.loops or target not in buffers:
        return None
    depth = rng.randint(1, len(consumer.loops))
    if any(len(loop.vars) > 1 for loop in consumer.loops[:depth]):
        return None
    below = consumer.stmt(depth)
    outer = wrap(consumer.loops[:depth], below)
    box = needed_box(replace_body(program, outer), target, below)
    made = box_nest(rng, producer, box)
    if rng.random() < 0.3 and made.loops:
        rng.choice([permute, concurrent, split])(rng, made)
    body = Seq((made.stmt(), below))
    at = rng.choice([depth, depth, depth, rng.randint(0, depth)])
    inner = Alloc(target, wrap(consumer.loops[at:depth], body), layout=folding(rng, target))
    s = wrap(consumer.loops[:at], inner)
    rest = [b for b in buffers if b is not target]
    parts = [n.stmt() for n in nests[:-2]] + [s]
    return replace_body(program, scoped(rest, Seq(tuple(parts)) if parts[1:] else s))


def folding(rng, buffer):
    """Now and then a layout that keeps a few rows only."""
    if rng.random() > 0.3:
        return None
    inputs = tuple(Var(f"a{n}") for n in range(buffer.rank))
    outputs = [*inputs]
    n = rng.randrange(buffer.rank)
    outputs[n] = build.floormod(inputs[n], rng.choice([1, 2, 3, 4]))
    return Layout(inputs, tuple(outputs))


def box_nest(rng, block, box):
    loops, bindings, guards = [], [], []
    positions = {index: n for n, index in enumerate(block.writes[0].indices)}
    for it in block.iters:
        v = Var("b" + it.var.name)
        n = positions.get(it.var)
        if it.kind is not IterKind.DATA or n is None:
            loops.append(Loop([v], [it.extent]))
            bindings.append(v)
            continue
        width = build.add(box.extent[n], rng.choice([0] * 6 + [-1, 1]))
        origin = build.add(box.origin[n], rng.choice([0] * 8 + [1, -1]))
        value: Expr = build.add(origin, v)
        loops.append(Loop([v], [width]))
        bindings.append(value)
        guards += [build.lt(value, it.extent), build.ge(value, 0)]
    guards = [g for g in guards if g != build.TRUE]
    return Nest(block, loops, bindings, guards)


def replace_body(program, body):
    return Program(program.name, program.params, program.sizes, program.assume, body)


rebuilt = replace_body


# --- algorithms -----------------------------------------------------------------------------


def read_index(rng, i, n):
    """An index near i that stays in [0, n + 2)."""
    return rng.choice(
        [
            lambda: i,
            lambda: i,
            lambda: i + 1,
            lambda: i + 2,
            lambda: n - 1 - i,
            lambda: i // 2,
            lambda: i % 3,
            lambda: td.minimum(i + 1, n - 1 + 0 * i),
        ]
    )()


def random_algorithm(rng, *, symbolic):
    """(program, names of sizes)."""
    N = td.sizes("N") if symbolic else rng.randint(1, 5)
    M = rng.randint(1, 3)
    kind = rng.choice(["chain", "chain", "reduce", "reduce", "update", "scan", "two", "mixed"])
    A = td.placeholder((N + 2, M + 2), "float32", name="A")
    return MAKERS[kind](rng, A, N, M).program


def taps(rng, T, i, j, n, m):
    e = T[read_index(rng, i, n), read_index(rng, j, m)]
    for _ in range(rng.randrange(3)):
        e = e + T[read_index(rng, i, n), read_index(rng, j, m)]
    return e


def make_chain(rng, A, N, M):
    C = td.compute((N + 2, M + 2), lambda i, j: A[i, j] + 1.0, name="C")
    D = td.compute((N, M), lambda i, j: taps(rng, C, i, j, N, M), name="D")
    return td.func("f", [A], [D], assume=positive(N))


def positive(N):
    return [] if isinstance(N, int) else ["N >= 1"]


def make_two(rng, A, N, M):
    B = td.compute((N + 2, M + 2), lambda i, j: A[i, j] + 1.0, name="B")
    C = td.compute((N + 2, M + 2), lambda i, j: B[i, j] * 2.0, name="C")
    D = td.compute((N, M), lambda i, j: taps(rng, C, i, j, N, M), name="D")
    return td.func("f", [A], [D], assume=positive(N))


def make_reduce(rng, A, N, M):
    K = rng.choice([N, 2, 3])
    k = td.reduce_axis(K, name="k")
    if rng.random() < 0.3:
        C = td.compute((N + 2,), lambda i: td.sum(A[i, 0] * A[0, k % 2], axis=k), name="C")
    elif rng.random() < 0.3:
        C = td.compute(
            (N + 2,), lambda i: td.sum(A[i, 0] * A[0, k % 2], axis=k, where=k <= i), name="C"
        )
    else:
        r = td.reduce_axis(2, name="r")
        C = td.compute(
            (N + 2,), lambda i: td.sum(A[i, 0] * A[0, k % 2] + A[r, 0], axis=(k, r)), name="C"
        )
    D = td.compute((N,), lambda i: C[read_index(rng, i, N)] + C[i], name="D")
    return td.func("f", [A], [D], assume=positive(N))


def make_update(rng, A, N, M):
    B = td.placeholder((N + 2,), "float32", name="B")
    i, j = td.reduce_axis(N, name="i"), td.reduce_axis(M, name="j")
    op = rng.choice(["add", "set", "set"])
    at = rng.choice([i, i + 1, i // 2, i + 0 * j])
    if op == "add":
        U = td.update(B, over=(i, j), at=at, value=A[i, j], op="add", name="U")
    else:
        U = td.update(
            B,
            over=(i, j),
            at=at,
            value=lambda cur: cur[read_index(rng, i, N)] + A[i, j] + cur[i + rng.randrange(3)],
            op="set",
            name="U",
        )
    D = td.compute((N,), lambda i: U[i] + 1.0, name="D")
    return td.func("f", [A, B], [D] if rng.random() < 0.5 else [U], assume=positive(N))


def make_scan(rng, A, N, M):
    t = td.scan_axis(N, name="t")

    def step(t, prev):
        if rng.random() < 0.5:
            g = td.compute((M,), lambda i: A[t, i] * prev["h"][i], name="g")
            return {"h": lambda i: g[i] + g[M - 1 - i]}
        return {"h": lambda i: prev["h"][M - 1 - i] + A[t, i]}

    out = td.scan(t, {"h": ((M,), 0.0)}, step, name="s")
    return td.func("f", [A], [out["h"]], assume=positive(N))


def make_mixed(rng, A, N, M):
    k = td.reduce_axis(M, name="k")
    C = td.compute((N + 2, M), lambda i, j: td.sum(A[i, k] * A[j, k], axis=k), name="C")
    D = td.compute((N, M), lambda i, j: C[i, j] + C[i + 1, M - 1 - j], name="D")
    return td.func("f", [A], [D], assume=positive(N))


MAKERS = {
    "chain": make_chain,
    "two": make_two,
    "reduce": make_reduce,
    "update": make_update,
    "scan": make_scan,
    "mixed": make_mixed,
}
