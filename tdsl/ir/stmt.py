"""Statement nodes: loops, blocks and what lowering makes of them.

A program is a tree of loops whose leaves are `Leaf`s: one block run at the instance that the
bindings name. The iteration variables of the block name the *instance*; loops only say *when* it
runs. Buffers are accessed by their logical indices everywhere: compaction, layouts and folding
are attributes of the `Alloc` that lowering realises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from tdsl.errors import Span
from tdsl.ir.expr import Buffer, Expr, Node, Var, node


class Stmt(Node):
    """Base of statements."""

    __slots__ = ()


class LoopKind(Enum):
    """How the iterations of a loop are run."""

    SERIAL = "serial"
    PARALLEL = "parallel"
    VECTORIZED = "vectorized"
    UNROLLED = "unrolled"
    GROUP_X = "group.x"
    GROUP_Y = "group.y"
    GROUP_Z = "group.z"
    LOCAL_X = "local.x"
    LOCAL_Y = "local.y"
    LOCAL_Z = "local.z"
    INSTRUCTION = "instruction"  # all iterations together are one machine instruction

    @property
    def concurrent(self) -> bool:
        """Whether iterations may run at the same time or in any order."""
        return self not in (LoopKind.SERIAL, LoopKind.UNROLLED, LoopKind.INSTRUCTION)

    @property
    def of_copies(self) -> LoopKind:
        """How a copy of the loop around another block runs, such as the init of a reduction."""
        return LoopKind.VECTORIZED if self is LoopKind.INSTRUCTION else self


class IterKind(Enum):
    """What an iteration variable may do: any order, reassociable order, or fixed order."""

    DATA = "data"
    REDUCE = "reduce"
    ORDERED = "ordered"


class BlockKind(Enum):
    """What kind of statement a block is; it decides how the prover treats re-execution."""

    COMPUTE = "compute"  # single assignment of its elements
    INIT = "init"  # the identity of a reduction, or the base copy of an update
    REDUCE = "reduce"  # an associative update of one element per data instance
    UPDATE = "update"  # writes that depend on what was written before
    COPY = "copy"  # an identity copy made by cache_read or cache_write


class Scope(Enum):
    """Where an allocation lives."""

    GLOBAL = "global"
    STACK = "stack"
    REGISTER = "register"
    SHARED = "shared"
    CONSTANT = "constant"


class Tail(Enum):
    """How lowering may realise a guard."""

    GUARD = "guard"
    MASK = "mask"
    PEEL = "peel"
    SHIFT = "shift"
    BALANCE = "balance"


class Role(Enum):
    """What a parameter is for."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"


@node
class IterVar:
    """An iteration variable of a block: `var` in range(extent)."""

    var: Var
    extent: Expr
    kind: IterKind = IterKind.DATA


@node
class Write:
    """`buffer[indices] = value`, in terms of the block's iteration variables."""

    buffer: Buffer
    indices: tuple[Expr, ...]
    value: Expr


@node
class Reducer:
    """An associative combination of one or several values.

    `identity` holds expressions without free variables; `combine` is in terms of `left` (the
    accumulator) and `right` (the new value); `name` is "sum", "argmax", ... or "custom".
    """

    name: str
    identity: tuple[Expr, ...]
    left: tuple[Var, ...]
    right: tuple[Var, ...]
    combine: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Block(Node):
    """One statement: all `writes` values are computed, then stored, for each instance.

    Attributes:
        where: instances for which it is false do nothing (in terms of `iters`), or None.
        init: the block that sets the reduced elements before the first update (REDUCE only);
            its iters are fresh variables, one for each DATA iter of this block, in order.
        reducer: how values combine (REDUCE, and UPDATE with an associative op), or None.
        sources: what is combined into the accumulator, one expression per write, with reducer.
            `writes` spell out the combination by loading the written element itself.
        span: the user's line that declared it.
    """

    name: str
    iters: tuple[IterVar, ...]
    writes: tuple[Write, ...]
    kind: BlockKind = BlockKind.COMPUTE
    where: Expr | None = None
    init: Block | None = None
    reducer: Reducer | None = None
    sources: tuple[Expr, ...] = ()
    span: Span | None = None

    @property
    def vars(self) -> tuple[Var, ...]:
        """The iteration variables."""
        return tuple(it.var for it in self.iters)


