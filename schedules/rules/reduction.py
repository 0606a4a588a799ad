"""Reductions along dense rows, and groups of them: sums, softmax, normalisation.

parallel io:                     # a chunk of rows
  for ii:                        # one row; it stays in the L1 cache
    M: 8 vectors of partial results, then one tree of them
    E: vectors along the row
    ...
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.ir.stmt import LoopKind
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops, spread
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Loop, Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_ACCUMULATORS = 8  # vectors; fewer leave the adders waiting
_VECTORS = 4
_TASK = 1 << 15  # elements of one parallel task, about 10 microseconds
_LONG = 64  # vectors of a row from which on all accumulators are worth their sum
_SHORT = 8  # rows that are not worth a vector of partial results

# name, axes of its own, how many of the last are dense together, elements of a step, lanes, and
# whether those axes are reduced
Member = tuple[str, int, int, int, int, bool]


@combinator
def fuse_rows(
    s: Schedule, sink: str, rows: tuple[int, ...], chunk: int, tasks: int,
    members: tuple[Member, ...], ahead: tuple[tuple[str, str], ...] = (), pair: int = 1,
) -> None:  # fmt: skip
    """Compute everything that a row of *sink* needs where the row is.

    Args:
        sink: the last block.
        rows: positions of its axes that tell rows apart.
        chunk: rows of one parallel task.
        tasks: how many parallel tasks are enough.
        members: every block in order, the sink last: its name, how many axes it has of its own,
            how many of the last ones are dense together, how many elements one step takes (1: not
            in vectors), lanes, and whether it reduces along them.
        ahead: blocks, and arguments or results of which they ask for the next row.
        pair: rows that are done together, to share what all rows read.
    """
    loops = s.loops(sink)
    kept = [loops[n] for n in rows]
    rest = tuple(loop for n, loop in enumerate(loops) if n not in rows)
    if kept:
        s.reorder(*kept, *rest)
        if pair > 1:
            kept[-1:] = s.split(kept[-1], (None, chunk // pair, pair))
        elif chunk > 1:
            kept[-1:] = s.split(kept[-1], chunk)
        at = kept[-2] if pair > 1 else kept[-1]
        inner = (chunk > 1) + (pair > 1)
        outer = spread(s, tuple(kept[: len(kept) - inner]), tasks)
        at = at if at.is_alive else outer
        for name, *_ in reversed(members[:-1]):
            s.compute_at(name, at=at)
    for name, axes, dense, width, lanes, reduces in members:
        if width > 1:
            own = rest if name == sink else own_loops(s, name, axes)
            step = lanes if name == sink and pair > 1 else width
            vectorize_row(s, name, own, dense, step, lanes, reduces=reduces)
    if pair > 1:
        _share_vectors(s, sink, kept[-1])
    for name, tensor in ahead:
        names = [f"d{n}" for n in range(len(loops))]
        after = [f"{one} + {pair}" if n == rows[-1] else one for n, one in enumerate(names)]
        s.prefetch(name, tensor, f"{', '.join(names)} -> {', '.join(after)}")


def _share_vectors(s: Schedule, sink: str, row: Loop) -> None:
    """Walk the rows of a pair side by side, vector by vector."""
    inside = [loop for loop in s.loops(sink) if loop != row]
    depth = s.loops(sink).index(row)
    between = [loop for loop in inside[depth:] if loop.kind is not LoopKind.VECTORIZED]
    s.reorder(*between, row)
    s.unroll(row)


def vectorize_row(
    s: Schedule, block: str, own: tuple[Loop, ...], dense: int, width: int, lanes: int, *,
    reduces: bool,
) -> None:  # fmt: skip
    """Vectorize the innermost axes of a block; those of a reduction by partial results."""
    last = own[-dense]
    for inner in own[len(own) - dense + 1 :]:
        last = s.fuse(last, inner)
    if reduces:
        _reduce_in_lanes(s, block, last, width, lanes)
    elif isinstance(last.extent, int) and last.extent <= width:
        s.vectorize(last, lanes)
    else:
        s.vectorize(s.split(last, width, tail="mask")[1], lanes)


def _reduce_in_lanes(s: Schedule, block: str, loop: Loop, width: int, lanes: int) -> None:
    """Reduce into `width` lanes, those into one vector, and halve that until one is left."""
    widths = [width]
    while lanes > 1:
        widths += [lanes] if lanes < widths[-1] else []
        lanes //= 2
    for number, lane_count in enumerate(widths):
        partial = s.rfactor(s.split(loop, lane_count)[1])
        s.set_scope(partial, "register")
        loops = s.loops(partial)
        s.vectorize(loops[-1])
        if number:
            s.unroll(loops[-2])
        loop = s.loops(block)[-1]
    s.unroll(loop)


@dataclass(frozen=True)
class Rows(Plan):
    """Blocks that share rows."""

    sink: str
    rows: tuple[int, ...]
    chunk: int
    tasks: int
    members: tuple[Member, ...]
    ahead: tuple[tuple[str, str], ...]
    pair: int

    @property
    def reason(self) -> str:
        reductions = [name for name, *_, reduces in self.members if reduces]
        shared = (
            f", {len(self.members)} blocks computed row by row" if len(self.members) > 1 else ""
        )
        return f"{', '.join(reductions)} reduced along dense rows{shared}, {self.chunk} rows a task"

    def apply(self, s: Schedule) -> None:
        fuse_rows(
            s, self.sink, self.rows, self.chunk, self.tasks, self.members, self.ahead, self.pair
        )

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"chunk": (1, 2, 4, 8, 16, 32, 64)}


def match(group: Group, target: Target) -> Plan | None:
    """Reductions along axes that are dense in memory, with all that depends on them."""
    if target.kind is not TargetKind.LLVM or not any(b.reduces for b in group.blocks):
        return None
    if any(b.is_ordered or find_contraction(b) for b in group.blocks):
        return None
    sink = group.sink
    rows = group.shared if group.members or not sink.reduces else sink.data
    if not all(_walks_rows(b, group) for b in group.blocks if b.reduces):
        return None
    members = tuple(member_of(b, group, target) for b in group.blocks)
    length = max((b.count(_own(b, group)) or _TASK // 16) for b in group.blocks)
    count = sink.extent(rows[-1]) if rows else 1
    chunk = below(max(1, _TASK // max(length, 1)), count)
    while chunk > 1 and count is not None and count < chunk * 2 * target.cores:
        chunk //= 2
    return Rows(
        sink.name, tuple(sink.data.index(v) for v in rows), chunk, 4 * target.cores, members,
        _ahead(group, target) if rows else (), 2 if chunk > 1 and _shares(group) else 1,
    )  # fmt: skip


def _shares(group: Group) -> bool:
    """Whether the sink reads vectors that are the same for every row."""
    sink, row = group.sink, group.shared[-1]
    if sink.reduces:
        return False
    return any(sink.data[-1] in load.vars and row not in load.vars for load in sink.loads)


def _ahead(group: Group, target: Target) -> tuple[tuple[str, str], ...]:
    """Blocks that walk whole rows, and what they walk beside: worth it beyond the L2 cache."""
    sink = group.sink
    size = sink.count(sink.data)
    if sink.reduces or size is None or size * sink.bits // 8 <= target.l2:
        return ()
    made = {buffer for block in group.blocks for buffer in block.written}
    found: dict[str, str] = {}
    for block in group.blocks:
        if block.reduces or len(block.data) != len(sink.data):
            continue
        for access in (*block.loads, *(block.writes if block is sink else ())):
            plain = [access.index_var(n) for n in range(len(access.forms))] == list(block.data)
            if plain and (access.buffer not in made or block is sink):
                found.setdefault(access.buffer.name, block.name)
    outside = {b.name for b in made} - {b.name for b in sink.written}
    return tuple((block, tensor) for tensor, block in found.items() if tensor not in outside)


def _own(block: BlockFacts, group: Group) -> tuple[Var, ...]:
    """The axes of a block that are not shared."""
    if block is group.sink and not group.members and block.reduces:
        return block.reduced
    shared = {group.ties[block.name][v] for v in group.shared}
    return tuple(it.var for it in block.block.iters if it.var not in shared)


def _walks_rows(block: BlockFacts, group: Group) -> bool:
    """Whether the innermost reduction axis is dense wherever it occurs."""
    own = _own(block, group)
    if not own or own[-1] not in block.reduced:
        return False
    last = own[-1]
    walked = [load for load in block.loads if last in load.vars]
    return bool(walked) and all(load.is_dense(last) for load in walked)


def member_of(block: BlockFacts, group: Group, target: Target) -> Member:
    """How one block of a group is vectorized along its own axes."""
    own = _own(block, group)
    axes = len(block.block.iters)
    lanes = target.lanes(block.bits)
    if not own:
        return block.name, axes, 1, 1, 1, False
    reduces = own[-1] in block.reduced
    tail = tuple(v for v in own if (v in block.reduced) == reduces)
    dense = block.dense_run(tail)
    length = block.count(tail[-dense:])
    if not reduces:
        width = below(lanes * _VECTORS, length)
        return block.name, axes, dense, width, min(lanes, width), False
    most = _ACCUMULATORS if length is None or length > _LONG * lanes else _ACCUMULATORS // 2
    width = below(lanes * most, length)
    if length is not None and width > length:
        width //= 2
    if length is not None and length < _SHORT:
        width = 1
    return block.name, axes, dense, width, min(lanes, width), True


RULE = Rule("reduction", match)
