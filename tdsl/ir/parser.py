"""Programs from text: the reverse of printer.py.

`alpha_equal(parse_program(print_program(p)), p)` holds for every well-formed program; spans are
not part of the text.
"""

from __future__ import annotations

from dataclasses import replace

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.errors import FormatError
from tdsl.ir.block_parser import BlockParser
from tdsl.ir.build import product
from tdsl.ir.deep import deep_recursion
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.expr_parser import ExprParser
from tdsl.ir.lexer import Cursor, Line, TokenKind, split_lines, syntax_error, words
from tdsl.ir.printer import default_sizes
from tdsl.ir.stmt import (
    Alloc,
    Barrier,
    For,
    If,
    Layout,
    Let,
    LoopKind,
    Param,
    Part,
    Prefetch,
    Program,
    Role,
    Scope,
    Seq,
    Stmt,
    Store,
)
from tdsl.ir.vocabulary import BLOCK_WORDS, HEADER, LOOP_WORDS, VERSION, unquoted

_LEAVES = frozenset({"block", *BLOCK_WORDS.values()})
_KINDS = {word: kind for kind, word in LOOP_WORDS.items()}
_SCOPES = {scope.value: scope for scope in Scope}


@deep_recursion()
def parse_program(text: str) -> Program:
    """Read one program.

    Raises:
        FormatError: the text is no IR text, is of a newer version, or does not parse; the message
            gives line (from 1) and column (from 0).
    """
    lines = split_lines(text)
    _check_header(lines)
    return _Parser(lines).program()


def _check_header(lines: list[Line]) -> None:
    if not lines or not lines[0].text.startswith(HEADER + " "):
        raise FormatError(f"no IR text: the first line is not '{HEADER} {VERSION}'")
    version = lines[0].text.removeprefix(HEADER).strip()
    if not version.isdigit() or int(version) < 1:
        raise syntax_error(
            lines[0].text, lines[0].number, len(HEADER) + 1, f"no version: {version!r}"
        )
    if int(version) > VERSION:
        raise FormatError(
            f"IR text of version {version}; this tdsl reads version {VERSION} and older",
            hint="update tdsl",
        )


