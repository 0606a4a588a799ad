"""Each pass over lowered statements keeps what random ones compute."""

import warnings

import numpy as np
import pytest

from tdsl.ir.interp import interpret
from tdsl.ir.verify import Stage, verify
from tdsl.lower.carry_accumulators import carry_accumulators
from tdsl.lower.carry_values import carry_values
from tdsl.lower.drop_dead_storage import drop_dead_storage
from tdsl.lower.flatten import flatten_storage
from tdsl.lower.forward_stores import forward_stores
from tdsl.lower.hoist_allocs import hoist_allocs
from tdsl.lower.hoist_loads import hoist_loads
from tdsl.lower.join_dimensions import join_dimensions
from tdsl.lower.partition_loops import partition_loops
from tdsl.lower.select_to_mask import select_to_mask
from tdsl.lower.settle_conditions import settle_conditions
from tdsl.lower.tidy_indices import tidy_indices
from tdsl.lower.tighten_loops import tighten_loops
from tdsl.lower.unroll import unroll
from tdsl.lower.warn import LoweringWarning
from tests.lower.nests import TARGET
from tests.lower.random_statements import Statements, arguments

PASSES = (
    settle_conditions, tidy_indices, tighten_loops, select_to_mask, hoist_allocs, partition_loops,
    unroll, join_dimensions, carry_accumulators, hoist_loads, forward_stores, carry_values,
    drop_dead_storage,
)  # fmt: skip
SIZES = (0, 1, 2, 3, 5, 7)


def results(program):
    return [interpret(program, arguments(n), {"N": n})["y"] for n in SIZES]


def check(program, expected, name):
    verify(program, Stage.LOWERING)
    for n, (wanted, found) in enumerate(zip(expected, results(program), strict=True)):
        assert np.array_equal(wanted, found), (name, SIZES[n])


@pytest.mark.parametrize("seed", range(60))
def test_passes_keep_the_meaning_one_by_one_and_in_turn(seed):
    program = Statements(seed).program()
    expected = results(program)
    so_far = program
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LoweringWarning)
        for one in PASSES:
            check(one(program, TARGET), expected, f"{one.__name__} alone")
            so_far = one(so_far, TARGET)
            check(so_far, expected, one.__name__)
    check(flatten_storage(so_far, TARGET), expected, "flatten_storage")
