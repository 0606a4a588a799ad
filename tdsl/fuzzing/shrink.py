"""Make a failing schedule smaller, as long as it fails in the same way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tdsl.fuzzing.step import Step

Steps = tuple[Step, ...]


def shrink_steps(steps: Steps, fails: Callable[[Steps], bool], budget: int = 200) -> Steps:
    """The fewest and plainest steps found that still fail; `budget` bounds the trials.

    >>> steps = tuple(Step("split", (loop, 4)) for loop in "ijk")
    >>> [s.source() for s in shrink_steps(steps, lambda kept: any(s.args[0] == "j" for s in kept))]
    ['s.split("j", 2)']
    """
    left = budget
    progress = True
    while progress:
        progress = False
        for candidate in (*fewer(steps), *plainer(steps)):
            left -= 1
            if left < 0:
                return steps
            if fails(candidate):
                steps, progress = candidate, True
                break
    return steps


def fewer(steps: Steps) -> Iterator[Steps]:
    """The steps without half of them, a quarter, ... one of them."""
    length = len(steps) // 2 or len(steps)
    while length >= 1:
        for start in range(0, len(steps), length):
            yield steps[:start] + steps[start + length :]
        length //= 2


def plainer(steps: Steps) -> Iterator[Steps]:
    """One step with an option left out, or with a factor of 2."""
    for n, step in enumerate(steps):
        plain = [replace(step, options=step.options[:-1])] if step.options else []
        for at, value in enumerate(step.args):
            if isinstance(value, int) and value > 2:
                plain.append(replace(step, args=(*step.args[:at], 2, *step.args[at + 1 :])))
        for new in plain:
            yield (*steps[:n], new, *steps[n + 1 :])
