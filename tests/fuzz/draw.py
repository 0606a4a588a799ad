"""Random choices made by Hypothesis, behind the interface that the fuzzer draws from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class HypothesisDraw:
    """Choices of Hypothesis, which shrinks them towards the first and the smallest."""

    def __init__(self, draw: Callable[[st.SearchStrategy], object]) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def chance(self, probability: float) -> bool:
        return self._draw(st.integers(0, 99)) >= 100 - round(100 * probability)

    def choice(self, items: Sequence[T]) -> T:
        return self._draw(st.sampled_from(items))

    def weighted(self, weights: dict[T, float]) -> T:
        return self._draw(st.sampled_from(list(weights)))

    def shuffled(self, items: Sequence[T]) -> list[T]:
        return self._draw(st.permutations(items))
