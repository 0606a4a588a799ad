"""Common subexpressions: equal operators of equal operands are computed once."""

from __future__ import annotations

import numpy as np

from tdsl.graph.ir import Array, Model, Op, Value
from tdsl.graph.passes.rebuild import resolve, with_values

_SAMPLES = 64


def merge_common_subexpressions(model: Model) -> Model:
    """Keep the first of equal nodes, and of equal constants."""
    renamed = _equal_constants(model)
    seen: dict[tuple[Op, tuple[Value, ...]], tuple[Value, ...]] = {}
    for node in model.nodes:
        key = (node.op, tuple(resolve(v, renamed) for v in node.inputs))
        first = seen.setdefault(key, node.outputs)
        if first is not node.outputs:
            renamed.update(zip(node.outputs, first, strict=True))
    return with_values(model, renamed)


def _equal_constants(model: Model) -> dict[Value, Value]:
    alike: dict[tuple[str, tuple[int, ...], bytes], list[Value]] = {}
    renamed: dict[Value, Value] = {}
    for value, array in model.constants.items():
        others = alike.setdefault((array.dtype.name, array.shape, _sample(array)), [])
        first = next((v for v in others if _is_same(model.constants[v], array)), None)
        if first is None:
            others.append(value)
        else:
            renamed[value] = first
    return renamed


def _sample(array: Array) -> bytes:
    """Some of the elements: weights that differ hardly ever agree in them, and are not read."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat[:: max(1, flat.size // _SAMPLES)].tobytes()


def _is_same(x: Array, y: Array) -> bool:
    """Whether two arrays of one shape and type agree in all bits."""
    return bool(np.array_equal(_bits(x), _bits(y)))


def _bits(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
