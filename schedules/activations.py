"""Activation functions, with ONNX's definitions and default parameters."""

from __future__ import annotations

from math import pi, sqrt

import tdsl as td
from tdsl.schedules.dims import unique
from tdsl.schedules.pointwise import elementwise

_SELU_ALPHA = 1.67326319217681884765625
_SELU_GAMMA = 1.05070102214813232421875


def relu(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """max(x, 0)."""
    return elementwise(lambda v: td.maximum(v, 0), x, name=unique("relu", name))


def relu6(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """min(max(x, 0), 6)."""
    return elementwise(lambda v: td.minimum(td.maximum(v, 0), 6), x, name=unique("relu6", name))


def leaky_relu(x: td.Tensor, alpha: float = 0.01, name: str | None = None) -> td.Tensor:
    """x where it is positive, else alpha x."""
    return elementwise(lambda v: td.select(v < 0, v * alpha, v), x, name=unique("leaky_relu", name))


def prelu(x: td.Tensor, slope: td.Tensor, name: str | None = None) -> td.Tensor:
    """x where it is positive, else slope x; the slope broadcasts."""
    return elementwise(
        lambda v, a: td.select(v < 0, v * a, v), x, slope, name=unique("prelu", name)
    )


def thresholded_relu(x: td.Tensor, alpha: float = 1.0, name: str | None = None) -> td.Tensor:
    """x where it is above alpha, else 0."""
    return elementwise(
        lambda v: td.select(v > alpha, v, 0), x, name=unique("thresholded_relu", name)
    )


def elu(x: td.Tensor, alpha: float = 1.0, name: str | None = None) -> td.Tensor:
    """x where it is positive, else alpha (e^x - 1)."""
    return elementwise(
        lambda v: td.select(v < 0, td.expm1(v) * alpha, v), x, name=unique("elu", name)
    )


def selu(
    x: td.Tensor, alpha: float = _SELU_ALPHA, gamma: float = _SELU_GAMMA, name: str | None = None
) -> td.Tensor:
    """gamma times elu."""
    return elementwise(
        lambda v: td.select(v > 0, v, td.expm1(v) * alpha) * gamma, x, name=unique("selu", name)
    )


def celu(x: td.Tensor, alpha: float = 1.0, name: str | None = None) -> td.Tensor:
    """max(x, 0) + min(alpha (e^(x / alpha) - 1), 0)."""
    return elementwise(
        lambda v: td.maximum(v, 0) + td.minimum(td.expm1(v / alpha) * alpha, 0),
        x, name=unique("celu", name),
    )  # fmt: skip


def sigmoid(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """1 / (1 + e^-x)."""
    return elementwise(td.sigmoid, x, name=unique("sigmoid", name))


def tanh(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """Hyperbolic tangent."""
    return elementwise(td.tanh, x, name=unique("tanh", name))


def gelu(x: td.Tensor, approximate: str = "none", name: str | None = None) -> td.Tensor:
    """x Phi(x), Phi being the normal distribution; approximate="tanh": by a hyperbolic tangent."""

    def exact(v: td.Value) -> td.Value:
        return v * 0.5 * (td.erf(v * sqrt(0.5)) + 1.0)

    def by_tanh(v: td.Value) -> td.Value:
        return v * 0.5 * (td.tanh((v + v * v * v * 0.044715) * sqrt(2 / pi)) + 1.0)

    return elementwise(by_tanh if approximate == "tanh" else exact, x, name=unique("gelu", name))


def silu(x: td.Tensor, alpha: float = 1.0, name: str | None = None) -> td.Tensor:
    """x sigmoid(alpha x)."""
    return elementwise(lambda v: v * td.sigmoid(v * alpha), x, name=unique("silu", name))


def hard_sigmoid(
    x: td.Tensor, alpha: float = 0.2, beta: float = 0.5, name: str | None = None
) -> td.Tensor:
    """alpha x + beta, kept between 0 and 1."""
    return elementwise(
        lambda v: td.maximum(td.minimum(v * alpha + beta, 1), 0),
        x, name=unique("hard_sigmoid", name),
    )  # fmt: skip


def hard_swish(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """x times hard_sigmoid(x) with alpha = 1/6."""
    return elementwise(
        lambda v: v * td.maximum(td.minimum(v * (1 / 6) + 0.5, 1), 0),
        x, name=unique("hard_swish", name),
    )  # fmt: skip


def softplus(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """log(1 + e^x), without overflow."""
    return elementwise(_softplus, x, name=unique("softplus", name))


def _softplus(v: td.Value) -> td.Value:
    return td.maximum(v, 0) + td.log1p(td.exp(-td.abs(v)))


def softsign(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """x / (1 + |x|)."""
    return elementwise(lambda v: v / (td.abs(v) + 1), x, name=unique("softsign", name))


def mish(x: td.Tensor, name: str | None = None) -> td.Tensor:
    """x tanh(softplus(x))."""
    return elementwise(lambda v: v * td.tanh(_softplus(v)), x, name=unique("mish", name))