class _Parser:
    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.at = 1  # after the header
        self.exprs = ExprParser()
        self.loop_extents: dict[Var, Expr] = {}
        self.blocks = BlockParser(self.exprs, self.loop_extents)

    def program(self) -> Program:
        if self.at == len(self.lines):
            raise FormatError("IR text ends after the header")
        c = self._cursor()
        self.at += 1
        c.expect("func")
        name = unquoted(c.name("the name of the function").text)
        self._declare_sizes(c)
        params = self._params(c)
        sizes = default_sizes(params)
        if self._starts("sizes"):
            sizes = self._sizes()
        assume = []
        while self._starts("assume"):
            c = self._cursor()
            c.next()
            assume.append(self.exprs.expr(c, dtypes.bool_))
            c.end()
            self.at += 1
        body = self._block(1)
        if self.at < len(self.lines):
            raise self._cursor().error("expected the end of the text")
        return Program(name, tuple(params), sizes, tuple(assume), body)

    def _cursor(self) -> Cursor:
        return Cursor(self.lines[self.at])

    def _starts(self, word: str) -> bool:
        return self.at < len(self.lines) and self.lines[self.at].tokens[0].text == word

    def _declare_sizes(self, c: Cursor) -> None:
        """Sizes are declared by use: every name in the shapes, and those of a `sizes` line."""
        if self._starts("sizes"):
            own = self._cursor()
            while own.accept("sizes") or own.accept(","):
                name = unquoted(own.name("a size").text)
                dtype = self._type(own) if own.accept(":") else dtypes.INDEX
                self.exprs.variables[name] = Var(name, dtype)
            own.end()
            return
        inside = False
        for token in c.line.tokens:
            inside = token.text == "[" or (inside and token.text != "]")
            if inside and token.kind is TokenKind.NAME:
                name = unquoted(token.text)
                self.exprs.variables.setdefault(name, Var(name))

    def _sizes(self) -> tuple[Var, ...]:
        c = self._cursor()
        found = []
        while c.accept("sizes") or c.accept(","):
            found.append(self.exprs.variable(c))
            if c.accept(":"):
                self._type(c)
        c.end()
        self.at += 1
        return tuple(found)

    def _type(self, c: Cursor) -> DType:
        token = c.name("a dtype")
        if token.text not in dtypes.BY_SHORT:
            raise c.error(f"no dtype {token.text!r}: one of {words(list(dtypes.BY_SHORT))}", token)
        return dtypes.BY_SHORT[token.text]

    def _params(self, c: Cursor) -> list[Param]:
        params: list[Param] = []
        c.expect("(")
        while not c.accept(")"):
            if params:
                c.expect(",")
            role = Role.IN
            for word in (Role.OUT, Role.INOUT):
                if c.accept(word.value):
                    role = word
            params.append(self._param(c, role))
        if c.accept("->"):
            params.append(self._param(c, Role.OUT))
            while c.accept(","):
                params.append(self._param(c, Role.OUT))
        c.expect(":")
        c.end()
        return params

    def _param(self, c: Cursor, role: Role) -> Param:
        buffer = self._buffer(c)
        strides: list[Var] = []
        if c.accept("strides"):
            c.expect("(")
            while not strides or c.accept(","):
                strides.append(self._variable(c, dtypes.INDEX))
            c.expect(")")
        return Param(buffer, role, self._layout(c), tuple(strides))

    def _buffer(self, c: Cursor) -> Buffer:
        token = c.name("the name of a buffer")
        name = unquoted(token.text)
        if name in self.exprs.buffers:
            raise c.error(f"a second buffer {name!r}", token)
        c.expect(":")
        dtype = self._type(c)
        c.expect("[")
        shape = self.exprs.sequence(c, "]")
        c.expect("]")
        buffer = Buffer(name, dtype, shape, c.accept("strided"))
        self.exprs.buffers[name] = buffer
        return buffer

    def _layout(self, c: Cursor) -> Layout | None:
        if not c.accept("layout"):
            return None
        c.expect("(")
        saved = self._enter()
        inputs: list[Var] = []
        while not c.accept("->"):
            if inputs:
                c.expect(",")
            inputs.append(self._variable(c, dtypes.INDEX))
        outputs = self.exprs.sequence(c, ";", ")")
        shape = self.exprs.sequence(c, ")") if c.accept(";") else None
        c.expect(")")
        self._leave(saved)
        return Layout(tuple(inputs), outputs, shape)

    def _enter(self) -> dict[str, Var]:
        saved = self.exprs.variables
        self.exprs.variables = dict(saved)
        return saved

    def _leave(self, saved: dict[str, Var]) -> None:
        self.exprs.variables = saved

    def _variable(self, c: Cursor, dtype: DType, width: int = 1) -> Var:
        name = unquoted(c.name("a variable").text)
        var = self.exprs.variables[name] = Var(name, dtype, width)
        return var

    def _block(self, depth: int) -> Stmt:
        """The statements of a body; a single one stands for itself."""
        body = self._list(depth)
        return body[0] if len(body) == 1 else Seq(tuple(body))

    def _list(self, depth: int) -> list[Stmt]:
        if self.at == len(self.lines) or self.lines[self.at].depth < depth:
            line = self.lines[self.at - 1]
            raise syntax_error(line.text, line.number, len(line.text), "expected an indented body")
        saved = self._enter()
        body: list[Stmt] = []
        while self.at < len(self.lines) and self.lines[self.at].depth >= depth:
            if self.lines[self.at].depth > depth:
                raise self._cursor().error(
                    f"indented {self.lines[self.at].depth - depth} levels too far"
                )
            body.append(self._stmt(depth))
        self._leave(saved)
        return body

    def _stmt(self, depth: int) -> Stmt:
        c = self._cursor()
        self.at += 1
        word = c.token.text
        if c.peek().text == "[":
            return self._store(c)
        if word in _LEAVES:
            details = []
            while self.at < len(self.lines) and self.lines[self.at].depth > depth:
                details.append(self.lines[self.at])
                self.at += 1
            return self.blocks.leaf(c, details)
        match word:
            case "for":
                return self._for(c, depth)
            case "alloc":
                return self._alloc(c, depth)
            case "let":
                return self._let(c, depth)
            case "if":
                return self._if(c, depth)
            case "seq":
                return self._seq(c, depth)
            case "prefetch":
                c.next()
                buffer, indices, _ = self.exprs.access(c)
                c.end()
                return Prefetch(buffer, indices)
            case "barrier":
                c.next()
                c.end()
                return Barrier()
            case _:
                raise c.error(f"expected a statement, found {c.found()}")

    def _store(self, c: Cursor) -> Stmt:
        buffer, indices, mask = self.exprs.access(c)
        c.expect("=")
        value = self.exprs.expr(c, buffer.dtype)
        atomic = c.accept("atomic")
        stream = c.accept("stream")
        c.end()
        return Store(buffer, indices, value, mask, atomic, stream)

    def _seq(self, c: Cursor, depth: int) -> Stmt:
        c.next()
        c.expect(":")
        c.end()
        if self._starts("pass"):
            self.at += 1
            return Seq(())
        return Seq(tuple(self._list(depth + 1)))

    def _if(self, c: Cursor, depth: int) -> Stmt:
        c.next()
        cond = self.exprs.expr(c, dtypes.bool_)
        c.expect(":")
        c.end()
        then = self._block(depth + 1)
        otherwise = None
        if self._starts("else") and self.lines[self.at].depth == depth:
            c = self._cursor()
            c.next()
            c.expect(":")
            c.end()
            self.at += 1
            otherwise = self._block(depth + 1)
        return If(cond, then, otherwise)

    def _rest(self, c: Cursor, depth: int) -> Stmt:
        """What an `alloc` or `let` is for: the indented body, or the rest of the row."""
        if c.accept(":"):
            c.end()
            return self._block(depth + 1)
        c.end()
        return self._block(depth)

    def _alloc(self, c: Cursor, depth: int) -> Stmt:
        c.next()
        buffer = self._buffer(c)
        scope = Scope.GLOBAL
        if c.accept("in"):
            token = c.name("a scope")
            if token.text not in _SCOPES:
                raise c.error(f"no scope {token.text!r}: one of {words(list(_SCOPES))}", token)
            scope = _SCOPES[token.text]
        layout = self._layout(c)
        return Alloc(buffer, self._rest(c, depth), scope, layout)

    def _let(self, c: Cursor, depth: int) -> Stmt:
        c.next()
        token = c.name("a variable")
        given: tuple[DType, int] | None = None
        if c.accept(":"):
            given = self._vector_type(c)
        c.expect("=")
        value = self.exprs.expr(c, given[0] if given else None)
        dtype, lanes = given or (value.dtype, value.lanes)
        name = unquoted(token.text)
        saved = self._enter()
        var = self.exprs.variables[name] = Var(name, dtype, lanes)
        body = self._rest(c, depth)
        self._leave(saved)
        return Let(var, value, body)

    def _vector_type(self, c: Cursor) -> tuple[DType, int]:
        token = c.name("a dtype")
        short, _, lanes = token.text.partition("x")
        if short not in dtypes.BY_SHORT or (lanes and not lanes.isdigit()):
            raise c.error(f"no type {token.text!r}", token)
        return dtypes.BY_SHORT[short], int(lanes or 1)

    def _for(self, c: Cursor, depth: int) -> Stmt:
        c.next()
        saved = self._enter()
        loops: list[For] = []
        while not loops or c.accept(","):
            loops.append(self._head(c))
        c.expect(":")
        c.end()
        body = self._block(depth + 1)
        self._leave(saved)
        for loop in reversed(loops):
            body = replace(loop, body=body)
        return body

    def _head(self, c: Cursor) -> For:
        name, dtype = self._loop_name(c)
        kind = LoopKind.SERIAL
        if c.token.text in _KINDS and c.peek().text in ("(", "fused"):
            kind = _KINDS[c.next().text]
        if c.token.text == "fused" and c.peek().text == "(":
            return self._fused(c, name, dtype, kind)
        if kind is not LoopKind.SERIAL:
            c.expect("(")
        extent = self.exprs.index(c)
        if kind is not LoopKind.SERIAL:
            c.expect(")")
        word = c.name("an instruction").text if c.accept("by") else ""
        return For(self._open(name, dtype, extent), extent, Seq(()), kind, instruction=word)

    def _fused(self, c: Cursor, name: str, dtype: DType, kind: LoopKind) -> For:
        c.next()
        c.expect("(")
        parts: list[Part] = []
        while not parts or c.accept(","):
            part_name, part_dtype = self._loop_name(c)
            extent = self.exprs.index(c)
            parts.append(Part(self._open(part_name, part_dtype, extent), extent))
        total = product([part.extent for part in parts])
        if c.accept(";"):
            total = self.exprs.index(c)
        c.expect(")")
        return For(self._open(name, dtype, total), total, Seq(()), kind, tuple(parts))

    def _loop_name(self, c: Cursor) -> tuple[str, DType]:
        name = unquoted(c.name("a loop variable").text)
        dtype = self._type(c) if c.accept(":") else dtypes.INDEX
        c.expect("in")
        return name, dtype

    def _open(self, name: str, dtype: DType, extent: Expr) -> Var:
        var = self.exprs.variables[name] = Var(name, dtype)
        self.loop_extents[var] = extent
        return var
