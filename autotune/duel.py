"""Interleaved comparison: only what beats the default by more than the noise has won.

Contestants are timed in turn, many times over, so that a machine that slows down slows all of them.
What counts is the ratio to the default within each round; its spread is the noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.records.schema import median

_WIDE = 2.0  # spreads that a difference must exceed
_NORMAL = 1.4826  # the standard deviation of normal values, in median distances from their middle
# All rounds of a session run one copy of a kernel's code on one set of arrays. Where these happen
# to lie is in each ratio alike, so the rounds' spread does not show it: a gain below this may be
# gone in the next process.
_PLACEMENT = 0.005


@dataclass(frozen=True, slots=True)
class Duel:
    """One contestant against the default.

    Attributes:
        seconds, default_seconds: medians over the rounds.
        ratio: the median of contestant / default, round by round.
        noise: what the median ratio may be off by.
    """

    seconds: float
    default_seconds: float
    ratio: float
    noise: float

    @property
    def is_quicker(self) -> bool:
        """Whether the contestant is quicker by more than the noise."""
        return self.ratio < 1.0 - self.noise

    @property
    def is_slower(self) -> bool:
        """Whether the contestant is slower by more than the noise."""
        return self.ratio > 1.0 + self.noise


def duel(contestant: Sequence[float], default: Sequence[float]) -> Duel:
    """Compare seconds that were measured in turn.

    >>> duel([1.0, 1.1, 0.9], [2.0, 2.2, 1.8]).is_quicker
    True
    >>> duel([1.0, 1.1, 0.9, 1.0], [1.0, 1.0, 1.0, 1.0]).is_quicker
    False
    """
    ratios = sorted(a / b for a, b in zip(contestant, default, strict=True))
    middle = median(ratios)
    spread = median(sorted(abs(ratio - middle) for ratio in ratios))
    # the median of n values wanders less than the values do, by the square root of n
    noise = max(_PLACEMENT, _WIDE * _NORMAL * spread / len(ratios) ** 0.5)
    return Duel(median(list(contestant)), median(list(default)), middle, noise)
