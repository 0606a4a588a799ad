"""Leaves and their blocks as text.

::

    block C(i, j, reduce k = ko * 4 + ki) guard(ko * 4 + ki < K): C[i, j] = C[i, j] + A[i, k]
      init C.init(i: M, j: N): C[i, j] = 0
      reducer sum(x: f32; y: f32) = x + y from 0
      source A[i, k]

An iteration variable whose binding is a loop of the same name says no more; one bound to a loop
of its own extent does not repeat the extent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tdsl.ir.expr import Expr, Var
from tdsl.ir.expr_text import ExprText
from tdsl.ir.scopes import Names
from tdsl.ir.stmt import (
    Block,
    BlockKind,
    Fetch,
    IterKind,
    IterVar,
    Leaf,
    Reducer,
    Stmt,
    Write,
)
from tdsl.ir.visit import free_vars, leaves
from tdsl.ir.vocabulary import BLOCK_WORDS, ITER_WORDS, quoted


def default_kind(iters: Sequence[IterVar]) -> BlockKind:
    """The kind that the plain word `block` stands for."""
    reduces = any(it.kind is IterKind.REDUCE for it in iters)
    return BlockKind.REDUCE if reduces else BlockKind.COMPUTE


class BlockText:
    """Writes leaves. Blocks that occur more than once are numbered and written out once."""

    def __init__(
        self, names: Names, exprs: ExprText, loop_extents: Mapping[Var, Expr], body: Stmt
    ) -> None:
        self.names = names
        self.exprs = exprs
        self.loop_extents = loop_extents
        self.numbers = _numbers(body)
        self.written: set[Block] = set()

    def leaf(self, leaf: Leaf, depth: int) -> list[str]:
        """The lines of a leaf."""
        block = leaf.block
        guards = [f" {g.tail.value}({self.exprs.text(g.cond)})" for g in leaf.guards]
        marks = "".join(guards) + " atomic" * leaf.atomic + " stream" * leaf.stream
        marks += "".join(self._fetch(fetch) for fetch in leaf.fetches)
        bindings = [self.exprs.index(b) for b in leaf.bindings]
        pad = "  " * depth
        if block in self.written:
            return [f"{pad}block @{self.numbers[block]}({', '.join(bindings)}){marks}"]
        extents = [
            ""
            if isinstance(b, Var) and self.loop_extents.get(b) == it.extent
            else self.exprs.index(it.extent)
            for it, b in zip(block.iters, leaf.bindings, strict=True)
        ]
        word = "block"
        if block.kind is not default_kind(block.iters):
            word = BLOCK_WORDS[block.kind]
        hidden = self.loop_extents.keys() - _mentioned(block)
        with self.names.scope(block.vars, hiding=hidden):
            iters = [
                self._iter(it, extent, binding)
                for it, extent, binding in zip(block.iters, extents, bindings, strict=True)
            ]
            return self._definition(block, f"{word} ", iters, marks, depth)

    def _fetch(self, fetch: Fetch) -> str:
        with self.names.scope(fetch.inputs):
            inputs = ", ".join(quoted(self.names.var(v)) for v in fetch.inputs)
            return f" fetch({inputs} -> {self.exprs.access(fetch.buffer, fetch.indices)})"

    def _iter(self, it: IterVar, extent: str, binding: str | None) -> str:
        name = quoted(self.names.var(it.var))
        word = ITER_WORDS.get(it.kind)
        typed = "" if it.var.type.short == "i64" else f" {it.var.type.short}"
        text = f"{word} {name}{typed}" if word else f"{name}{typed}"
        if extent:
            text += f": {extent}"
        if binding is not None and (extent or binding != name):
            text += f" = {binding}"
        return text

    def _definition(
        self, block: Block, word: str, iters: list[str], marks: str, depth: int
    ) -> list[str]:
        """Head and details; the names of the iteration variables are in scope."""
        self.written.add(block)
        number = f" @{self.numbers[block]}" if block in self.numbers else ""
        where = "" if block.where is None else f" where({self.exprs.text(block.where)})"
        head = f"{word}{quoted(block.name)}{number}({', '.join(iters)}){marks}{where}:"
        pad, inner = "  " * depth, "  " * (depth + 1)
        writes = [self._write(w) for w in block.writes]
        if len(writes) == 1:
            lines = [f"{pad}{head} {writes[0]}"]
        elif writes:
            lines = [pad + head, *(inner + w for w in writes)]
        else:
            lines = [f"{pad}{head} pass"]
        sources = [self.exprs.text(e) for e in block.sources]
        if block.init is not None:
            with self.names.scope((), hiding=block.vars):
                lines += self._init(block.init, depth + 1)
        if block.reducer is not None:
            lines.append(inner + self._reducer(block.reducer))
        if sources:
            lines.append(f"{inner}source {', '.join(sources)}")
        return lines

    def _init(self, init: Block, depth: int) -> list[str]:
        if init in self.written:
            return ["  " * depth + f"init @{self.numbers[init]}"]
        extents = [self.exprs.index(it.extent) for it in init.iters]
        kind = "" if init.kind is BlockKind.INIT else BLOCK_WORDS[init.kind] + " "
        with self.names.scope(init.vars):
            iters = [
                self._iter(it, extent, None) for it, extent in zip(init.iters, extents, strict=True)
            ]
            return self._definition(init, f"init {kind}", iters, "", depth)

    def _write(self, w: Write) -> str:
        value = self.exprs.text(w.value, w.buffer.dtype)
        return f"{self.exprs.access(w.buffer, w.indices)} = {value}"

    def _reducer(self, r: Reducer) -> str:
        with self.names.scope((*r.left, *r.right)):
            left, right = (
                ", ".join(f"{quoted(self.names.var(v))}: {v.type.short}" for v in vs)
                for vs in (r.left, r.right)
            )
            combine = self._typed(r.combine, r.left)
            identity = self._typed(r.identity, r.left)
            return f"reducer {quoted(r.name)}({left}; {right}) = {combine} from {identity}"

    def _typed(self, es: Sequence[Expr], like: Sequence[Var]) -> str:
        return ", ".join(self.exprs.text(e, v.type) for e, v in zip(es, like, strict=True))


def _numbers(body: Stmt) -> dict[Block, int]:
    """Numbers for the blocks that the text mentions more than once."""
    seen: Counter[Block] = Counter()

    def count(block: Block) -> None:
        seen[block] += 1
        if seen[block] == 1 and block.init is not None:
            count(block.init)

    for leaf in leaves(body):
        count(leaf.block)
    repeated = [block for block, times in seen.items() if times > 1]
    return {block: number for number, block in enumerate(repeated)}


def _mentioned(block: Block) -> set[Var]:
    """Variables of the surroundings that the block's text mentions: it may not hide them."""
    found: set[Var] = set()
    for w in block.writes:
        found |= free_vars(w.value).union(*(free_vars(i) for i in w.indices))
    for e in (*block.sources, *([] if block.where is None else [block.where])):
        found |= free_vars(e)
    for it in block.iters:
        found |= free_vars(it.extent)
    return found - set(block.vars)
