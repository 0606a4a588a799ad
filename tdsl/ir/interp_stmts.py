"""Statements as closures that run to their end; interp_steps.py has those that can pause."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import count, product
from typing import TypeAlias, assert_never, cast

from tdsl.errors import InternalError
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.interp_exprs import ExprCompiler, lane_codes
from tdsl.ir.interp_memory import (
    ACCESS,
    FIRST_SLOT,
    PADDED,
    PATH,
    TEAM,
    Code,
    Frame,
    Memory,
    new_copy,
)
from tdsl.ir.interp_order import CANONICAL, Picker
from tdsl.ir.interp_shadow import Access, Step
from tdsl.ir.interp_values import Scalar
from tdsl.ir.stmt import (
    Alloc,
    AnyStmt,
    Barrier,
    Block,
    BlockKind,
    For,
    If,
    IterVar,
    Leaf,
    Let,
    LoopKind,
    Prefetch,
    Seq,
    Stmt,
    Store,
)

Run: TypeAlias = Callable[[Frame], None]
AccessOf: TypeAlias = Callable[[Frame, Buffer, Scalar], Access]

WORK_ITEMS = frozenset({LoopKind.LOCAL_X, LoopKind.LOCAL_Y, LoopKind.LOCAL_Z})


class StmtCompiler:
    """Compiles statements; every variable and allocation gets a slot of the frame."""

    def __init__(self, exprs: ExprCompiler, memory: Memory) -> None:
        self.exprs = exprs
        self.memory = memory
        self.picker = Picker(CANONICAL)
        self.width = FIRST_SLOT
        self.executions = count()
        self.extents: dict[Var, Expr] = {}  # of the loops met so far

    def frame(self) -> Frame:
        """A frame to start with; make it after everything is compiled."""
        frame: Frame = [None] * self.width
        frame[PATH], frame[PADDED], frame[TEAM] = (), False, [0]
        frame[ACCESS] = _access_of_store(False)
        return frame

    def slot(self) -> int:
        """A slot that nothing else uses."""
        self.width += 1
        return self.width - 1

    def bind(self, v: Var) -> int:
        """The slot of a variable."""
        return self.exprs.place(v, self.slot())

    def run(self, s: Stmt) -> Run:
        """The closure that runs *s*."""
        s = cast("AnyStmt", s)
        match s:
            case For():
                return self._for(s)
            case Seq(body):
                parts = [self.run(part) for part in body]
                return lambda f: _run_all(parts, f)
            case Leaf():
                return self.leaf(s)
            case Alloc():
                slot, make = self.alloc(s)
                body_run = self.run(s.body)
                del self.memory.slots[s.buffer]
                return lambda f: _run_with(f, slot, make, body_run)
            case Let(var, value, body):
                code = self.exprs.code(value)
                slot = self.bind(var)
                body_run = self.run(body)
                return lambda f: _run_with(f, slot, code, body_run)
            case If():
                return self._if(s)
            case Store():
                return self.store(s)
            case Prefetch():
                return lambda _: None
            case Barrier():
                raise InternalError("a barrier needs a stepping run")
            case _:
                assert_never(s)

    def _if(self, s: If) -> Run:
        cond, then = self.exprs.code(s.cond), self.run(s.then)
        otherwise = self.run(s.otherwise) if s.otherwise is not None else None

        def branch(f: Frame) -> None:
            if cond(f):
                then(f)
            elif otherwise is not None:
                otherwise(f)

        return branch

    def alloc(self, s: Alloc) -> tuple[int, Code]:
        """The slot of an allocation and the code for a fresh copy."""
        slot = self.memory.slots[s.buffer] = self.slot()
        extents = [self.exprs.code(e) for e in s.buffer.shape]
        return slot, new_copy(s.buffer, extents, self.memory.detect, s.layout is not None)

    def loop(self, loop: For) -> Callable[[Frame], tuple[int, Callable[[Frame, int], None]]]:
        """Code that gives the trip count and how to set the variables of an iteration."""
        if loop.parts:
            self.extents |= {part.var: part.extent for part in loop.parts}
            return self._fused(loop)
        self.extents[loop.var] = loop.extent
        extent = self.exprs.code(loop.extent)
        slot = self.bind(loop.var)

        def plain(f: Frame, n: int) -> None:
            f[slot] = n

        return lambda f: (extent(f), plain)

    def _fused(self, loop: For) -> Callable[[Frame], tuple[int, Callable[[Frame, int], None]]]:
        extents = [self.exprs.code(part.extent) for part in loop.parts]
        slots = [self.bind(part.var) for part in loop.parts]
        whole = self.bind(loop.var)

        def enter(f: Frame) -> tuple[int, Callable[[Frame, int], None]]:
            points = list(product(*[range(e(f)) for e in extents]))

            def at(f: Frame, n: int) -> None:
                f[whole] = n
                for slot, x in zip(slots, points[n], strict=True):
                    f[slot] = x

            return len(points), at

        return enter

    def _for(self, loop: For) -> Run:
        enter = self.loop(loop)
        body = self.run(loop.body)
        if not loop.kind.concurrent:
            if not loop.parts:
                return self._plain(loop, body)

            def serial(f: Frame) -> None:
                trips, at = enter(f)
                for n in range(trips):
                    at(f, n)
                    body(f)

            return serial

        def concurrent(f: Frame) -> None:
            trips, at = enter(f)
            outer = f[PATH]
            step = self.step(loop)
            for n in self.picker.iterations(trips):
                at(f, n)
                f[PATH] = step(outer, n)
                body(f)
            f[PATH] = outer

        return concurrent

    def _plain(self, loop: For, body: Run) -> Run:
        """The loop that most loops are."""
        extent = self.exprs.code(loop.extent)
        slot = self.exprs.slots[loop.var]

        def serial(f: Frame) -> None:
            for n in range(extent(f)):
                f[slot] = n
                body(f)

        return serial

    def step(self, loop: For) -> Callable[[tuple[Step, ...], int], tuple[Step, ...]]:
        """Extends a path by an iteration of one execution of a concurrent loop."""
        if not self.memory.detect:
            return lambda path, _: path
        execution, name = next(self.executions), loop.var.name
        in_team = loop.kind in WORK_ITEMS
        return lambda path, n: (*path, Step(execution, n, name, in_team))

    def leaf(self, leaf: Leaf) -> Run:
        """Run a block at one instance: guards, bindings, `where`, values, then stores."""
        exprs, block = self.exprs, leaf.block
        guards = [exprs.code(g.cond) for g in leaf.guards]
        bound = [
            found
            for it, binding in zip(block.iters, leaf.bindings, strict=True)
            if (found := self._binding(it, binding)) is not None
        ]
        slots = [exprs.slots[v] for v in block.vars]
        exprs.strict = True
        where = None if block.where is None else exprs.code(block.where)
        update = self._writes(block)
        exprs.strict = False
        note = _access_of_leaf(leaf, slots) if self.memory.detect else None

        def run(f: Frame) -> None:
            for guard in guards:
                if not guard(f):
                    return
            padded = False
            for slot, binding, extent in bound:
                x = f[slot] = binding(f)
                if not 0 <= x < extent(f):
                    padded = True
            f[PADDED] = padded
            if note is not None:
                f[ACCESS] = note
            if where is None or where(f):
                update(f)

        return run

    def _binding(self, it: IterVar, binding: Expr) -> tuple[int, Code, Code] | None:
        """Slot, value and extent of an iteration variable.

        None where it is a loop of that very extent: it shares the slot, and stays in its domain.
        """
        if isinstance(binding, Var) and self.extents.get(binding) == it.extent:
            self.exprs.place(it.var, self.exprs.slots[binding])
            return None
        value, extent = self.exprs.code(binding), self.exprs.code(it.extent)
        return self.bind(it.var), value, extent

    def _writes(self, block: Block) -> Run:
        exprs, memory = self.exprs, self.memory
        made = [
            (
                exprs.code(w.value),
                memory.element(w.buffer, [exprs.code(i) for i in w.indices], True),
                memory.store(w.buffer),
            )
            for w in block.writes
        ]
        if len(made) == 1:
            value, element, put = made[0]
            return lambda f: put(f, element(f), value(f))

        def update(f: Frame) -> None:
            found = [(put, element(f), value(f)) for value, element, put in made]
            for put, key, x in found:
                put(f, key, x)

        return update

    def store(self, s: Store) -> Run:
        """A store, lane by lane."""
        exprs = self.exprs
        exprs.strict = False
        lanes = max(e.lanes for e in (*s.indices, s.value, *([s.mask] if s.mask else [])))
        put = self.memory.store(s.buffer)
        if lanes == 1:
            element = self.memory.element(s.buffer, [exprs.code(i) for i in s.indices], False)
            run = _scalar_store(put, element, exprs.code(s.value), self._mask(s.mask))
        else:
            run = self._vector_store(s, lanes)
        if not self.memory.detect:
            return _unpadded(run)
        note = _access_of_store(s.atomic)

        def noted(f: Frame) -> None:
            saved = f[ACCESS]
            f[ACCESS] = note
            run(f)
            f[ACCESS] = saved

        return _unpadded(noted)

    def _mask(self, mask: Expr | None) -> Code:
        return (lambda _: True) if mask is None else self.exprs.code(mask)

    def _vector_store(self, s: Store, lanes: int) -> Run:
        exprs = self.exprs
        current: list[Scalar] = [0] * len(s.indices)
        element = self.memory.element(s.buffer, lane_codes(current), False)
        put = self.memory.store(s.buffer)
        vectors = [exprs.vector(e, lanes) for e in (s.value, *s.indices)]
        mask = exprs.vector(s.mask, lanes) if s.mask is not None else None

        def run(f: Frame) -> None:
            enabled = mask(f) if mask is not None else [True] * lanes
            for on, x, *at in zip(enabled, *exprs.under(enabled, vectors, f), strict=True):
                if on:
                    current[:] = at
                    put(f, element(f), x)

        return run


def _run_all(parts: Sequence[Run], f: Frame) -> None:
    for part in parts:
        part(f)


def _run_with(f: Frame, slot: int, code: Code, body: Run) -> None:
    f[slot] = code(f)
    body(f)


def _unpadded(run: Run) -> Run:
    def clean(f: Frame) -> None:
        f[PADDED] = False
        run(f)

    return clean


def _scalar_store(put: Callable[..., None], element: Code, value: Code, mask: Code) -> Run:
    def run(f: Frame) -> None:
        if mask(f):
            put(f, element(f), value(f))

    return run


_REPEATABLE = (BlockKind.COMPUTE, BlockKind.COPY, BlockKind.INIT)


def _access_of_leaf(leaf: Leaf, slots: Iterable[int]) -> AccessOf:
    block, slots = leaf.block, tuple(slots)
    written = {w.buffer for w in block.writes}
    repeatable = block.kind in _REPEATABLE

    def access(f: Frame, buffer: Buffer, value: Scalar) -> Access:
        at = tuple([f[slot] for slot in slots])
        atomic = leaf.atomic and buffer in written
        instance = (id(block), at) if repeatable and value is not None else None
        return Access(f[PATH], f[TEAM][0], block, at, atomic, instance)

    return access


def _access_of_store(atomic: bool) -> AccessOf:
    """Lowered stores have no instance: two of the same value count as one."""

    def access(f: Frame, _: Buffer, value: Scalar) -> Access:
        instance = None if value is None else repr(value)
        return Access(f[PATH], f[TEAM][0], None, (), atomic, instance)

    return access
