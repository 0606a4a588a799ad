"""Which blocks share loops: a sink, and the producers that are computed where it needs them.

A producer is *tied* to an axis of the sink where one iteration of that axis needs one of the
producer's own (through the consumers between them). All blocks of a group are tied to the axes
that they share, so nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tdsl.ir.expr import Buffer, Var
from tdsl.schedules.rules.blocks import BlockFacts
from tdsl.schedules.rules.contraction import find_contraction

Ties = Mapping[Var, Var]  # axis of the sink -> axis of the member
_NEAR = 1 << 19  # bytes that stay in the L2 cache
_SERVED = 1 << 22  # bytes that the L3 cache serves quickly enough, if
_LARGE = 1 << 25  # so many would go through memory otherwise


@dataclass(slots=True)
class Group:
    """Blocks that share the loops over `shared`, axes of the sink; `members` in program order.

    `constants` are arguments that stay the same from call to call, and can be packed ahead.
    `chained`: the sink is a product of rows that the members make. `windowed`: one iteration of a
    shared axis needs several iterations of a member, at constant distances. `transformed`: the
    members transform tiles, multiply them, and the sink transforms them back.
    """

    sink: BlockFacts
    shared: tuple[Var, ...]
    members: list[BlockFacts] = field(default_factory=list)
    ties: dict[str, Ties] = field(default_factory=dict)
    constants: frozenset[Buffer] = frozenset()
    chained: bool = False
    windowed: bool = False
    transformed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all blocks, the sink last."""
        return (*(member.name for member in self.members), self.sink.name)

    @property
    def blocks(self) -> tuple[BlockFacts, ...]:
        """All blocks, the sink last."""
        return (*self.members, self.sink)

    @staticmethod
    def alone(block: BlockFacts, constants: frozenset[Buffer] = frozenset()) -> Group:
        """A group of one block."""
        own: dict[str, Ties] = {block.name: {v: v for v in block.data}}
        return Group(block, block.data, [], own, constants)

    @property
    def is_whole(self) -> bool:
        """Whether members are tied to every axis of the sink."""
        return self.shared == self.sink.data


def form_groups(
    blocks: Sequence[BlockFacts],
    outputs: frozenset[Buffer],
    constants: frozenset[Buffer] = frozenset(),
    *,
    chain: bool = True,
) -> list[Group]:
    """Divide the blocks (in program order) into groups, in program order of their sinks.

    With `chain`, a product may take in the reductions along rows of its operand, and a product
    that those rows come from.
    """
    consumers = _consumers(blocks)
    home: dict[str, Group] = {}
    groups: list[Group] = []
    late = _after_reductions(blocks)
    made_by_rows = _after_reductions(blocks, products=False)
    for block in reversed(blocks):
        readers = consumers[block.name]
        ahead = [home[reader.name] for reader in readers if reader.name in home]
        homes = {id(group): group for group in ahead}
        if len(ahead) == len(readers) and len(homes) == 1 and not block.written & outputs:
            (group,) = homes.values()
            if _join(group, block, readers, late=block.name in late) or (
                chain
                and (
                    _chain(group, block, readers, late=block.name in made_by_rows)
                    or _near(group, block, readers)
                )
            ):
                home[block.name] = group
                continue
        group = Group.alone(block, constants)
        home[block.name] = group
        groups.append(group)
    groups.reverse()
    return groups


def _consumers(blocks: Sequence[BlockFacts]) -> dict[str, list[BlockFacts]]:
    return {
        b.name: [
            other
            for other in blocks
            if other is not b and any(load.buffer in b.written for load in other.loads)
        ]
        for b in blocks
    }


def _after_reductions(blocks: Sequence[BlockFacts], *, products: bool = True) -> frozenset[str]:
    """Blocks that depend on a reduction, reductions included; on one that is no product, if not."""
    found: set[str] = set()
    buffers: set[Buffer] = set()
    for block in blocks:
        reduces = block.reduces and (products or find_contraction(block) is None)
        if reduces or any(load.buffer in buffers for load in block.loads):
            found.add(block.name)
            buffers |= block.written
    return frozenset(found)


def _join(group: Group, block: BlockFacts, readers: Sequence[BlockFacts], *, late: bool) -> bool:
    """Add a producer to a group, if its axes follow those that the group shares."""
    if block.is_ordered or any(b.is_ordered for b in group.blocks):
        return False
    if any(find_contraction(b) for b in readers):
        return False  # operands of a product are packed, or made beforehand
    ties = _ties(group, block, readers)
    shared = tuple(v for v in group.shared if v in ties)
    if not shared and group.shared:
        return False
    if len(shared) < len(group.shared):
        heavy = any(find_contraction(b) for b in (block, *group.blocks))
        if heavy or not (late or _is_plane(block, readers, group)):
            return False
    if find_contraction(block) and any(b.reduces for b in group.blocks):
        return False
    group.members.insert(0, block)
    group.shared = shared
    group.ties[block.name] = ties
    return True


