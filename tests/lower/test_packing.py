import numpy as np
import pytest

import tdsl as td
from tdsl.ir.affine import linear
from tdsl.ir.build import index
from tdsl.ir.interp import interpret
from tdsl.ir.parser import parse_program
from tdsl.ir.visit import substitute
from tests.lower.pins import FOLDER, HEADER, pins

RNG = np.random.default_rng(5)

LAYOUTS = [
    ("i, j -> j // 64, i, j % 64", lambda x: panels(x, 1, 64)),
    ("i, j -> i // 64, j, i % 64", lambda x: panels(x, 0, 64)),
    ("i, j -> i // 48, j, i % 48", lambda x: panels(x, 0, 48)),
    ("i, j -> i // 6, j, i % 6", lambda x: panels(x, 0, 6)),
    ("i, j -> j, i", lambda x: x.T),
    ("i, j -> j % 16, j // 16, i", lambda x: panels(x, 1, 16).transpose(2, 0, 1)),
]


def panels(x, axis, width):
    """[panel, others, width], zero where x ends; one panel is no wider than x."""
    moved = np.moveaxis(x, axis, 0)
    count = -(-len(moved) // width)
    padded = np.zeros((count * width, *moved.shape[1:]), x.dtype)
    padded[: len(moved)] = moved
    return np.moveaxis(padded.reshape(count, width, -1), 1, 2)[..., : len(moved)]


@pytest.mark.parametrize(("layout", "want"), LAYOUTS)
@pytest.mark.parametrize("shape", [(64, 128), (97, 33), (5, 7), (130, 1)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8"])
def test_arguments_are_packed_as_their_layout_says(layout, want, shape, dtype):
    X = td.placeholder(shape, dtype, name="X")
    Y = td.compute(shape, lambda i, j: X[i, j], name="Y")
    s = td.Schedule(td.func("copy", [X], [Y]))
    s.transform_layout("X", layout, prepacked=True)
    kernel = td.build(s)
    x = (RNG.standard_normal(shape) * 50).astype(dtype)
    packed = kernel.pack("X", x)
    np.testing.assert_array_equal(packed.array, want(x))
    np.testing.assert_array_equal(kernel(packed), x)


def test_other_layouts_are_packed_element_by_element():
    X = td.placeholder((8, 12), "float32", name="X")
    Y = td.compute((8, 12), lambda i, j: X[i, j], name="Y")
    s = td.Schedule(td.func("copy", [X], [Y]))
    s.transform_layout("X", "i, j -> j // 4, i // 2, (i % 2) * 4 + j % 4", prepacked=True)
    kernel = td.build(s)
    x = RNG.standard_normal((8, 12)).astype(np.float32)
    want = x.reshape(4, 2, 3, 4).transpose(2, 0, 1, 3).reshape(3, 4, 8)
    np.testing.assert_array_equal(kernel.pack("X", x).array, want)
    np.testing.assert_array_equal(kernel(x), x)


@pytest.mark.parametrize("shape", [(0, 0), (0, 1), (1, 1), (3, 5)])
def test_symbolic_arguments_are_packed_at_any_size(shape):
    M, N = td.sizes("M N")
    X = td.placeholder((M, N), "int32", name="X")
    Y = td.compute((M, N), lambda i, j: X[i, j] + 1, name="Y")
    s = td.Schedule(td.func("next", [X], [Y]))
    s.transform_layout("X", "i, j -> 2 * j, i + j", prepacked=True)
    kernel = td.build(s)
    x = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    sizes = dict(zip("MN", shape, strict=True))
    np.testing.assert_array_equal(kernel(kernel.pack("X", x), **sizes), x + 1)


@pytest.mark.parametrize("layout", ["i, j -> j // 64, i, j % 64", "i, j -> i + j, j"])
def test_arguments_of_any_strides_are_packed_as_they_lie(layout):
    X = td.placeholder((7, 130), "float32", name="X", strides="any")
    Y = td.compute((7, 130), lambda i, j: X[i, j], name="Y")
    s = td.Schedule(td.func("copy", [X], [Y]))
    s.transform_layout("X", layout, prepacked=True)
    s.vectorize("Y.j", 8)
    kernel = td.build(s)
    turned = RNG.standard_normal((130, 7)).astype(np.float32).T
    for x in (turned, turned[::-1, ::-1], np.broadcast_to(turned[:1], (7, 130)), turned.copy()):
        np.testing.assert_array_equal(kernel(x), x)
        np.testing.assert_array_equal(kernel(kernel.pack("X", x)), x)


@pytest.mark.parametrize("pin", pins(FOLDER / "pack_argument.txt"), ids=lambda pin: pin.title)
@pytest.mark.parametrize("size", [3, 21])
def test_what_is_written_down_puts_elements_where_the_layout_says(pin, size):
    program = pin.program
    param = next(p for p in program.params if p.layout is not None)
    sizes = dict.fromkeys(program.sizes, index(size))
    shape = [number(extent, sizes) for extent in param.buffer.shape]
    x = np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(param.buffer.dtype.numpy)
    packing = parse_program(HEADER + pin.after)
    given, packed = (p.buffer.name for p in packing.params)
    got = interpret(packing, {given: x}, {v.name: size for v in packing.sizes})[packed]
    want = np.zeros_like(got)
    for at in np.ndindex(*shape):
        inside = dict(zip(param.layout.inputs, map(index, at), strict=True))
        want[*(number(output, inside) for output in param.layout.outputs)] = x[at]
    np.testing.assert_array_equal(got, want)


def number(e, values):
    return linear(substitute(e, values)).const
