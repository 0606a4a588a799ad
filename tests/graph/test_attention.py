import numpy as np
import pytest

import tdsl as td
from tdsl.graph.fusion import plan_fusion

RNG = np.random.default_rng(4)


def attention(rows, keys, depth=24, heads=3, mask=True, again=False):
    g = td.graph.Graph()
    q = g.input("q", (1, heads, rows, depth))
    k, v = (g.input(name, (1, heads, keys, depth)) for name in "kv")
    scores = g.apply("mul", g.matmul(q, k, transpose_b=True), g.constant(np.float32(0.2)))
    if mask:
        scores = g.apply("add", scores, g.input("m", (1, 1, 1, keys)))
    weights = g.softmax(scores)
    g.output("y", g.apply("tanh", g.matmul(weights, v)))
    if again:
        g.output("weights", weights)
    return g.build()


def groups(model, large):
    return [group.name for group in plan_fusion(model, large=large).groups]


def test_long_scores_are_made_in_parts():
    assert groups(attention(40, 50), 1000) == ["matmul_mul_add_softmax_matmul", "tanh"]


def test_short_scores_stay_in_kernels_of_their_own():
    names = groups(attention(40, 50), 1 << 20)
    assert names == ["matmul_mul_add", "softmax", "matmul_tanh"]


def test_scores_that_others_read_are_kept():
    assert "softmax" in groups(attention(40, 50, again=True), 1000)


@pytest.mark.parametrize(("rows", "keys"), [(40, 50), (7, 130), (64, 64), (1, 33)])
@pytest.mark.parametrize("mask", [False, True])
def test_attention_in_one_kernel_is_right(rows, keys, mask, monkeypatch):
    g = attention(rows, keys, mask=mask)
    monkeypatch.setattr(
        "tdsl.graph.compile.plan_fusion", lambda model, **_: plan_fusion(model, large=1)
    )
    shapes = {value.name: value.shape for value in g.inputs}
    feeds = {name: RNG.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    if mask:
        feeds["m"][..., ::3] = -1e9
    graph = td.graph.Graph()
    graph.build = lambda: g
    got = td.Session(graph).run(feeds)["y"]
    scores = feeds["q"] @ feeds["k"].swapaxes(-1, -2) * 0.2 + feeds.get("m", 0)
    e = np.exp(scores - scores.max(-1, keepdims=True))
    want = np.tanh(e / e.sum(-1, keepdims=True) @ feeds["v"])
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
