"""Whether an index map keeps elements apart, and how much storage its image needs."""

from __future__ import annotations

from math import prod

import numpy as np

from tdsl.ir.affine import linear
from tdsl.ir.build import conjunction
from tdsl.ir.expr import Binary, BinaryOp, Const, Expr, Var
from tdsl.ir.interval import Interval, interval
from tdsl.ir.polyhedra import Domain, Unknown
from tdsl.ir.stmt import Program
from tdsl.ir.visit import substitute
from tdsl.scheduling.index_map import IndexMap

ENUMERATED = 65_536  # boxes of up to that many elements are checked one by one
_MOST_PLACES = 2**62  # that are numbered without ranking the coordinates first

_APPLY = {
    BinaryOp.ADD: np.add,
    BinaryOp.SUB: np.subtract,
    BinaryOp.MUL: np.multiply,
    BinaryOp.FLOORDIV: np.floor_divide,
    BinaryOp.FLOORMOD: np.mod,
}


def clash(program: Program, index_map: IndexMap, extents: tuple[Expr, ...]) -> str | None:
    """Two elements of a box that the map puts in one place, or None if it keeps all apart.

    An answer that cannot be found out is given as a clash.
    """
    sizes = [int(extent.value) for extent in extents if isinstance(extent, Const)]
    if len(sizes) == len(extents) and prod(sizes) <= ENUMERATED:
        return _enumerated_clash(index_map, tuple(sizes)) if prod(sizes) else None
    primed = tuple(Var(var.name + "'", var.dtype) for var in index_map.inputs)
    rename = dict(zip(index_map.inputs, primed, strict=True))
    same_place = [Binary(BinaryOp.EQ, e, substitute(e, rename)) for e in index_map.outputs]
    same_element = conjunction([Binary(BinaryOp.EQ, a, b) for a, b in rename.items()])
    ranges = dict(zip((*index_map.inputs, *primed), (*extents, *extents), strict=True))
    domain = Domain(ranges, same_place, sizes=program.sizes, assume=program.assume)
    if domain.proves(same_element):
        return None
    try:
        point = domain.counterexample(same_element)
    except Unknown:
        point = None
    one = [] if point is None else [point[var.name] for var in index_map.inputs]
    two = [] if point is None else [point[var.name] for var in primed]
    # indices that are not affine may be anything in the domain: see that the two really meet
    if point is None or _place(index_map, one) != _place(index_map, two):
        return "it cannot be shown that no two elements share a place"
    return f"elements {one} and {two} share a place"


def _place(index_map: IndexMap, element: list[int]) -> list[int]:
    at = dict(zip(index_map.inputs, map(np.asarray, element), strict=True))
    return [int(_values(output, at)) for output in index_map.outputs]


def _enumerated_clash(index_map: IndexMap, sizes: tuple[int, ...]) -> str | None:
    grid = np.indices(sizes, dtype=np.int64).reshape(len(sizes), prod(sizes))
    at = dict(zip(index_map.inputs, grid, strict=True))
    places = np.zeros(grid.shape[1], np.int64)  # equal where all coordinates so far are
    count = 1
    for output in index_map.outputs:
        values = np.broadcast_to(_values(output, at), places.shape)
        values = values - values.min()
        span = int(values.max()) + 1
        if count * span > _MOST_PLACES:
            _, places = np.unique(places, return_inverse=True)
            _, values = np.unique(values, return_inverse=True)
            count = span = places.size
        places = places * span + values
        count *= span
    ordered = np.sort(places)
    if not (ordered[1:] == ordered[:-1]).any():
        return None
    place = ordered[1:][ordered[1:] == ordered[:-1]][0]
    first, second = np.flatnonzero(places == place)[:2]
    one, two = grid[:, first].tolist(), grid[:, second].tolist()
    return f"elements {one} and {two} share a place"


def _values(e: Expr, at: dict[Var, np.ndarray]) -> np.ndarray:
    match e:
        case Var():
            return at[e]
        case Const(value=value):
            return np.asarray(value, dtype=np.int64)
        case Binary(op=op, a=a, b=b):
            return np.asarray(_APPLY[op](_values(a, at), _values(b, at)))
        case _:
            raise TypeError(e)


def image(index_map: IndexMap, extents: tuple[Expr, ...]) -> tuple[Expr, ...] | None:
    """The shape that holds all places, or None where it cannot be told or a place is negative."""
    env = {
        var: Interval.of_extent(extent)
        for var, extent in zip(index_map.inputs, extents, strict=True)
    }
    shape: list[Expr] = []
    for output in index_map.outputs:
        span = interval(output, env)
        least = span.constants[0]
        if span.hi is None or least is None or least < 0:
            return None
        shape.append((linear(span.hi) + 1).expr())
    return tuple(shape)
