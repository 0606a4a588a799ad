"""One kernel function: its arguments, the indices of the work-item, its body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tdsl import dtypes
from tdsl.codegen.opencl.functions import Functions
from tdsl.codegen.opencl.names import Names
from tdsl.codegen.opencl.scope import Scope, Space, Storage
from tdsl.codegen.opencl.statements import declare_shared, emit
from tdsl.codegen.opencl.types import Value, memory_name
from tdsl.ir.expr import Buffer, Const, Expr, Load, Var
from tdsl.ir.stmt import Alloc, Barrier, For, LoopKind, Prefetch, Scope as Home, Stmt, Store
from tdsl.ir.visit import children, loads, statements, walk
from tdsl.lower.facts import Facts
from tdsl.lower.team import GROUPS, LOCALS

_AXES = {"x": 0, "y": 1, "z": 2}


@dataclass(frozen=True, slots=True)
class Outside:
    """What the host knows: its buffers and scalars, in order, by the names it calls them."""

    buffers: Mapping[Buffer, str]
    scalars: Mapping[Var, str]


@dataclass(frozen=True, slots=True)
class KernelText:
    """A kernel function, and how the host launches it.

    Attributes:
        name: the function.
        text: its source.
        groups: the number of groups along x, y, z.
        local: work-items of a group along x, y, z.
        buffers, scalars: its arguments, in this order; then the status, if `checks`.
        shared: bytes of local memory.
    """

    name: str
    text: str
    groups: tuple[Expr | None, ...]
    local: tuple[int, int, int]
    buffers: tuple[Buffer, ...]
    scalars: tuple[Var, ...]
    checks: bool
    shared: int


def write_kernel(
    name: str,
    s: Stmt,
    outside: Outside,
    functions: Functions,
    dims: Mapping[int, int],
    facts: Facts,
) -> KernelText:
    """The kernel that runs *s*."""
    names = Names({name, "status", *functions.texts})
    scope = Scope(functions, names, dims=dims, facts=facts)
    buffers = _used_buffers(s, outside)
    scalars = _used_scalars(s, outside)
    for buffer in buffers:
        scope.storage[buffer] = Storage(names.fresh(buffer.name), Space.GLOBAL)
    for var in scalars:
        scope.values[var] = Value(names.fresh(var.name), var.dtype)
    scope.shares_global = _shares_global(s)
    groups, local, body = _indices(scope, s)
    emit(scope, body)
    head = _head(scope, name, local, buffers, scalars, _written(s))
    text = head + "\n".join(scope.lines) + "\n}\n"
    return KernelText(name, text, groups, local, buffers, scalars, scope.checks, _shared_bytes(s))


def _used_buffers(s: Stmt, outside: Outside) -> tuple[Buffer, ...]:
    used = {n.buffer for n in walk(s) if isinstance(n, Load | Store | Prefetch)}
    return tuple(b for b in outside.buffers if b in used)


def _used_scalars(s: Stmt, outside: Outside) -> tuple[Var, ...]:
    used: set[Var] = set()
    stack: list[object] = [s]
    while stack:
        n = stack.pop()
        if isinstance(n, Var):
            used.add(n)
        elif isinstance(n, For) and n.kind in GROUPS:  # the host computes the number of groups
            stack.append(n.body)
        elif isinstance(n, (Stmt, Expr)):
            stack += children(n)
    return tuple(v for v in outside.scalars if v in used)


def _written(s: Stmt) -> set[Buffer]:
    return {n.buffer for n in statements(s) if isinstance(n, Store)}


def _shares_global(s: Stmt) -> bool:
    """Whether barriers order accesses of some buffer in global memory, one of them a write."""
    own = {n.buffer for n in statements(s) if isinstance(n, Alloc)}
    read: set[Buffer] = set()  # before the last barrier, and so far
    written: set[Buffer] = set()
    sooner: tuple[set[Buffer], set[Buffer]] = set(), set()
    for n in _in_order(s):
        if isinstance(n, Barrier):
            sooner = set(read), set(written)
            continue
        loaded = {x.buffer for e in children(n) if isinstance(e, Expr) for x in loads(e)} - own
        stored = {n.buffer} - own if isinstance(n, Store) else set()
        if loaded & sooner[1] or stored & (sooner[0] | sooner[1]):
            return True
        read |= loaded
        written |= stored
    return False


def _in_order(s: Stmt) -> Iterator[Stmt]:
    """The statements as they are run, those of loops in which work-items meet two times."""
    yield s
    serial = isinstance(s, For) and s.kind is LoopKind.SERIAL
    for _ in range(2 if serial and any(isinstance(n, Barrier) for n in statements(s)) else 1):
        for child in children(s):
            if isinstance(child, Stmt):
                yield from _in_order(child)


def _shared_bytes(s: Stmt) -> int:
    total = 0
    for n in statements(s):
        if isinstance(n, Alloc) and n.scope is Home.SHARED:
            size = n.buffer.dtype.bytes
            for extent in n.buffer.shape:
                assert isinstance(extent, Const)
                size *= int(extent.value)
            total += size
    return total


def _indices(scope: Scope, s: Stmt) -> tuple[tuple[Expr | None, ...], tuple[int, int, int], Stmt]:
    """Take the bound loops off: their variables are what the device calls them."""
    groups: list[Expr | None] = [None, None, None]
    local = [1, 1, 1]
    while True:
        match s:
            case For(var=var, extent=extent, kind=kind) if kind in GROUPS or kind in LOCALS:
                axis = _AXES[kind.value[-1]]
                if kind in GROUPS:
                    groups[axis] = extent
                else:
                    assert isinstance(extent, Const)
                    local[axis] = int(extent.value)
                call = "get_group_id" if kind in GROUPS else "get_local_id"
                value = Value(f"{call}({axis})", dtypes.int64)
                scope.facts = scope.facts.inside(s)
                scope.values[var] = scope.let(var.name, value)
                s = s.body
            case Alloc(scope=Home.SHARED) if _has_bound(s.body):
                declare_shared(scope, s)
                s = s.body
            case _:
                return tuple(groups), (local[0], local[1], local[2]), s


def _has_bound(s: Stmt) -> bool:
    return any(isinstance(n, For) and n.kind in LOCALS for n in statements(s))


def _head(
    scope: Scope,
    name: str,
    local: tuple[int, int, int],
    buffers: Sequence[Buffer],
    scalars: Sequence[Var],
    written: set[Buffer],
) -> str:
    parameters = [
        f"__global {'' if b in written else 'const '}{memory_name(b.dtype)} *restrict "
        f"{scope.storage[b].name}"
        for b in buffers
    ]
    parameters += [f"const long {scope.values[v].text}" for v in scalars]
    if scope.checks:
        parameters.append("__global long *status")
    size = ", ".join(map(str, local))
    start = f"__kernel __attribute__((reqd_work_group_size({size})))\nvoid {name}("
    joined = ", ".join(parameters)
    if len(joined) + len(name) > 80:
        joined = "\n    " + ",\n    ".join(parameters)
    return f"{start}{joined})\n{{\n"
