"""The plan by which the host runs a program's kernels: read from JSON, checked, carried out.

`codegen/opencl/host.py` says how it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from tdsl.errors import FormatError
from tdsl.runtime.devices.device import Facts
from tdsl.runtime.devices.errors import CapabilityError

Json: TypeAlias = Any
VERSION = 1


@dataclass(frozen=True, slots=True)
class Launch:
    """One kernel: its function, groups along x, y, z, and its arguments by name."""

    name: str
    groups: tuple[Json, ...]
    local: tuple[int, ...]
    buffers: tuple[str, ...]
    scalars: tuple[str, ...]
    checks: bool
    shared: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The kernels, what they need, what sizes must satisfy, and the steps."""

    kernels: tuple[Launch, ...]
    features: tuple[str, ...]
    assume: tuple[Json, ...]
    body: Json

    @staticmethod
    def from_json(data: Json) -> Plan:
        """Read a plan.

        Raises:
            FormatError: it is none, or one of a newer version.
        """
        try:
            if data["version"] != VERSION:
                raise FormatError(f"a launch plan of version {data['version']}, not {VERSION}")
            kernels = tuple(
                Launch(
                    str(k["name"]),
                    tuple(k["groups"]),
                    tuple(map(int, k["local"])),
                    tuple(map(str, k["buffers"])),
                    tuple(map(str, k["scalars"])),
                    bool(k["checks"]),
                    int(k["shared"]),
                )
                for k in data["kernels"]
            )
            return Plan(kernels, tuple(data["features"]), tuple(data["assume"]), data["body"])
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"not a launch plan: {error!r}") from error

    def check(self, facts: Facts, what: str) -> None:
        """Check that a device can run every kernel.

        Raises:
            CapabilityError: a kernel needs more than the device has.
        """
        missing = sorted(set(self.features) - facts.features)
        if missing:
            raise CapabilityError(
                f"{what} needs {', '.join(_FEATURES.get(f, f) for f in missing)}, which "
                f"{facts.name} lacks"
            )
        for kernel in self.kernels:
            _check_sizes(kernel, facts)


_FEATURES = {
    "fp64": "double precision (cl_khr_fp64)",
    "int64_atomics": "atomic operations on 64 bits (cl_khr_int64_base_atomics)",
    "rounded_division": "correctly rounded division and square roots of float32",
}


def _check_sizes(kernel: Launch, facts: Facts) -> None:
    items = 1
    for extent in kernel.local:
        items *= extent
    if items > facts.work_group:
        raise CapabilityError(
            f"kernel {kernel.name} has groups of {items} work-items; {facts.name} runs at most "
            f"{facts.work_group}",
            hint="bind smaller loops to local.x, local.y, local.z",
        )
    for axis, extent, most in zip("xyz", kernel.local, facts.work_items, strict=False):
        if extent > most:
            raise CapabilityError(
                f"kernel {kernel.name} has {extent} work-items along {axis}; {facts.name} runs at "
                f"most {most}",
                hint="bind another axis",
            )
    if kernel.shared > facts.local_bytes:
        raise CapabilityError(
            f"kernel {kernel.name} needs {kernel.shared} bytes of local memory; {facts.name} has "
            f"{facts.local_bytes}",
            hint="smaller tiles, or fewer tensors in scope 'shared'",
        )


_BINARY: dict[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b if b else 0,
    "%": lambda a, b: a % b if b else 0,
    "min": min,
    "max": max,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
    "^": lambda a, b: a ^ b,
}


def evaluate(e: Json, names: Mapping[str, int]) -> int:
    """The value of an expression."""
    if isinstance(e, int):
        return e
    if isinstance(e, str):
        return names[e]
    op, *operands = e
    match op, operands:
        case "select", [cond, a, b]:
            return evaluate(a if evaluate(cond, names) else b, names)
        case "not", [a]:
            return not evaluate(a, names)
        case "neg", [a]:
            return -evaluate(a, names)
        case _, [a, b]:
            return _BINARY[op](evaluate(a, names), evaluate(b, names))
        case _:
            raise FormatError(f"not an expression of the host: {e!r}")


class Runner:
    """Carries out the steps of a plan. `launch` and `allocate` do what the device must do."""

    def __init__(
        self,
        plan: Plan,
        names: Mapping[str, int],
        launch: Callable[[int, Sequence[int], Mapping[str, int]], None],
        allocate: Callable[[str, str, Sequence[int]], None],
    ) -> None:
        self._plan = plan
        self._names = dict(names)
        self._launch = launch
        self._allocate = allocate

    def run(self) -> None:
        """Run all steps."""
        self._step(self._plan.body)

    def _step(self, step: Json) -> None:
        match step:
            case ["seq", *parts]:
                for part in parts:
                    self._step(part)
            case ["launch", int(number)]:
                kernel = self._plan.kernels[number]
                groups = [evaluate(e, self._names) for e in kernel.groups]
                if all(count > 0 for count in groups):
                    self._launch(number, groups, self._names)
            case ["alloc", str(name), str(dtype), list(shape), body]:
                extents = [max(0, evaluate(e, self._names)) for e in shape]
                self._allocate(name, dtype, extents)
                self._step(body)
            case ["for", str(name), extent, body]:
                for n in range(evaluate(extent, self._names)):
                    self._names[name] = n
                    self._step(body)
            case ["let", str(name), value, body]:
                self._names[name] = evaluate(value, self._names)
                self._step(body)
            case ["if", cond, then, otherwise]:
                self._step(then if evaluate(cond, self._names) else otherwise)
            case _:
                raise FormatError(f"not a step of a launch plan: {step!r}")
