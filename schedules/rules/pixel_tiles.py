"""Tiles of pixels and channels in registers: their sizes from extents and facts of the target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tdsl.target import Target

_LATENCY = 4  # cycles that a fused multiply-add takes; two start in each
_MOST = 14  # pixels of a tile
_MANY = 1 << 12  # what a symbolic extent counts as
_LINE = 64
_SETS = 64  # of the L1 cache: lines 4 KiB apart share one
_WAYS = 8  # lines of one set that may be walked at once
_NEAR_BYTES, _FAR_BYTES = 40, 14  # per cycle, from the L2 cache and from beyond
_TURN = 0.4  # cycles that a step of the loop costs besides
_START = 25  # cycles that a tile costs besides


@dataclass(frozen=True, slots=True)
class PixelTile:
    """`high` rows of `wide` pixels, times `vectors` vectors of channels."""

    high: int
    wide: int
    vectors: int


@dataclass(frozen=True, slots=True)
class Pixels:
    """What a tile is chosen for.

    Attributes:
        height, width: of the image, None where symbolic.
        channels: of the result.
        depth: elements that are summed up.
        down, across: bytes from a row, or a pixel, to the next.
    """

    height: int | None
    width: int | None
    channels: int | None
    depth: int | None
    down: int = 0
    across: int = 0


def pixel_tile(shape: Pixels, lanes: int, target: Target) -> PixelTile:
    """The tile that takes the fewest cycles."""
    return min(_tiles(shape, target), key=lambda tile: _cycles(shape, tile, lanes, target))


def _tiles(shape: Pixels, target: Target) -> Iterator[PixelTile]:
    """Every tile whose sums, a row of vectors and a scalar fit into registers."""
    free = target.vector_registers - 1
    for vectors in range(1, 7):
        for wide in range(1, min(_MOST, _MANY if shape.width is None else shape.width) + 1):
            most = min(_MOST // wide, (free - vectors) // (wide * vectors))
            if shape.height is None:
                most = min(most, 1)
            for high in range(1, min(most, shape.height or 1) + 1):
                if is_provable((shape.height, high), (shape.width, wide)):
                    yield PixelTile(high, wide, vectors)


def is_provable(*splits: tuple[int | None, int]) -> bool:
    """Whether at most one extent is cut into parts of two sizes: proofs of more take too long."""
    return sum(extent is not None and extent % size != 0 for extent, size in splits) < 2


def _cycles(shape: Pixels, tile: PixelTile, lanes: int, target: Target) -> float:
    """Cycles of all tiles, ragged ones included."""
    depth = shape.depth or _MANY
    columns = tile.vectors * lanes
    panels = -(-(shape.channels or _MANY) // columns)
    panel = depth * columns * target.vector_bits // 8 // lanes
    supply = tile.vectors * (target.vector_bits // 8)
    least = 0.0
    if panel > target.l1 // 2:
        least = supply / (_NEAR_BYTES if panel <= target.l2 * 5 // 8 else _FAR_BYTES)
    total = 0.0
    for high, rows in balanced_parts(shape.height, tile.high):
        for wide, count in balanced_parts(shape.width, tile.wide):
            pixels = high * wide
            products, loads = pixels * tile.vectors, pixels + tile.vectors
            step = max(products / 2, loads / 2, _LATENCY, least) + _TURN
            step *= _crowding(shape, high, wide)
            total += rows * count * (depth * step + 1.5 * products + _START)
    return panels * total


def balanced_parts(extent: int | None, size: int) -> tuple[tuple[int, int], ...]:
    """How many parts of which size a balanced split makes."""
    whole = _MANY if extent is None else extent
    count = -(-whole // size)
    if not count:
        return ()
    small = whole // count
    larger = whole - small * count
    return tuple(p for p in ((small + 1, larger), (small, count - larger)) if p[1])


def _crowding(shape: Pixels, high: int, wide: int) -> float:
    """How much slower pixels are whose lines share sets of the L1 cache."""
    used = [0] * _SETS
    for y in range(high):
        for x in range(wide):
            used[(y * shape.down + x * shape.across) // _LINE % _SETS] += 1
    return 1.0 if max(used) <= _WAYS else 1.08
