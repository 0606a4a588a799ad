"""How far a schedule may change the bits of a result, from not at all to within a bound."""

from __future__ import annotations

from enum import Enum
from functools import total_ordering

from tdsl.ir.stmt import Block


@total_ordering
class Numerics(Enum):
    """A label of a step or a schedule; the worst step labels the whole.

    >>> max(Numerics.EXACT, Numerics.REASSOCIATES)
    <Numerics.REASSOCIATES: 'reassociates'>
    """

    EXACT = "exact"
    REASSOCIATES = "reassociates"
    UNORDERED = "unordered"
    APPROXIMATES = "approximates"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Numerics):
            return NotImplemented
        return _RANK[self] < _RANK[other]


_RANK = {label: rank for rank, label in enumerate(Numerics)}

# combinations that give the same bits in any order
_INDEX_PICKERS = ("argmax", "argmin")
_EXACT_ON_INTEGERS = ("sum", "prod", "min", "max", "any", "all")


def swaps_exactly(block: Block) -> bool:
    """Whether the updates of one element give the same bits in any order.

    True of integer and bool arithmetic (it wraps), and of argmax and argmin, whose ties are
    decided by the index.
    """
    reducer = block.reducer
    if reducer is None:
        return False
    if reducer.name in _INDEX_PICKERS:
        return True
    integral = all(not e.dtype.is_float for e in reducer.identity)
    return integral and reducer.name in _EXACT_ON_INTEGERS
