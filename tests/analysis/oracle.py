"""What a scheduled program does, by running it at small sizes on symbolic values.

Shares no code with the prover. Every element holds the term that computed it; a schedule is legal
if the results hold the terms of the canonical program and no two iterations that may run at once
conflict. Sums are kept both as chains (exact) and as multisets (reassociated).
"""

from dataclasses import dataclass, field

from tdsl.ir.expr import Binary, BinaryOp, Cast, Checked, Const, Load, Select, Unary, UnaryOp, Var
from tdsl.ir.inits import derive_inits
from tdsl.ir.stmt import Alloc, BlockKind, For, Leaf, Role, Seq
from tdsl.ir.visit import children, loads

SINGLE = (BlockKind.COMPUTE, BlockKind.COPY)


@dataclass
class Event:
    block: object
    instance: tuple
    path: tuple
    atomic: bool
    extra: bool
    loops: dict
    touched: list = field(default_factory=list)  # (buffer name, copy, place, is write, element)


@dataclass
class Outcome:
    results: dict
    conflicts: list = field(default_factory=list)
    escapes: list = field(default_factory=list)

    def same(self, other, *, exact):
        pick = 0 if exact else 1
        return {k: v[pick] for k, v in self.results.items()} == {
            k: v[pick] for k, v in other.results.items()
        }


