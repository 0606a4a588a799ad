"""The compact loop nest that people read, in `print(schedule)` and in errors.

::

    for i in parallel(1024):
      for k in 512:  # reduction
        C[i, j] += A[i, k] * B[k, j]

Blocks are shown with their bindings in place of their iteration variables; the derived inits of
reductions are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never, cast

from tdsl.dtypes import DType
from tdsl.ir.build import conjunction
from tdsl.ir.deep import deep_recursion
from tdsl.ir.expr import AnyExpr, Binary, BinaryOp, Checked, Const, Expr, Var
from tdsl.ir.expr_text import ExprText
from tdsl.ir.scopes import Names
from tdsl.ir.stmt import (
    Alloc,
    AnyStmt,
    Barrier,
    Block,
    For,
    If,
    IterKind,
    Layout,
    Leaf,
    Let,
    LoopKind,
    Prefetch,
    Program,
    Scope,
    Seq,
    Stmt,
    Store,
    Tail,
)
from tdsl.ir.visit import free_vars, leaves, own_vars, substitute

_SHORTHANDS = {"sum": "+=", "prod": "*="}
_ORDERS = {IterKind.REDUCE: "reduction", IterKind.ORDERED: "in order"}


@deep_recursion()
def print_nest(program: Program, mark: Stmt | None = None) -> str:
    """The loop nest of *program*, without its signature; the line of *mark* starts with `>`."""
    return "\n".join(_Nest(program, mark).lines())


@deep_recursion()
def nest_lines(program: Program) -> list[tuple[Stmt, str]]:
    """The lines of `print_nest`, each with the statement that it shows."""
    return _Nest(program, None).found_lines()


@deep_recursion()
def print_expr(e: Expr) -> str:
    """An expression with the names that its variables have, for messages."""
    return _Readable(lambda v: v.name, lambda b: b.name).text(e)


class _Readable(ExprText):
    """Expressions for people: `t - 1` in place of `t + -1`, and no checks of indices."""

    def _leveled(self, e: AnyExpr, expected: DType | None) -> tuple[str, int]:
        match e:
            case Checked(index, _, _):
                return super()._leveled(cast("AnyExpr", index), expected)
            case Binary(BinaryOp.ADD, a, Const(value, dtype)) if dtype.is_integer and value < 0:
                positive = Binary(BinaryOp.SUB, a, Const(-value, dtype))
                return super()._leveled(positive, expected)
            case _:
                return super()._leveled(e, expected)


class _Nest:
    def __init__(self, program: Program, mark: Stmt | None) -> None:
        self.program = program
        self.mark = mark
        self.names = Names()
        self.exprs = _Readable(self.names.var, self.names.buffer)
        self.found: list[tuple[Stmt, str]] = []
        self.orders: dict[Var, str] = {}
        for leaf in leaves(program.body):
            for it, binding in zip(leaf.block.iters, leaf.bindings, strict=True):
                if it.kind is not IterKind.DATA:
                    self.orders |= dict.fromkeys(free_vars(binding), _ORDERS[it.kind])

    def found_lines(self) -> list[tuple[Stmt, str]]:
        with self.names.scope(self.program.sizes):
            for param in self.program.params:
                self.names.declare_buffer(param.buffer)
            self._stmt(self.program.body, 0)
        return self.found

    def lines(self) -> list[str]:
        found = self.found_lines()
        if self.mark is None:
            return [text for _, text in found]
        return [("> " if s is self.mark else "  ") + text for s, text in found]

    def _line(self, s: Stmt, depth: int, text: str) -> None:
        self.found.append((s, "  " * depth + text))

    def _stmt(self, s: Stmt, depth: int) -> None:
        s = cast("AnyStmt", s)
        match s:
            case For():
                with self.names.scope(()):
                    self._line(s, depth, self._head(s))
                    self._stmt(s.body, depth + 1)
            case Seq(()):
                self._line(s, depth, "pass")
            case Seq(body):
                for part in body:
                    self._stmt(part, depth)
            case Leaf():
                for text in self._leaf(s):
                    self._line(s, depth, text)
            case Alloc(buffer, body, scope, layout):
                name = self.names.declare_buffer(buffer)
                shape = self.exprs.indices(buffer.shape)
                where = "" if scope is Scope.GLOBAL else f" in {scope.value}"
                where += self._layout(layout)
                self._line(s, depth, f"alloc {name}: {buffer.type.short}[{shape}]{where}")
                self._stmt(body, depth)
            case Let(var, value, body):
                text = self.exprs.text(value)
                with self.names.scope((var,)):
                    self._line(s, depth, f"{self.names.var(var)} = {text}")
                    self._stmt(body, depth)
            case If(cond, then, otherwise):
                self._line(s, depth, f"if {self.exprs.text(cond)}:")
                self._stmt(then, depth + 1)
                if otherwise is not None:
                    self._line(s, depth, "else:")
                    self._stmt(otherwise, depth + 1)
            case Store():
                target = self.exprs.access(s.buffer, s.indices, s.mask)
                self._line(s, depth, f"{target} = {self.exprs.text(s.value, s.buffer.dtype)}")
            case Prefetch(buffer, indices):
                self._line(s, depth, f"prefetch {self.exprs.access(buffer, indices)}")
            case Barrier():
                self._line(s, depth, "barrier")
            case _:
                assert_never(s)

    def _layout(self, layout: Layout | None) -> str:
        if layout is None:
            return ""
        with self.names.scope(layout.inputs):
            return f" stored at [{self.exprs.indices(layout.outputs)}]"

    def _head(self, loop: For) -> str:
        order = next((self.orders[var] for var in own_vars(loop) if var in self.orders), "")
        note = f"  # {order}" if order else ""
        if loop.parts:
            extents = [self.exprs.index(part.extent) for part in loop.parts]
            names = [self.names.open(part.var) for part in loop.parts]
            kind = "" if loop.kind is LoopKind.SERIAL else f"{loop.kind.value} "
            return f"for {', '.join(names)} in {kind}fused({', '.join(extents)}):{note}"
        extent = self.exprs.index(loop.extent)
        if loop.kind is not LoopKind.SERIAL:
            extent = f"{loop.kind.value}({extent})"
        if loop.instruction:
            note = f"  # {loop.instruction.partition('.v')[0]}"
        return f"for {self.names.open(loop.var)} in {extent}:{note}"

    def _leaf(self, leaf: Leaf) -> Iterable[str]:
        block = leaf.block
        at = dict(zip(block.vars, leaf.bindings, strict=True))
        conds = [g.cond for g in leaf.guards]
        if block.where is not None:
            conds.append(substitute(block.where, at))
        tails = dict.fromkeys(g.tail.value for g in leaf.guards if g.tail is not Tail.GUARD)
        words = [*tails, *["atomic"] * leaf.atomic, *["stream"] * leaf.stream]
        for fetch in leaf.fetches:
            places = dict(zip(fetch.inputs, leaf.bindings, strict=False))
            where = [substitute(i, places) for i in fetch.indices]
            words.append(f"prefetch {self.exprs.access(fetch.buffer, where)}")
        note = f"  # {', '.join(words)}" if words else ""
        head = f"if {self.exprs.text(conjunction(conds))}: " if conds else ""
        for text in self._writes(block, at) or ["pass"]:
            yield head + text + note

    def _writes(self, block: Block, at: dict[Var, Expr]) -> list[str]:
        lines = []
        sign = None if block.reducer is None else _SHORTHANDS.get(block.reducer.name)
        for number, w in enumerate(block.writes):
            target = self.exprs.access(w.buffer, [substitute(i, at) for i in w.indices])
            if sign and number < len(block.sources):
                source = self.exprs.text(substitute(block.sources[number], at))
                lines.append(f"{target} {sign} {source}")
            else:
                value = self.exprs.text(substitute(w.value, at), w.buffer.dtype)
                lines.append(f"{target} = {value}")
        return lines
