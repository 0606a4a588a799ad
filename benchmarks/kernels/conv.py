"""Convolution of one image, NCHW; the weights can be packed ahead."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td

CONSTANTS = {1: "W"}


def workload(shape: Mapping[str, int]) -> td.Func:
    """Y = X convolved with W, padded by half a window."""
    cin, cout, hw, r = shape["cin"], shape["cout"], shape["hw"], shape["r"]
    groups = shape["g"]
    X = td.placeholder((1, cin, hw, hw), "float32", name="X")
    W = td.placeholder((cout, cin // groups, r, r), "float32", name="W")
    Y = td.schedules.conv(X, W, stride=shape["st"], pad=shape["pad"], groups=groups, name="Y")
    return td.func("conv", [X, W], [Y])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """The library's."""
    del threads
    return td.default_schedule(func)


def constant_schedule(func: td.Func, threads: int) -> td.Schedule:
    """The library's, with weights packed ahead of the call."""
    del threads
    return td.default_schedule(func, constants=("W",))
