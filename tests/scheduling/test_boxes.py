"""Which index of what a block writes is which of its iteration variables."""

from dataclasses import replace

import pytest

import tdsl as td
from tdsl.ir.build import add
from tdsl.scheduling.boxes import data_dimensions
from tdsl.scheduling.tree import leaves_below
from tests.scheduling.algorithms import matmul


def writing(*indices):
    """The product's block, with `i, j, k` as it has them, writing at these indices, in turn."""
    (leaf,) = leaves_below(matmul(3, 4, 5).program.body)
    write, own = leaf.block.writes[0], dict(zip("ijk", leaf.block.vars, strict=True))
    writes = tuple(
        replace(write, indices=tuple(own.get(n) or add(own[n[0]], 1) for n in names))
        for names in indices
    )
    return own, replace(leaf.block, writes=writes)


@pytest.mark.parametrize("indices", [("ij",), ("ji",), ("i",), ("ij", "ij")])
def test_each_dimension_has_a_variable_of_its_own(indices):
    own, block = writing(*indices)
    assert data_dimensions(block) == {d: own[name] for d, name in enumerate(indices[0])}


@pytest.mark.parametrize(
    "indices",
    [("ii",), ("ik",), (("i", "j+1"),), ("ij", "ji"), ("ij", "ik")],
    ids=["twice", "reduced", "next", "other order", "other variable"],
)
def test_other_places_are_no_dimensions(indices):
    _, block = writing(*indices)
    assert data_dimensions(block) is None


def test_a_block_without_dimensions_has_none_of_them():
    a = td.placeholder((3,), "float32", name="A")
    k = td.reduce_axis(3, name="k")
    s = td.compute((), lambda: td.sum(a[k], axis=k), name="S")
    (leaf,) = leaves_below(td.func("f", [a], [s]).program.body)
    assert data_dimensions(leaf.block) == {}
