"""Programs as text, in a form that `parser.parse_program` reads back without loss.

::

    tdsl-ir 1
    func scale(x: f32[N]) -> y: f32[N]:
      for i in N:
        block y(i): y[i] = x[i] * 2

Spans are not kept, and variables that would clash with a visible one are renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never, cast

from tdsl.ir.build import product
from tdsl.ir.deep import deep_recursion
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.expr_text import ExprText
from tdsl.ir.nest import print_expr, print_nest
from tdsl.ir.printer_blocks import BlockText
from tdsl.ir.scopes import Names
from tdsl.ir.stmt import (
    Alloc,
    AnyStmt,
    Barrier,
    For,
    If,
    Layout,
    Leaf,
    Let,
    LoopKind,
    Param,
    Prefetch,
    Program,
    Role,
    Scope,
    Seq,
    Stmt,
    Store,
)
from tdsl.ir.visit import walk
from tdsl.ir.vocabulary import HEADER, LOOP_WORDS, VERSION, quoted, type_text

__all__ = ["default_sizes", "print_expr", "print_nest", "print_program"]


@deep_recursion()
def print_program(program: Program) -> str:
    """The whole program as text (DESIGN section 4), header included, newline at the end."""
    return _Printer(program).program()


def default_sizes(params: Iterable[Param]) -> tuple[Var, ...]:
    """The variables of the parameters' shapes in order of appearance."""
    found: dict[Var, None] = {}
    for param in params:
        for extent in param.buffer.shape:
            for n in walk(extent):
                if isinstance(n, Var):
                    found[n] = None
    return tuple(found)


