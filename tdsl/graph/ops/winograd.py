"""Convolutions by minimal filtering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tdsl.graph.ir import Op
from tdsl.lang.tensor import Tensor
from tdsl.schedules.winograd import winograd_conv


@dataclass(frozen=True, slots=True)
class WinogradConv(Op):
    """Convolution of x[n, row, column, channel] with w[4, 4, channel in, channel out].

    `pads` are the borders, all in front and then all behind.
    """

    pads: tuple[int, ...]

    def body(self, inputs: Sequence[Tensor], name: str) -> tuple[Tensor, ...]:
        x, w = inputs
        return (winograd_conv(x, w, pad=self.pads, name=name),)
