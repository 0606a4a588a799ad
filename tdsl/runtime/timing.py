"""How long one call takes."""

from __future__ import annotations

import time
from collections.abc import Callable

from tdsl.runtime.errors import ArgumentValueError

_MOST_CALLS = 1 << 30


def time_calls(
    run: Callable[[int], object], number: int | None, repeat: int, min_repeat_ms: float
) -> list[float]:
    """Seconds per call, for each of `repeat` measurements.

    Args:
        run: makes that many calls.
        number: calls per measurement; None: as many as take `min_repeat_ms`.
        repeat: measurements.
        min_repeat_ms: the least a measurement should take when `number` is None.

    Raises:
        ArgumentValueError: a count below 1.
    """
    if repeat < 1 or (number is not None and number < 1):
        raise ArgumentValueError(f"number={number} and repeat={repeat} must be 1 or more")
    run(1)  # touch the memory, load the code, wake the threads
    count = number if number is not None else _enough_calls(run, min_repeat_ms / 1e3)
    return [_seconds(run, count) / count for _ in range(repeat)]


def _enough_calls(run: Callable[[int], object], seconds: float) -> int:
    count = 1
    while (taken := _seconds(run, count)) < seconds and count < _MOST_CALLS:
        # aim a little above the target; at most tenfold, since short measurements are rough
        growth = 10.0 if taken <= 0 else min(10.0, 1.2 * seconds / taken)
        count = max(count + 1, int(count * growth))
    return count


def _seconds(run: Callable[[int], object], count: int) -> float:
    start = time.perf_counter()
    run(count)
    return time.perf_counter() - start
