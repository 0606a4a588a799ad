"""Random cases of every operator: graphs, models, and the operator library by its rules."""

import warnings

from tests.operators import cases, data_cases, elementwise_cases, model_cases, symbolic_cases
from tests.schedules import movement_cases, running as library

MODULES = (data_cases, elementwise_cases, model_cases)
SIZES_EACH = 20  # of a kernel with symbolic sizes
FAMILIES = {
    **{f"graph.{name}": lambda seed, name=name: cases.run(name, seed) for name in cases.CASES},
    **{
        f"library.{name}": lambda seed, name=name: library.run(name, seed)
        for name in movement_cases.CASES
    },
    **{
        f"symbolic.{name}": lambda seed, name=name: symbolic_cases.run(name, seed)
        for name in symbolic_cases.CASES
    },
}
"""A function of a seed for each, which raises where a result is wrong."""


def attempt(name, seed):
    """None, or what is wrong with a case."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, of values that overflow
        try:
            FAMILIES[name](seed)
        except Exception as error:  # noqa: BLE001 - whatever is raised is a finding
            return f"{type(error).__name__}: {error}"
    return None
