"""An instruction is used where the target has all that it needs, and what it means elsewhere."""

from dataclasses import replace

import pytest

import tdsl.schedules.instructions  # noqa: F401 - declares vpdpbusd
from tdsl.ir.expr import Extern
from tdsl.ir.parser import parse_program
from tdsl.ir.visit import walk
from tdsl.lower.use_instructions import use_instructions
from tdsl.target import target

PROGRAM = """tdsl-ir 1
func f(a: u8[4], b: i8[64], inout c: i32[16]):
  for j in instruction(16) by vpdpbusd:
    for k in instruction(4):
      c[j] = c[j] + i32(a[k]) * i32(b[j * 4 + k])
"""


@pytest.mark.parametrize(
    ("features", "native"),
    [
        (("avx512vnni",), True),
        (("avx512f", "avx512vnni"), True),
        (("avx512f",), False),
        ((), False),
    ],
)
def test_all_features_of_an_instruction_are_needed_and_no_others(features, native):
    machine = replace(target("llvm -mcpu=znver4"), features=features)
    lowered = use_instructions(parse_program(PROGRAM), machine)
    assert any(isinstance(n, Extern) for n in walk(lowered.body)) is native
