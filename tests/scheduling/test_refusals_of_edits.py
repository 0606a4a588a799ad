"""What a primitive asks an `Edit` for and is not there: a fault of tdsl, which says what."""

import pytest

import tdsl as td
from tdsl.errors import InternalError
from tdsl.ir.expr import Var
from tdsl.scheduling.edit import Edit
from tests.scheduling.algorithms import chain, increment


def edit_of(func: td.Func) -> Edit:
    return Edit(td.Schedule(func), "step")


def test_a_loop_of_another_tree() -> None:
    edit, other = edit_of(chain()), td.Schedule(increment())
    (foreign,) = other.index.loops.values()
    with pytest.raises(InternalError, match="loop i is not in the index"):
        edit.path_to_loop(foreign)
    with pytest.raises(InternalError, match="loop i is not in the tree"):
        edit.find(edit.body, foreign.var)
    with pytest.raises(InternalError, match="loop z is not in the tree"):
        edit.find(edit.body, Var("z"))


def test_a_tensor_that_is_allocated_nowhere() -> None:
    edit = edit_of(chain())
    argument = edit.core.buffer("A", "step")
    with pytest.raises(InternalError, match="A is not allocated in the tree"):
        edit.alloc_of(edit.body, argument)
    held = edit.core.buffer("B", "step")
    assert edit.alloc_of(edit.body, held).buffer is held
