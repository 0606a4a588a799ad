"""The rules in order: the first that matches a group and is not refused schedules it.

Rules ask for the kind of target that they are for; the last one takes everything.
"""

from __future__ import annotations

from tdsl.schedules.rules import (
    attention,
    channels,
    columns,
    conv,
    depthwise,
    dots,
    elementwise,
    empty,
    fallback,
    matmul,
    matvec,
    pixels,
    reduction,
    scans,
    sliding,
    stencil,
    transpose,
    winograd,
)
from tdsl.schedules.rules.opencl import elements, products, rows, squares
from tdsl.schedules.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    empty.RULE,
    # LLVM
    attention.RULE,
    winograd.RULE,
    pixels.RULE,
    channels.RULE,
    conv.RULE,
    dots.RULE,
    matmul.RULE,
    matvec.RULE,
    depthwise.RULE,
    sliding.RULE,
    stencil.RULE,
    reduction.RULE,
    scans.RULE,
    columns.RULE,
    transpose.RULE,
    elementwise.RULE,
    # OpenCL
    products.RULE,
    rows.RULE,
    squares.RULE,
    elements.RULE,
    # whatever is left
    fallback.RULE,
)
