"""Check that a program is well formed: what every pass may rely on and has to keep.

Variables and buffers are in scope where they are used and bound once; dtypes and lanes agree;
leaves bind every iteration variable; and each stage has only the nodes that belong to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import assert_never, cast

from tdsl.errors import InternalError
from tdsl.ir.deep import deep_recursion
from tdsl.ir.expr import Buffer, Load, Math, Node, Var
from tdsl.ir.nest import print_nest
from tdsl.ir.stmt import (
    Alloc,
    AnyStmt,
    Barrier,
    Fetch,
    For,
    If,
    Layout,
    Leaf,
    Let,
    LoopKind,
    Part,
    Prefetch,
    Program,
    Seq,
    Stmt,
    Store,
)
from tdsl.ir.verify_blocks import BlockVerifier
from tdsl.ir.verify_exprs import ExprVerifier
from tdsl.ir.visit import children


class Stage(Enum):
    """How far a program has come."""

    SCHEDULED = "scheduled"  # blocks and scalar expressions
    LOWERING = "lowering"  # between passes: anything that is well typed
    LOWERED = "lowered"  # loops, flat accesses and vectors, for code generation


_LOWERED_ONLY = (Store, If, Let, Prefetch, Barrier)
_REALISED = (LoopKind.VECTORIZED, LoopKind.UNROLLED, LoopKind.INSTRUCTION)


@deep_recursion()
def verify(program: Program, stage: Stage | str) -> None:
    """Check *program*; nothing happens if it is well formed.

    Raises:
        InternalError: it is not; the message has the first problem, how many more there are, and
            the loop nest with the statement marked.
    """
    found = list(problems(program, stage))
    if not found:
        return
    where, text = found[0]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    raise InternalError(
        f"{program.name} is not well formed as {Stage(stage).value} IR: {text}{more}\n\n"
        + print_nest(program, where)
    )


def problems(program: Program, stage: Stage | str) -> Iterator[tuple[Stmt | None, str]]:
    """Every problem with the statement that it belongs to (None: the signature)."""
    return _Verifier(program, Stage(stage)).run()


class _Verifier:
    def __init__(self, program: Program, stage: Stage) -> None:
        self.program = program
        self.stage = stage
        self.bound: set[Var] = set()  # ever: no variable is bound twice
        self.visible: set[Var] = set()
        self.allocated: set[Buffer] = set()
        self.declared: set[Buffer] = set()
        lowering = stage is not Stage.SCHEDULED
        self.exprs = ExprVerifier(
            self.visible.__contains__, self.declared.__contains__, lowering, lowering
        )
        self.blocks = BlockVerifier(
            self.declared.__contains__,
            frozenset(program.sizes),
            lowering=stage is not Stage.SCHEDULED,
        )

    def run(self) -> Iterator[tuple[Stmt | None, str]]:
        p = self.program
        for text in self._signature():
            yield None, text
        yield from self._stmt(p.body)

    def _signature(self) -> Iterator[str]:
        yield from self._bind(self.program.sizes)
        for param in self.program.params:
            yield from self._declare(param.buffer)
            yield from self._layout(param.layout)
            yield from self._bind(param.strides)
        for fact in self.program.assume:
            yield from self.exprs.condition(fact, "an assumed fact")

    def _bind(self, variables: Iterable[Var]) -> Iterator[str]:
        for v in variables:
            if v in self.bound:
                yield f"variable {v.name!r} is bound twice"
            self.bound.add(v)
            self.visible.add(v)

    def _declare(self, b: Buffer) -> Iterator[str]:
        if b in self.allocated:
            yield f"buffer {b.name!r} is allocated twice"
        for extent in b.shape:
            yield from self.exprs.index(extent, f"an extent of {b.name}")
        self.allocated.add(b)
        self.declared.add(b)

    def _layout(self, layout: Layout | None) -> Iterator[str]:
        if layout is None:
            return
        yield from self._bind(layout.inputs)
        for e in (*layout.outputs, *(layout.shape or ())):
            yield from self.exprs.index(e, "a layout index")
        self._hide(layout.inputs)
        if layout.shape is not None and len(layout.shape) != len(layout.outputs):
            yield f"a layout of {len(layout.outputs)} outputs and {len(layout.shape)} extents"

    def _hide(self, variables: Iterable[Var]) -> None:
        self.visible.difference_update(variables)
        self.exprs.checked.clear()

    def _stmt(self, s: Stmt) -> Iterator[tuple[Stmt | None, str]]:
        for text in self._stage(s):
            yield s, text
        s = cast("AnyStmt", s)
        match s:
            case For():
                yield from self._for(s)
            case Seq(body):
                for part in body:
                    yield from self._stmt(part)
            case Leaf():
                for text in self._leaf(s):
                    yield s, text
            case Alloc():
                for text in (*self._declare(s.buffer), *self._layout(s.layout)):
                    yield s, text
                yield from self._stmt(s.body)
                self.declared.discard(s.buffer)
                self.exprs.checked.clear()
            case Let(var, value, body):
                for text in (*self.exprs.problems(value), *self._bind((var,))):
                    yield s, text
                if (var.type, var.width) != (value.dtype, value.lanes):
                    yield s, f"{var.name!r} is {var.type} x {var.width}, its value is not"
                yield from self._stmt(body)
                self._hide((var,))
            case If(cond, then, otherwise):
                for text in self.exprs.condition(cond, "a condition"):
                    yield s, text
                yield from self._stmt(then)
                if otherwise is not None:
                    yield from self._stmt(otherwise)
            case Store():
                for text in self._store(s):
                    yield s, text
            case Prefetch(buffer, indices):
                for e in indices:
                    for text in self.exprs.problems(e):
                        yield s, text
                for text in self.exprs.access(buffer, indices, None, 1):
                    yield s, text
            case Barrier():
                pass
            case _:
                assert_never(s)

    def _for(self, s: For) -> Iterator[tuple[Stmt | None, str]]:
        own = tuple(part.var for part in s.parts)
        for part in s.parts:
            for text in self._part(part):
                yield s, text
        for text in (*self.exprs.index(s.extent, "an extent"), *self._bind((s.var,))):
            yield s, text
        if s.parts:
            self._hide((s.var,))  # the body of a fused loop mentions the parts' variables
        yield from self._stmt(s.body)
        self._hide((s.var, *own))

    def _part(self, part: Part) -> Iterator[str]:
        yield from self.exprs.index(part.extent, "the extent of a part")
        yield from self._bind((part.var,))

    def _leaf(self, leaf: Leaf) -> Iterator[str]:
        block = leaf.block
        if len(leaf.bindings) != len(block.iters):
            yield (
                f"{block.name} has {len(block.iters)} iteration variables and "
                f"{len(leaf.bindings)} bindings"
            )
        for binding in leaf.bindings:
            yield from self.exprs.index(binding, f"a binding of {block.name}")
        for guard in leaf.guards:
            yield from self.exprs.condition(guard.cond, f"a guard of {block.name}")
        for fetch in leaf.fetches:
            yield from self._fetch(fetch)
        yield from self.blocks.problems(block)

    def _fetch(self, fetch: Fetch) -> Iterator[str]:
        outer = any(fetch.buffer is param.buffer for param in self.program.params)
        if not outer or len(fetch.indices) != fetch.buffer.rank:
            yield f"a fetch of {fetch.buffer.name}, {len(fetch.indices)} indices"
        self.visible.update(fetch.inputs)  # the pieces of a partitioned loop share their fetches
        for e in fetch.indices:
            yield from self.exprs.index(e, "the index of a fetch")
        self._hide(fetch.inputs)

    def _store(self, s: Store) -> Iterator[str]:
        lanes = max(e.lanes for e in (s.value, *s.indices))
        for e in (s.value, *s.indices, *([] if s.mask is None else [s.mask])):
            yield from self.exprs.problems(e)
        yield from self.exprs.access(s.buffer, s.indices, s.mask, lanes)
        if s.value.dtype is not s.buffer.dtype or s.value.lanes not in (1, lanes):
            yield f"a {s.value.dtype} x {s.value.lanes} is stored to {s.buffer.name}"

    def _stage(self, s: Stmt) -> Iterator[str]:
        name = type(s).__name__.lower()
        if self.stage is Stage.SCHEDULED and isinstance(s, _LOWERED_ONLY):
            yield f"{name} before lowering"
        if self.stage is not Stage.LOWERED:
            return
        match s:
            case Leaf():
                yield f"block {s.block.name!r} after lowering"
            case For() if s.parts or s.kind in _REALISED:
                yield f"loop {s.var.name!r} is still {'fused' if s.parts else s.kind.value}"
            case Alloc() if s.layout is not None:
                yield f"{s.buffer.name} still has a layout"
            case Store() | Prefetch():
                yield from self._flat(s)
            case Let() | If():
                yield from self._flat(s.value if isinstance(s, Let) else s.cond)
            case _:
                pass

    def _flat(self, n: Node) -> Iterator[str]:
        seen: set[int] = set()
        stack = [n]
        while stack:
            m = stack.pop()
            if id(m) in seen:
                continue
            seen.add(id(m))
            stack += children(m)
            match m:
                case Math(fn, _):
                    yield f"{fn.value} is not expanded"
                case Load() | Store() | Prefetch() if len(m.indices) != 1:
                    yield f"an access of {m.buffer.name} has {len(m.indices)} indices"
                case _:
                    pass