class Machine:
    def __init__(self, program, sizes, *, scrambled=True):
        self.program = program
        self.scrambled = scrambled
        self.sizes = {v: sizes[v.name] for v in program.sizes}
        self.env = dict(self.sizes)
        self.copies = {}
        self.layouts = {}
        self.events = []
        self.log = {}
        self.conflicts = []
        self.escapes = []
        self.fresh = 0
        for p in program.params:
            self.copies[p.buffer] = (p.buffer, {})

    def run(self):
        self.stmt(derive_inits(self.program.body), ())
        self.find_conflicts()
        results = {}
        for p in self.program.params:
            if p.role is not Role.IN:
                copy = self.copies[p.buffer][1]
                for element in self.elements(p.buffer):
                    results[p.buffer.name, element] = copy.get(element, self.unset(p, element))
        return Outcome(results, self.conflicts, self.escapes)

    def ran(self):
        self.run()
        return self.events

    def unset(self, p, element):
        value = ("in", p.buffer.name, element) if p.role is Role.INOUT else "unset"
        return (value, value)

    def elements(self, buffer):
        points = [()]
        for extent in buffer.shape:
            n = self.value(extent, self.sizes)
            points = [(*p, i) for p in points for i in range(n)]
        return points

    def stmt(self, s, path):
        match s:
            case Seq(body=body):
                for n, child in enumerate(body):
                    self.stmt(child, (*path, ("seq", n, False)))
            case For():
                parts = s.parts or (s,)
                self.loop(s, list(parts), (), path)
            case Alloc(buffer=buffer, body=body, layout=layout):
                old = self.copies.get(buffer), self.layouts.get(buffer)
                self.fresh += 1
                self.copies[buffer] = (self.fresh, {})
                self.layouts[buffer] = layout
                self.stmt(body, path)
                self.copies[buffer], self.layouts[buffer] = old
            case Leaf():
                self.leaf(s, path)

    def loop(self, s, parts, values, path):
        if not parts:
            self.stmt(s.body, (*path, (id(s), values, s.kind.concurrent)))
            return
        part, rest = parts[0], parts[1:]
        for i in range(self.value(part.extent, self.env)):
            self.env[part.var] = i
            self.loop(s, rest, (*values, i), path)
        self.env.pop(part.var, None)

    def leaf(self, leaf, path):
        if not all(self.value(g.cond, self.env) for g in leaf.guards):
            return
        block = leaf.block
        env = dict(self.sizes)
        instance = tuple(self.value(b, self.env) for b in leaf.bindings)
        env.update(zip(block.vars, instance, strict=True))
        extra = any(
            not 0 <= v < self.value(it.extent, self.sizes)
            for it, v in zip(block.iters, instance, strict=True)
        )
        chosen = self.scrambled or block.where is None or not loads(block.where)
        if block.where is not None and chosen and not self.value(block.where, env):
            return
        event = len(self.events)
        loops = {v.name: n for v, n in self.env.items() if v not in self.sizes}
        self.events.append(Event(block, instance, path, leaf.atomic, extra, loops))
        reduces = block.reducer is not None and bool(block.sources)
        stores = []
        for n, write in enumerate(block.writes):
            at = tuple(self.value(i, env) for i in write.indices)
            if reduces:
                old = self.read(write.buffer, at, event, own=True)
                new = self.term(block.sources[n], env, event)
                items = (*old[1][2], new[1]) if old[1][0] == "red" else (new[1],)
                base = old[1][1] if old[1][0] == "red" else old[1]
                term = (
                    ("step", block.name, old[0], new[0]),
                    ("red", base, tuple(sorted(items, key=repr))),
                )
            else:
                term = self.term(write.value, env, event)
                if block.kind is BlockKind.INIT:
                    term = (("init", block.name, instance),) * 2
                else:
                    term = tuple((block.name, n, instance, t) for t in term)
            stores.append((write.buffer, at, term, reduces))
        for buffer, at, term, own in stores:
            self.write(buffer, at, term, event, own=own)

    def place(self, buffer, at):
        """Where an element is kept: under a layout that folds, several share a place."""
        layout = self.layouts.get(buffer)
        if layout is None:
            return at
        env = dict(zip(layout.inputs, at, strict=True))
        return tuple(self.value(e, env) for e in layout.outputs)

    def read(self, buffer, element, event, *, own=False):
        name, copy = self.copies.get(buffer) or ("missing", {})
        at = self.place(buffer, element)
        self.events[event].touched.append((buffer.name, name, at, False, element))
        if name == "missing":
            self.escapes.append((buffer.name, "no copy"))
        if at not in copy:
            param = name is buffer
            if param and not self.inside(buffer, at):
                self.escapes.append((buffer.name, at))
            value = (("in", buffer.name, at),) * 2
            if not param:
                self.fresh += 1
                value = (("garbage", self.fresh),) * 2
                if not self.events[event].extra:
                    self.escapes.append((buffer.name, "never written", at))
        else:
            value = copy[at]
        if not self.events[event].extra:
            self.log.setdefault((name, at), []).append((event, False, own, value[0]))
        return value

    def write(self, buffer, element, value, event, *, own):
        name, copy = self.copies.get(buffer) or ("missing", {})
        at = self.place(buffer, element)
        self.events[event].touched.append((buffer.name, name, at, True, element))
        if name == "missing" or (name is buffer and not self.inside(buffer, at)):
            self.escapes.append((buffer.name, at))
            return
        if self.events[event].extra and self.inside(buffer, element):
            self.escapes.append((buffer.name, "outside the domain", at))
        copy[at] = value
        self.log.setdefault((name, at), []).append((event, True, own, value[0]))

    def inside(self, buffer, at):
        return all(
            0 <= x < self.value(n, self.sizes) for x, n in zip(at, buffer.shape, strict=True)
        )

    def term(self, e, env, event):
        """The term of a value: loads replaced by what they read, indices by numbers."""
        match e:
            case Load(buffer=buffer, indices=indices):
                return self.read(buffer, tuple(self.value(i, env) for i in indices), event)
            case Select(cond, a, b) if self.value(cond, env) is not None:
                return self.term(a if self.value(cond, env) else b, env, event)
            case Var():
                return (("n", env[e]),) * 2
            case Const(value=value):
                return (("c", value),) * 2
            case _:
                parts = [self.term(c, env, event) for c in children(e)]
                head = (type(e).__name__, getattr(getattr(e, "op", None), "value", ""))
                return tuple((head, *(p[k] for p in parts)) for k in (0, 1))

    def value(self, e, env):
        match e:
            case Const(value=v):
                return v
            case Var():
                return env[e]
            case Binary(op, a, b):
                x, y = self.value(a, env), self.value(b, env)
                return None if x is None or y is None else OPS[op](x, y)
            case Unary(UnaryOp.NOT, a):
                x = self.value(a, env)
                return None if x is None else not x
            case Unary(UnaryOp.NEG, a):
                x = self.value(a, env)
                return None if x is None else -x
            case Select(c, a, b):
                return self.value(a if self.value(c, env) else b, env)
            case Cast(a, _):
                return self.value(a, env)
            case Checked(a, extent):
                return max(0, min(self.value(a, env), self.value(extent, env) - 1))
            case Load(indices=indices):
                # data: a fixed scrambling of the position, or all zeros
                at = [self.value(i, env) for i in indices]
                return self.scrambled * sum((7 * n + 3) * (x + 1) for n, x in enumerate(at)) % 5
        return None

    def find_conflicts(self):
        for place, touches in self.log.items():
            for n, one in enumerate(touches):
                for two in touches[:n]:
                    if (one[1] or two[1]) and self.clash(one, two, touches):
                        self.conflicts.append((place, one[0], two[0]))

    def clash(self, one, two, touches):
        a, b = self.events[one[0]], self.events[two[0]]
        if order(a.path, b.path) != "concurrent":
            return False
        if a.extra or b.extra:
            return False
        if a.atomic and b.atomic and one[2] and two[2] and a.block is b.block:
            return False
        if one[1] and two[1]:
            same = a.block is b.block and a.instance == b.instance and a.block.kind in SINGLE
            return not (same and one[3] == two[3])
        reader, writer = (one, two) if two[1] else (two, one)
        if self.events[writer[0]].block.kind not in SINGLE or reader[3] != writer[3]:
            return True
        return not any(
            w[1] and w[3] == reader[3] and self.surely_before(w[0], reader[0]) for w in touches
        )

    def surely_before(self, w, r):
        return order(self.events[w].path, self.events[r].path) == "before"


