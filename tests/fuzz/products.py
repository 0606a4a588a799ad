"""A family of the grammar that instructions fit: rows times rows, of small constant extents."""

from __future__ import annotations

from tests.fuzz.algorithms import Extent
from tests.fuzz.expressions import Known
from tests.fuzz.grammar import Builder
from tests.fuzz.instructions import DTYPES


def products(b: Builder) -> None:
    """`P[i, j] = sum over k of A[i, k] * B[j, k]`."""
    dtype = b.draw.choice([d for d in b.dtypes if d in DTYPES] or ["int32"])
    rows = b.extent()
    lanes, depth = (Extent(None, 1, b.draw.integer(2, 5)) for _ in range(2))
    axis, name = b.fresh("k"), b.fresh("P")
    A, B = b.input((rows, depth), dtype), b.input((lanes, depth), dtype)
    scope = b.scope((), [])
    scope.used |= {A.name, B.name}
    lines = [
        f'{axis} = td.reduce_axis({depth}, name="{axis}")',
        f"{name} = td.compute(({rows}, {lanes}), lambda i, j: "
        f'td.sum({A.name}[i, {axis}] * {B.name}[j, {axis}], axis={axis}), name="{name}")',
    ]
    b.declare("products", [Known(name, (rows, lanes), dtype, exact=False)], lines, scope)
