"""The families of the grammar whose steps are ordered: scans and updates."""

from __future__ import annotations

import re

from tests.fuzz.algorithms import Extent
from tests.fuzz.expressions import FLOATS, IndexVar, Known, Scope, expression, index_into
from tests.fuzz.grammar import Builder

_SCANNED = ("int32", "int64", "float32", "float64")


def scan(b: Builder) -> None:
    """A recurrence: one or two states of no, one dimension; maybe a tensor made in the step."""
    axis, extent = b.fresh("t"), b.extent()
    dtype = b.draw.choice([d for d in b.dtypes if d in _SCANNED] or ["int32"])
    row = b.draw.chance(0.6)
    shape = (b.extent(),) if row else ()
    full = (extent, *shape)
    name = b.fresh("H")
    x = b.a_tensor(full, dtype)
    scope = b.scope((), [x])
    scope.variables = [IndexVar(axis, extent), *(IndexVar("i", e) for e in shape)]
    scope.used.add(x.name)
    lines = [f'{axis} = td.scan_axis({extent}, name="{axis}")']
    keys = ["s", "h"] if b.draw.chance(0.25) else ["s"]
    text = ", ".join(str(e) for e in shape) + ("," if row else "")
    states = ", ".join(f'"{key}": (({text}), {_initial(b, scope, shape, dtype)})' for key in keys)
    if row and b.draw.chance(0.4):
        step = _computing_step(b, scope, x, dtype, shape[0], axis, name, keys, lines)
    else:
        lead = "lambda i: " if row else ""
        bodies = [f'"{key}": {lead}{_next(scope, key, keys, dtype, row=row)}' for key in keys]
        step = f"lambda {axis}, prev: {{{', '.join(bodies)}}}"
    lines.append(f'{name} = td.scan({axis}, {{{states}}}, {step}, name="{name}")')
    lines += [f'{name}_{key} = {name}["{key}"]' for key in keys]
    made = [Known(f"{name}_{key}", full, dtype, exact=False) for key in keys]
    b.declare("scan", made, lines, scope)


def _initial(b: Builder, scope: Scope, shape: tuple[Extent, ...], dtype: str) -> str:
    if shape and b.draw.chance(0.3):
        first = b.a_tensor(shape, dtype)
        scope.used.add(first.name)
        return first.name
    return "0.0" if dtype in FLOATS else str(b.draw.integer(0, 3))


def _next(scope: Scope, key: str, keys: list[str], dtype: str, *, row: bool) -> str:
    draw = scope.draw
    before = f'prev["{draw.choice(keys)}"]'
    if row:
        extent = scope.variables[1].extent
        inner = Scope(draw, scope.dims, scope.symbolic, (), scope.variables[1:])
        before += f"[{index_into(inner, extent)}]"
        scope.assume |= inner.assume
    factor = draw.choice(["", " * 0.5", " * 0.25"] if dtype in FLOATS else ["", " * 3", " ^ 5"])
    return f"({before}{factor}) + {expression(scope, dtype, 1)}"


def _computing_step(
    b: Builder, scope: Scope, x: Known, dtype: str, extent: Extent, axis: str, name: str,
    keys: list[str], lines: list[str],
) -> str:  # fmt: skip
    """A step that computes a tensor of its own first: what the state is multiplied by, or a sum."""
    k, step, inner = b.fresh("k"), b.fresh("step"), b.fresh("Z")
    if b.draw.chance(0.7):
        W = b.a_tensor((extent, extent), dtype)
        lines.append(f'{k} = td.reduce_axis({extent}, name="{k}")')
        text = f'td.sum({W.name}[i, {k}] * prev["s"][{k}], axis={k})'
    else:
        W = b.a_tensor((extent,), dtype)
        row = Scope(b.draw, scope.dims, scope.symbolic, (), scope.variables[1:])
        text = f'prev["s"][{index_into(row, extent)}] + {W.name}[i]'
        scope.assume |= row.assume
    scope.used.add(W.name)
    lines += [
        f"def {step}({axis}, prev):",
        f'    {inner} = td.compute(({extent},), lambda i: {text}, name="{inner}")',
    ]
    scale = " * 0.1" if dtype in FLOATS else ""
    bodies = [f'"{key}": lambda i: {inner}[i]{scale} + {x.name}[{axis}, i]' for key in keys]
    lines.append(f"    return {{{', '.join(bodies)}}}")
    return step


