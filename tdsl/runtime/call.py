"""The Python call path: everything that the machine-code path passes on.

It takes what that path does not (tensors of other libraries, numpy scalars, arrays to be packed),
and finds the message where an argument is wrong. It trusts nothing that was checked before: it
checks all again, in an order that gives the most useful message.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from tdsl.runtime.bound import BoundCall, raise_kernel_error
from tdsl.runtime.checks import check_apart, check_form, check_shape, output_shape
from tdsl.runtime.convert import Array, as_array
from tdsl.runtime.errors import ArgumentTypeError, ArgumentValueError
from tdsl.runtime.packed import PackedArray
from tdsl.runtime.signature import Dim, Param, Role, Signature, Solve, solving_plan

_LARGEST_SIZE = (1 << 63) - 1


@dataclass(slots=True)
class _Binding:
    """Arguments on their way through the checks."""

    arrays: list[Array] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)


class Caller:
    """Checks the arguments of one kernel and runs it.

    Args:
        signature: what the kernel takes.
        address: the kernel's machine code.
        code: what keeps that code loaded.
        packers: for each packed input the tag it must carry, and the function that packs.
        accesses: texts of the accesses whose numbers error code 2 reports.
    """

    __slots__ = (
        "_accesses", "_code", "_inputs", "_outputs", "_plan", "address", "packers", "signature",
    )  # fmt: skip

    def __init__(
        self,
        signature: Signature,
        address: int,
        code: object,
        packers: Mapping[str, tuple[str, Callable[..., Array]]],
        accesses: Sequence[str],
    ) -> None:
        self.signature = signature
        self.address = address
        self.packers = packers
        self._code = code
        self._accesses = tuple(accesses)
        self._inputs = signature.inputs
        self._outputs = signature.outputs
        self._plan = solving_plan(signature, len(self._inputs))

    def call(self, *args: Any, **keywords: Any) -> Any:
        """Check, run, and return the outputs (see `Kernel.__call__`)."""
        bound, results = self.bind(args, keywords)
        bound.run(self.address)
        return results[0] if len(results) == 1 else results or None

    def fail(self, code: int, *info: int) -> NoReturn:
        """Raise for an error code that the machine-code path got."""
        raise_kernel_error(self.signature, self._accesses, code, *info)

    def bind(
        self, args: Sequence[Any], keywords: Mapping[str, Any]
    ) -> tuple[BoundCall, tuple[Any, ...]]:
        """Check all arguments and put them in ABI form; also return what the call returns.

        Raises:
            ArgumentTypeError, ArgumentValueError: as `checked`.
        """
        checked, results = self.checked(args, keywords)
        return BoundCall(self.signature, self._accesses, checked.arrays, checked.sizes), results

    def checked(
        self, args: Sequence[Any], keywords: Mapping[str, Any]
    ) -> tuple[_Binding, tuple[Any, ...]]:
        """Check all arguments, allocate missing outputs; also return what the call returns.

        Raises:
            ArgumentTypeError: count, keywords, kind or dtype of an argument.
            ArgumentValueError: shape, size, strides, memory.
        """
        given = dict(keywords)
        out = given.pop("out", None)
        self._check_count(args, given)
        binding = _Binding()
        self._bind_keyword_sizes(given, binding)
        for value, param in zip(args, self._inputs, strict=True):
            self._add(self._input(value, param), param, "argument", binding)
        self._solve(len(args), binding)
        outputs = self._given_outputs(out)
        if outputs is not None:
            for value, param in zip(outputs, self._outputs, strict=True):
                array = as_array(value, param, self._where("output", param))
                self._add(array, param, "output", binding)
            self._solve(len(self.signature.params), binding)
        self._check_sizes(binding)
        self._check_shapes(binding)
        if outputs is None:
            outputs = self._new_outputs(binding)
        self._check_overlap(binding)
        if self._outputs:
            return binding, tuple(outputs)
        written = zip(args, self._inputs, strict=True)
        return binding, tuple(value for value, param in written if param.role is Role.INOUT)

    # -- steps of bind -------------------------------------------------------------------------

    def _where(self, kind: str, param: Param) -> str:
        return f"{self.signature.name}: {kind} {param.name!r}"

    def _check_count(self, args: Sequence[Any], named: Collection[str]) -> None:
        inputs, outputs = self._inputs, self._outputs
        if len(args) == len(inputs):
            return
        names = f" ({', '.join(param.name for param in inputs)})" if inputs else ""
        hint = None
        if outputs and len(args) == len(inputs) + len(outputs):
            hint = "outputs go into out=" + ("..." if len(outputs) == 1 else "(..., ...)")
        if any(param.name in named for param in inputs):
            hint = "pass arrays by position, in this order; keywords are for sizes and out="
        noun = "argument" if len(inputs) == 1 else "arguments"
        raise ArgumentTypeError(
            f"{self.signature.name} takes {len(inputs)} {noun}{names}, got {len(args)}",
            hint=hint,
        )

    def _bind_keyword_sizes(self, given: Mapping[str, Any], binding: _Binding) -> None:
        name = self.signature.name
        for key, value in given.items():
            if key not in self.signature.sizes:
                legal = ", ".join(["out", *self.signature.sizes])
                inputs = [param.name for param in self._inputs]
                raise ArgumentTypeError(
                    f"{name} has no keyword argument {key!r}",
                    hint="inputs are passed by position"
                    if key in inputs
                    else f"its keywords are {legal}",
                )
            integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
            if not integer:
                raise ArgumentTypeError(
                    f"{name}: size {key!r} is {value!r}, of type {type(value).__name__}, not an "
                    "integer"
                )
            binding.sizes[key] = int(value)
            binding.origins[key] = f"the keyword {key}="

    def _input(self, value: Any, param: Param) -> Array:
        if type(value) is np.ndarray and param.name not in self.packers:
            return value
        where = self._where("argument", param)
        if param.name not in self.packers:
            return as_array(value, param, where)
        tag, pack = self.packers[param.name]
        if not isinstance(value, PackedArray):
            return pack(value)
        if value.tag != tag:
            raise ArgumentTypeError(
                f"{where} was packed by {value.tag}; this kernel takes what {tag} packs",
                hint=f"pack it with this kernel's own kernel.pack({param.name!r}, ...)",
            )
        return value.array

    def _add(self, array: Array, param: Param, kind: str, binding: _Binding) -> None:
        name = f"{kind} {param.name!r}"
        check_form(array, param, f"{self.signature.name}: {name}")
        binding.arrays.append(array)
        binding.names.append(name)

    def _given_outputs(self, out: Any) -> Sequence[Any] | None:
        wanted = self._outputs
        if out is None:
            return None
        if not wanted:
            raise ArgumentTypeError(
                f"{self.signature.name} has no outputs, but out= is given",
                hint="it writes its inout arguments in place",
            )
        if len(wanted) == 1 and not isinstance(out, (tuple, list)):
            return [out]
        if not isinstance(out, (tuple, list)) or len(out) != len(wanted):
            names = ", ".join(param.name for param in wanted)
            noun = "array" if len(wanted) == 1 else "arrays"
            got = f"{len(out)}" if isinstance(out, (tuple, list)) else type(out).__name__
            raise ArgumentTypeError(
                f"{self.signature.name}: out= takes {len(wanted)} {noun} ({names}), got {got}"
            )
        return list(out)

    def _solve(self, count: int, binding: _Binding) -> None:
        """Fix the sizes that the first `count` arguments determine and no keyword gives."""
        plan = self._plan
        if binding.sizes or count != len(self._inputs):
            plan = solving_plan(self.signature, count, tuple(sorted(binding.sizes)))
        for step in plan.steps:
            self._solve_one(step, binding)

    def _solve_one(self, step: Solve, binding: _Binding) -> None:
        extent = binding.arrays[step.param].shape[step.axis]
        rest = Dim(step.others, step.const).evaluate(binding.sizes)
        value, remainder = divmod(extent - rest, step.coefficient)
        origin = f"{binding.names[step.param]}, dimension {step.axis}"
        if remainder or value < 0:
            dim = self.signature.params[step.param].shape[step.axis]
            problem = "a whole number" if remainder else "0 or more"
            raise ArgumentValueError(
                f"{self.signature.name}: {origin} is {extent}, but no {step.size} that is "
                f"{problem} gives {dim} = {extent}"
            )
        binding.sizes[step.size] = value
        binding.origins[step.size] = origin

    def _check_sizes(self, binding: _Binding) -> None:
        name = self.signature.name
        missing = [size for size in self.signature.sizes if size not in binding.sizes]
        if missing:
            raise ArgumentTypeError(
                f"{name}: no argument fixes the size {missing[0]!r}",
                hint=f"pass it by keyword: {', '.join(f'{size}=...' for size in missing)}",
            )
        for size, value in binding.sizes.items():
            if not 0 <= value <= _LARGEST_SIZE:
                raise ArgumentValueError(f"{name}: the size {size} = {value} is out of range")

    def _check_shapes(self, binding: _Binding) -> None:
        params = self.signature.params
        for array, param, name in zip(binding.arrays, params, binding.names, strict=False):
            where = f"{self.signature.name}: {name}"
            check_shape(array, param, binding.sizes, binding.origins, where)

    def _new_outputs(self, binding: _Binding) -> list[Array]:
        arrays = []
        for param in self._outputs:
            where = self._where("output", param)
            shape = output_shape(param, binding.sizes, where)
            try:
                arrays.append(np.empty(shape, param.element.numpy))
            except (ValueError, MemoryError) as error:
                raise ArgumentValueError(
                    f"{where} of shape {shape} cannot be allocated: {error}"
                ) from error
            binding.names.append(f"output {param.name!r}")
        binding.arrays.extend(arrays)
        return arrays

    def _check_overlap(self, binding: _Binding) -> None:
        params, name = self.signature.params, self.signature.name
        for index, param in enumerate(params):
            if not param.role.is_written:
                continue
            for other, other_param in enumerate(params):
                if other == index or (other < index and other_param.role.is_written):
                    continue
                names = binding.names[index], binding.names[other]
                check_apart(binding.arrays[index], binding.arrays[other], names, name)
