"""Room for deep expressions: a sum of a thousand terms nests a thousand levels."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

LIMIT = 20_000

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
