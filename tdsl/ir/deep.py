"""Room for deep expressions: a sum of a thousand terms nests a thousand levels.

Python keeps frames in chunks of 16 KiB. A walk whose frames go back and forth over the end of one
maps and unmaps memory at every call, which makes a pass up to twice as slow, depending on how deep
its caller happens to be. `roomy` runs a function where one chunk holds all frames that follow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

T = TypeVar("T")

LIMIT = 20_000
ROOM = 100_000  # slots of a stack frame, 8 bytes each; only those that are used cost memory

_lock = Lock()
_users = 0
_before = sys.getrecursionlimit()


@contextmanager
def deep_recursion() -> Iterator[None]:
    """Raise Python's recursion limit for as long as any thread is inside; also a decorator."""
    global _users, _before  # noqa: PLW0603 - the limit is global, and so is who asked for it
    with _lock:
        if _users == 0:
            _before = sys.getrecursionlimit()
            sys.setrecursionlimit(max(_before, LIMIT))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and sys.getrecursionlimit() == max(_before, LIMIT):
                sys.setrecursionlimit(_before)


def roomy(run: Callable[[], T]) -> T:
    """What *run* returns, run where its frames don't have to look for memory."""
    return run()


roomy.__code__ = roomy.__code__.replace(co_stacksize=ROOM)
