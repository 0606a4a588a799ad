"""Which numbers a knob tries: divisors first, and sizes that suit registers and caches."""

from __future__ import annotations

from functools import lru_cache

from tdsl.autotune.limits import MOST_VALUES

_ROUND = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 30, 32, 40, 48, 56, 64, 80, 96)


@lru_cache(maxsize=1024)
def tile_domain(extent: int, most: int) -> tuple[int, ...]:
    """Sizes of one part of a tiled loop: divisors of the extent, and round numbers.

    >>> tile_domain(6, 64)
    (1, 2, 3, 4, 5, 6)
    >>> 48 in tile_domain(1000, 64), 125 in tile_domain(1000, 256)
    (True, True)
    """
    limit = max(1, min(extent, most))
    sizes = {n for n in _ROUND if n <= limit}
    sizes |= {n for n in range(1, min(limit, 4096) + 1) if extent % n == 0}
    size = 128
    while size <= limit:
        sizes |= {n for n in (size, size * 3 // 2) if n <= limit}
        size *= 2
    sizes.add(limit)
    return thinned(tuple(sorted(sizes)))


def int_domain(low: int, high: int, step: int) -> tuple[int, ...]:
    """The numbers of a range; of a very long one, evenly spread ones."""
    return thinned(
        tuple(range(low, high + 1, step)) if high - low < 1 << 16 else _spread(low, high)
    )


def _spread(low: int, high: int) -> tuple[int, ...]:
    return tuple(low + (high - low) * n // (MOST_VALUES - 1) for n in range(MOST_VALUES))


def thinned(values: tuple[int, ...]) -> tuple[int, ...]:
    """At most `MOST_VALUES` of the values, both ends included."""
    if len(values) <= MOST_VALUES:
        return values
    last = len(values) - 1
    return tuple(values[last * n // (MOST_VALUES - 1)] for n in range(MOST_VALUES))
