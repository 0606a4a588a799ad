"""How long a call takes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np


def milliseconds(run: Callable[[], object]) -> float:
    """Median time of a call, after a first one, over at least 0.2 s."""
    run()
    times = []
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end or len(times) < 3:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times))
