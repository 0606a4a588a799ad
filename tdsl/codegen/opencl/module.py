"""A whole module: the source text of all kernels, and the plan by which the host runs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tdsl.codegen.opencl.host import Host, Json
from tdsl.ir.stmt import Program, Seq

_CHECKED_INDEX = """\
// an index from data, clamped; the first one outside [0, extent) is noted
long checked_index(long index, long extent, int access, int dim, __global long *status)
{
    if (index >= 0 && index < extent) return index;
    if (atomic_cmpxchg((volatile __global int *)status, 0, 1) == 0) {
        status[1] = access;
        status[2] = index;
        status[3] = extent;
        status[4] = dim;
    }
    return max(min(index, extent - 1), 0L);
}
"""

_PRAGMAS = {
    "fp64": "#pragma OPENCL EXTENSION cl_khr_fp64 : enable",
    "int64_atomics": "#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable",
}


@dataclass(frozen=True, slots=True)
class Module:
    """OpenCL C, and what the host does with it (see `host`)."""

    source: str
    plan: Json


def emit_module(program: Program, dims: Mapping[int, int] | None = None) -> Module:
    """Write a lowered program.

    Args:
        program: what to write.
        dims: the dimension that each checked access indexes, by the access's number.

    Raises:
        LoweringError: something in it has no place on an OpenCL device.
    """
    host = Host(program, dims or {})
    step = ["seq"] if program.body == Seq(()) else host.step(program.body)
    functions = host.functions
    features = sorted(functions.features)
    head = [f"// {program.name}"]
    head += [_PRAGMAS[f] for f in features if f in _PRAGMAS]
    head += ["#pragma OPENCL FP_CONTRACT OFF"]
    texts = [*functions.texts.values(), *([_CHECKED_INDEX] if functions.checks else [])]
    texts += [kernel.text for kernel in host.kernels]
    plan = {
        "version": 1,
        "kernels": [host.launch(kernel) for kernel in host.kernels],
        "features": features,
        "assume": [host.expression(fact) for fact in program.assume],
        "body": step,
    }
    return Module("\n".join(["\n".join(head) + "\n", *texts]), plan)
