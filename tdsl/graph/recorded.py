"""Schedules that the tuner recorded, for the kernels of a model.

The tuner stands above this package, so it is asked by name, and only where a model wants it.
"""

from __future__ import annotations

from importlib import import_module

from tdsl.lang.func import Func
from tdsl.runtime import pool
from tdsl.schedules.default import default_schedule
from tdsl.scheduling import Schedule
from tdsl.target import Target


def tuned_or_default(
    func: Func, target: Target | None, constants: frozenset[str], used: list[str]
) -> Schedule:
    """The recorded schedule of an algorithm, noted in `used`, or the default one.

    Records are of arguments in their plain order. Where the default schedule has constants packed
    ahead, which no record was compared with, it stays.
    """
    default = default_schedule(func, target, constants)
    if default.packed:
        return default
    lookup = import_module("tdsl.autotune.lookup")
    try:
        found: Schedule = lookup.tuned_schedule(func, target, threads=pool.num_threads())
    except lookup.NotTuned:
        return default
    used.append(func.name)
    return found
