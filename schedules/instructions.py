"""Machine instructions of the library: what they mean, for `s.tensorize`.

Importing the module declares them; nothing in the compiler knows their names.
"""

from __future__ import annotations

from tdsl.lang.compute import compute
from tdsl.lang.func import Func, func
from tdsl.lang.instruction import instruction
from tdsl.lang.reduce import sum as total
from tdsl.lang.tensor import placeholder, reduce_axis
from tdsl.lang.value import cast


def dot_products(
    lanes: int, depth: int, inputs: tuple[str, str], accumulator: str, *, name: str
) -> Func:
    """`out[j] = sum over k of a[k] * b[j, k]`, in the accumulator's dtype."""
    a = placeholder((depth,), inputs[0], name="a")
    b = placeholder((lanes, depth), inputs[1], name="b")
    k = reduce_axis(depth, name="k")
    out = compute(
        (lanes,),
        lambda j: total(cast(a[k], accumulator) * cast(b[j, k], accumulator), axis=k),
        name="out",
    )
    return func(name, [a, b], [out])


VPDPBUSD = instruction(
    "vpdpbusd",
    dot_products(16, 4, ("uint8", "int8"), "int32", name="dot4_u8_s8"),
    "llvm.x86.avx512.vpdpbusd.512",
    ["<16 x i32>", "<64 x i8>", "<64 x i8>"],
    features=["avx512vnni"],
)

# Adds the odd product before the even one, and takes denormals as zeros: the bound is that of a
# sum of two products in any order, and 2**-126 for each product.
VDPBF16PS = instruction(
    "vdpbf16ps",
    dot_products(16, 2, ("bfloat16", "bfloat16"), "float32", name="dot2_bf16"),
    "llvm.x86.avx512bf16.dpbf16ps.512",
    ["<16 x float>", "<32 x bfloat>", "<32 x bfloat>"],
    features=["avx512bf16"],
    numerics="approximates",
)
