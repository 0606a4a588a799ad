"""Scaled dot-product attention of several heads."""

from __future__ import annotations

from collections.abc import Mapping

import tdsl as td


def workload(shape: Mapping[str, int]) -> td.Func:
    """softmax(Q K^T / sqrt(d)) V for each head."""
    size = (shape["h"], shape["s"], shape["d"])
    Q, K, V = (td.placeholder(size, "float32", name=name) for name in "QKV")
    return td.func("attention", [Q, K, V], [td.schedules.attention(Q, K, V, name="Y")])


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """The library's."""
    del threads
    return td.default_schedule(func)
