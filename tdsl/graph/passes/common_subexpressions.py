"""Common subexpressions: equal operators of equal operands are computed once."""

from __future__ import annotations

import hashlib

import numpy as np

from tdsl.graph.ir import Array, Model, Op, Value
from tdsl.graph.passes.rebuild import resolve, with_values


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
    seen: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
    renamed: dict[Value, Value] = {}
    for value, array in model.constants.items():
        key = (array.dtype.name, array.shape, _digest(array))
        first = seen.setdefault(key, value)
        if first is not value:
            renamed[value] = first
    return renamed


def _digest(array: Array) -> bytes:
    if not array.size:
        return b""
    data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return hashlib.blake2b(data.data, digest_size=16).digest()
