"""Updates run each instance once, unless running it again changes nothing.

An update that depends on nothing it writes, or a maximum, leaves the same value however often it
runs; order then decides alone, as for any write.
"""

from __future__ import annotations

from tdsl.analysis.access import accesses
from tdsl.analysis.model import Site
from tdsl.analysis.order import concurrency, differing, same_prefix, unordered
from tdsl.analysis.refusal import Refused
from tdsl.analysis.state import State
from tdsl.ir.frames import IslMap, budget
from tdsl.ir.stmt import Block

_IDEMPOTENT = ("min", "max", "any", "all", "argmin", "argmax")


def is_idempotent(block: Block) -> bool:
    """Whether an instance that runs again at once leaves what it left the first time."""
    if block.reducer is not None and block.reducer.name not in _IDEMPOTENT:
        return False
    written = {write.buffer for write in block.writes}
    return not any(a.buffer in written and not a.is_write for a in accesses(block))


def check_repeats(state: State, block: Block, sites: tuple[Site, ...], depth: int = 0) -> None:
    """Check that leaves of an update repeat no instance while `depth` outer loops stand still.

    Raises:
        Refused: one runs twice, and that matters.
    """
    harmless = is_idempotent(block)
    for n, one in enumerate(sites):
        for two in sites[: n + 1]:
            bad = _repeated(state, one, two, depth, races_only=harmless)
            if bad is not None:
                raise Refused(
                    f"{block.name} would run twice on one instance, and updates what it wrote "
                    "before",
                    state.repetition(one, two, bad),
                    hint="use tail='guard'; a reduction may run again as a whole, with its init",
                )


def _repeated(state: State, one: Site, two: Site, depth: int, *, races_only: bool) -> IslMap | None:
    met = state.met(one, two)
    with budget():
        again = state.run(one).instances().apply_range(state.run(two).instances().reverse())
        again = same_prefix(again, depth)
        if races_only:
            ways = concurrency(one, met.common)
            return unordered(again, ways, first=True, start=depth, races_only=True)
        if one is two:
            return differing(again, len(one.levels))
        return None if again.is_empty() else again
