"""In which order the interpreter runs iterations that may run at the same time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class OrderKind(Enum):
    """How the iterations of concurrent loops are taken."""

    CANONICAL = "canonical"  # ascending
    REVERSED = "reversed"  # descending
    RANDOM = "random"  # shuffled, each one as a whole
    INTERLEAVED = "interleaved"  # a few at a time, switching after each block instance or store


@dataclass(frozen=True, slots=True)
class Order:
    """An order for parallel, vectorised and bound loops; `seed` makes random ones repeatable."""

    kind: OrderKind = OrderKind.CANONICAL
    seed: int = 0


CANONICAL = Order()
REVERSED = Order(OrderKind.REVERSED)
HOSTILE = (
    REVERSED,
    Order(OrderKind.RANDOM, 1),
    Order(OrderKind.INTERLEAVED, 2),
    Order(OrderKind.INTERLEAVED, 3),
)


class Picker:
    """Makes the choices of one order."""

    def __init__(self, order: Order) -> None:
        self.kind = order.kind
        self._random = random.Random(order.seed)  # noqa: S311 - repeatable, no secrets

    def iterations(self, count: int) -> Sequence[int]:
        """The iterations of a concurrent loop in the order in which they start."""
        if self.kind is OrderKind.CANONICAL:
            return range(count)
        if self.kind is OrderKind.REVERSED:
            return range(count - 1, -1, -1)
        shuffled = list(range(count))
        self._random.shuffle(shuffled)
        return shuffled

    def next(self, running: int) -> int:
        """Which of the *running* iterations takes the next step."""
        if self.kind is OrderKind.INTERLEAVED:
            return self._random.randrange(running)
        return 0
