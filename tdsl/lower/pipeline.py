"""The passes of lowering, in order, each with the reason for its place."""

from __future__ import annotations

from tdsl.ir.deep import deep_recursion, roomy
from tdsl.ir.stmt import Program
from tdsl.ir.verify import Stage
from tdsl.lower.apply_layouts import apply_layouts
from tdsl.lower.carry_accumulators import carry_accumulators
from tdsl.lower.carry_values import carry_values
from tdsl.lower.compact_storage import compact_storage
from tdsl.lower.drop_dead_storage import drop_dead_storage
from tdsl.lower.expand_blocks import expand_blocks
from tdsl.lower.expand_maths import expand_maths
from tdsl.lower.flatten import flatten_storage
from tdsl.lower.forward_stores import forward_stores
from tdsl.lower.fused_loops import compute_parts, unfuse_serial
from tdsl.lower.hoist_allocs import hoist_allocs
from tdsl.lower.hoist_loads import hoist_loads
from tdsl.lower.join_dimensions import join_dimensions
from tdsl.lower.opencl_pipeline import OPENCL_PIPELINE
from tdsl.lower.partition_loops import partition_loops
from tdsl.lower.passes import Lowered, Pass, inits, run_passes
from tdsl.lower.promote_registers import promote_registers
from tdsl.lower.relax_guards import relax_guards
from tdsl.lower.select_to_mask import select_to_mask
from tdsl.lower.select_updates import select_updates
from tdsl.lower.settle_conditions import settle_conditions, settle_guards
from tdsl.lower.slide_windows import slide_windows
from tdsl.lower.split_breakpoints import split_breakpoints
from tdsl.lower.split_first_steps import split_first_steps
from tdsl.lower.tidy_indices import tidy_indices
from tdsl.lower.tighten_loops import tighten_loops
from tdsl.lower.transpose_blocks import transpose_blocks
from tdsl.lower.unroll import unroll
from tdsl.lower.use_instructions import use_instructions
from tdsl.lower.vectorise import vectorise
from tdsl.lower.warn import LoweringWarning
from tdsl.target import Target, TargetKind

PIPELINE: tuple[Pass, ...] = (
    Pass(inits, "every statement that will run is in the tree from here on"),
    Pass(unfuse_serial, "ranges of loops are read off more easily without divisions"),
    Pass(slide_windows, "bindings and storage are still logical: windows show as what they are"),
    Pass(relax_guards, "logical indices still tell what nobody reads; before boxes are fitted"),
    Pass(compact_storage, "boxes follow what is accessed once guards were dropped"),
    Pass(apply_layouts, "a layout maps compacted indices"),
    Pass(expand_blocks, "loops and conditions are all that is left"),
    Pass(split_breakpoints, "parts of a balanced split get loops of their own"),
    Pass(settle_guards, "guards that always hold must not make versions; before masks"),
    Pass(tidy_indices, "bindings were put in the place of variables"),
    Pass(tighten_loops, "conditions that are bounds of loops need no version either"),
    Pass(select_updates, "conditions that are bounds have gone; before selects get their masks"),
    Pass(select_to_mask, "a mask is a condition that partitioning can settle"),
    Pass(hoist_allocs, "serial iterations share their storage, unrolled copies too"),
    Pass(split_first_steps, "a first step is no border: what follows treats both parts alike"),
    Pass(partition_loops, "what is left is worth a steady state"),
    Pass(settle_conditions, "ranges and branches decide more conditions"),
    Pass(unroll, "extents are as constant as they get"),
    Pass(compute_parts, "nothing asks for ranges of fused loops any more"),
    Pass(settle_conditions, "copies know their index"),
    Pass(tidy_indices, "copies know their index"),
    Pass(join_dimensions, "a lane's quotient and remainder would make a gather of every load"),
    Pass(vectorise, "conditions that are left on lanes become masks"),
    Pass(carry_accumulators, "indices are final, and still tell elements apart by dimension"),
    Pass(hoist_loads, "accumulators have taken their registers; the rest is for these"),
    Pass(forward_stores, "what a loop reads of its own results is not in its way any more"),
    Pass(carry_values, "what is invariant has left the loops; indices still have dimensions"),
    Pass(flatten_storage, "from here on an index has one dimension"),
    Pass(use_instructions, "an operand is a run of memory; before tiles become slots"),
    Pass(transpose_blocks, "strides are those of memory; before tiles become slots"),
    Pass(promote_registers, "tiles have constant indices, or the schedule cannot be run"),
    Pass(drop_dead_storage, "slots of a tile that a smaller range never copies out show now"),
    Pass(
        expand_maths,
        "lanes are known, and a formula would only be in the way before",
        Stage.LOWERED,
    ),
)


@deep_recursion()
def lower(program: Program, target: Target, *, keep: bool = False) -> Lowered:
    """Lower a scheduled program for a target.

    `keep` collects the program after each pass. `TDSL_DUMP=dir` writes them to files,
    `TDSL_DEBUG=1` prints the time of each pass, `TDSL_VERIFY=1` verifies after each.

    Raises:
        LoweringError: the target cannot run the schedule as written.
    """
    table = OPENCL_PIPELINE if target.kind is TargetKind.OPENCL else PIPELINE
    return roomy(lambda: run_passes(table, program, target, keep=keep))


__all__ = ["PIPELINE", "Lowered", "LoweringWarning", "Pass", "lower"]
