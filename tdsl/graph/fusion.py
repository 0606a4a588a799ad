"""Which nodes become one kernel, and for each edge between two kernels why they did not.

A node joins the kernel of its readers where all of them are in that one kernel and computing it
there needs nothing twice. Kernels therefore have one node whose results leave them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from tdsl.graph.attention import attention_chains
from tdsl.graph.ir import Model, Node, Value
from tdsl.graph.kinds import Kind, kind_of
from tdsl.graph.ops.linear import MatMul
from tdsl.graph.ops.movement import Concat

_NODES = 24  # of one kernel; larger ones take long to compile and win nothing more
_SOURCES = 8  # values read by one kernel


@dataclass(slots=True, eq=False)
class Group:
    """Nodes that become one kernel, in order; the last one's results leave it."""

    nodes: list[Node]
    kinds: dict[Node, Kind] = field(default_factory=dict)

    @property
    def sink(self) -> Node:
        """The node whose results leave the kernel."""
        return self.nodes[-1]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What the kernel reads, in order of first use."""
        made = {value for node in self.nodes for value in node.outputs}
        read = dict.fromkeys(v for node in self.nodes for v in node.inputs if v not in made)
        return tuple(read)

    @property
    def name(self) -> str:
        """The operators, in order."""
        return "_".join(node.op.name for node in self.nodes)

    def has(self, *kinds: Kind) -> bool:
        """Whether a node is of one of these kinds."""
        return any(kind in kinds for kind in self.kinds.values())


@dataclass(frozen=True, slots=True)
class Refusal:
    """An edge between two kernels: the value, who makes it, who reads it, and why it is kept."""

    value: Value
    producer: str
    consumer: str
    reason: str

    def __str__(self) -> str:
        return f"{self.value.name}: {self.producer} -> {self.consumer}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Fusion:
    """Kernels in an order in which they can run, and the edges that were not fused."""

    groups: tuple[Group, ...]
    refusals: tuple[Refusal, ...]

    def __str__(self) -> str:
        lines = [f"{n:4} {group.name}" for n, group in enumerate(self.groups)]
        lines += ["", "not fused:", *map(str, self.refusals)]
        return "\n".join(lines)


def plan_fusion(model: Model, *, fuse: bool = True, large: int = 1 << 25) -> Fusion:
    """Divide the nodes into kernels; scores of `large` bytes and more are made in parts."""
    readers = model.readers()
    home: dict[Node, Group] = {}
    refusals: list[Refusal] = []
    order = {node: n for n, node in enumerate(model.nodes)}
    kinds = {node: kind_of(node) for node in model.nodes}
    epilogues = _epilogues(model, readers, kinds)
    chains = attention_chains(model, kinds, large) if fuse else {}
    for node in reversed(model.nodes):
        kind = kinds[node]
        target, reason = _target(node, kind, readers, home, model) if fuse else (None, "disabled")
        if node in chains:
            target = home.get(chains[node])
            reason = "it is the product of an attention"
        elif target is not None and node in epilogues and target.has(Kind.REDUCTION, Kind.MOVE):
            target, reason = None, "it is done on tiles of the product before it"
        if target is None:
            home[node] = Group([node], {node: kind})
            for value in node.outputs:
                users = dict.fromkeys(readers.get(value, ()))
                refusals += [Refusal(value, node.op.name, u.op.name, reason) for u in users]
        else:
            target.nodes.insert(0, node)
            target.kinds[node] = kind
            home[node] = target
    groups = sorted(set(home.values()), key=lambda group: order[group.sink])
    for group in groups:
        group.nodes.sort(key=order.__getitem__)
    return Fusion(tuple(groups), tuple(reversed(refusals)))


def _epilogues(
    model: Model, readers: dict[Value, list[Node]], kinds: dict[Node, Kind]
) -> frozenset[Node]:
    """Elementwise nodes that can be done on the tiles of the product before them."""
    made_by = model.producers()
    found: set[Node] = set()
    for node in model.nodes:
        if kinds[node] is not Kind.MAP:
            continue
        for value in node.inputs:
            before = made_by.get(value)
            if before is None or value.shape != node.output.shape:
                continue
            alone = len(readers[value]) == 1 and value not in model.results
            if alone and (kinds[before] is Kind.CONTRACTION or before in found):
                found.add(node)
    return frozenset(found)


def _target(
    node: Node, kind: Kind, readers: dict[Value, list[Node]], home: dict[Node, Group], model: Model
) -> tuple[Group | None, str]:
    """The kernel that a node joins, or why it joins none."""
    if len(node.outputs) > 1:
        return None, "it has several results"
    value = node.output
    if value in model.results:
        return None, "the value is an output of the model"
    users = readers.get(value, [])
    groups = list(dict.fromkeys(home[user] for user in users))
    if len(groups) != 1:
        return None, f"{len(groups)} kernels read the value, which would be computed in each"
    (group,) = groups
    reason = _obstacle(node, kind, group, list(dict.fromkeys(users)))
    return (None, reason) if reason else (group, "")


def _obstacle(node: Node, kind: Kind, group: Group, users: Sequence[Node]) -> str:
    """Why a node does not join a kernel; empty where it does."""
    if kind is Kind.VIEW or group.has(Kind.VIEW):
        return "a view takes no time of its own"
    if kind is Kind.OPAQUE or group.has(Kind.OPAQUE):
        return "indices that depend on data, windows and recurrences are kernels of their own"
    if len(group.nodes) >= _NODES or len({*group.inputs, *node.inputs}) > _SOURCES:
        return f"the kernel would have more than {_NODES} nodes or {_SOURCES} operands"
    if kind is not Kind.REDUCTION and not all(_is_used_once(node, user, group) for user in users):
        return "each element is used several times"
    return _anchored(node, kind, group, users)


def _is_used_once(node: Node, user: Node, group: Group) -> bool:
    """Whether a reader uses each element once, or along one row, where rows are worked on whole."""
    mine, theirs = node.output.shape, user.output.shape
    if user.output.count <= node.output.count:
        return True
    outer = next((n for n, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), 0)
    is_row = len(mine) == len(theirs) and outer > 0 and all(n == 1 for n in mine[outer:])
    return is_row and not group.has(Kind.CONTRACTION, Kind.MOVE)


def _is_walked_once(node: Node, users: Sequence[Node]) -> bool:
    """Whether a product with one row walks parts, joined along the axis that it sums over, once."""
    if len(users) != 1 or not isinstance(node.op, Concat):
        return False
    (user,) = users
    match user.op:
        case MatMul(transpose_b=False) if user.inputs[1] is node.output:
            rank = len(node.output.shape)
            row, batch = user.output.shape[-2], user.output.shape[:-2]
            alone = user.inputs[0] is not node.output and node.op.axis == rank - 2
            return alone and row == 1 and prod(batch) == prod(node.output.shape[:-2])
        case _:
            return False


def _anchored(node: Node, kind: Kind, group: Group, users: Sequence[Node]) -> str:
    """Obstacles that products and reductions are."""
    readers = {group.kinds[user] for user in users}
    if Kind.CONTRACTION in readers:
        if _is_walked_once(node, users):
            return ""
        return "operands of a product are read again and again"
    if kind is Kind.CONTRACTION:
        if group.has(Kind.CONTRACTION):
            return "the kernel has a product already"
        if group.has(Kind.REDUCTION, Kind.MOVE):
            return "tiles of a product go on elementwise only"
        if any(user.output.shape != node.output.shape for user in users):
            return "the reader has another shape"
        return ""
    if kind is Kind.REDUCTION:
        if group.has(Kind.CONTRACTION, Kind.MOVE):
            return "a reduction and a product or a move walk memory in different ways"
        return _rows(node, group)
    if kind is Kind.MOVE:
        if group.has(Kind.REDUCTION):
            return "a reduction reads rows that are dense in memory"
        if group.has(Kind.MOVE):
            return "one move is enough"
    return ""


def _rows(node: Node, group: Group) -> str:
    """A reduction joins what works on the same rows."""
    outer = _row_shape(node)
    if outer is None:
        return "it reduces other axes than the last ones"
    for other in group.nodes:
        shape = other.output.shape
        if shape[: len(outer)] != outer:
            return "the kernel has other rows"
    return ""


def _row_shape(node: Node) -> tuple[int, ...] | None:
    """The extents of the axes that a reduction over last axes keeps."""
    before, after = node.inputs[0].shape, node.output.shape
    if before == after:
        return before[:-1]
    if len(before) != len(after):
        return None
    kept = [n for n, (b, a) in enumerate(zip(before, after, strict=True)) if b == a]
    return before[: len(kept)] if kept == list(range(len(kept))) else None
