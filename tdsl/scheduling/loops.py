"""Loop handles: they follow their loop through later steps, and say when it has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tdsl.ir.expr import Const, Expr, Var
from tdsl.ir.stmt import For, LoopKind

if TYPE_CHECKING:
    from tdsl.scheduling.core import ScheduleCore


class Loop:
    """A loop of one schedule. Get them from `s.loops(block)` and from what primitives return.

    A handle survives every step that keeps its loop. Using it after its loop has ended raises a
    `ScheduleError` that names the step which ended it.
    """

    __slots__ = ("schedule", "var")

    def __init__(self, schedule: ScheduleCore, var: Var) -> None:
        self.schedule = schedule
        self.var = var

    @property
    def name(self) -> str:
        """The loop's own name, unique along the path of each block below it."""
        return self.var.name

    @property
    def label(self) -> str:
        """The name that finds the loop from anywhere: `C.i`."""
        return self.schedule.index.label(self.var)

    @property
    def is_alive(self) -> bool:
        """Whether the loop still exists."""
        return self.var in self.schedule.index.loops

    @property
    def extent(self) -> int | Expr:
        """Number of iterations: a Python int where it is constant."""
        extent = self.node.extent
        return int(extent.value) if isinstance(extent, Const) else extent

    @property
    def kind(self) -> LoopKind:
        """How its iterations run."""
        return self.node.kind

    @property
    def node(self) -> For:
        """The loop as it stands in the program now.

        Raises:
            ScheduleError: the loop has ended.
        """
        return self.schedule.loop_node(self, "use")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loop) and other.schedule is self.schedule and other.var is self.var

    def __hash__(self) -> int:
        return hash((id(self.schedule), self.var))

    def __repr__(self) -> str:
        return f"<Loop {self.label if self.is_alive else self.name + ' (ended)'}>"
