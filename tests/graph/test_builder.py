"""Models built operator by operator."""

import numpy as np
import pytest

import tdsl as td
from tdsl.graph import GraphError, Window


def run(build, **feeds):
    """What a graph computes of arrays; `build` takes it and a value for each."""
    g = td.graph.Graph()
    inputs = [g.input(name, array.shape, array.dtype.name) for name, array in feeds.items()]
    results = build(g, *inputs)
    for n, value in enumerate(results if isinstance(results, list) else [results]):
        g.output(f"y{n}", value)
    return list(td.Session(g).run(feeds).values())


def randoms(*shapes):
    random = np.random.default_rng(0)
    return [random.standard_normal(shape).astype("f") for shape in shapes]


def test_parts_are_split_sliced_gathered_padded_and_expanded():
    (x,) = randoms((4, 6))

    def build(g, x):
        left, right = g.split(x, [2, 4], axis=-1)
        rows = g.gather(x, g.constant(np.array([3, -4])))
        turned = g.slice(x, [3, 1], [-9, 6], axes=[0, 1], steps=[-2, 2])
        cut = g.pad(x, [1, -1], [0, 2], value=7.0)
        wide = g.expand(g.slice(x, [0], [1], axes=[1]), (4, 3))
        return [g.apply("relu", v) for v in (left, right, rows, turned, cut, wide)]

    padded = np.pad(x[:, 1:], ((1, 0), (0, 2)), constant_values=7)
    wanted = [x[:, :2], x[:, 2:], x[[3, 0]], x[3::-2, 1:6:2], padded, np.repeat(x[:, :1], 3, 1)]
    for got, want in zip(run(build, x=x), wanted, strict=True):
        np.testing.assert_array_equal(got, np.maximum(want, 0))


def test_channels_are_normalised_alone_and_in_groups():
    x, scale, bias, mean = randoms((2, 4, 3, 5), (4,), (4,), (4,))
    variance = np.abs(mean) + 1

    def build(g, x):
        s, b, m, v = (g.constant(a) for a in (scale, bias, mean, variance))
        return [g.batch_norm(x, s, b, m, v), g.group_norm(x, 2, s, b), g.group_norm(x, 4, s, b)]

    def grouped(groups):
        rows = x.reshape(2, groups, -1)
        centred = rows - rows.mean(-1, keepdims=True)
        made = centred / np.sqrt(rows.var(-1, keepdims=True) + 1e-5)
        return made.reshape(x.shape) * scale[:, None, None] + bias[:, None, None]

    factor = scale / np.sqrt(variance + 1e-5)
    batch = (x - mean[:, None, None]) * factor[:, None, None] + bias[:, None, None]
    for got, want in zip(run(build, x=x), [batch, grouped(2), grouped(4)], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_attention_sees_what_the_mask_lets_it():
    q, k, v = randoms((1, 2, 3, 4), (1, 2, 5, 4), (1, 2, 5, 4))
    mask = np.where(np.arange(5) <= np.arange(3)[:, None] + 1, 0, -np.inf).astype("f")
    (got,) = run(lambda g, q, k, v: g.attention(q, k, v, g.constant(mask)), q=q, k=k, v=v)
    scores = q @ k.swapaxes(2, 3) / 2 + mask
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    want = weights / weights.sum(-1, keepdims=True) @ v
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


def test_a_convolution_moves_by_numbers_or_by_a_window():
    x, w, bias = randoms((1, 2, 7, 7), (4, 2, 3, 3), (4,))

    def build(g, x):
        weights, shift = g.constant(w), g.constant(bias)
        window = Window.of((3, 3), strides=2, pads=(1, 0, 0, 1))
        return [
            g.conv(x, weights, strides=2, pads=(1, 0, 0, 1), bias=shift),
            g.apply("add", g.conv(x, weights, window), g.reshape(shift, (4, 1, 1))),
        ]

    first, second = run(build, x=x)
    assert first.shape == (1, 4, 3, 3)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda g, x: g.apply("rellu", x), "there is no function 'rellu'"),
        (lambda g, x: g.apply("add", x), r"add takes \(\w+, \w+\), got 1 operands"),
        (lambda g, x: g.apply("add", x, 1.0), "operand 1 of add is float, not a value"),
        (lambda g, x: g.output("y", 3), "output 'y' is int, not a value"),
        (lambda g, x: td.graph.Graph().apply("relu", x), "'x', belongs to another graph"),
        (lambda g, x: g.split(x, [1, 2], 1), r"split of an extent 6 into \[1, 2\]"),
        (lambda g, x: g.pad(x, [1], [1, 1]), "pad takes 2 numbers for each side"),
        (lambda g, x: g.conv(x, x, strides=(1, 1)), "2 strides for a kernel of 0 axes"),
        (lambda g, x: g.group_norm(x, 4, x, x), "6 channels do not divide into 4 groups"),
    ],
)
def test_mistakes_are_told(mistake, message):
    g = td.graph.Graph()
    with pytest.raises((GraphError, td.TypeMismatch), match=message):
        mistake(g, g.input("x", (4, 6)))


def test_mistakes_of_a_session_are_told():
    g = td.graph.Graph()
    g.output("y", g.apply("relu", g.input("x", (2,))))
    session = td.Session(g)
    x = np.ones(2, "f")
    for mistake, message in (
        (lambda: session.run([x]), "dictionary of arrays by name, not list"),
        (lambda: session.run({"x": x}, "y"), "outputs is a list of names"),
        (lambda: session.profile({"x": x}, runs=0), "1 run or more, not 0"),
        (lambda: td.Session(g, disabled_passes="layout"), "disabled_passes is a list"),
    ):
        with pytest.raises(td.TdslError, match=message):
            mistake()
