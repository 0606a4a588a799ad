import numpy as np
import pytest

from benchmarks import peers
from benchmarks.references import FAMILIES, make_inputs, make_reference
from benchmarks.worker import relative_error
from benchmarks.workloads import QUICK, WORKLOADS, UnknownRowError, Workload, select

SMALL = {
    "gemm": {"m": 5, "n": 7, "k": 3},
    "gemm_bf16": {"m": 5, "n": 7, "k": 3},
    "gemm_i8": {"m": 5, "n": 7, "k": 3},
    "bmm": {"b": 2, "m": 5, "n": 4, "k": 3},
    "attn": {"h": 2, "s": 6, "d": 4},
    "elem": {"n": 9},
    "softmax": {"r": 3, "c": 8},
    "layernorm": {"r": 3, "c": 8},
    "rowsum": {"r": 3, "c": 8},
    "argmax": {"r": 3, "c": 8},
    "transpose": {"r": 3, "c": 8},
    "cumsum": {"n": 9},
    "blur": {"h": 6, "w": 8},
    "unsharp": {"h": 6, "w": 8},
    "jacobi": {"h": 6, "w": 8},
    "harris": {"h": 6, "w": 8},
    "tiny": {"n": 4},
}
CONVOLUTIONS = [
    {"cin": 4, "cout": 6, "hw": 9, "r": 3, "st": 2, "pad": 1, "o": 5, "g": 1},
    {"cin": 4, "cout": 6, "hw": 9, "r": 1, "st": 1, "pad": 0, "o": 9, "g": 1},
    {"cin": 4, "cout": 4, "hw": 9, "r": 3, "st": 2, "pad": 1, "o": 5, "g": 4},
]


def small(kind, shape):
    return Workload("small", "group", kind, shape, 0, 0)


def shared_bench():
    bench = peers.shared_bench()
    if bench is None:
        pytest.skip(f"no bench.py in {peers.peers_folder()} (TDSL_PEERS)")
    return bench


def test_names_and_aliases_are_unique():
    names = [name for row in WORKLOADS for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))


def test_every_row_has_inputs_and_a_reference():
    assert {row.kind for row in WORKLOADS} - {"model"} == set(FAMILIES)


def test_select_accepts_rows_aliases_and_groups_in_table_order():
    assert [r.name for r in select(["blur3x3", "gemm_1024x1024x1024", "gemm_64"])] == [
        "gemm_64x64x64",
        "gemm_1024x1024x1024",
        "blur3x3_u16_2560x1920",
    ]
    assert {r.group for r in select(["dwconv"])} == {"dwconv"}
    assert len(select(["quick"])) == len(QUICK)
    assert len(select(["all"])) == len([r for r in WORKLOADS if r.group != "models"])


def test_select_names_close_rows_for_an_unknown_one():
    with pytest.raises(UnknownRowError, match=r"is called 'gemm_9'.*gemm_64"):
        select(["gemm_9"])


def test_table_agrees_with_the_shared_one():
    rows = {row.name: row.to_json() for row in WORKLOADS if row.group != "models"}
    for name, theirs in shared_bench().W.items():
        assert {key: value for key, value in rows[name].items() if key != "family"} == theirs


@pytest.mark.parametrize(("kind", "shape"), SMALL.items(), ids=str)
def test_reference_agrees_with_the_shared_numpy_peer(kind, shape):
    bench = shared_bench()
    row = small(kind, shape)
    inputs = make_inputs(row)
    theirs = bench.inputs({"kind": kind, **shape})
    assert [a.dtype for a in inputs] == [a.dtype for a in theirs]
    assert all(np.array_equal(a, b) for a, b in zip(inputs, theirs, strict=True))
    if kind == "gemm_bf16":
        return  # the shared numpy peer leaves it to the others
    result = bench.make_numpy({"name": "small", "kind": kind, **shape}, inputs, 1)()
    assert relative_error(result, make_reference(row, inputs)) < 1e-5


@pytest.mark.parametrize("shape", CONVOLUTIONS, ids=["strided", "pointwise", "depthwise"])
def test_convolution_reference_agrees_with_plain_loops(shape):
    row = small("conv", shape)
    x, w = make_inputs(row)
    cin, g, st, pad = shape["cin"] // shape["g"], shape["g"], shape["st"], shape["pad"]
    padded = np.pad(x[0], ((0, 0), (pad, pad), (pad, pad))).astype(np.float64)
    expected = np.zeros((1, shape["cout"], shape["o"], shape["o"]))
    for c, i, j in np.ndindex(*expected.shape[1:]):
        first = c * g // shape["cout"] * cin if g > 1 else 0
        rows = slice(i * st, i * st + shape["r"])
        window = padded[first : first + cin, rows, j * st : j * st + shape["r"]]
        expected[0, c, i, j] = np.sum(window * w[c])
    assert relative_error(make_reference(row, [x, w]), expected) < 1e-6


def test_relative_error_of_nan_and_of_another_size_is_infinite():
    assert relative_error(np.array([np.nan]), np.array([1.0])) == np.inf
    assert relative_error(np.array([1.0, 2.0]), np.array([1.0])) == np.inf
