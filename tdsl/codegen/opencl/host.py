"""What the host does: allocate, loop, launch; written as JSON for the runtime.

A step is a list whose first item says what it is:

    ["seq", step, ...]                       in order
    ["launch", number of the kernel]
    ["alloc", name, dtype, [extent, ...], step]    a device buffer that lives during a step
    ["for", name, extent, step]
    ["let", name, expression, step]
    ["if", expression, step, step]

An expression is a number, a name, or a list of an operator and its operands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tdsl.codegen.opencl.functions import Functions
from tdsl.codegen.opencl.kernel import KernelText, Outside, write_kernel
from tdsl.codegen.opencl.names import Names
from tdsl.errors import InternalError, LoweringError
from tdsl.ir.expr import Binary, Buffer, Cast, Const, Expr, Select, Unary, UnaryOp, Var
from tdsl.ir.nest import print_expr
from tdsl.ir.stmt import Alloc, For, If, Let, LoopKind, Program, Scope, Seq, Stmt, Store
from tdsl.ir.visit import loads, statements
from tdsl.lower.facts import program_facts
from tdsl.lower.team import BOUND, has_loops

Json: TypeAlias = Any


@dataclass(slots=True)
class Host:
    """The host's side of a program, and the kernels that it launches."""

    program: Program
    dims: Mapping[int, int]
    functions: Functions = field(default_factory=Functions)
    kernels: list[KernelText] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    buffers: dict[Buffer, str] = field(default_factory=dict)
    scalars: dict[Var, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for param in self.program.params:
            self.buffers[param.buffer] = param.buffer.name
            for axis, stride in enumerate(param.strides):
                self.scalars[stride] = f"{param.buffer.name}.stride{axis}"
        for size in self.program.sizes:
            self.scalars[size] = size.name
        for name in (*self.buffers.values(), *self.scalars.values()):
            self.names.fresh(name)

    def step(self, s: Stmt) -> Json:
        """What the host does for *s*."""
        match s:
            case _ if not any(isinstance(n, Store) for n in statements(s)):
                return ["seq"]
            case Seq(body=body) if self._splits(s):
                return ["seq", *(self.step(part) for part in _joined(body))]
            case Alloc(scope=Scope.GLOBAL | Scope.CONSTANT):
                return self._alloc(s)
            case Alloc():  # of one group
                return self._launch(s)
            case _ if not self._splits(s) or (isinstance(s, For) and s.kind in BOUND):
                return self._launch(s)
            case For(var=var, extent=extent, body=body, kind=LoopKind.SERIAL):
                name = self._name(var)
                return ["for", name, self.expression(extent), self.step(body)]
            case Let(var=var, value=value, body=body):
                name = self._name(var)
                return ["let", name, self.expression(value), self.step(body)]
            case If(cond=cond, then=then, otherwise=otherwise):
                rest = ["seq"] if otherwise is None else self.step(otherwise)
                return ["if", self.expression(cond), self.step(then), rest]
            case For():
                raise LoweringError(
                    f"loop {s.var.name!r} is {s.kind.value}, which the host of a device cannot run",
                    hint=f"s.bind({s.var.name!r}, 'group.x'), or leave it serial",
                    span=s.span,
                )
            case _:
                raise LoweringError(
                    f"a {type(s).__name__} stands around several kernels",
                    hint="bind the loops of each block on their own",
                )

    @staticmethod
    def _splits(s: Stmt) -> bool:
        """Whether *s* is more than one kernel without bound loops: the host runs it in steps."""
        own = any(
            isinstance(n, Alloc) and n.scope in (Scope.GLOBAL, Scope.CONSTANT)
            for n in statements(s)
        )
        return own or has_loops(s, BOUND)

    def _name(self, var: Var) -> str:
        name = self.scalars[var] = self.names.fresh(var.name)
        return name

    def _alloc(self, s: Alloc) -> Json:
        name = self.buffers[s.buffer] = self.names.fresh(s.buffer.name)
        shape = [self.expression(extent) for extent in s.buffer.shape]
        return ["alloc", name, s.buffer.dtype.name, shape, self.step(s.body)]

    def _launch(self, s: Stmt) -> Json:
        outside = Outside(self.buffers, self.scalars)
        written = [n.buffer.name for n in statements(s) if isinstance(n, Store)]
        own = {n.buffer.name for n in statements(s) if isinstance(n, Alloc)}
        results = [name for name in dict.fromkeys(written) if name not in own]
        name = self.names.fresh("_".join([self.program.name, *results[-1:]]))
        kernel = write_kernel(
            name, s, outside, self.functions, self.dims, program_facts(self.program)
        )
        self.kernels.append(kernel)
        return ["launch", len(self.kernels) - 1]

    def launch(self, kernel: KernelText) -> Json:
        """How the runtime starts a kernel."""
        return {
            "name": kernel.name,
            "groups": [1 if g is None else self.expression(g) for g in kernel.groups],
            "local": list(kernel.local),
            "buffers": [self.buffers[b] for b in kernel.buffers],
            "scalars": [self.scalars[v] for v in kernel.scalars],
            "checks": kernel.checks,
            "shared": kernel.shared,
        }

    def expression(self, e: Expr) -> Json:
        """An expression that the host can evaluate."""
        match e:
            case Const(value=value):
                return int(value)
            case Var() if e in self.scalars:
                return self.scalars[e]
            case Binary(op=op, a=a, b=b):
                return [op.value, self.expression(a), self.expression(b)]
            case Unary(op=UnaryOp.NOT | UnaryOp.NEG as op, a=a):
                return [op.value, self.expression(a)]
            case Select(cond=cond, a=a, b=b):
                return ["select", *map(self.expression, (cond, a, b))]
            case Cast(a=a, type=to) if a.dtype.is_integer and to.is_integer:
                return self.expression(a)
            case _ if loads(e):
                raise LoweringError(
                    f"the host needs {print_expr(e)}, which is on the device",
                    hint="bind an outer loop, so that a kernel computes it",
                )
            case _:
                raise InternalError(f"the host cannot compute {print_expr(e)}")


def _joined(body: tuple[Stmt, ...]) -> list[Stmt]:
    """Neighbours without bound loops share one kernel."""
    parts: list[Stmt] = []
    for s in body:
        if parts and _is_plain(parts[-1]) and _is_plain(s):
            before = parts[-1].body if isinstance(parts[-1], Seq) else (parts[-1],)
            parts[-1] = Seq((*before, s))
        else:
            parts.append(s)
    return parts


def _is_plain(s: Stmt) -> bool:
    return not Host._splits(s)  # noqa: SLF001 - of this module
