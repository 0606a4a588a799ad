"""Loop trees from text, for tests: indented lines of loops, allocations and leaves.

    par io in 4:
      alloc C:
        ii in 16:
          C(io*16+ii, j, k) if io*16+ii < M

A loop may be `par`, `vec`, `unr`, `gx`, `lx`, or `fuse i in M, j in N:`. Leaves name blocks of
the algorithm; `atomic C(...)` marks one. Buffers that the text does not allocate live outermost.
"""

import re

from tdsl.ir import build
from tdsl.ir.expr import Binary, BinaryOp, Expr, Select, Var
from tdsl.ir.stmt import Alloc, For, Guard, Layout, Leaf, LoopKind, Part, Program, Seq
from tdsl.ir.visit import accessed_buffers, allocated, leaves

KINDS = {
    "par": LoopKind.PARALLEL,
    "vec": LoopKind.VECTORIZED,
    "unr": LoopKind.UNROLLED,
    "gx": LoopKind.GROUP_X,
    "lx": LoopKind.LOCAL_X,
}


class X:
    """An index expression with operators."""

    def __init__(self, e):
        self.e = e.e if isinstance(e, X) else build.as_index(e)

    def __add__(self, o):
        return X(build.add(self.e, X(o).e))

    __radd__ = __add__

    def __sub__(self, o):
        return X(build.sub(self.e, X(o).e))

    def __rsub__(self, o):
        return X(o) - self

    def __mul__(self, o):
        return X(build.mul(self.e, X(o).e))

    __rmul__ = __mul__

    def __floordiv__(self, o):
        return X(build.floordiv(self.e, X(o).e))

    def __mod__(self, o):
        return X(build.floormod(self.e, X(o).e))

    def _compare(self, op, o):
        return X(build.compare(op, self.e, X(o).e))

    def __lt__(self, o):
        return self._compare(BinaryOp.LT, o)

    def __le__(self, o):
        return self._compare(BinaryOp.LE, o)

    def __gt__(self, o):
        return self._compare(BinaryOp.GT, o)

    def __ge__(self, o):
        return self._compare(BinaryOp.GE, o)

    def __and__(self, o):
        return X(Binary(BinaryOp.AND, self.e, X(o).e))

    def __or__(self, o):
        return X(Binary(BinaryOp.OR, self.e, X(o).e))


def expression(text, names) -> Expr:
    scope = {n: X(v) for n, v in names.items()}
    scope |= {
        "min": lambda a, b: X(build.minimum(X(a).e, X(b).e)),
        "max": lambda a, b: X(build.maximum(X(a).e, X(b).e)),
        "select": lambda c, a, b: X(Select(c.e, X(a).e, X(b).e)),
    }
    return X(eval(text, {"__builtins__": {}}, scope)).e


def schedule(algorithm: Program, text: str) -> Program:
    """The program that runs the algorithm's blocks as the text says."""
    blocks = {}
    for leaf in leaves(algorithm.body):
        blocks[leaf.block.name] = leaf.block
        if leaf.block.init is not None:
            blocks[leaf.block.init.name] = leaf.block.init
    buffers = {b.name: b for b in accessed_buffers(algorithm.body)}
    lines = [line for line in text.splitlines() if line.strip()]
    names = {v.name: v for v in algorithm.sizes}
    body, rest = _block(lines, _indent(lines[0]), names, blocks, buffers)
    assert not rest, rest
    placed = allocated(body)
    for buffer in allocated(algorithm.body):
        if buffer not in placed:
            body = Alloc(buffer, body)
    return Program(algorithm.name, algorithm.params, algorithm.sizes, algorithm.assume, body)


def _indent(line):
    return len(line) - len(line.lstrip())


def _block(lines, indent, names, blocks, buffers):
    found = []
    while lines and _indent(lines[0]) == indent:
        line = lines[0].strip()
        if line.endswith(":"):
            inner = dict(names)
            wrap = _header(line[:-1], inner, buffers)
            body, lines = _block(lines[1:], _indent(lines[1]), inner, blocks, buffers)
            found.append(wrap(body))
        else:
            found.append(_leaf(line, names, blocks))
            lines = lines[1:]
    return (found[0] if len(found) == 1 else Seq(tuple(found))), lines


def _header(text, names, buffers):
    if text.startswith("alloc "):
        name, _, layout = text[6:].partition(" layout ")
        buffer = buffers[name.strip()]
        made = None
        if layout:
            ins, _, outs = layout.partition("->")
            inputs = {n.strip(): Var(n.strip()) for n in ins.split(",")}
            made = Layout(
                tuple(inputs.values()), tuple(expression(o, inputs) for o in _split(outs))
            )
        return lambda body: Alloc(buffer, body, layout=made)
    kind = LoopKind.SERIAL
    word, _, rest = text.partition(" ")
    if word in KINDS:
        kind, text = KINDS[word], rest
    if text.startswith("fuse "):
        parts = []
        for piece in text[5:].split(","):
            name, extent = (t.strip() for t in piece.split(" in "))
            e = expression(extent, names)
            names[name] = Var(name)
            parts.append(Part(names[name], e))
        extent = build.product([p.extent for p in parts])
        fused = Var("_".join(p.var.name for p in parts))
        return lambda body: For(fused, extent, body, kind, tuple(parts))
    name, extent = (t.strip() for t in text.split(" in "))
    e = expression(extent, names)
    var = names[name] = Var(name)
    return lambda body: For(var, e, body, kind)


def _split(text):
    parts, depth, last = [], 0, 0
    for n, c in enumerate(text):
        depth += (c in "([") - (c in ")]")
        if c == "," and depth == 0:
            parts.append(text[last:n])
            last = n + 1
    parts.append(text[last:])
    return [p for p in parts if p.strip()]


def _leaf(line, names, blocks):
    atomic = line.startswith("atomic ")
    line = line.removeprefix("atomic ")
    match = re.fullmatch(r"([\w.]+?)\((.*?)\)(?: if (.*))?", line) or re.fullmatch(
        r"([\w.]+)\((.*)\)(?: if (.*))?", line
    )
    assert match, line
    bindings, guards = match[2], match[3]
    if bindings.count("(") != bindings.count(")"):
        match = re.fullmatch(r"([\w.]+)\((.*)\)(?: if (.*))?", line)
        bindings, guards = match[2], match[3]
    return Leaf(
        blocks[match[1]],
        tuple(expression(b, names) for b in _split(bindings)),
        tuple(Guard(expression(g, names)) for g in _split(guards or "")),
        atomic=atomic,
    )
