"""What to ask the caches for ahead of time: the next row, or further on in a long one."""

from __future__ import annotations

from tdsl.ir.affine import Affine, linear
from tdsl.ir.expr import Buffer, Var
from tdsl.ir.stmt import Block
from tdsl.ir.visit import block_reads
from tdsl.schedules.rules.blocks import Access, BlockFacts
from tdsl.schedules.rules.groups import Group
from tdsl.scheduling import Schedule
from tdsl.target import Target

Fetch = tuple[str, str, int, int]  # block, tensor, dimension, and how far ahead along it

FAR = 8192  # bytes ahead in a row that is only read


def rows_ahead(group: Group, pair: int, target: Target) -> tuple[Fetch, ...]:
    """Fetches for blocks that walk whole rows of arguments and results beyond the L2 cache.

    The last block that walks an argument fetches its next row, while the present one is in the
    L1 cache; where nothing else happens to a row, what lies further on in it is fetched.
    """
    sink = group.sink
    found: dict[str, Fetch] = {}
    made = {buffer for block in group.blocks for buffer in block.written}
    for block in group.blocks:
        walked = [load for load in block.loads if load.buffer not in made]
        walked += block.writes if block is sink and not sink.reduces else ()
        for access in walked:
            if _is_whole(access, block) and is_large(access.buffer, target):
                name = access.buffer.name
                alone = sink.reduces and not group.members
                row = 0 if not group.shared else _dimension(access, group, block)
                last = len(access.forms) - 1
                far = FAR // access.buffer.dtype.bytes
                found[name] = (block.name, name, *((last, far) if alone else (row, pair)))
    return tuple(found.values())


def _dimension(access: Access, group: Group, block: BlockFacts) -> int:
    """The dimension along which the rows of a group follow each other."""
    return access.dimension(group.ties[block.name][group.shared[-1]]) or 0


def _is_whole(access: Access, block: BlockFacts) -> bool:
    """Whether a block walks a tensor element by element, in the order in which it lies."""
    order = tuple(access.index_var(n) for n in range(len(access.forms)))
    return order == tuple(it.var for it in block.block.iters)


def is_large(buffer: Buffer, target: Target) -> bool:
    """Whether a tensor of known size does not fit the L2 cache."""
    size = buffer.dtype.bytes
    for extent in buffer.shape:
        known = linear(extent)
        if not known.is_constant:
            return False
        size *= known.const
    return size > target.l2


def fetch_ahead(s: Schedule, block: str, tensor: str, dimension: int, distance: int) -> None:
    """Let a block ask for what it will use: the element further on along a dimension.

    Tensors that live inside the kernel were just written, and are not asked for.
    """
    if tensor not in {param.buffer.name for param in s.func.program.params}:
        return
    found = s.nest.block(block).leaf.block
    forms = _indices(found, tensor)
    names = {v: f"d{n}" for n, v in enumerate(found.vars)}
    if forms is None or not all(set(form.terms) <= set(names) for form in forms):
        return
    outputs = [
        _text(form + (distance if n == dimension else 0), names) for n, form in enumerate(forms)
    ]
    s.prefetch(block, tensor, f"{', '.join(names.values())} -> {', '.join(outputs)}")


def _indices(block: Block, tensor: str) -> tuple[Affine, ...] | None:
    found = [load.indices for load in block_reads(block) if load.buffer.name == tensor]
    found += [write.indices for write in block.writes if write.buffer.name == tensor]
    return tuple(linear(index) for index in found[0]) if found else None


def _text(form: Affine, names: dict[Var, str]) -> str:
    """An index as an index map spells it."""
    terms = [f"{names[v]} * {c}" for v, c in form.terms.items() if isinstance(v, Var)]
    return " + ".join([*terms, str(form.const)])
