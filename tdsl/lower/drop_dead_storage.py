"""Drop what is never read: ``acc.5 = 0; for k: acc.5 = acc.5 + x`` -> nothing.

A tile of the greater of two sizes has rows that the smaller size never copies out. Storage whose
elements only feed other storage of that kind is dead, and so is every store to it.
"""

from __future__ import annotations

from collections import defaultdict

from tdsl.ir.expr import Buffer, Expr, Load
from tdsl.ir.stmt import Alloc, For, If, Let, Program, Seq, Stmt, Store
from tdsl.ir.visit import children, has_effects, statements, walk
from tdsl.lower.bodies import map_statements, with_body
from tdsl.lower.conditions import NOTHING, is_nothing
from tdsl.target import Target


def drop_dead_storage(program: Program, target: Target) -> Program:
    """Remove allocations that nothing but dead storage depends on, with their stores."""
    del target
    private = {n.buffer for n in statements(program.body) if isinstance(n, Alloc)}
    dead = private - _live(program.body, private)
    return with_body(program, _without(program.body, dead)) if dead else program


def _live(body: Stmt, private: set[Buffer]) -> set[Buffer]:
    """Buffers that results, branches or side effects depend on."""
    feeds: dict[Buffer, set[Buffer]] = defaultdict(set)
    live: set[Buffer] = set()
    for n in statements(body):
        below = [m for e in children(n) if isinstance(e, Expr) for m in walk(e)]
        loaded = {m.buffer for m in below if isinstance(m, Load)}
        if not isinstance(n, Store):
            live |= loaded
        elif n.buffer in private and not has_effects(n):
            feeds[n.buffer] |= loaded
        else:
            live |= loaded | {n.buffer}  # a store with a side effect stays, and needs its buffer
    pending = list(live)
    while pending:
        for buffer in feeds.pop(pending.pop(), ()):
            if buffer not in live:
                live.add(buffer)
                pending.append(buffer)
    return live


def _without(s: Stmt, dead: set[Buffer]) -> Stmt:
    match s:
        case Store(buffer=buffer) if buffer in dead:
            return NOTHING
        case Alloc(buffer=buffer, body=body) if buffer in dead:
            return _without(body, dead)
        case _:
            new = map_statements(s, lambda n: _without(n, dead))
            return _folded(new) if new is not s else s


def _folded(s: Stmt) -> Stmt:
    """A statement whose parts became empty, without them."""
    match s:
        case Seq(body=body):
            kept = tuple(child for child in body if not is_nothing(child))
            return kept[0] if len(kept) == 1 else Seq(kept)
        case For() | Alloc() | Let():
            return NOTHING if is_nothing(s.body) else s
        case If(then=then, otherwise=None):
            return NOTHING if is_nothing(then) else s
        case If(cond=cond, then=then, otherwise=Stmt() as rest) if is_nothing(rest):
            return NOTHING if is_nothing(then) else If(cond, then)
        case _:
            return s
