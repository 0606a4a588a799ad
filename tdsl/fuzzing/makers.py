"""How random steps are drawn: a weight and a maker for each primitive."""

from __future__ import annotations

from collections.abc import Callable

from tdsl.fuzzing import combined_steps, foreign_steps, loop_steps, placing_steps
from tdsl.fuzzing.draw import Draw
from tdsl.fuzzing.step import Step, View, on_a_loop, view
from tdsl.scheduling import Schedule
from tdsl.scheduling.arguments import AXES, SCOPES
from tdsl.scheduling.primitive import PRIMITIVES

Maker = Callable[[View], Step | None]


def _tensor(v: View) -> str | None:
    names = sorted({a.tensor for b in v.blocks for a in b.accesses})
    return v.draw.choice(names) if names else None


_GENERIC: dict[str, Callable[[View], object]] = {
    "LoopArg": View.loop,
    "MaybeLoopArg": View.loop,
    "BlockArg": lambda v: v.draw.choice(v.blocks).name,
    "StoredArg": lambda v: v.draw.choice(v.blocks).name,
    "TensorArg": _tensor,
    "FactorArg": lambda v: v.draw.integer(1, 5),
    "FactorsArg": lambda v: v.draw.integer(1, 5),
    "LanesArg": lambda v: v.draw.choice([2, 4, 8]),
    "CountArg": lambda v: v.draw.integer(-2, 3),
    "DimArg": lambda v: v.draw.integer(0, 2),
    "PointsArg": lambda v: v.draw.integer(1, 4),
    "TailArg": View.tail,
    "ScopeArg": lambda v: v.draw.choice(SCOPES),
    "AxisArg": lambda v: v.draw.choice(AXES),
    "FlagArg": lambda v: v.draw.chance(0.5),
    "bool": lambda v: v.draw.chance(0.5),
}


def _generic(name: str) -> Maker:
    """A maker that follows the primitive's declared argument kinds."""
    parameters = [p for p in PRIMITIVES[name].signature.parameters.values() if p.name != "unsafe"]

    def made(v: View) -> Step | None:
        if not v.blocks:
            return None
        args: list[object] = []
        options: list[tuple[str, object]] = []
        for p in parameters:
            value = _GENERIC[str(p.annotation)](v)
            if p.default is p.empty:
                args.append(value)
            elif v.draw.chance(0.5):
                options.append((p.name, value))
        return None if None in args else Step(name, tuple(args), tuple(options))

    return made


# what is seldom possible weighs more: where nothing fits, no step is drawn
MAKERS: dict[str, tuple[float, Maker]] = {
    "split": (5, loop_steps.split),
    "tile": (3, loop_steps.tile),
    "fuse": (4, loop_steps.fuse),
    "reorder": (6, loop_steps.reorder),
    "unroll": (3, on_a_loop("unroll")),
    "parallel": (3, on_a_loop("parallel")),
    "vectorize": (3, loop_steps.vectorize),
    "bind": (0.8, loop_steps.bind),
    "compute_at": (6, placing_steps.compute_at),
    "reverse_compute_at": (6, placing_steps.reverse_compute_at),
    "inline": (3, placing_steps.inline),
    "cache_read": (2.5, placing_steps.cache_read),
    "cache_write": (2.5, placing_steps.cache_write),
    "set_scope": (2.5, placing_steps.set_scope),
    "transform_layout": (2.5, placing_steps.transform_layout),
    "store_at": (4, placing_steps.store_at),
    "hoist_storage": (3, placing_steps.hoist_storage),
    "fold_storage": (3, placing_steps.fold_storage),
    "rfactor": (4, loop_steps.rfactor),
    "decompose_reduction": (3, loop_steps.decompose_reduction),
    "atomic": (3, placing_steps.atomic),
    "stream": (2, placing_steps.stream),
    "partition": (2, loop_steps.partition),
    "align": (1.5, placing_steps.align),
    "fission": (4, loop_steps.fission),
    "prefetch": (1.5, placing_steps.prefetch),
    "reverse": (2.5, on_a_loop("reverse")),
    "shift": (2.5, loop_steps.shift),
    "skew": (3, loop_steps.skew),
    "specialize": (2.5, loop_steps.specialize),
    "compute_with": (3, placing_steps.compute_with),
    "reverse_inline": (7, placing_steps.reverse_inline),
    "split_scan": (16, loop_steps.split_scan),
    "tensorize": (20, foreign_steps.tensorize),
    "call_extern": (20, foreign_steps.call_extern),
    "pad_einsum": (12, placing_steps.pad_einsum),
    "reuse": (7, placing_steps.reuse),
    "pipeline": (8, placing_steps.pipeline),
    "double_buffer": (7, placing_steps.double_buffer),
}
COMBINED: dict[str, tuple[float, Maker]] = {
    "wavefront": (1.5, combined_steps.wavefront),
    "split_k": (1.5, combined_steps.split_k),
    "tree_reduce": (2.5, combined_steps.tree_reduce),
    "pack_operand": (1.5, combined_steps.pack_operand),
    "tile_in_registers": (4, combined_steps.tile_in_registers),
}


def makers() -> dict[str, tuple[float, Maker]]:
    """A weight and a maker for each primitive there is, and for combinators of the library."""
    found = {name: MAKERS[name] for name in MAKERS if name in PRIMITIVES} | COMBINED
    for name, primitive in PRIMITIVES.items():
        kinds = {str(p.annotation) for p in primitive.signature.parameters.values()}
        if name not in found and kinds <= set(_GENERIC):
            found[name] = (2.0, _generic(name))
    return found


def without_maker() -> list[str]:
    """Primitives that exist but that no step is drawn of."""
    return sorted(set(PRIMITIVES) - set(makers()))


# what only fits loops that nothing has scheduled weighs more in the first steps
_EARLY = dict.fromkeys(
    ("pad_einsum", "split_scan", "tensorize", "call_extern", "tile_in_registers"), 2.5
)
_EARLY_STEPS = 3
_REDRAWN = 3
_SHARES = (0.1, 0.2, 0.4)  # of the primitives: a swarm of one walk


def swarm(draw: Draw) -> frozenset[str]:
    """A few primitives for a whole walk: what meets itself and few others again and again.

    Faults hide where all primitives share every walk: each then comes once, among thirteen others
    (swarm testing; Groce et al., ISSTA 2012).
    """
    share = draw.choice(_SHARES)
    return frozenset(name for name in makers() if draw.chance(share)) | {"split"}


def random_step(draw: Draw, s: Schedule, among: frozenset[str] | None = None) -> Step | None:
    """A step that may or may not be legal; None where nothing was found to apply it to.

    With `among`, only these primitives are drawn.
    """
    known, seen = makers(), view(draw, s)
    early = _EARLY if len(s.trace) < _EARLY_STEPS else {}
    weights = {
        name: weight * early.get(name, 1.0)
        for name, (weight, _) in known.items()
        if among is None or name in among
    }
    for _ in range(_REDRAWN if weights else 0):
        step = known[draw.weighted(weights)][1](seen)
        if step is not None:
            return step
    return None
