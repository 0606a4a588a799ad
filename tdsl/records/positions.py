"""Steps by position: names are labels, so a record names none.

A loop is "loop number d around leaf number b", a block "leaf number b", a tensor its number among
the parameters and the allocations, each counted in the program as it stood before the step. The
same steps then fit every algorithm of the same shape, whatever its tensors and axes are called.
"""

from __future__ import annotations

from collections.abc import Iterable

from tdsl.records.schema import RecordError
from tdsl.scheduling import Schedule
from tdsl.scheduling.core import ScheduleCore
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.scheduling.trace import LoopRef, Step, Value

_NAMED = ("BlockArg", "TensorArg", "StoredArg")


def encode_step(core: ScheduleCore, step: Step) -> dict[str, object]:
    """A step that is about to be taken, by positions in the schedule as it stands."""
    parameters = list(PRIMITIVES[step.primitive].signature.parameters.values())
    encoded: list[object] = []
    for number, value in enumerate(step.args):
        parameter = parameters[min(number, len(parameters) - 1)]
        encoded.append(_encode(core, value, str(parameter.annotation)))
    kinds = {parameter.name: str(parameter.annotation) for parameter in parameters}
    options = {key: _encode(core, value, kinds[key]) for key, value in step.options}
    data: dict[str, object] = {"do": step.primitive, "args": encoded}
    if options:
        data["options"] = options
    return data


def _encode(core: ScheduleCore, value: Value, kind: str) -> object:
    match value:
        case LoopRef(var=var):
            for number, name in enumerate(core.index.leaves):
                for depth, loop in enumerate(core.index.loop_path(name)):
                    if loop.var is var:
                        return {"loop": [number, depth]}
            raise RecordError(f"loop {var.name} stands around no block")
        case str() if kind in _NAMED:
            return _encode_name(core, value, kind)
        case tuple():
            return [_encode(core, item, kind) for item in value]
        case _:
            return value


def _encode_name(core: ScheduleCore, name: str, kind: str) -> dict[str, object]:
    leaves = list(core.index.leaves)
    if kind != "TensorArg":
        if name in leaves:
            return {"block": leaves.index(name)}
        pieces = core.index.leaves_of(name)
        if pieces:
            return {"pieces": leaves.index(pieces[0])}
    return {"tensor": _tensors(core).index(name)}


def _tensors(core: ScheduleCore) -> list[str]:
    names = [param.buffer.name for param in core.program.params]
    return names + [buffer.name for buffer in core.index.allocs]


def replay_steps(schedule: Schedule, steps: Iterable[object]) -> None:
    """Take recorded steps on a schedule, proving each.

    Raises:
        RecordError: a step is damaged, names what is not there, or skipped its proof.
        ScheduleError: a step is refused.
    """
    for number, step in enumerate(steps, start=1):
        try:
            primitive, args, options = decode_step(schedule, step)
        except (IndexError, TypeError, ValueError, KeyError) as error:
            raise RecordError(f"step {number} of a record does not fit: {step!r}") from error
        if options.get("unsafe"):
            raise RecordError(f"step {number} of a record skips its proof: {step!r}")
        schedule.apply(primitive, *args, **options)


def decode_step(
    schedule: ScheduleCore, step: object
) -> tuple[str, list[object], dict[str, object]]:
    """The primitive, its arguments and its options for the schedule as it stands.

    Raises:
        RecordError: the step has another form.
    """
    match step:
        case {"do": str(primitive), "args": list(args), **rest}:
            options = rest.get("options", {})
            if isinstance(options, dict) and set(rest) <= {"options"}:
                decoded = {str(key): _decode(schedule, value) for key, value in options.items()}
                return primitive, [_decode(schedule, value) for value in args], decoded
        case _:
            pass
    raise RecordError(f"no step of a schedule: {step!r}")


def _decode(core: ScheduleCore, value: object) -> object:
    match value:
        case {"loop": [int(number), int(depth)]} if number >= 0 and depth >= 0:
            return core.loops(list(core.index.leaves)[number])[depth]
        case {"block": int(number)} if number >= 0:
            return list(core.index.leaves)[number]
        case {"pieces": int(number)} if number >= 0:
            return list(core.index.leaves)[number].split("@")[0]
        case {"tensor": int(number)} if number >= 0:
            return _tensors(core)[number]
        case dict():
            raise RecordError(f"{value!r} is no loop, block or tensor")
        case list():
            return tuple(_decode(core, item) for item in value)
        case _:
            return value
