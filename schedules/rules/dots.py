"""Products of bytes: a matrix product by the instruction that sums four of them in each lane.

Only what is exact: BF16 dot products round otherwise than the same sums without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl import dtypes
from tdsl.ir.instruction import instruction_of
from tdsl.schedules.dot_products import tile_dot_products
from tdsl.schedules.rules.contraction import find_contraction
from tdsl.schedules.rules.groups import Group
from tdsl.schedules.rules.rule import Plan, Rule
from tdsl.scheduling import Schedule
from tdsl.scheduling.shipped import declare_instructions
from tdsl.target import Target, TargetKind

_BYTES = "vpdpbusd"
_LANES, _VECTORS = 16, 4
_ROWS = 6
_LEAST = 1 << 15  # products of a matrix product that is worth packing for


@dataclass(frozen=True)
class Dots(Plan):
    """A product of a matrix of unsigned bytes and one of signed bytes."""

    block: str
    tensor: str
    instruction: str
    rows: int
    columns: int

    @property
    def reason(self) -> str:
        tiles = f"tiles of {self.rows} x {self.columns}"
        return f"a product of bytes: {self.instruction} in {tiles}, {self.tensor} packed"

    def apply(self, s: Schedule) -> None:
        tile_dot_products(
            s, self.block, self.tensor, self.instruction, self.rows, self.columns
        )  # fmt: skip

    def knobs(self) -> Mapping[str, tuple[int, ...]]:
        return {"rows": tuple(range(1, 13)), "columns": tuple(_LANES * n for n in range(1, 7))}


def match(group: Group, target: Target) -> Plan | None:
    """A product of two matrices of bytes, added up in 32 bits, of known sizes."""
    if target.kind is not TargetKind.LLVM or group.members or not group.sink.reduces:
        return None
    facts = group.sink
    view = find_contraction(facts)
    if view is None or view.slides or len(facts.data) != 2 or len(facts.reduced) != 1:
        return None
    if len(view.vectors) != 1 or len(view.scalars) != 1 or facts.data[-1] is not view.column:
        return None
    types = view.scalars[0].buffer.dtype, view.vectors[0].buffer.dtype, facts.writes[0].buffer.dtype
    size = facts.count((*facts.data, *facts.reduced))
    if types != (dtypes.uint8, dtypes.int8, dtypes.int32) or size is None or size < _LEAST:
        return None
    declare_instructions()
    if not set(instruction_of(_BYTES).features) <= set(target.features):
        return None
    width = facts.extent(view.column) or 1
    vectors = min(_VECTORS, -(-width // _LANES))
    tensor = view.vectors[0].buffer.name
    return Dots(facts.name, tensor, _BYTES, _ROWS, vectors * _LANES)


RULE = Rule("dots", match)
