"""Questions that are asked of all lanes of a vector at once."""

import itertools

import numpy as np
import pytest

from tdsl import dtypes
from tdsl.ir.build import const, index
from tdsl.ir.expr import Binary, BinaryOp, Broadcast, Buffer, Load, Ramp, Select
from tdsl.ir.interp import interpret
from tdsl.ir.stmt import Param, Program, Role, Store
from tdsl.lower.lanes import any_lane, rebuild


@pytest.mark.parametrize("lanes", [1, 2, 3, 4, 5])
def test_some_lane_of_any_mask_is_found(lanes):
    x, y = (Buffer(name, dtypes.int64, (index(n),)) for name, n in (("x", lanes), ("y", 1)))
    at = Ramp(index(0), index(1), lanes) if lanes > 1 else index(0)
    zero = Broadcast(index(0), lanes) if lanes > 1 else index(0)
    found = any_lane(Binary(BinaryOp.GT, Load(x, (at,)), zero))
    assert found.lanes == 1
    store = Store(y, (index(0),), Select(found, const(1, dtypes.int64), const(0, dtypes.int64)))
    program = Program("f", (Param(x, Role.IN), Param(y, Role.INOUT)), (), (), store)
    for bits in itertools.product((0, 1), repeat=lanes):
        arrays = {"x": np.array(bits), "y": np.zeros(1, np.int64)}
        assert interpret(program, arrays, {})["y"][0] == any(bits)


def test_an_expression_of_no_known_kind_is_not_rebuilt():
    with pytest.raises(AssertionError):
        rebuild(Load(Buffer("x", dtypes.int64, ()), ()), [])


@pytest.mark.parametrize("op", [BinaryOp.LT, BinaryOp.GE])
@pytest.mark.parametrize("stride", [100, -100])
@pytest.mark.parametrize("bound", [0, 1, 44, 45, 100, 101, 200, 201, 255])
def test_some_lane_of_narrow_integers_that_wrap_is_found(op, stride, bound):
    lanes, dtype = 3, dtypes.uint8
    walk = Ramp(const(200, dtype), const(stride, dtype), lanes)
    found = any_lane(Binary(op, walk, Broadcast(const(bound, dtype), lanes)))
    y = Buffer("y", dtypes.bool_, (index(1),))
    program = Program("f", (Param(y, Role.OUT),), (), (), Store(y, (index(0),), found))
    values = [(200 + n * stride) % 256 for n in range(lanes)]
    wanted = any(value < bound if op is BinaryOp.LT else value >= bound for value in values)
    assert interpret(program, {}, {})["y"][0] == wanted
