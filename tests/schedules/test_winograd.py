"""Convolutions by minimal filtering against plain sums in double precision."""

import numpy as np
import pytest

import tdsl as td
from tdsl.errors import DeclarationError
from tdsl.ir.interp import CANONICAL, HOSTILE, interpret
from tdsl.schedules.winograd import winograd_conv, winograd_weights


def convolution(x, w, pads):
    top, left, bottom, right = pads
    image = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    rows, columns = image.shape[1] - 2, image.shape[2] - 2
    return sum(
        np.einsum("nhwc,kc->nhwk", image[:, r : r + rows, q : q + columns], w[:, :, r, q])
        for r in range(3)
        for q in range(3)
    )


def declared(shape, outputs, pads, name="f"):
    x = td.placeholder(shape, "float32", name="X")
    w = td.placeholder((4, 4, shape[-1], outputs), "float32", name="W")
    return td.func(name, [x, w], [winograd_conv(x, w, pad=pads, name="Y")])


def arguments(shape, outputs):
    rng = np.random.default_rng(7)
    x = rng.standard_normal(shape).astype(np.float32)
    return x, rng.standard_normal((outputs, shape[-1], 3, 3)).astype(np.float32)


SINGLE = [  # no products of matrices
    ((1, 3, 3, 1), 1, (0, 0, 0, 0)),
    ((1, 1, 1, 20), 16, (1, 1, 1, 1)),
]
CASES = [
    ((1, 8, 8, 16), 32, (1, 1, 1, 1)),
    ((2, 7, 9, 5), 3, (1, 1, 1, 1)),
    ((1, 6, 11, 17), 33, (0, 2, 1, 0)),
]


@pytest.mark.parametrize(("shape", "outputs", "pads"), [*CASES, *SINGLE])
def test_the_algorithm(shape, outputs, pads):
    x, w = arguments(shape, outputs)
    expected = convolution(x, w, pads)
    got = td.reference(declared(shape, outputs, pads))(x, winograd_weights(w))
    assert got.shape == expected.shape
    assert np.abs(got - expected).max() < 1e-5 * max(1.0, expected.std())


@pytest.mark.parametrize(("shape", "outputs", "pads"), [*CASES, ((1, 14, 14, 64), 96, (1,) * 4)])
def test_the_default_schedule(shape, outputs, pads):
    s = td.default_schedule(declared(shape, outputs, pads), constants=["W"])
    assert s.why.rule_of("Y") == "winograd"
    assert s.packed == ("W",)
    x, w = arguments(shape, outputs)
    kernel = td.build(s)
    got = kernel(x, kernel.pack("W", winograd_weights(w)))
    expected = convolution(x, w, pads)
    assert np.abs(got - expected).max() < 1e-5 * max(1.0, expected.std())


def test_parts_of_the_channels_share_points():
    f = declared((1, 4, 4, 32), 512, (1,) * 4)
    s = td.default_schedule(f, "llvm", constants=["W"])
    assert "channels at a time" in str(s.why)
    x, w = arguments((1, 4, 4, 32), 512)
    kernel = td.build(s)
    got = kernel(x, kernel.pack("W", winograd_weights(w)))
    assert np.abs(got - convolution(x, w, (1,) * 4)).max() < 2e-4


def test_hostile_orders_agree():
    f = declared((1, 5, 4, 3), 4, (1,) * 4)
    s = td.default_schedule(f)
    assert s.why.rule_of("Y") == "winograd"
    x, w = arguments((1, 5, 4, 3), 4)
    given = {"X": x, "W": winograd_weights(w)}
    expected = interpret(f.program, given, {})["Y"]
    for order in (CANONICAL, *HOSTILE):
        found = interpret(s.program, given, {}, order, detect_conflicts=True)["Y"]
        assert np.array_equal(found, expected)


def test_a_symbolic_batch():
    n = td.sizes("N")
    f = declared((n, 6, 6, 16), 16, (1,) * 4)
    s = td.default_schedule(f)
    assert s.why.rule_of("Y") == "winograd"
    kernel = td.build(s)
    for batch in (1, 3, 0):
        x, w = arguments((batch, 6, 6, 16), 16)
        got = kernel(x, winograd_weights(w))
        assert got.shape == (batch, 6, 6, 16)
        assert np.allclose(got, convolution(x, w, (1,) * 4), atol=1e-4)


def test_what_follows_is_done_on_the_tiles():
    x = td.placeholder((1, 8, 8, 16), "float32", name="X")
    w = td.placeholder((4, 4, 16, 16), "float32", name="W")
    y = winograd_conv(x, w, pad=1, name="Y")
    z = td.compute(y.shape, lambda n, h, v, k: td.maximum(y[n, h, v, k], 0.0), name="Z")
    s = td.default_schedule(td.func("f", [x, w], [z]))
    assert s.why.rule_of("Z") == "winograd"


@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (4, 3, 3)])
def test_other_windows_are_refused(shape):
    with pytest.raises(DeclarationError, match="windows of 3 x 3"):
        winograd_weights(np.ones(shape, np.float32))


def test_weights_that_do_not_fit_are_refused():
    x = td.placeholder((1, 8, 8, 16), name="X")
    w = td.placeholder((4, 4, 8, 16), name="W")
    with pytest.raises(DeclarationError, match="do not fit"):
        winograd_conv(x, w)


def test_an_image_smaller_than_a_window_is_refused():
    x = td.placeholder((1, 2, 8, 16), name="X")
    w = td.placeholder((4, 4, 16, 16), name="W")
    with pytest.raises(DeclarationError, match="no window"):
        winograd_conv(x, w)
