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

    @property
    def concurrent(self) -> bool:
        """Whether iterations may run at the same time or in any order."""
        return self not in (LoopKind.SERIAL, LoopKind.UNROLLED)


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
