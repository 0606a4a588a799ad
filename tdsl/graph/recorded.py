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

    A record of the algorithm with the same constants was compared with that default. One without
    constants was not, where the default has some of them packed ahead: then the default stays.
    """
    default = default_schedule(func, target, constants)
    lookup = import_module("tdsl.autotune.lookup")
    kinds = [constants] if default.packed or not constants else [constants, frozenset[str]()]
    for fixed in kinds:
        try:
            found: Schedule = lookup.tuned_schedule(
                func, target, threads=pool.num_threads(), constants=fixed
            )
        except lookup.NotTuned:
            continue
        used.append(func.name)
        return found
    return default