@node
class Guard(Node):
    """A condition over loop variables under which a leaf runs, and how to realise it."""

    cond: Expr
    tail: Tail = Tail.GUARD


@node
class Fetch:
    """Ask the caches for `buffer[indices]` while an instance `inputs` of a block runs.

    `inputs` stand for the first iteration variables of the block. It never faults and changes no
    result; `buffer` is a parameter.
    """

    buffer: Buffer
    inputs: tuple[Var, ...]
    indices: tuple[Expr, ...]


@node
class Leaf(Stmt):
    """Run `block` at the instance `bindings` (one expression of loop variables per iter)."""

    block: Block
    bindings: tuple[Expr, ...]
    guards: tuple[Guard, ...] = ()
    atomic: bool = False
    stream: bool = False
    fetches: tuple[Fetch, ...] = ()


@node
class Part(Node):
    """One component of a fused loop: `var` in range(extent)."""

    var: Var
    extent: Expr


@node
class For(Stmt):
    """`for var in range(extent): body`. Loops start at zero and step by one.

    A fused loop has `parts`, outermost first: it walks their product in lexicographic order, the
    body mentions the parts' variables, never `var`, and `extent` is the product. The outermost of
    the loops that one instruction runs has its name.
    """

    var: Var
    extent: Expr
    body: Stmt
    kind: LoopKind = LoopKind.SERIAL
    parts: tuple[Part, ...] = ()
    span: Span | None = field(default=None, compare=False)
    instruction: str = ""

    @property
    def levels(self) -> tuple[Part, ...]:
        """What the body sees of its iteration: its parts, or itself where it is not fused."""
        return self.parts or (Part(self.var, self.extent),)


@node
class Seq(Stmt):
    """Statements in order."""

    body: tuple[Stmt, ...]


@node
class Layout:
    """How logical (compacted) indices map to storage: `outputs` in terms of `inputs`.

    `shape` is the storage's shape where it is more than the image of the map (padding), else None.
    """

    inputs: tuple[Var, ...]
    outputs: tuple[Expr, ...]
    shape: tuple[Expr, ...] | None = None


@node
class Alloc(Stmt):
    """A buffer that lives during `body`: one fresh copy per iteration of the loops around."""

    buffer: Buffer
    body: Stmt
    scope: Scope = Scope.GLOBAL
    layout: Layout | None = None


@node
class Store(Stmt):
    """`buffer[indices] = value` where `mask` holds (lowered IR)."""

    buffer: Buffer
    indices: tuple[Expr, ...]
    value: Expr
    mask: Expr | None = None
    atomic: bool = False
    stream: bool = False


@node
class If(Stmt):
    """Lowered conditional."""

    cond: Expr
    then: Stmt
    otherwise: Stmt | None = None


@node
class Let(Stmt):
    """`var = value` inside body (lowered IR)."""

    var: Var
    value: Expr
    body: Stmt


@node
class Prefetch(Stmt):
    """Ask for the cache line of an element; never faults (lowered IR)."""

    buffer: Buffer
    indices: tuple[Expr, ...]


@node
class Barrier(Stmt):
    """All work-items of a group meet (lowered IR for OpenCL)."""


@node
class Param:
    """A parameter of a program, in ABI order; `layout` where it is passed prepacked.

    `strides` (flat lowered IR, only of strided buffers): variables that hold the strides of the
    argument, in elements, one per dimension.
    """

    buffer: Buffer
    role: Role
    layout: Layout | None = None
    strides: tuple[Var, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Program(Node):
    """A function: parameters, the sizes that occur in shapes, stated facts, and a body."""

    name: str
    params: tuple[Param, ...]
    sizes: tuple[Var, ...]
    assume: tuple[Expr, ...]
    body: Stmt


AnyStmt: TypeAlias = For | Seq | Leaf | Alloc | Store | If | Let | Prefetch | Barrier
