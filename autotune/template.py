"""`@td.template`: a search space written down as a schedule with knobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tdsl.autotune.knobs import Knobs
from tdsl.errors import TypeMismatch
from tdsl.lang.func import Func
from tdsl.scheduling import Schedule

SpaceFunction: TypeAlias = Callable[[Schedule, Knobs], object]
Algorithm: TypeAlias = Func | Callable[..., Func]

_registered: list[Template] = []


class Template:
    """A space of schedules for one algorithm: a function of a schedule and of knobs."""

    def __init__(self, algorithm: Algorithm, function: SpaceFunction) -> None:
        self.algorithm = algorithm
        self.function = function
        self.name = getattr(function, "__name__", "space")

    def __call__(self, s: Schedule, knob: Knobs) -> object:
        """Schedule `s` with the values that `knob` gives."""
        return self.function(s, knob)

    def __repr__(self) -> str:
        of = getattr(self.algorithm, "name", getattr(self.algorithm, "__name__", "?"))
        return f"<template {self.name} of {of}>"


def template(algorithm: Algorithm) -> Callable[[SpaceFunction], Template]:
    """Register a function as the search space of an algorithm.

    The function takes a schedule and the knobs. It is run once for each candidate: `knob.choice`
    gives one of several options, which it may branch on; `knob.int` and `knob.tile` give numbers,
    which it may pass on and compute with, but not branch on; `knob.require` rules candidates out.

    Args:
        algorithm: a Func, or the function of sizes that makes it.

    >>> import tdsl as td
    >>> A = td.placeholder((1024,), "float32", name="A")
    >>> B = td.compute((1024,), lambda i: A[i] + 1.0, name="B")
    >>> increment = td.func("increment", [A], [B])
    >>> @td.template(increment)
    ... def space(s, knob):
    ...     (i,) = s.loops("B")
    ...     outer, inner = s.split(i, knob.tile("t", i, parts=2, max_inner=128))
    ...     if knob.choice("parallel", [True, False]):
    ...         s.parallel(outer)
    ...     s.vectorize(inner)
    >>> space
    <template space of increment>

    Raises:
        TypeMismatch: neither a Func nor a function.
    """
    if not isinstance(algorithm, Func) and not callable(algorithm):
        raise TypeMismatch(
            f"a template is of a Func, or of a function of sizes, got {type(algorithm).__name__}"
        )

    def register(function: SpaceFunction) -> Template:
        made = Template(algorithm, function)
        _registered.append(made)
        return made

    return register


def template_of(algorithm: object) -> Template | None:
    """The template registered last for an algorithm, or for the function that makes it."""
    return next((t for t in reversed(_registered) if t.algorithm is algorithm), None)
