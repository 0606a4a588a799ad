"""An operator on given shapes: as a Func, its output shapes, and its value on constants."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from tdsl.dtypes import BY_NAME, DType
from tdsl.graph.ir import Array, Op, Value
from tdsl.lang.func import Func, func
from tdsl.lang.reference import reference
from tdsl.lang.tensor import Tensor, placeholder

Form = tuple[tuple[int, ...], DType]
"""Shape and element type."""


def form_of(value: Value) -> Form:
    """Shape and element type of a value."""
    return value.shape, value.dtype


@lru_cache(maxsize=1024)
def op_func(op: Op, forms: tuple[Form, ...]) -> Func:
    """The operator alone, as an algorithm on placeholders of these shapes.

    Raises:
        TdslError: the operator refuses them.
    """
    inputs = [placeholder(shape, dtype, name=f"x{n}") for n, (shape, dtype) in enumerate(forms)]
    return func(op.name, inputs, op.body(inputs, "y"))


def result_forms(op: Op, forms: Sequence[Form]) -> tuple[Form, ...]:
    """Shapes and element types of the outputs."""
    return tuple((static_shape(t), t.dtype) for t in op_func(op, tuple(forms)).outputs)


def static_shape(tensor: Tensor) -> tuple[int, ...]:
    """A shape that is all numbers."""
    return tuple(int(extent) for extent in tensor.shape if isinstance(extent, int))


def evaluate(op: Op, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """The outputs on known inputs, computed by numpy.

    Raises:
        TdslError: the operator refuses them.
        IndexError: an index in the data leaves its tensor.
    """
    forms = tuple((a.shape, BY_NAME[a.dtype.name]) for a in arrays)
    results = reference(op_func(op, forms))(*arrays)
    several = results if isinstance(results, tuple) else (results,)
    return tuple(np.ascontiguousarray(r) for r in several)
