"""When the memory of each value is needed: from the step that writes it to the last that reads."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from tdsl.graph.ir import Value
from tdsl.graph.kernels import GroupKernel
from tdsl.graph.memory import Interval
from tdsl.graph.views import Views


def intervals(
    steps: Sequence[GroupKernel], views: Views, outputs: Container[Value]
) -> list[Interval]:
    """Of each value that steps make between inputs and outputs: when its memory is needed."""
    first, last = lifetimes(steps, views.root)
    return [Interval(v, n, last[v]) for v, n in first.items() if v not in outputs]


def lifetimes(
    steps: Sequence[GroupKernel], root: Callable[[Value], Value]
) -> tuple[dict[Value, int], dict[Value, int]]:
    """The first and the last step that needs each value; `root` tells in whose memory one lies.

    Values that no step makes have a last step only.
    """
    first: dict[Value, int] = {}
    last: dict[Value, int] = {}
    for n, step in enumerate(steps):
        for value in step.outputs:
            first.setdefault(root(value), n)
            last[root(value)] = n
        for value in step.inputs:
            last[root(value)] = n
    return first, last
