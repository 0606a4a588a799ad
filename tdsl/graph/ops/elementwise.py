"""Functions of single elements, with numpy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.graph.errors import GraphError
from tdsl.graph.ir import Op
from tdsl.graph.ops import scalar_functions as f
from tdsl.ir.expr import Bitcast
from tdsl.lang.compute import compute
from tdsl.lang.tensor import Tensor
from tdsl.lang.value import Value, cast, maximum, minimum

Function = Callable[..., Value]

FUNCTIONS: dict[str, Function] = {
    "abs": f.absolute, "acos": f.acos, "acosh": f.acosh, "add": f.add, "and": f.logical_and,
    "asin": f.asin, "asinh": f.asinh, "atan": f.atan, "atanh": f.atanh,
    "bitwise_and": f.bit_and, "bitwise_not": f.invert, "bitwise_or": f.bit_or,
    "bitwise_xor": f.bit_xor, "ceil": f.ceil, "celu": f.celu, "clip": f.clip, "cos": f.cos,
    "cosh": f.cosh, "div": f.divide, "elu": f.elu, "equal": f.equal, "erf": f.erf, "exp": f.exp,
    "floor": f.floor, "fmod": f.fmod, "gelu": f.gelu, "gelu_tanh": f.gelu_tanh,
    "greater": f.greater, "greater_equal": f.greater_equal, "hard_sigmoid": f.hard_sigmoid,
    "hard_swish": f.hard_swish, "identity": f.identity, "isinf": f.isinf, "isnan": f.isnan,
    "leaky_relu": f.leaky_relu, "less": f.less, "less_equal": f.less_equal, "log": f.log,
    "max": maximum, "min": minimum, "mish": f.mish, "mod": f.mod, "mul": f.multiply,
    "neg": f.negative, "not": f.invert, "or": f.logical_or, "pow": f.power, "prelu": f.prelu,
    "reciprocal": f.reciprocal, "relu": f.relu, "round": f.rounded, "rsqrt": f.rsqrt,
    "selu": f.selu, "shift_left": f.shift_left, "shift_right": f.shift_right, "shrink": f.shrink,
    "sigmoid": f.sigmoid, "sign": f.sign, "sin": f.sin, "sinh": f.sinh, "softplus": f.softplus,
    "softsign": f.softsign, "sqrt": f.sqrt, "sub": f.subtract, "swish": f.swish, "tan": f.tan,
    "tanh": f.tanh, "thresholded_relu": f.thresholded_relu, "where": f.where,
    "xor": f.logical_xor,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number in place of a tensor: it becomes part of the kernel."""

    value: float
    dtype: DType
    shape: tuple[int, ...]

    def __getitem__(self, at: object) -> Value:
        return cast(self.value, self.dtype)


@dataclass(frozen=True, slots=True)
class Elementwise(Op):
    """`FUNCTIONS[function]` of the operands' elements, and of `numbers` after them."""

    function: str
    numbers: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return self.function

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        return (self.apply(inputs, name),)

    def apply(self, operands: Sequence[Tensor | Scalar], name: str) -> Tensor:
        """As `body`, of operands some of which may be numbers."""
        function = FUNCTIONS[self.function]
        shape = broadcast(*(static(x) for x in operands))

        def element(*at: Value) -> Value:
            return function(*(read(x, at, shape) for x in operands), *self.numbers)

        return compute(shape, element, name=name)


@dataclass(frozen=True, slots=True)
class Cast(Op):
    """Conversion to another element type: to bool whether non-zero, float to int toward zero."""

    dtype: DType

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs

        def element(*at: Value) -> Value:
            value = x[at]
            return (
                value != 0
                if self.dtype is dtypes.bool_ and not value.dtype.is_bool
                else cast(value, self.dtype)
            )

        return (compute(x.shape, element, name=name),)


@dataclass(frozen=True, slots=True)
class BitCast(Op):
    """The same bits as another element type of the same width."""

    dtype: DType

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        (x,) = inputs
        return (compute(x.shape, lambda *at: Value(Bitcast(x[at].expr, self.dtype)), name=name),)


def static(x: Tensor | Scalar) -> tuple[int, ...]:
    """The shape of an operand, which is all numbers."""
    return tuple(int(extent) for extent in x.shape if isinstance(extent, int))


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of operands by numpy's rules.

    >>> broadcast((3, 1), (4,))
    (3, 4)

    Raises:
        GraphError: there is none.
    """
    try:
        return tuple(int(n) for n in np.broadcast_shapes(*shapes))
    except ValueError as error:
        texts = " and ".join(str(list(shape)) for shape in shapes)
        raise GraphError(f"operands of shapes {texts} have no common shape") from error


def read(x: Tensor | Scalar, at: Sequence[Value], common: Sequence[int] = ()) -> Value:
    """The element of an operand that meets the element `at` of the common shape.

    Where `common` gives that shape, axes of one element in both are seen to be the same.
    """
    shape = static(x)
    last = at[len(at) - len(shape) :]
    wide = (common or (0,) * len(at))[len(at) - len(shape) :]
    each = zip(last, shape, wide, strict=True)
    return x[tuple(0 if extent == 1 and full != 1 else i for i, extent, full in each)]