def _chain(group: Group, block: BlockFacts, readers: Sequence[BlockFacts], *, late: bool) -> bool:
    """Add rows that are made for a product, or the product that they are made of."""
    if block.is_ordered:
        return False
    ties = _ties(group, block, readers)
    view = find_contraction(group.sink)
    if not group.members:
        if view is None or view.slides or block.reduces or not late or readers != [group.sink]:
            return False
        shared = tuple(v for v in group.sink.data if v is not view.column)
        if len(view.rows) != 1 or any(v not in ties for v in shared):
            return False
        if not _is_near(group.sink, block):
            return False
        if not any(load.buffer in block.written for load in view.scalars):
            return False
        group.shared, group.chained = shared, True
    else:
        product = group.chained and find_contraction(block) is not None
        if not product or any(v not in ties for v in group.shared) or not _is_near(block, block):
            return False
    group.members.insert(0, block)
    group.ties[block.name] = ties
    return True


def _near(group: Group, block: BlockFacts, readers: Sequence[BlockFacts]) -> bool:
    """Add a stage of a stencil, some rows of which each row of the sink needs."""
    if any(b.reduces or b.is_ordered or b.block.where is not None for b in (block, *group.blocks)):
        return False
    if any(b.is_selective for b in (block, *group.blocks)) and not _is_spread(block, readers):
        return False
    ties = _ties(group, block, readers, windows=True)
    shared = tuple(v for v in group.shared if v in ties)
    if not shared or (len(group.sink.data) > 1 and shared[0] is group.sink.data[-1]):
        return False
    group.members.insert(0, block)
    group.shared, group.windowed = shared, True
    group.ties[block.name] = ties
    return True


def _is_spread(block: BlockFacts, readers: Sequence[BlockFacts]) -> bool:
    """Whether a reader looks around its own element."""
    return any(
        _own_ties(block, reader, windows=True) != _own_ties(block, reader, windows=False)
        for reader in readers
    )


def apart_along(group: Group, axis: Var) -> frozenset[str]:
    """Members of which one iteration of a shared axis needs several, or others than its own."""
    found: set[str] = set()
    for block in reversed(group.members):
        for reader in group.blocks:
            if not any(load.buffer in block.written for load in reader.loads):
                continue
            own = group.ties[reader.name][axis]
            if reader.name in found or own not in _own_ties(block, reader, windows=False):
                found.add(block.name)
    return frozenset(found)


def _is_near(block: BlockFacts, rows: BlockFacts) -> bool:
    """Whether what the vectors of a product are loaded from fits a cache, for each batch.

    `rows` makes what need not be kept then: where that is much, a slower cache will do.
    """
    view = find_contraction(block)
    assert view is not None
    axes = [v for load in view.vectors for v in load.vars if v not in view.batch]
    size = block.count(tuple(v for v in axes if v in block.extents))
    kept = rows.count(rows.data)
    much = kept is not None and kept * rows.bits // 8 > _LARGE
    return size is None or size * block.bits // 8 <= (_SERVED if much else _NEAR)


def _is_plane(block: BlockFacts, readers: Sequence[BlockFacts], group: Group) -> bool:
    """Whether a reduction over windows reads the block, and no other one is in the group."""
    if block.reduces or len(readers) != 1 or sum(b.reduces for b in group.blocks) != 1:
        return False
    (reader,) = readers
    return reader.reduces and any(
        len(form.vars()) > 1 and form.vars() & set(reader.reduced)
        for load in reader.loads
        if load.buffer in block.written
        for form in load.forms
    )


def _ties(
    group: Group, block: BlockFacts, readers: Sequence[BlockFacts], *, windows: bool = False
) -> Ties:
    """Axes of the sink that axes of a producer follow; `windows`: at constant distances."""
    found: dict[Var, Var] | None = None
    for reader in readers:
        own = _own_ties(block, reader, windows=windows)
        through = {axis: own[at] for axis, at in group.ties[reader.name].items() if at in own}
        found = (
            through if found is None else {v: p for v, p in found.items() if through.get(v) is p}
        )
    return found or {}


def _own_ties(producer: BlockFacts, consumer: BlockFacts, *, windows: bool) -> dict[Var, Var]:
    """Axis of the consumer -> axis of the producer, where every read follows it."""
    written = {w.buffer: w for w in producer.writes}
    found: dict[Var, Var] | None = None
    for load in consumer.loads:
        if load.buffer not in written:
            continue
        made = written[load.buffer]
        pairs: dict[Var, Var] = {}
        for dimension in range(len(made.forms)):
            theirs = load.index_var(dimension, shifted=windows)
            mine = made.index_var(dimension)
            if theirs in consumer.data and mine is not None:
                assert theirs is not None
                pairs[theirs] = mine
        found = pairs if found is None else {v: p for v, p in found.items() if pairs.get(v) is p}
    return found or {}
