"""Where random choices come from, behind one small interface."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

T = TypeVar("T")


class Draw(Protocol):
    """Choices that a grammar makes."""

    def integer(self, low: int, high: int) -> int:
        """A number in [low, high]."""

    def chance(self, probability: float) -> bool:
        """True with the probability given."""

    def choice(self, items: Sequence[T]) -> T:
        """One of the items."""

    def weighted(self, weights: dict[T, float]) -> T:
        """One of the keys, as often as its weight says."""

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in any order."""


class RandomDraw:
    """Choices of a seeded generator: the fast driver."""

    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(str(seed))  # noqa: S311 - no cryptography here

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def choice(self, items: Sequence[T]) -> T:
        return items[self._random.randrange(len(items))]

    def weighted(self, weights: dict[T, float]) -> T:
        return self._random.choices(list(weights), list(weights.values()))[0]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return self._random.sample(items, len(items))
