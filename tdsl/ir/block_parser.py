"""Leaves and their blocks from text: the reverse of printer_blocks.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir.expr import Expr, Var
from tdsl.ir.expr_parser import ExprParser
from tdsl.ir.lexer import Cursor, Line, TokenKind
from tdsl.ir.printer_blocks import default_kind
from tdsl.ir.stmt import (
    Block,
    BlockKind,
    Fetch,
    Guard,
    IterKind,
    IterVar,
    Leaf,
    Reducer,
    Tail,
    Write,
)
from tdsl.ir.vocabulary import BLOCK_WORDS, ITER_WORDS, unquoted

_BLOCK_KINDS = {word: kind for kind, word in BLOCK_WORDS.items()}
_ITER_KINDS = {word: kind for kind, word in ITER_WORDS.items()}
_TAILS = {tail.value: tail for tail in Tail}


@dataclass
class _Iter:
    """An iteration variable as written: what is missing follows from the loops."""

    kind: IterKind
    name: str
    dtype: DType
    extent: Expr | None
    binding: Expr | None


class BlockParser:
    """Reads leaves; a block written once is referred to by its number elsewhere."""

    def __init__(self, exprs: ExprParser, loop_extents: Mapping[Var, Expr]) -> None:
        self.exprs = exprs
        self.loop_extents = loop_extents
        self.numbered: dict[int, Block] = {}

    def leaf(self, c: Cursor, details: Sequence[Line]) -> Leaf:
        """A leaf from its head line and the indented lines below it."""
        word = c.next().text
        if c.accept("@"):
            return self._repeated(c)
        name, number = self._name(c)
        iters = self._iters(c)
        bindings = tuple(self._binding(c, it) for it in iters)
        guards = self._guards(c)
        marks = self._marks(c)
        made = tuple(
            IterVar(Var(it.name, it.dtype), self._extent(c, it, b), it.kind)
            for it, b in zip(iters, bindings, strict=True)
        )
        kind = default_kind(made) if word == "block" else _BLOCK_KINDS[word]
        block = self._block(c, name, number, kind, made, details)
        return Leaf(block, bindings, guards, *marks)

    def _repeated(self, c: Cursor) -> Leaf:
        block = self._reference(c)
        c.expect("(")
        bindings = self.exprs.sequence(c, ")")
        c.expect(")")
        guards = self._guards(c)
        marks = self._marks(c)
        c.end()
        return Leaf(block, bindings, guards, *marks)

    def _marks(self, c: Cursor) -> tuple[bool, bool, tuple[Fetch, ...]]:
        atomic, stream = c.accept("atomic"), c.accept("stream")
        fetches: list[Fetch] = []
        while c.accept("fetch"):
            fetches.append(self._fetch(c))
        return atomic, stream, tuple(fetches)

    def _fetch(self, c: Cursor) -> Fetch:
        c.expect("(")
        names: list[str] = []
        while not c.accept("->"):
            if names:
                c.expect(",")
            names.append(unquoted(c.name("an iteration variable").text))
        inputs = tuple(Var(name) for name in names)
        saved = self.exprs.variables
        self.exprs.variables = {**saved, **dict(zip(names, inputs, strict=True))}
        buffer, indices, _ = self.exprs.access(c)
        self.exprs.variables = saved
        c.expect(")")
        return Fetch(buffer, inputs, indices)

    def _reference(self, c: Cursor) -> Block:
        number = c.integer("the number of a block")
        if number not in self.numbered:
            raise c.error(f"no block @{number} above")
        return self.numbered[number]

    def _name(self, c: Cursor) -> tuple[str, int | None]:
        name = unquoted(c.name("the name of a block").text)
        return name, c.integer("the number of the block") if c.accept("@") else None

    def _iters(self, c: Cursor) -> list[_Iter]:
        c.expect("(")
        found: list[_Iter] = []
        while not c.accept(")"):
            if found:
                c.expect(",")
            found.append(self._iter(c))
        return found

    def _iter(self, c: Cursor) -> _Iter:
        kind = IterKind.DATA
        if c.token.text in _ITER_KINDS:
            kind = _ITER_KINDS[c.next().text]
        name = unquoted(c.name("an iteration variable").text)
        dtype = dtypes.INDEX
        if c.token.text in dtypes.BY_SHORT:
            dtype = dtypes.BY_SHORT[c.next().text]
        extent = self.exprs.index(c) if c.accept(":") else None
        binding = self.exprs.index(c) if c.accept("=") else None
        return _Iter(kind, name, dtype, extent, binding)

    def _binding(self, c: Cursor, it: _Iter) -> Expr:
        found = it.binding or self.exprs.variables.get(it.name)
        if found is None:
            raise c.error(f"{it.name!r} is bound to nothing: no loop of that name here")
        return found

    def _extent(self, c: Cursor, it: _Iter, binding: Expr | None) -> Expr:
        extent = it.extent
        if extent is None and isinstance(binding, Var):
            extent = self.loop_extents.get(binding)
        if extent is None:
            raise c.error(f"the extent of {it.name!r} is missing")
        return extent

    def _guards(self, c: Cursor) -> tuple[Guard, ...]:
        guards = []
        while c.token.text in _TAILS and c.peek().text == "(":
            tail = _TAILS[c.next().text]
            c.expect("(")
            guards.append(Guard(self.exprs.expr(c, dtypes.bool_), tail))
            c.expect(")")
        return tuple(guards)

    def _block(
        self,
        c: Cursor,
        name: str,
        number: int | None,
        kind: BlockKind,
        iters: tuple[IterVar, ...],
        details: Sequence[Line],
    ) -> Block:
        """The rest of a definition: `where`, the writes, and the lines below."""
        saved = self.exprs.variables
        self.exprs.variables = saved | {it.var.name: it.var for it in iters}
        where = None
        if c.accept("where"):
            c.expect("(")
            where = self.exprs.expr(c, dtypes.bool_)
            c.expect(")")
        c.expect(":")
        writes: list[Write] = []
        if c.accept("pass"):
            c.end()
        elif c.token.kind is not TokenKind.END:
            writes.append(self._write(c))
        block_lines = list(details)
        while block_lines and block_lines[0].tokens[1].text == "[":
            writes.append(self._write(Cursor(block_lines.pop(0))))
        init, reducer, sources = self._details(block_lines, saved)
        self.exprs.variables = saved
        block = Block(name, iters, tuple(writes), kind, where, init, reducer, sources)
        if number is not None:
            self.numbered[number] = block
        return block

    def _write(self, c: Cursor) -> Write:
        buffer, indices, _ = self.exprs.access(c)
        c.expect("=")
        value = self.exprs.expr(c, buffer.dtype)
        c.end()
        return Write(buffer, indices, value)

    def _details(
        self, lines: Sequence[Line], outside: dict[str, Var]
    ) -> tuple[Block | None, Reducer | None, tuple[Expr, ...]]:
        init: Block | None = None
        reducer: Reducer | None = None
        sources: list[Expr] = []
        at = 0
        while at < len(lines):
            c = Cursor(lines[at])
            word = c.next().text
            own = at + 1
            while own < len(lines) and lines[own].depth > lines[at].depth:
                own += 1
            if word == "init":
                inside = self.exprs.variables
                self.exprs.variables = outside
                init = self._init(c, lines[at + 1 : own])
                self.exprs.variables = inside
            elif word == "reducer":
                reducer = self._reducer(c)
            elif word == "source":
                sources.append(self.exprs.expr(c))
                while c.accept(","):
                    sources.append(self.exprs.expr(c))
                c.end()
            else:
                raise Cursor(lines[at]).error("expected a write, 'init', 'reducer' or 'source'")
            at = own
        return init, reducer, tuple(sources)

    def _init(self, c: Cursor, details: Sequence[Line]) -> Block:
        if c.accept("@"):
            block = self._reference(c)
            c.end()
            return block
        kind = BlockKind.INIT
        if c.token.text in _BLOCK_KINDS:
            kind = _BLOCK_KINDS[c.next().text]
        name, number = self._name(c)
        iters = tuple(
            IterVar(Var(it.name, it.dtype), self._extent(c, it, None), it.kind)
            for it in self._iters(c)
        )
        return self._block(c, name, number, kind, iters, details)

    def _reducer(self, c: Cursor) -> Reducer:
        name = unquoted(c.name("the name of the reducer").text)
        saved = self.exprs.variables
        self.exprs.variables = dict(saved)
        c.expect("(")
        left = self._operands(c)
        c.expect(";")
        right = self._operands(c)
        c.expect(")")
        c.expect("=")
        combine = self._typed(c, left)
        c.expect("from")
        identity = self._typed(c, left)
        c.end()
        self.exprs.variables = saved
        return Reducer(name, identity, left, right, combine)

    def _operands(self, c: Cursor) -> tuple[Var, ...]:
        found: list[Var] = []
        while c.token.text not in (";", ")"):
            if found:
                c.expect(",")
            name = unquoted(c.name("a variable").text)
            c.expect(":")
            token = c.name("a dtype")
            if token.text not in dtypes.BY_SHORT:
                raise c.error(f"no dtype {token.text!r}", token)
            var = self.exprs.variables[name] = Var(name, dtypes.BY_SHORT[token.text])
            found.append(var)
        return tuple(found)

    def _typed(self, c: Cursor, like: Sequence[Var]) -> tuple[Expr, ...]:
        found: list[Expr] = []
        for var in like:
            if found:
                c.expect(",")
            found.append(self.exprs.expr(c, var.type))
        return tuple(found)