def order(a, b):
    for x, y in zip(a, b, strict=False):
        if x[1] != y[1]:
            if x[2]:
                return "concurrent"
            return "before" if x[1] < y[1] else "after"
    return "same"


OPS = {
    BinaryOp.ADD: lambda a, b: a + b,
    BinaryOp.SUB: lambda a, b: a - b,
    BinaryOp.MUL: lambda a, b: a * b,
    BinaryOp.FLOORDIV: lambda a, b: a // b if b else 0,
    BinaryOp.FLOORMOD: lambda a, b: a % b if b else 0,
    BinaryOp.MIN: min,
    BinaryOp.MAX: max,
    BinaryOp.LT: lambda a, b: a < b,
    BinaryOp.LE: lambda a, b: a <= b,
    BinaryOp.GT: lambda a, b: a > b,
    BinaryOp.GE: lambda a, b: a >= b,
    BinaryOp.EQ: lambda a, b: a == b,
    BinaryOp.NE: lambda a, b: a != b,
    BinaryOp.AND: lambda a, b: a and b,
    BinaryOp.OR: lambda a, b: a or b,
}


def verdict(algorithm, program, sizes):
    """ "exact", "reassociates" or "illegal", and why, by running both programs."""
    wanted = Machine(algorithm, sizes).run()
    got = Machine(program, sizes).run()
    if got.escapes:
        return "illegal", ("escapes", got.escapes[:3])
    if got.conflicts:
        return "illegal", ("conflicts", got.conflicts[:3])
    if got.same(wanted, exact=True):
        return "exact", None
    if got.same(wanted, exact=False):
        return "reassociates", None
    return "illegal", "results differ"


def replay(algorithm, program, witness):
    """Whether a witness is true: its iterations exist and conflict as it says. Returns why not."""
    machine = Machine(program, dict(witness.sizes), scrambled=False)
    machine.run()
    place = (witness.buffer, witness.element)
    first = find(machine, witness.first_block, witness.first)
    if witness.kind == "coverage" and not first:
        return replay_missing(machine, algorithm, witness)
    if not first:
        return "the first iteration does not run"
    touching = [t for e in first for t in e.touched if (t[0], t[4]) == place]
    if not touching:
        return f"the first iteration does not touch {place}"
    if witness.kind == "coverage" and first[0].block.kind in (BlockKind.INIT, BlockKind.REDUCE):
        return None  # an episode that is not whole
    if witness.kind == "coverage":
        reads = [t for t in touching if not t[3]]
        missing = reads and unwritten(algorithm, machine, first[0], reads[0], witness.sizes)
        return None if missing else "written before"
    if witness.kind == "bounds":
        return None if any(e.extra for e in first) else "inside the domain"
    second = find(machine, witness.second_block, witness.second)
    if not second:
        return "the second iteration does not run"
    kept = (witness.buffer, touching[0][2])
    other = [t for e in second for t in e.touched if (t[0], t[2]) == kept]
    if not other:
        return f"the second iteration does not touch {place}"
    if not any(t[3] for t in touching + other):
        return "both only read"
    for a in first:
        for b in second:
            apart = touching[0][1] != other[0][1]
            again = (a.block, a.instance) == (b.block, b.instance)
            if apart or again or order(a.path, b.path) != "before":
                return None
    return "kept in order"


def find(machine, block, loops):
    return [e for e in machine.events if e.block.name == block and e.loops == dict(loops)]


def replay_missing(machine, algorithm, witness):
    block = next(
        e.block for e in Machine(algorithm, dict(witness.sizes)).ran()
        if e.block.name == witness.first_block
    )  # fmt: skip
    wanted = tuple(witness.first[v.name] for v in block.vars)
    ran = any(e.block is block and e.instance == wanted for e in machine.events)
    return "it does run" if ran else None


def unwritten(algorithm, machine, event, read, sizes):
    """Whether some instance that writes the element has not run, in that copy, when it is read."""
    done = {
        (e.block, e.instance)
        for e in machine.events
        for t in e.touched
        if t[3] and t[1:3] == read[1:3] and order(e.path, event.path) == "before"
    }
    wanted = {
        (e.block, e.instance)
        for e in Machine(algorithm, dict(sizes)).ran()
        for t in e.touched
        if t[3] and (t[0], t[4]) == (read[0], read[4])
    }
    return not wanted <= done
