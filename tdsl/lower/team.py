"""The work-items of one OpenCL kernel, and what they run between meetings.

Scheduled, the local loops of a kernel are loops like others: siblings follow one another, and all
iterations of one end before the next begins. On the device every work-item runs the same text. A
`Step` is a piece of it in which no work-item waits for another; barriers go between steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tdsl.errors import LoweringError
from tdsl.ir.build import lt
from tdsl.ir.expr import Const, Expr, Var, node
from tdsl.ir.stmt import For, LoopKind, Scope, Stmt
from tdsl.ir.visit import statements

GROUPS = (LoopKind.GROUP_Z, LoopKind.GROUP_Y, LoopKind.GROUP_X)
LOCALS = (LoopKind.LOCAL_Z, LoopKind.LOCAL_Y, LoopKind.LOCAL_X)
BOUND = frozenset((*GROUPS, *LOCALS))
PRIVATE = (Scope.REGISTER, Scope.STACK)


@node
class Step(Stmt):
    """What a work-item runs without waiting for another.

    `spread`: the axes whose work-items each run it; on the others only the first one does, apart
    from what it writes to private storage.
    """

    body: Stmt
    spread: tuple[Var, ...] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a work-group: its index and its size."""

    kind: LoopKind
    var: Var
    size: int


@dataclass(frozen=True, slots=True)
class Team:
    """The work-items of a group."""

    axes: tuple[Axis, ...]

    @property
    def vars(self) -> tuple[Var, ...]:
        """The indices of a work-item, z first."""
        return tuple(axis.var for axis in self.axes)

    def axis(self, kind: LoopKind) -> Axis:
        """The axis that loops of a kind run along."""
        return next(axis for axis in self.axes if axis.kind is kind)


def has_loops(s: Stmt, kinds: tuple[LoopKind, ...] | frozenset[LoopKind]) -> bool:
    """Whether a loop of one of the kinds is in *s*."""
    return any(isinstance(n, For) and n.kind in kinds for n in statements(s))


def team_of(body: Stmt) -> Team:
    """The work-items that the local loops of a kernel ask for.

    Raises:
        LoweringError: a local loop has no constant extent.
    """
    axes = []
    for kind in LOCALS:
        loops = [n for n in statements(body) if isinstance(n, For) and n.kind is kind]
        sizes = [_size(loop) for loop in loops]
        if sizes and max(sizes) > 0:
            axes.append(Axis(kind, Var(_axis_name(kind, loops)), max(sizes)))
    return Team(tuple(axes))


def _size(loop: For) -> int:
    if not isinstance(loop.extent, Const):
        raise LoweringError(
            f"loop {loop.var.name!r} is bound to {loop.kind.value}, but its extent is not a "
            "constant, and the size of a work-group is fixed when the kernel is built",
            hint=f"split it and bind the inner part: s.split({loop.var.name!r}, 64)",
            span=loop.span,
        )
    return int(loop.extent.value)


def _axis_name(kind: LoopKind, loops: list[For]) -> str:
    """The name that all loops of an axis share, or the axis's own."""
    names = {loop.var.name for loop in loops}
    return names.pop() if len(names) == 1 else f"l{kind.value[-1]}"


def idle(axis: Axis, extent: int) -> Iterator[Expr]:
    """The condition under which a work-item takes part in `extent` iterations of its axis."""
    if extent < axis.size:
        yield lt(axis.var, extent)
