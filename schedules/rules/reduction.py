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
from tdsl.schedules.rules.fetching import Fetch, fetch_ahead, rows_ahead
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.schedules.rules.steps import own_loops, spread
from tdsl.schedules.rules.tiles import below
from tdsl.scheduling import Loop, Schedule
from tdsl.scheduling.combinator import combinator
from tdsl.target import Target, TargetKind

_ACCUMULATORS = 8  # vectors; fewer leave the adders waiting
_VECTORS = 4
_FEW = 1 << 12  # results of a row, which stay near with it
_TASK = 1 << 16  # elements of one parallel task, about 10 microseconds
_LONG = 64  # vectors of a row from which on all accumulators are worth their sum
_SHORT = 8  # rows that are not worth a vector of partial results

# name, axes of its own, how many of the last are dense together, elements of a step, lanes, and
# whether those axes are reduced
Member = tuple[str, int, int, int, int, bool]


@combinator
def fuse_rows(
    s: Schedule, sink: str, rows: tuple[int, ...], chunk: int, tasks: int,
    members: tuple[Member, ...], ahead: tuple[Fetch, ...] = (), pair: int = 1,
    share: int = 0,
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
        ahead: blocks that ask for elements to come: of which tensor, and how far along which
            dimension.
        pair: rows that are done together, to share what all rows read.
        share: where there is one row, which is long: elements of one parallel task (0: one task).
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
    lanes_of: dict[str, str] = {}
    for name, axes, dense, width, lanes, reduces in members:
        if width > 1:
            own = rest if name == sink else own_loops(s, name, axes)
            step = lanes if name == sink and pair > 1 else width
            if share and reduces:
                walks, own = _shared_out(s, own, dense, share)
                lanes_of[name] = vectorize_row(s, walks, own, 1, step, lanes, reduces=True)
                continue
            lanes_of[name] = vectorize_row(s, name, own, dense, step, lanes, reduces=reduces)
    if pair > 1:
        _share_vectors(s, sink, kept[-1])
    for name, tensor, dimension, distance in ahead:
        fetch_ahead(s, lanes_of.get(name, name), tensor, dimension, distance)


def _shared_out(
    s: Schedule, own: tuple[Loop, ...], dense: int, share: int
) -> tuple[str, tuple[Loop, ...]]:
    """Reduce parts of one long row in parallel; the block of a part, and its own axis."""
    outer, _ = s.split(_as_one(s, own[-dense:]), share)
    partial = s.rfactor(outer)
    loops = s.loops(partial)
    s.parallel(loops[0])
    return partial, loops[1:]


def _as_one(s: Schedule, loops: tuple[Loop, ...]) -> Loop:
    last = loops[0]
    for inner in loops[1:]:
        last = s.fuse(last, inner)
    return last


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
) -> str:  # fmt: skip
    """Vectorize the innermost axes of a block; those of a reduction by partial results.

    Returns the block that walks the row: that of the partial results of a reduction.
    """
    last = _as_one(s, own[-dense:])
    if reduces:
        return _reduce_in_lanes(s, block, last, width, lanes)
    if isinstance(last.extent, int) and last.extent <= width:
        s.vectorize(last, lanes)
    else:
        s.vectorize(s.split(last, width, tail="mask")[1], lanes)
    return block


def _reduce_in_lanes(s: Schedule, block: str, loop: Loop, width: int, lanes: int) -> str:
    """Reduce into `width` lanes, those into one vector, and halve that until one is left."""
    widths = [width]
    while lanes > 1:
        widths += [lanes] if lanes < widths[-1] else []
        lanes //= 2
    first = ""
    for lane_count in widths:
        partial = s.rfactor(s.split(loop, lane_count)[1])
        s.set_scope(partial, "register")
        loops = s.loops(partial)
        s.vectorize(loops[-1])
        if first:
            s.unroll(loops[-2])
        first = first or partial
        loop = s.loops(block)[-1]
    s.unroll(loop)
    return first


@dataclass(frozen=True)
class Rows(Plan):
    """Blocks that share rows."""

    sink: str
    rows: tuple[int, ...]
    chunk: int
    tasks: int
    members: tuple[Member, ...]
    ahead: tuple[Fetch, ...]
    pair: int
    share: int

    @property
    def reason(self) -> str:
        reductions = [name for name, *_, reduces in self.members if reduces]
        shared = (
            f", {len(self.members)} blocks computed row by row" if len(self.members) > 1 else ""
        )
        return f"{', '.join(reductions)} reduced along dense rows{shared}, {self.chunk} rows a task"

    def apply(self, s: Schedule) -> None:
        fuse_rows(
            s,
            self.sink,
            self.rows,
            self.chunk,
            self.tasks,
            self.members,
            self.ahead,
            self.pair,
            self.share,
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
    reductions = [b for b in group.blocks if b.reduces]
    if not all(_walks_rows(b, group) for b in reductions):
        return None
    if not all(_sums_up(b, group, target) for b in reductions):
        return None
    members = tuple(member_of(b, group, target) for b in group.blocks)
    length = max((b.count(_own(b, group)) or _TASK // 16) for b in group.blocks)
    count = sink.extent(rows[-1]) if rows else 1
    chunk = below(max(1, _TASK // max(length, 1)), count)
    while chunk > 1 and count is not None and count < chunk * 2 * target.cores:
        chunk //= 2
    pair = 2 if chunk > 1 and _shares(group) else 1
    return Rows(
        sink.name, tuple(sink.data.index(v) for v in rows), chunk, 4 * target.cores, members,
        rows_ahead(group, pair, target) if rows else (), pair,
        _share(sink, target) if not rows else 0,
    )  # fmt: skip


def _share(sink: BlockFacts, target: Target) -> int:
    """Elements of one task of a single row, 0 where it is not worth sharing out."""
    length = sink.count(sink.reduced)
    dense = sink.reduces and sink.dense_run(sink.reduced) == len(sink.reduced)
    if length is None or not dense or length < 4 * _TASK:
        return 0
    return -(-length // (4 * target.cores))


def _shares(group: Group) -> bool:
    """Whether the sink reads vectors that are the same for every row."""
    sink, row = group.sink, group.shared[-1]
    if sink.reduces:
        return False
    return any(sink.data[-1] in load.vars and row not in load.vars for load in sink.loads)


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


def _sums_up(block: BlockFacts, group: Group, target: Target) -> bool:
    """Whether a row becomes few values, or a value is made of more than a few elements.

    Histograms of small windows are neither: their bins are the vectors (rule `columns`).
    """
    if group.members:
        own = tuple(v for v in _own(block, group) if v not in block.reduced)
        return (block.count(own) or 0) <= _FEW
    if not block.data:
        return True
    last, length = block.data[-1], block.extent(block.reduced[-1])
    bins = block.extent(last) or 0
    lanes = target.lanes(block.bits)
    shared = all(last not in load.vars for load in block.loads)
    return not (shared and bins * 2 >= lanes and length is not None and length < lanes)


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
