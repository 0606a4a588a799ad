"""The benchmarked schedules at sizes that fit no tile: right, and exact where they say so."""

import importlib

import numpy as np
import pytest

import tdsl as td
from benchmarks import references

SHAPES = {
    "argmax": {"r": 37, "c": 300},
    "bilateral": {"h": 45, "w": 70},
    "blur": {"h": 45, "w": 203},
    "camera": {"h": 46, "w": 70},
    "chain8": {"h": 70, "w": 1041},
    "chain8_flat": {"h": 37, "w": 130},
    "cumsum": {"n": 20001},
    "elem": {"n": 70001},
    "gemm": {"m": 61, "n": 70, "k": 33},
    "gemm_bf16": {"m": 61, "n": 70, "k": 33},
    "gemm_i8": {"m": 61, "n": 70, "k": 33},
    "harris": {"h": 70, "w": 83},
    "jacobi20": {"h": 101, "w": 70, "steps": 13},
    "jacobi20_flat": {"h": 37, "w": 70, "steps": 4},
    "jacobi": {"h": 37, "w": 150},
    "layernorm": {"r": 67, "c": 300},
    "local_laplacian": {"h": 45, "w": 70},
    "rowsum": {"r": 35, "c": 1111},
    "softmax": {"r": 19, "c": 333},
    "tiny": {"n": 4},
    "transpose": {"r": 50, "c": 75},
    "unsharp": {"h": 53, "w": 90},
}


@pytest.mark.parametrize("family", SHAPES)
def test_a_schedule_keeps_its_promise(family):
    shape = SHAPES[family]
    kernel = importlib.import_module(f"benchmarks.kernels.{family}")
    func = kernel.workload(shape)
    inputs = references.FAMILIES[family].inputs(np.random.default_rng(0), shape)
    inputs = getattr(kernel, "arguments", lambda *given: given)(*inputs)
    s = kernel.schedule(func, 2)
    got = td.build(s)(*inputs)
    wanted = td.build(td.Schedule(func))(*inputs)
    if s.numerics.value == "exact":
        assert np.array_equal(got, wanted)
    else:
        # a running sum is as exact as its largest term
        largest = max(1.0, float(np.abs(wanted).max()))
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5 * largest)
