"""Matrix product of bfloat16 into float32, by AVX-512 BF16 where the machine has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ml_dtypes
from numpy.typing import NDArray

import tdsl as td
from benchmarks.kernels.gemm_i8 import product
from tdsl.schedules.dot_products import tile_dot_products


def workload(shape: Mapping[str, int]) -> td.Func:
    """The result is not rounded to bfloat16."""
    return product(shape, "gemm_bf16", "bfloat16", "bfloat16", "float32")


def arguments(*inputs: NDArray[Any]) -> Sequence[NDArray[Any]]:
    """The float32 inputs of all peers, rounded."""
    return [x.astype(ml_dtypes.bfloat16) for x in inputs]


def schedule(func: td.Func, threads: int) -> td.Schedule:
    """Sums of two products."""
    del threads
    s = td.Schedule(func)
    tile_dot_products(s, "C", "B", "vdpbf16ps")
    return s
