"""Tasks: an algorithm to tune, its search space, and the machine that it is tuned for."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tdsl.autotune.template import SpaceFunction, Template, template_of
from tdsl.errors import TypeMismatch
from tdsl.ir.affine import linear
from tdsl.lang.func import Func
from tdsl.records import RecordError, Workload, workload_of
from tdsl.runtime.cpus import default_num_threads
from tdsl.scheduling import Schedule
from tdsl.target import Target, target as parse_target


@dataclass(frozen=True)
class Task:
    """What `tune` works on.

    Attributes:
        func: the algorithm.
        space: the function of a schedule and knobs that spans the search space.
        space_name: what records call it.
        target, threads: the machine, and how many threads kernels use.
        sizes: numbers for symbolic sizes, to measure with.
        location: where schedule files say that the algorithm is found.
        constants: arguments that stay the same from call to call; schedules may pack them ahead.
    """

    func: Func
    space: SpaceFunction
    space_name: str
    target: Target
    threads: int
    sizes: Mapping[str, int] = field(default_factory=dict)
    location: str | None = None
    constants: frozenset[str] = frozenset()

    @cached_property
    def workload(self) -> Workload:
        """The key of its records."""
        return workload_of(self.func, self.target, self.threads, self.sizes, self.constants)


def task_of(
    what: object,
    sizes: Sequence[int] | Mapping[str, int] = (),
    *,
    target: Target | str | None = None,
    threads: int | None = None,
    location: str | None = None,
    constants: Collection[str] = (),
) -> Task:
    """A task from a Func, a template, a function of sizes, or a task as it is.

    Args:
        what: the algorithm.
        sizes: for a function, its arguments; for a Func, numbers for its symbolic sizes.
        target: None: this machine's processor.
        threads: None: as many as kernels use in this process.
        location: where schedule files say that the algorithm is found.
        constants: names of arguments that stay the same from call to call, such as weights.

    Raises:
        TypeMismatch: something else.
        RecordError: a symbolic size has no number, or an argument has no elements.
    """
    if isinstance(what, Task):
        return what
    algorithm = what.algorithm if isinstance(what, Template) else what
    chosen = what if isinstance(what, Template) else template_of(algorithm)
    func = _func(algorithm, sizes)
    chosen = chosen or template_of(func)
    numbers = _numbers(func, sizes)
    _check_not_empty(func)
    return Task(
        func,
        chosen.function if chosen else sketches(),
        chosen.name if chosen else "sketch",
        parse_target(target),
        default_num_threads() if threads is None else threads,
        numbers,
        location,
        frozenset(constants),
    )


def _func(algorithm: object, sizes: Sequence[int] | Mapping[str, int]) -> Func:
    if isinstance(algorithm, Func):
        return algorithm
    if not callable(algorithm):
        raise TypeMismatch(
            f"a task is a Func, a template or a function of sizes, got {type(algorithm).__name__}"
        )
    if not inspect.signature(algorithm).parameters:
        made = algorithm()  # the numbers are for the symbolic sizes of what it returns
    else:
        made = algorithm(**sizes) if isinstance(sizes, Mapping) else algorithm(*sizes)
    func = made.func if isinstance(made, Schedule) else made
    if not isinstance(func, Func):
        raise TypeMismatch(f"the function of sizes returned {type(made).__name__}, not a Func")
    return func


def _check_not_empty(func: Func) -> None:
    for param in func.program.params:
        forms = [linear(extent) for extent in param.buffer.shape]
        if any(form.is_constant and form.const <= 0 for form in forms):
            shape = " x ".join(str(form.const) if form.is_constant else "?" for form in forms)
            raise RecordError(
                f"{func.name} has nothing to measure: {param.buffer.name} is {shape}",
                hint="choose sizes that leave it some elements",
            )


def _numbers(func: Func, sizes: Sequence[int] | Mapping[str, int]) -> dict[str, int]:
    """Numbers for the symbolic sizes of a Func, in the order of its sizes."""
    names = [size.name for size in func.sizes]
    if isinstance(sizes, Mapping):
        return {name: int(sizes[name]) for name in names if name in sizes}
    if names and len(sizes) != len(names):
        raise RecordError(
            f"{func.name} has {len(names)} symbolic sizes ({', '.join(names)}), "
            f"got {len(sizes)} numbers",
            hint="pass them in this order, such as -s " + "x".join(["512"] * len(names)),
        )
    return dict(zip(names, map(int, sizes), strict=False))


def sketches() -> SpaceFunction:
    """The space of algorithms that nobody has written a template for."""
    from tdsl.autotune.sketches import sketch

    return sketch
