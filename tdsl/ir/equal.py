"""Equality up to renaming, and the hash that goes with it.

Both read one canonical encoding: variables, buffers and blocks are numbered in the order in which
the text binds them, so that two trees are equal up to renaming just when their encodings are.
Names of the function, its parameters and its sizes count, for they are how a kernel is called;
names of loops, blocks and temporaries do not, nor do spans.
"""

from __future__ import annotations

import hashlib
from enum import Enum
from functools import cache

from tdsl.dtypes import DType
from tdsl.ir.deep import deep_recursion
from tdsl.ir.expr import Buffer, Const, Node, Var, field_names
from tdsl.ir.stmt import (
    Alloc,
    Block,
    Fetch,
    For,
    IterVar,
    Layout,
    Let,
    Part,
    Program,
    Reducer,
    Write,
)

_UNCOUNTED = frozenset({"span", "origin"})


@deep_recursion()
def alpha_equal(a: Node, b: Node) -> bool:
    """Whether two programs, statements or expressions are the same up to renaming and spans.

    Variables and buffers that neither tree binds must be the very same objects.
    """
    return a is b or _encoded(a) == _encoded(b)


@deep_recursion()
def fingerprint(program: Program) -> str:
    """A sha256 (64 hex digits) of the program up to renaming: stable across processes."""
    encoder = _Encoder()
    encoder.node(program)
    assert not encoder.free, f"unbound in {program.name}: {encoder.free}"
    return hashlib.sha256("\n".join(encoder.out).encode()).hexdigest()


@deep_recursion()
def nameless_fingerprint(program: Program) -> str:
    """As `fingerprint`, but names of the function, its parameters and its sizes don't count."""
    encoder = _Encoder(named=False)
    encoder.node(program)
    return hashlib.sha256("\n".join(encoder.out).encode()).hexdigest()


def _encoded(n: Node) -> list[str]:
    encoder = _Encoder()
    encoder.node(n)
    return encoder.out


@cache
def _counted(cls: type) -> tuple[str, ...]:
    """The fields of a node class that tell two nodes apart."""
    return tuple(name for name in field_names(cls) if name not in _UNCOUNTED)


class _Encoder:
    def __init__(self, *, named: bool = True) -> None:
        self.named = named
        self.out: list[str] = []
        self.numbers: dict[int, int] = {}
        self.bound = 0
        self.free: dict[int, Node] = {}  # also keeps them alive, so that an id means one object

    def bind(self, n: Node) -> None:
        self.numbers[id(n)] = self.bound
        self.bound += 1

    def node(self, n: Node) -> None:
        match n:
            case Var() | Buffer():
                self._mention(n)
            case Const(value, dtype):
                shown = repr(float(value)) if dtype.is_float else str(int(value))
                self.out.append(f"{shown} {dtype.short}")
            case Block():
                self._block(n)
            case Program():
                self._program(n)
            case For():
                self._for(n)
            case Alloc(buffer, body, scope, layout):
                self._declare(buffer)
                self._fields("alloc", scope, layout, body)
            case Let(var, value, body):
                self._fields("let", value)
                self._binder(var)
                self.node(body)
            case _:
                self.out.append(type(n).__name__)
                kind: type = type(n)
                for name in _counted(kind):
                    self._value(getattr(n, name))

    def _mention(self, n: Node) -> None:
        number = self.numbers.get(id(n))
        if number is None:
            self.free[id(n)] = n
            self.out.append(f"free {id(n)}")
        else:
            self.out.append(f"#{number}")

    def _binder(self, var: Var, name: str = "") -> None:
        self.bind(var)
        self.out.append(f"var {var.type.short} {var.width} {name}")

    def _declare(self, b: Buffer, name: str = "") -> None:
        self.out.append(f"buffer {b.type.short} {int(b.strided)} {name}")
        self._value(b.shape)
        self.bind(b)

    def _fields(self, head: str, *values: object) -> None:
        self.out.append(head)
        for value in values:
            self._value(value)

    def _value(self, value: object) -> None:
        match value:
            case Node():
                self.node(value)
            case Layout():
                self._layout(value)
            case Fetch():
                self._fetch(value)
            case Reducer():
                self._reducer(value)
            case tuple():
                self.out.append(f"({len(value)}")
                for item in value:
                    self._value(item)
            case Enum():
                self.out.append(value.name)
            case DType():
                self.out.append(value.short)
            case str() | int() | None:
                self.out.append(repr(value))
            case _:
                raise AssertionError(value)

    def _name(self, name: str) -> str:
        return repr(name) if self.named else ""

    def _program(self, p: Program) -> None:
        self.out.append(f"program {self._name(p.name)} {len(p.sizes)} {len(p.params)}")
        for var in p.sizes:
            self._binder(var, self._name(var.name))
        for param in p.params:
            self._declare(param.buffer, self._name(param.buffer.name))
            self._fields("param", param.role, param.layout, len(param.strides))
            for var in param.strides:
                self._binder(var)
        self._fields("body", p.assume, p.body)

    def _for(self, loop: For) -> None:
        self._fields(f"for {loop.instruction}".strip(), loop.kind)
        for part in loop.parts:
            self._part(part)
        self._value(loop.extent)
        self._binder(loop.var)
        self.node(loop.body)

    def _part(self, part: Part) -> None:
        self._fields("part", part.extent)
        self._binder(part.var)

    def _block(self, b: Block) -> None:
        if id(b) in self.numbers:
            self.out.append(f"block #{self.numbers[id(b)]}")
            return
        self.bind(b)
        self._fields("block", b.kind, tuple(it.kind for it in b.iters))
        for it in b.iters:
            self._iter(it)
        self._fields("where", b.where, len(b.writes))
        for w in b.writes:
            self._write(w)
        self._fields("reduction", b.init, b.reducer, b.sources)

    def _layout(self, layout: Layout) -> None:
        self.out.append(f"layout {len(layout.inputs)}")
        for var in layout.inputs:
            self._binder(var)
        self._fields("to", layout.outputs, layout.shape)

    def _fetch(self, fetch: Fetch) -> None:
        self._fields(f"fetch {len(fetch.inputs)}", fetch.buffer)
        for var in fetch.inputs:
            self._binder(var)
        self._value(fetch.indices)

    def _reducer(self, r: Reducer) -> None:
        self._fields(f"reducer {r.name!r} {len(r.left)} {len(r.right)}", r.identity)
        for var in (*r.left, *r.right):
            self._binder(var)
        self._fields("combine", r.combine)

    def _iter(self, it: IterVar) -> None:
        self._value(it.extent)
        self._binder(it.var)

    def _write(self, w: Write) -> None:
        self._fields("write", w.buffer, w.indices, w.value)
