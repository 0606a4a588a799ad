"""Transposition: squares turned in registers, so that loads and stores are both dense.

parallel jo:  for io:  unrolled(16) ii:  vectorized(16) ji:  out[i, j] = x[j, i]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.elementwise import streams
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import spread
from tdsl.scheduling import Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_SIDE = 16
_COLUMNS = 32  # two lines of each destination row at a time


@combinator
def turn_squares(
    s: Schedule, block: str, dense: int, side: int, columns: int, lanes: int, tasks: int,
    stream: bool = False,
) -> None:  # fmt: skip
    """Walk a block in squares that are dense along its last axis and along another one.

    Args:
        block: a block without reductions, which writes along its last axis.
        dense: position of the axis along which it reads.
        side: how many rows of the result one square has.
        columns: how many columns one task sweeps.
        lanes: elements of a vector.
        tasks: how many parallel tasks are enough.
        stream: whether stores bypass the caches.
    """
    loops = s.loops(block)
    others = [loop for n, loop in enumerate(loops[:-1]) if n != dense]
    jo, ji = s.split(loops[-1], columns, tail="mask")
    io, ii = s.split(loops[dense], side)
    s.reorder(*others, jo, io, ii, ji)
    s.unroll(ii)
    s.vectorize(ji, lanes)
    if stream:
        s.stream(block)
    spread(s, (*others, jo), tasks)


@dataclass(frozen=True)
class Squares(Plan):
    """A block that reads across the direction in which it writes."""

    block: str
    dense: int
    side: int
    columns: int
    lanes: int
    tasks: int
    stream: bool

    @property
    def reason(self) -> str:
        return f"a transposition: squares of {self.side} x {self.lanes} turned in registers"

    def apply(self, s: Schedule) -> None:
        turn_squares(
            s, self.block, self.dense, self.side, self.columns, self.lanes, self.tasks,
            stream=self.stream,
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"columns": (16, 32, 64)}


def match(group: Group, target: Target) -> Plan | None:
    """One block that stores along its last axis and loads along another."""
    facts = group.sink
    if target.kind is not TargetKind.LLVM or group.members or facts.reduces or facts.is_ordered:
        return None
    if len(facts.data) < 2:
        return None
    dense = crossing(facts)
    if dense is None:
        return None
    lanes = min(_SIDE, target.lanes(facts.bits))
    rows, width = facts.extent(dense), facts.extent(facts.data[-1])
    if any(n is not None and n < lanes for n in (rows, width)):
        return None
    columns = _COLUMNS if width is None or width >= _COLUMNS else lanes
    return Squares(
        facts.name, facts.data.index(dense), lanes, columns, lanes, 4 * target.cores,
        streams(facts, target),
    )  # fmt: skip


def crossing(facts: BlockFacts) -> Var | None:
    """The axis along which some load is dense, where it is not the last."""
    last = facts.data[-1]
    if not all(w.is_dense(last) for w in facts.writes):
        return None
    for load in facts.loads:
        if last in load.vars and load.dimension(last) not in (None, len(load.forms) - 1):
            for var in facts.data[:-1]:
                if load.is_dense(var):
                    return var
    return None


RULE = Rule("transpose", match)
