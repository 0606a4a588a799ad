"""What a kernel takes: its parameters in ABI order, its sizes, and where each size comes from.

A dimension is an affine expression over sizes. `solving_plan` finds, once per signature, the order
in which argument extents fix the sizes: a plain dimension ``N`` binds ``N``; an affine dimension
with a single unknown, such as ``2*N + 1``, is solved for it; every dimension is checked afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

from tdsl.dtypes import BY_NAME, DType
from tdsl.errors import FormatError, InternalError


@dataclass(frozen=True, slots=True)
class Dim:
    """The extent ``sum(coefficient * size) + const`` of one dimension.

    >>> str(Dim((("N", 2), ("M", 1)), -3))
    '2*N + M - 3'
    """

    terms: tuple[tuple[str, int], ...] = ()
    const: int = 0

    @property
    def plain(self) -> str | None:
        """The size's name where the dimension is that size and nothing else."""
        if self.const == 0 and len(self.terms) == 1 and self.terms[0][1] == 1:
            return self.terms[0][0]
        return None

    @property
    def is_constant(self) -> bool:
        """Whether no size occurs."""
        return not self.terms

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The extent under `sizes`, which must hold every size that occurs."""
        return sum(coefficient * sizes[name] for name, coefficient in self.terms) + self.const

    def __str__(self) -> str:
        text = ""
        for name, coefficient in self.terms:
            factor = "" if abs(coefficient) == 1 else f"{abs(coefficient)}*"
            sign = (
                ("-" if coefficient < 0 else "")
                if not text
                else " - "
                if coefficient < 0
                else " + "
            )
            text += f"{sign}{factor}{name}"
        if not text:
            return str(self.const)
        if self.const:
            text += f" {'-' if self.const < 0 else '+'} {abs(self.const)}"
        return text


class Role(Enum):
    """How a kernel uses an argument."""

    IN = "in"
    OUT = "out"
    INOUT = "inout"

    @property
    def is_written(self) -> bool:
        """Whether the kernel stores to the argument."""
        return self is not Role.IN


@dataclass(frozen=True, slots=True)
class Param:
    """One argument: an array of `dtype` whose extents are `shape` (rank 0: a scalar)."""

    name: str
    dtype: str
    shape: tuple[Dim, ...] = ()
    any_strides: bool = False
    role: Role = Role.IN

    @property
    def element(self) -> DType:
        """The element type."""
        return BY_NAME[self.dtype]

    def __str__(self) -> str:
        inside = ", ".join(map(str, self.shape))
        return f"{self.name}: {self.dtype}[{inside}]"


@dataclass(frozen=True, slots=True)
class Signature:
    """Everything the runtime knows of a kernel's arguments.

    Attributes:
        name: the function's name, for messages.
        params: inputs (IN and INOUT) first, then outputs, in ABI order.
        sizes: names of the sizes in ABI order; each gets a rank-0 int64 buffer after the params.
        assume: texts of the assumptions, indexed by the number that error code 3 reports.
    """

    name: str
    params: tuple[Param, ...]
    sizes: tuple[str, ...] = ()
    assume: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [param.name for param in self.params] + list(self.sizes)
        if len(set(names)) != len(names):
            raise InternalError(f"{self.name}: a name occurs twice among {names}")
        roles = [param.role is Role.OUT for param in self.params]
        if roles != sorted(roles):
            raise InternalError(f"{self.name}: an input stands after an output")
        for param in self.params:
            if param.dtype not in BY_NAME:
                raise InternalError(f"{self.name}: {param.name} has unknown dtype {param.dtype!r}")
            for dim in param.shape:
                unknown = [name for name, _ in dim.terms if name not in self.sizes]
                if unknown:
                    raise InternalError(
                        f"{self.name}: {param.name} uses unlisted size {unknown[0]}"
                    )

    @property
    def inputs(self) -> tuple[Param, ...]:
        """The arguments that a caller passes by position."""
        return tuple(param for param in self.params if param.role is not Role.OUT)

    @property
    def outputs(self) -> tuple[Param, ...]:
        """The arguments that a call allocates, or that `out=` gives."""
        return tuple(param for param in self.params if param.role is Role.OUT)

    @property
    def free_sizes(self) -> tuple[str, ...]:
        """The sizes that no input fixes: keyword arguments of a call."""
        return solving_plan(self, len(self.inputs)).unsolved

    def __str__(self) -> str:
        inputs = [str(param) for param in self.inputs]
        keywords = [f"{name}: size" for name in self.free_sizes]
        arguments = ", ".join(inputs + (["*", *keywords] if keywords else []))
        outputs = ", ".join(str(param) for param in self.outputs)
        return f"{self.name}({arguments}) -> {outputs or 'None'}"

    def to_json(self) -> str:
        """The signature as JSON text; `from_json` is its inverse."""
        return json.dumps(
            {
                "name": self.name,
                "params": [
                    {
                        "name": param.name,
                        "dtype": param.dtype,
                        "shape": [{"terms": dim.terms, "const": dim.const} for dim in param.shape],
                        "any_strides": param.any_strides,
                        "role": param.role.value,
                    }
                    for param in self.params
                ],
                "sizes": self.sizes,
                "assume": self.assume,
            }
        )

    @staticmethod
    def from_json(text: str) -> Signature:
        """Read what `to_json` wrote.

        Raises:
            FormatError: the text is not a signature.
        """
        try:
            data = json.loads(text)
            return Signature(
                name=str(data["name"]),
                params=tuple(_param_from_json(item) for item in data["params"]),
                sizes=tuple(map(str, data["sizes"])),
                assume=tuple(map(str, data["assume"])),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"not a kernel signature: {error!r}") from error


def _param_from_json(item: Mapping[str, Any]) -> Param:
    shape = tuple(
        Dim(tuple((str(name), int(factor)) for name, factor in dim["terms"]), int(dim["const"]))
        for dim in item["shape"]
    )
    return Param(
        str(item["name"]), str(item["dtype"]), shape, bool(item["any_strides"]), Role(item["role"])
    )


@dataclass(frozen=True, slots=True)
class Solve:
    """``size = (extent of dimension axis of params[param] - others - const) / coefficient``."""

    size: str
    param: int
    axis: int
    coefficient: int
    others: tuple[tuple[str, int], ...]
    const: int


@dataclass(frozen=True, slots=True)
class SolvingPlan:
    """The order in which extents fix sizes, and the sizes that stay unknown."""

    steps: tuple[Solve, ...]
    unsolved: tuple[str, ...]


@lru_cache(maxsize=1024)
def solving_plan(signature: Signature, params: int, known: tuple[str, ...] = ()) -> SolvingPlan:
    """How the first `params` parameters fix the sizes that are not in `known` yet."""
    dims = [
        (dim, index, axis)
        for index, param in enumerate(signature.params[:params])
        for axis, dim in enumerate(param.shape)
    ]
    solved = set(known)
    steps: list[Solve] = []
    for dim, index, axis in dims:  # plain dimensions first: they need no division
        if dim.plain is not None and dim.plain not in solved:
            solved.add(dim.plain)
            steps.append(Solve(dim.plain, index, axis, 1, (), 0))
    progress = True
    while progress:
        progress = False
        for dim, index, axis in dims:
            unknown = [(name, factor) for name, factor in dim.terms if name not in solved]
            if len(unknown) == 1:
                name, factor = unknown[0]
                others = tuple(term for term in dim.terms if term[0] != name)
                steps.append(Solve(name, index, axis, factor, others, dim.const))
                solved.add(name)
                progress = True
    return SolvingPlan(tuple(steps), tuple(name for name in signature.sizes if name not in solved))


def shape_text(values: Sequence[object]) -> str:
    """Show a shape as Python does.

    >>> shape_text([4]), shape_text([Dim((("N", 1),)), 3])
    ('(4,)', '(N, 3)')
    """
    return f"({', '.join(map(str, values))}{',' if len(values) == 1 else ''})"
