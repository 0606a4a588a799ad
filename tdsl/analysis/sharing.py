"""Whether a tensor may be made in the storage of another one: what that holds is no longer read."""

from __future__ import annotations

from tdsl.analysis.access import Access, relation
from tdsl.analysis.dependences import Dependences, Hazard, dependences, earlier
from tdsl.analysis.model import Site, meeting
from tdsl.analysis.refusal import Refused
from tdsl.analysis.witness import conflict
from tdsl.ir.expr import Buffer, Load
from tdsl.ir.frames import LOCK, IslMap, Unknown, budget
from tdsl.ir.stmt import Block, Program


def is_identity_copy(block: Block, source: Buffer, target: Buffer) -> bool:
    """Whether a block does nothing but `target[i, ...] = source[i, ...]`."""
    if block.where is not None or len(block.writes) != 1 or block.sources:
        return False
    (write,) = block.writes
    return write.buffer is target and write.value == Load(source, write.indices)


def check_sharing(algorithm: Program, old: Buffer, new: Buffer) -> None:
    """Check that *new* may be written where *old* lies, in the algorithm's own order.

    No element of *old* is read, or written, after that of *new* is written. A block that copies
    one to the other does nothing then. What a schedule makes of that order is for `prove`.

    Raises:
        Refused: a value of *old* would be lost; or that cannot be excluded.
    """
    with LOCK:
        deps = dependences(algorithm)
        for site in deps.sites:
            if is_identity_copy(site.block, old, new):
                continue
            written = {write.buffer for write in site.block.writes}
            if {old, new} <= written:
                raise Refused(
                    f"{site.block.name} writes {new.name} and {old.name} at once",
                    hint="results of one block need a place each",
                )
            writes = [a for a in deps.accesses[id(site.block)] if a.is_write and a.buffer is new]
            for other in deps.sites if writes else ():
                touched = [a for a in deps.accesses[id(other.block)] if a.buffer is old]
                for write in writes:
                    for access in touched:
                        _check_pair(deps, (site, write), (other, access))


def _check_pair(deps: Dependences, taker: tuple[Site, Access], user: tuple[Site, Access]) -> None:
    (a, write), (b, access) = taker, user
    try:
        late = _late(deps, taker, user)
    except Unknown as error:
        raise Refused(
            f"whether {b.block.name} needs {access.buffer.name} after {a.block.name} has taken its "
            f"place could not be decided: {error}"
        ) from error
    if late is None:
        return
    verb = "still writes" if access.is_write else "still reads"
    with budget():
        times = deps.models.run(a).instances().apply_range(late)
        times = times.apply_range(deps.models.run(b).instances().reverse())
    kind = Hazard.WAW if access.is_write else Hazard.RAW
    raise Refused(
        f"{b.block.name} {verb} {access.buffer.name} after {a.block.name} has written "
        f"{write.buffer.name} in its place, in the order of the unscheduled kernel",
        conflict(kind.value, times, (a, b), [(write, access)], deps.models.sizes),
        hint="only a tensor that is read for the last time can be taken over",
    )


def _late(
    deps: Dependences, taker: tuple[Site, Access], user: tuple[Site, Access]
) -> IslMap | None:
    """Instances of the taker to later ones of the user that share an element, if any."""
    (a, write), (b, access) = taker, user
    met = meeting(a, b)
    if a is not b and not met.first and not met.common:
        return None
    spaces = deps.models.instances(a.block), deps.models.instances(b.block)
    with budget():
        left = relation(write, spaces[0], deps.models)
        meets = left.apply_range(relation(access, spaces[1], deps.models).reverse())
        late = earlier(meets, a, b, met, deps.models, 0)
        return None if late.is_empty() else late
