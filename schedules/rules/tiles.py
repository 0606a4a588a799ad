"""Sizes of tiles from facts of the target: registers, lanes, caches and cores."""

from __future__ import annotations

from dataclasses import dataclass

from tdsl.target import Target

_LATENCY = 4  # cycles that a fused multiply-add takes; two start in each
_LOAD = 0.02  # cycles that a load costs beside the products; 6 x 64 beats 8 x 48 by 2 %
_MOST_ROWS = 14
_MANY = 512  # what a symbolic extent counts as
_MOST_VECTORS = 6


@dataclass(frozen=True, slots=True)
class Tile:
    """A register tile: `rows` broadcast scalars times `vectors` vectors of `lanes` elements."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        """Elements of a row of the tile."""
        return self.vectors * self.lanes


def register_tile(
    rows: int | None, columns: int | None, lanes: int, target: Target, *, even: bool = False
) -> Tile:
    """The tile that spends the fewest cycles on a product of `rows` x `columns` elements.

    Extents that are not known count as large. With `even`, tiles should divide the rows, because a
    remainder costs as much as a whole tile.
    """
    free = target.vector_registers - 1  # one holds the broadcast scalar
    best: tuple[float, Tile] | None = None
    for vectors in range(1, _MOST_VECTORS + 1):
        most = min(
            _MOST_ROWS, (free - vectors) // vectors, max(1, _MOST_ROWS if rows is None else rows)
        )
        for height in range(1, most + 1):
            cost = _cycles(rows, columns, Tile(height, vectors, lanes), even=even)
            if best is None or cost < best[0]:
                best = cost, Tile(height, vectors, lanes)
    assert best is not None
    return best[1]


def _cycles(rows: int | None, columns: int | None, tile: Tile, *, even: bool) -> float:
    """Cycles per step of the reduction for the whole product, up to a factor."""
    height, width = _MANY if rows is None else rows, _MANY if columns is None else columns
    products = tile.rows * tile.vectors
    loads = tile.rows + tile.vectors
    step = max(products / 2, loads / 2, _LATENCY) + _LOAD * loads
    step *= 1 + 0.04 * max(0, tile.rows - 8) / 8  # many rows in place share sets of the L1 cache
    step *= 1 + 0.2 / products  # the loop itself
    panels = -(-width // tile.columns)
    tall = -(-height // tile.rows) if even else height / tile.rows
    return panels * max(tall, 1) * step


def below(limit: int, extent: int | None) -> int:
    """The greatest power of two up to `limit` that does not exceed an extent by a factor of two."""
    size = 1
    while size * 2 <= limit and (extent is None or size < extent):
        size *= 2
    return size
