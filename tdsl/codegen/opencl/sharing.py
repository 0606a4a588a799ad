"""Which parts of an expression occur more than once: those get a name in front of the statement."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from tdsl import dtypes
from tdsl.ir.expr import (
    Broadcast,
    Buffer,
    Checked,
    Const,
    Expr,
    Load,
    Node,
    Ramp,
    Shuffle,
    Var,
    field_names,
)
from tdsl.ir.visit import children

_PLAIN = (Var, Const, Broadcast, Ramp, Shuffle)


class Sharing:
    """Numbers the nodes of some expressions, equal ones alike, and counts how often each is used.

    Formulas share their parts as one object: as a tree they would be exponentially large.
    """

    def __init__(self, roots: Iterable[Expr]) -> None:
        self._numbers: dict[int, int] = {}  # by identity
        self._keys: dict[Hashable, int] = {}
        self._uses: dict[int, int] = {}
        self._kept: list[Node] = []  # identities stay unique as long as the objects live
        self._checked: set[int] = set()
        for root in roots:
            self._uses[self._visit(root)] = 1

    def number(self, e: Expr) -> int:
        """The number that equal expressions have in common."""
        return self._numbers[id(e)]

    def named(self, e: Expr) -> bool:
        """Whether an expression is worth a name."""
        if isinstance(e, _PLAIN) or (e.dtype is dtypes.INDEX and not isinstance(e, Load)):
            return False
        number = self.number(e)
        return self._uses.get(number, 0) > 1 and number not in self._checked

    def _visit(self, n: Node) -> int:
        known = self._numbers.get(id(n))
        if known is not None:
            return known
        below = []
        for child in children(n):
            number = self._visit(child)
            below.append(number)
            self._uses[number] = self._uses.get(number, 0) + 1
        key = (type(n), tuple(below), self._shape(n))
        fresh = key not in self._keys
        number = self._keys.setdefault(key, len(self._keys))
        if not fresh:
            for one in below:  # the parent is counted once
                self._uses[one] -= 1
        if isinstance(n, Checked) or any(one in self._checked for one in below):
            self._checked.add(number)
        self._numbers[id(n)] = number
        self._kept.append(n)
        return number

    @staticmethod
    def _shape(n: Node) -> Hashable:
        """What tells apart two nodes of one type over the same children."""
        if isinstance(n, Var | Const | Buffer):
            return n
        found: list[Hashable] = []
        for name in field_names(type(n)):
            value = getattr(n, name)
            if isinstance(value, Expr):
                found.append(name)
            elif not (isinstance(value, tuple) and any(isinstance(x, Expr) for x in value)):
                found.append(value)
        return tuple(found)
