"""Random steps that nothing speaks for: any value of a kind, now and then one of none.

The fuzzer draws steps that are likely to be legal; what is seldom so is met here.
"""

from __future__ import annotations

from collections.abc import Callable

from tdsl.fuzzing.step import Step, View
from tdsl.ir.instruction import INSTRUCTIONS
from tdsl.scheduling.arguments import AXES, SCOPES, TAILS
from tdsl.scheduling.primitive import PRIMITIVES

_MISSPELT = 0.03
_MAPS = (
    "i -> i", "i -> i // 4, i % 4", "i -> i // 2", "i, j -> j, i", "i, j -> i, j + 1",
    "i, j -> i // 4, j, i % 4", "i, j -> i", "i, j -> i - j, j", "i, j, k -> j, i, k",
    "i, j, k, l -> i, l, j, k", "i, j -> i, j ^ i % 4", "-> 0", "i -> i // j", "i, i -> i",
)  # fmt: skip
_CONDITIONS = ("M == 4", "N % 4 == 0", "N >= 1", "N > 8", "M <= N", "N == 0", "N +", "Q > 1")


def _name(v: View) -> str:
    return "nothing" if v.draw.chance(_MISSPELT) else v.draw.choice(v.blocks).name


def _block(v: View) -> str:
    inits = [b.leaf.block.init.name for b in v.blocks if b.leaf.block.init is not None]
    return v.draw.choice(inits) if inits and v.draw.chance(0.1) else _name(v)


def _tensor(v: View) -> str:
    names = sorted({a.tensor for b in v.blocks for a in b.accesses})
    return v.draw.choice(names) if v.draw.chance(0.9) else _name(v)


def _loop(v: View) -> str:
    label = v.loop()
    if label is None or v.draw.chance(_MISSPELT):
        return "nothing.i"
    return label.rpartition(".")[2] if v.draw.chance(0.05) else label


def _factors(v: View) -> object:
    if v.draw.chance(0.6):
        return v.draw.integer(0, 9)
    parts: list[int | None] = [v.draw.integer(1, 4) for _ in range(v.draw.integer(1, 2))]
    parts.insert(v.draw.integer(0, len(parts)), None)
    return tuple(parts)


def _numbers(v: View, low: int) -> object:
    if v.draw.chance(0.5):
        return v.draw.integer(low, 5)
    return tuple(v.draw.integer(low, 5) for _ in range(v.draw.integer(1, 3)))


def _instruction(v: View, *, by_pointer: bool) -> str:
    known = [x.name for x in INSTRUCTIONS.values() if x.by_pointer == by_pointer]
    return v.draw.choice(sorted(known))


_VALUES: dict[str, Callable[[View], object]] = {
    "LoopArg": _loop,
    "MaybeLoopArg": _loop,
    "BlockArg": _block,
    "MaybeBlockArg": _block,
    "StoredArg": lambda v: _tensor(v) if v.draw.chance(0.5) else _block(v),
    "TensorArg": _tensor,
    "FactorsArg": _factors,
    "FactorArg": lambda v: v.draw.integer(0, 9),
    "LanesArg": lambda v: v.draw.choice([None, 0, 2, 3, 4, 8]),
    "DimArg": lambda v: v.draw.integer(-1, 4),
    "CountArg": lambda v: v.draw.integer(-3, 4),
    "PointsArg": lambda v: _numbers(v, 0),
    "PadArg": lambda v: _numbers(v, 0),
    "MultiplesArg": lambda v: _numbers(v, 1),
    "TailArg": lambda v: v.draw.choice(TAILS),
    "ScopeArg": lambda v: v.draw.choice(SCOPES),
    "AxisArg": lambda v: v.draw.choice(AXES),
    "IndexMapArg": lambda v: v.draw.choice(_MAPS),
    "ConditionArg": lambda v: v.draw.choice(_CONDITIONS),
    "FlagArg": lambda v: v.draw.chance(0.5),
    "bool": lambda v: v.draw.chance(0.5),
}


def wild_step(v: View) -> Step | None:
    """A call of any primitive; `unsafe` is left out."""
    if not v.blocks:
        return None
    name = v.draw.choice(sorted(PRIMITIVES))
    args: list[object] = []
    options: list[tuple[str, object]] = []
    for p in PRIMITIVES[name].signature.parameters.values():
        kind = str(p.annotation)
        if p.name == "unsafe":
            continue
        if kind == "InstructionArg":
            args.append(_instruction(v, by_pointer=name == "call_extern"))
        elif p.kind is p.VAR_POSITIONAL:
            args += [_loop(v) for _ in range(v.draw.integer(1, 4))]
        elif p.default is p.empty:
            args.append(_VALUES[kind](v))
        elif v.draw.chance(0.5):
            options.append((p.name, _VALUES[kind](v)))
    return Step(name, tuple(args), tuple(options))
