"""The rules in order: the first that matches a group and is not refused schedules it."""

from __future__ import annotations

from tdsl.schedules.rules import (
    attention,
    columns,
    conv,
    depthwise,
    elementwise,
    empty,
    fallback,
    matmul,
    reduction,
    stencil,
    transpose,
)
from tdsl.schedules.rules.rule import Rule

RULES: tuple[Rule, ...] = (
    empty.RULE,
    attention.RULE,
    conv.RULE,
    matmul.RULE,
    depthwise.RULE,
    stencil.RULE,
    reduction.RULE,
    columns.RULE,
    transpose.RULE,
    elementwise.RULE,
    fallback.RULE,
)
