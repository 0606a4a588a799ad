import pytest

from tdsl.ir.expr import Load, Select
from tdsl.ir.stmt import Alloc, For, If, LoopKind, Scope, Store
from tdsl.ir.visit import walk
from tdsl.lower import lower
from tests.lower.gemm import gemm
from tests.lower.nests import TARGET, check_every_pass


def loop_named(program, name):
    return [n for n in walk(program.body) if isinstance(n, For) and n.var.name == name]


@pytest.mark.parametrize(
    ("extents", "sizes"),
    [
        ((None, None, None), {"M": 4, "N": 39, "K": 3}),
        ((None, None, None), {"M": 1, "N": 1, "K": 0}),
        ((None, None, None), {"M": 0, "N": 5, "K": 2}),
        ((7, 37, 5), {}),
        ((6, 32, 4), {}),
    ],
)
def test_every_pass_keeps_the_product(extents, sizes):
    check_every_pass(gemm(*extents, rows=3), sizes)


def test_the_innermost_loop_of_a_symbolic_gemm_has_no_branch_and_no_mask():
    lowered = lower(gemm(rows=6, columns=64), TARGET).program
    (k,) = loop_named(lowered, "k")
    inside = list(walk(k.body))
    assert not any(isinstance(n, If | Select | For) for n in inside)
    assert not any(n.mask is not None for n in inside if isinstance(n, Load | Store))
    assert sum(isinstance(n, Store) for n in inside) == 6 * 4


def test_the_copy_to_the_result_has_a_version_without_conditions():
    lowered = lower(gemm(rows=6, columns=64), TARGET).program
    (io,) = loop_named(lowered, "io")
    columns, rows = [n for n in walk(io) if isinstance(n, If) and n.otherwise is not None]
    assert columns.then is rows
    full = list(walk(rows.then))
    assert not any(isinstance(n, If) for n in full)
    stores = [n for n in full if isinstance(n, Store)]
    assert len(stores) == 24
    assert all(store.mask is None for store in stores)


def test_packing_of_a_full_panel_has_no_mask():
    lowered = lower(gemm(columns=64), TARGET).program
    full, partial = ([n for n in walk(p) if isinstance(n, Load)] for p in loop_named(lowered, "p"))
    assert all(load.mask is None for load in full)
    assert all(load.mask is not None for load in partial)


def test_known_sizes_that_divide_leave_no_condition_at_all():
    lowered = lower(gemm(12, 128, 5, rows=6, columns=64), TARGET).program
    assert not any(isinstance(n, If) for n in walk(lowered.body))


def test_the_panel_is_allocated_once_per_chunk_and_the_tile_is_in_registers():
    lowered = lower(gemm(), TARGET).program
    assert isinstance(lowered.body, For)
    assert lowered.body.kind is LoopKind.PARALLEL
    assert isinstance(lowered.body.body, Alloc)
    tiles = [n for n in walk(lowered.body) if isinstance(n, Alloc) and n.scope is Scope.REGISTER]
    assert len(tiles) == 28
    assert all(tile.buffer.shape[0].value == 16 for tile in tiles)