def update(b: Builder) -> None:
    """Histogram, scatter, in-place step: at an index from data or an affine one."""
    draw, dtype = b.draw, b.dtype()
    base_shape = b.shape(1, 2)
    inout = draw.chance(0.15)
    base = b.input(base_shape, dtype, inout=True) if inout else b.a_tensor(base_shape, dtype)
    inout = any(i.name == base.name and i.inout for i in b.inputs)
    axes = [IndexVar(b.fresh("r"), b.extent()) for _ in range(draw.weighted({1: 3, 2: 1}))]
    lines = [f'{a.name} = td.reduce_axis({a.extent}, name="{a.name}")' for a in axes]
    scope = b.scope((), [base])
    scope.variables = axes
    scope.used.add(base.name)
    scope.tensors = [t for t in scope.tensors if not inout or t.name != base.name] or [base]
    at = [_target(b, scope, e, axes) for e in base_shape]
    op = draw.weighted({"add": 6, "set": 3, "max": 2, "min": 1, "mul": 1})
    value = expression(scope, dtype, draw.integer(0, 1))
    if draw.chance(0.25):
        place = ", ".join(index_into(scope, e) for e in base_shape)
        value = f"cur[{place}] + {value}"
    if inout:  # its old values are gone
        value = re.sub(rf"\b{base.name}\[", "cur[", value)
    if "cur[" in value:
        value = f"lambda cur: {value}"
    name = b.fresh("U")
    over = axes[0].name if len(axes) == 1 else f"({', '.join(a.name for a in axes)})"
    where = at[0] if len(at) == 1 else f"({', '.join(at)})"
    lines.append(
        f'{name} = td.update({base.name}, over={over}, at={where}, value={value}, op="{op}", '
        f'name="{name}")'
    )
    made = Known(name, base_shape, dtype, exact=False)
    b.declare("update", [made], lines, scope)
    if inout:  # both stand for one array now: neither may be read from here on
        b.tensors = [t for t in b.tensors if t.name not in (base.name, name)]


def _target(b: Builder, scope: Scope, extent: Extent, axes: list[IndexVar]) -> str:
    """Where to write along one dimension."""
    if not b.draw.chance(0.45):
        return index_into(scope, extent)
    if not scope.is_constant(extent):
        scope.assume.add(f"{extent} >= 1")
    axis = b.draw.choice(axes)
    index = b.input((axis.extent,), b.draw.choice(["int32", "int64"]), extent)
    scope.used.add(index.name)
    return f"{index.name}[{axis.name}]"


def running(b: Builder) -> None:
    """A running sum, product, least or greatest value: recurrences that fall into blocks."""
    axis, extent = b.fresh("t"), b.extent()
    dtype = b.draw.choice([d for d in b.dtypes if d in _SCANNED] or ["int32"])
    row = b.draw.chance(0.4)
    shape = (b.extent(),) if row else ()
    name = b.fresh("R")
    scope = b.scope((), [b.a_tensor((extent, *shape), dtype)])
    scope.variables = [IndexVar(axis, extent), *(IndexVar("i", e) for e in shape)]
    op = b.draw.weighted({"+": 5, "*": 1, "td.maximum": 2, "td.minimum": 1})
    source = expression(scope, dtype, 1)
    if op == "*" and dtype in FLOATS:
        source = f"td.minimum(td.maximum({source}, -1.0), 1.0)"
    before = 'prev["s"]' + ("[i]" if row else "")
    step = f"{before} {op} ({source})" if op in "+*" else f"{op}({before}, {source})"
    lead = "lambda i: " if row else ""
    text = ", ".join(str(e) for e in shape) + ("," if row else "")
    first = _initial(b, scope, shape, dtype)
    b.declare(
        "running", [Known(f"{name}_s", (extent, *shape), dtype, exact=False)],
        [
            f'{axis} = td.scan_axis({extent}, name="{axis}")',
            f'{name} = td.scan({axis}, {{"s": (({text}), {first})}}, '
            f'lambda {axis}, prev: {{"s": {lead}{step}}}, name="{name}")',
            f'{name}_s = {name}["s"]',
        ],
        scope,
    )  # fmt: skip
