"""The kernels of a model as tasks: what to tune so that the model runs faster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tdsl.autotune.extents import is_empty, total_elements, total_flops
from tdsl.autotune.tasks import Task, task_of
from tdsl.target import Target

if TYPE_CHECKING:
    from tdsl.graph.session import Session
    from tdsl.lang.func import Func

_LEAST_SHARE = 0.01  # of the work of all kernels
_FLOPS_AN_ELEMENT = 8  # what moving an element of an argument counts as


def model_tasks(
    session: Session, *, target: Target | str | None = None, threads: int | None = None
) -> list[Task]:
    """The different kernels of a model as it was last compiled, the heaviest first.

    Kernels that do less than a hundredth of the work are left out. What is recorded for the others
    is found by `td.Session(model, schedules="tuned")`, constants packed ahead and all.

    >>> import tdsl as td
    >>> g = td.graph.Graph()
    >>> g.output("y", g.apply("exp", g.input("x", (64, 64))))
    >>> [task.func.name for task in model_tasks(td.Session(g))]
    ['exp']

    Raises:
        FeedError: the model was not compiled yet: its shapes are not all numbers.
    """
    every = zip(session.algorithms, session.constant_names, strict=True)
    kernels = [(func, constants) for func, constants in every if not is_empty(func)]
    work = [_work(func) for func, _ in kernels]
    least = _LEAST_SHARE * sum(work)
    order = sorted(range(len(kernels)), key=lambda n: (-work[n], n))
    return [
        task_of(kernels[n][0], target=target, threads=threads, constants=kernels[n][1])
        for n in order
        if work[n] >= least
    ]


def _work(func: Func) -> float:
    return total_flops(func, {}) + _FLOPS_AN_ELEMENT * total_elements(func, {})