class _Printer:
    def __init__(self, program: Program) -> None:
        self.root = program
        self.names = Names()
        self.lines: list[str] = []
        self.exprs = ExprText(
            lambda v: quoted(self.names.var(v)), lambda b: quoted(self.names.buffer(b))
        )
        self.loop_extents: dict[Var, Expr] = {}
        self.blocks = BlockText(self.names, self.exprs, self.loop_extents, program.body)

    def program(self) -> str:
        p = self.root
        self.lines.append(f"{HEADER} {VERSION}")
        with self.names.scope(p.sizes):
            for param in p.params:
                self.names.declare_buffer(param.buffer)
            self.lines.append(self._signature(p))
            if p.sizes != default_sizes(p.params) or any(v.type.short != "i64" for v in p.sizes):
                self._line(1, "sizes " + ", ".join(self._size(v) for v in p.sizes))
            for fact in p.assume:
                self._line(1, f"assume {self.exprs.text(fact)}")
            self._block(p.body, 1)
        return "\n".join(self.lines) + "\n"

    def _size(self, v: Var) -> str:
        name = quoted(self.names.var(v))
        return name if v.type.short == "i64" else f"{name}: {v.type.short}"

    def _signature(self, p: Program) -> str:
        outs = [param for param in p.params if param.role is Role.OUT]
        ins = [param for param in p.params if param.role is not Role.OUT]
        if p.params == (*ins, *outs) and outs:
            heads = ", ".join(self._param(param, "") for param in outs)
            tail = f" -> {heads}"
        else:
            ins, tail = list(p.params), ""
        words = {Role.IN: "", Role.OUT: "out ", Role.INOUT: "inout "}
        inside = ", ".join(self._param(param, words[param.role]) for param in ins)
        return f"func {quoted(p.name)}({inside}){tail}:"

    def _param(self, param: Param, word: str) -> str:
        strides = ""
        if param.strides:
            names = ", ".join(quoted(self.names.open(v)) for v in param.strides)
            strides = f" strides({names})"
        return word + self._declaration(param.buffer) + strides + self._layout(param.layout)

    def _declaration(self, b: Buffer) -> str:
        strided = " strided" if b.strided else ""
        shape = self.exprs.indices(b.shape)
        return f"{quoted(self.names.buffer(b))}: {b.type.short}[{shape}]{strided}"

    def _layout(self, layout: Layout | None) -> str:
        if layout is None:
            return ""
        with self.names.scope(layout.inputs):
            inputs = ", ".join(quoted(self.names.var(v)) for v in layout.inputs)
            outputs = self.exprs.indices(layout.outputs)
            shape = ""
            if layout.shape is not None:
                shape = f"; {self.exprs.indices(layout.shape)}"
            return f" layout({inputs} -> {outputs}{shape})"

    def _line(self, depth: int, text: str) -> None:
        self.lines.append("  " * depth + text)

    def _block(self, s: Stmt, depth: int) -> None:
        """The lines of a body: a sequence of two or more needs no word of its own."""
        self._list(s.body if isinstance(s, Seq) and len(s.body) > 1 else (s,), depth)

    def _list(self, body: Sequence[Stmt], depth: int) -> None:
        """Statements in a row; a final `alloc` or `let` is followed by its body in the same row."""
        with self.names.scope(()):
            for s in body[:-1]:
                self._stmt(s, depth)
            last = body[-1]
            if isinstance(last, Alloc | Let):
                self._line(depth, self._opening(last))
                self._block(last.body, depth)
            else:
                self._stmt(last, depth)

    def _opening(self, s: Alloc | Let) -> str:
        if isinstance(s, Alloc):
            self.names.declare_buffer(s.buffer)
            scope = "" if s.scope is Scope.GLOBAL else f" in {s.scope.value}"
            return f"alloc {self._declaration(s.buffer)}{scope}{self._layout(s.layout)}"
        value = self.exprs.text(s.value)
        known = (s.value.dtype, s.value.lanes) == (s.var.type, s.var.width)
        given = "" if known else f": {type_text(s.var.type, s.var.width)}"
        return f"let {quoted(self.names.open(s.var))}{given} = {value}"

    def _stmt(self, s: Stmt, depth: int) -> None:
        s = cast("AnyStmt", s)
        match s:
            case For():
                self._for(s, depth)
            case Seq(body):
                self._line(depth, "seq:")
                if body:
                    self._list(body, depth + 1)
                else:
                    self._line(depth + 1, "pass")
            case Leaf():
                self.lines += self.blocks.leaf(s, depth)
            case Alloc() | Let():
                with self.names.scope(()):
                    self._line(depth, self._opening(s) + ":")
                    self._block(s.body, depth + 1)
            case Store():
                self._line(depth, self._store(s))
            case If(cond, then, otherwise):
                self._line(depth, f"if {self.exprs.text(cond)}:")
                self._block(then, depth + 1)
                if otherwise is not None:
                    self._line(depth, "else:")
                    self._block(otherwise, depth + 1)
            case Prefetch(buffer, indices):
                self._line(depth, f"prefetch {self.exprs.access(buffer, indices)}")
            case Barrier():
                self._line(depth, "barrier")
            case _:
                assert_never(s)

    def _store(self, s: Store) -> str:
        target = self.exprs.access(s.buffer, s.indices, s.mask)
        value = self.exprs.text(s.value, s.buffer.dtype)
        words = " atomic" * s.atomic + " stream" * s.stream
        return f"{target} = {value}{words}"

    def _for(self, loop: For, depth: int) -> None:
        heads: list[str] = []
        s: Stmt = loop
        with self.names.scope(()):
            while isinstance(s, For):
                plain = s.kind is LoopKind.SERIAL and not s.parts
                if heads and not plain:
                    break
                heads.append(self._head(s))
                s = s.body
                if not plain:
                    break
            self._line(depth, f"for {', '.join(heads)}:")
            self._block(s, depth + 1)

    def _head(self, loop: For) -> str:
        if loop.parts:
            return self._fused_head(loop)
        extent = self.exprs.index(loop.extent)
        if loop.kind is not LoopKind.SERIAL:
            extent = f"{LOOP_WORDS[loop.kind]}({extent})"
        name = f" by {loop.instruction}" if loop.instruction else ""
        return f"{self._loop_var(loop.var, loop.extent)} in {extent}{name}"

    def _fused_head(self, loop: For) -> str:
        total = (
            ""
            if loop.extent == product([part.extent for part in loop.parts])
            else (f"; {self.exprs.index(loop.extent)}")
        )
        parts = []
        for part in loop.parts:
            extent = self.exprs.index(part.extent)
            parts.append(f"{self._loop_var(part.var, part.extent)} in {extent}")
        kind = "" if loop.kind is LoopKind.SERIAL else LOOP_WORDS[loop.kind] + " "
        name = self._loop_var(loop.var, loop.extent)
        return f"{name} in {kind}fused({', '.join(parts)}{total})"

    def _loop_var(self, v: Var, extent: Expr) -> str:
        self.loop_extents[v] = extent
        name = quoted(self.names.open(v))
        return name if v.type.short == "i64" else f"{name}: {v.type.short}"
