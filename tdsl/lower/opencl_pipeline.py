"""The passes of lowering for OpenCL devices, in order, each with the reason for its place.

Up to `map_work_items` local loops are loops like others, whose siblings follow one another; from
there on every work-item runs the same statements, and barriers keep them apart.
"""

from __future__ import annotations

from tdsl.ir.verify import Stage
from tdsl.lower.apply_layouts import apply_layouts
from tdsl.lower.carry_accumulators import carry_accumulators
from tdsl.lower.compact_storage import compact_storage
from tdsl.lower.drop_dead_storage import drop_dead_storage
from tdsl.lower.expand_blocks import expand_blocks
from tdsl.lower.expand_maths import expand_maths
from tdsl.lower.fit_vectors import fit_vectors
from tdsl.lower.flatten import flatten_storage
from tdsl.lower.fused_loops import compute_parts, unfuse_serial
from tdsl.lower.hoist_allocs import hoist_allocs
from tdsl.lower.hoist_loads import hoist_loads
from tdsl.lower.join_dimensions import join_dimensions
from tdsl.lower.map_work_items import map_work_items
from tdsl.lower.partition_loops import partition_loops
from tdsl.lower.passes import Pass, inits
from tdsl.lower.promote_registers import promote_registers
from tdsl.lower.relax_guards import relax_guards
from tdsl.lower.select_to_mask import select_to_mask
from tdsl.lower.settle_conditions import settle_conditions, settle_guards
from tdsl.lower.split_breakpoints import split_breakpoints
from tdsl.lower.tidy_indices import tidy_indices
from tdsl.lower.tighten_loops import tighten_loops
from tdsl.lower.unroll import unroll
from tdsl.lower.use_instructions import serial_instructions
from tdsl.lower.vectorise import vectorise

OPENCL_PIPELINE: tuple[Pass, ...] = (
    Pass(inits, "every statement that will run is in the tree from here on"),
    Pass(serial_instructions, "devices have no instructions that a program may name"),
    Pass(unfuse_serial, "ranges of loops are read off more easily without divisions"),
    Pass(fit_vectors, "devices have vectors of certain lengths; guards still name the loops"),
    Pass(relax_guards, "logical indices still tell what nobody reads; before boxes are fitted"),
    Pass(compact_storage, "boxes follow what is accessed once guards were dropped"),
    Pass(apply_layouts, "a layout maps compacted indices"),
    Pass(expand_blocks, "loops and conditions are all that is left"),
    Pass(split_breakpoints, "parts of a balanced split get loops of their own"),
    Pass(settle_guards, "guards that always hold must not make versions; before masks"),
    Pass(tidy_indices, "bindings were put in the place of variables"),
    Pass(tighten_loops, "conditions that are bounds of loops need no version either"),
    Pass(select_to_mask, "a mask is a condition that partitioning can settle"),
    Pass(hoist_allocs, "serial iterations share their storage, unrolled copies too"),
    Pass(partition_loops, "sibling local loops still follow one another: versions are uniform"),
    Pass(settle_conditions, "ranges and branches decide more conditions"),
    Pass(compute_parts, "a fused local loop becomes one index"),
    Pass(map_work_items, "before copies: every access is asked about once"),
    Pass(unroll, "extents are as constant as they get"),
    Pass(settle_conditions, "copies know their index"),
    Pass(tidy_indices, "copies know their index"),
    Pass(join_dimensions, "a lane's quotient and remainder would make a gather of every load"),
    Pass(vectorise, "conditions that are left on lanes become masks"),
    Pass(carry_accumulators, "indices are final, and still tell elements apart by dimension"),
    Pass(hoist_loads, "accumulators have taken their registers; the rest is for these"),
    Pass(flatten_storage, "from here on an index has one dimension"),
    Pass(promote_registers, "tiles have constant indices, or the schedule cannot be run"),
    Pass(drop_dead_storage, "slots of a tile that a smaller range never copies out show now"),
    Pass(
        expand_maths,
        "lanes are known, and a formula would only be in the way before",
        Stage.LOWERED,
    ),
)
