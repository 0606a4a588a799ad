"""The grammar of random algorithms: one function for each family of declarations."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod

from tdsl.fuzzing.draw import Draw
from tests.fuzz.algorithms import Algorithm, Dim, Extent, Input, Stage
from tests.fuzz.expressions import FLOATS, INTEGERS, IndexVar, Known, Scope, expression, index_into

LARGEST_SHAPE = 60
LARGEST_DOMAIN = 160
_LETTERS = "ijlm"
_WIDE = {
    "int8": "int32",
    "int16": "int32",
    "bool": "int32",
    "uint8": "uint32",
    "uint16": "uint32",
    "float16": "float32",
    "bfloat16": "float32",
}


@dataclass
class Builder:
    """An algorithm being made."""

    draw: Draw
    dims: list[Dim]
    dtypes: list[str]
    tensors: list[Known] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    assume: set[str] = field(default_factory=set)
    kinds: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def values(self) -> dict[str, int]:
        return {d.name: d.value for d in self.dims}

    @property
    def symbolic(self) -> frozenset[str]:
        return frozenset(d.name for d in self.dims if d.symbolic)

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def dtype(self) -> str:
        return self.draw.choice(self.dtypes)

    def extent(self) -> Extent:
        """A dim as it is, or now and then a small number."""
        if self.draw.chance(0.12):
            return Extent(None, 1, self.draw.integer(1, 4))
        return Extent(self.draw.choice(self.dims).name)

    def size(self, shape: Sequence[Extent]) -> int:
        return prod(e.value(self.values) for e in shape)

    def shape(self, low: int = 1, high: int = 3) -> tuple[Extent, ...]:
        """A shape of moderate size: often that of a known tensor."""
        known = [t.shape for t in self.tensors if low <= len(t.shape) <= high]
        if known and self.draw.chance(0.6):
            return self.draw.choice(known)
        rank = self.draw.integer(low, high)
        shape = tuple(self.extent() for _ in range(rank))
        while self.size(shape) > LARGEST_SHAPE and len(shape) > low:
            shape = shape[:-1]
        return shape

    def input(
        self, shape: Sequence[Extent], dtype: str, below: Extent | None = None, *,
        inout: bool = False,
    ) -> Known:  # fmt: skip
        name = self.fresh("A")
        strided = bool(shape) and self.draw.chance(0.08)
        self.inputs.append(Input(name, tuple(shape), dtype, below, inout, strided))
        self.tensors.append(Known(name, tuple(shape), dtype, below))
        return self.tensors[-1]

    def a_tensor(self, shape: Sequence[Extent], dtype: str) -> Known:
        """A known tensor of that shape and dtype, else a new argument."""
        found = [t for t in self.tensors if t.shape == tuple(shape) and t.dtype == dtype]
        return self.draw.choice(found) if found else self.input(shape, dtype)

    def scope(self, shape: Sequence[Extent], must: Sequence[Known] = ()) -> Scope:
        """An expression's scope: index variables for the shape, and a few known tensors."""
        if not self.tensors:
            self.input(self.shape(1, 2), self.dtype())
        few = self.draw.shuffled(self.tensors)[: self.draw.integer(1, 3)]
        if self.draw.chance(0.75):
            few.append(self.tensors[-1])
        unique = {t.name: t for t in (*must, *few)}
        variables = [IndexVar(_LETTERS[n], e) for n, e in enumerate(shape)]
        return Scope(self.draw, self.values, self.symbolic, list(unique.values()), variables)

    def declare(
        self, kind: str, known: Sequence[Known], lines: Sequence[str], scope: Scope
    ) -> None:
        makes = tuple(Input(k.name, k.shape, k.dtype, k.below) for k in known)
        self.stages.append(Stage(makes, tuple(lines), frozenset(scope.used)))
        self.tensors += known
        self.assume |= scope.assume
        self.kinds.append(kind)


def header(shape: Sequence[Extent]) -> tuple[str, str]:
    """The shape as text, and the start of its lambda."""
    text = ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "")
    names = ", ".join(_LETTERS[: len(shape)])
    return f"({text})", f"lambda {names}:" if names else "lambda:"


def _elementwise(b: Builder) -> None:
    shape, dtype, name = b.shape(0 if b.draw.chance(0.1) else 1), b.dtype(), b.fresh("T")
    if b.draw.chance(0.05):
        dtype = "bool"
    scope = b.scope(shape)
    text = expression(scope, dtype, b.draw.integer(1, 3))
    at, start = header(shape)
    line = f'{name} = td.compute({at}, {start} {text}, name="{name}")'
    b.declare("elementwise", [Known(name, shape, dtype, exact=False)], [line], scope)


def _several_outputs(b: Builder) -> None:
    shape, name = b.shape(), b.fresh("T")
    scope = b.scope(shape)
    kinds = [b.dtype() for _ in range(b.draw.integer(2, 3))]
    texts = [expression(scope, kind, 2) for kind in kinds]
    names = [f"{name}_{n}" for n in range(len(kinds))]
    at, start = header(shape)
    line = f'{", ".join(names)} = td.compute({at}, {start} ({", ".join(texts)}), name="{name}")'
    made = [Known(n, shape, kind, exact=False) for n, kind in zip(names, kinds, strict=True)]
    b.declare("several outputs", made, [line], scope)


def _axes(b: Builder, shape: Sequence[Extent], most: int = 2) -> tuple[list[IndexVar], list[str]]:
    """Reduction axes and the lines that declare them."""
    axes: list[IndexVar] = []
    for _ in range(2 if most > 1 and b.draw.chance(0.2) else 1):
        extent = b.extent()
        total = b.size(shape) * b.size([a.extent for a in axes]) * extent.value(b.values)
        if axes and total > LARGEST_DOMAIN:
            break
        axes.append(IndexVar(b.fresh("k"), extent))
    return axes, [f'{a.name} = td.reduce_axis({a.extent}, name="{a.name}")' for a in axes]


def _axis_text(axes: Sequence[IndexVar]) -> str:
    return axes[0].name if len(axes) == 1 else f"({', '.join(a.name for a in axes)})"


def _where(scope: Scope, axes: Sequence[IndexVar]) -> str:
    """Nothing, or a triangle, a band or a condition on data."""
    draw, k = scope.draw, axes[0].name
    data = [v.name for v in scope.variables if v.name not in {a.name for a in axes}]
    if not draw.chance(0.3):
        return ""
    shape = draw.weighted({"triangle": 4, "band": 2, "parity": 1, "data": 2})
    if shape == "data":
        holders = [t for t in scope.tensors if t.dtype in INTEGERS]
        if holders:
            x = draw.choice(holders)
            test = f"{expression(scope, x.dtype, 0)} {draw.choice(['<', '>', '!='])} 9"
            return f", where={test}"
    if not data or shape == "parity":
        return f", where=({k} % 2 == {draw.integer(0, 1)})"
    i = draw.choice(data)
    if shape == "band":
        return f", where=({k} >= {i} - 1) & ({k} <= {i} + {draw.integer(0, 2)})"
    return f", where={k} {draw.choice(['<=', '<', '>', '>='])} {i}"


def _moving(scope: Scope, axes: Sequence[IndexVar], dtype: str, text: str) -> str:
    """The expression, made to depend on every axis: equal terms would hide wrong orders."""
    for axis in axes:
        if not re.search(rf"\b{axis.name}\b", text):
            holders = [t for t in scope.tensors if t.dtype == dtype and axis.extent in t.shape]
            if not holders:
                text = f'({text} + td.cast({axis.name}, "{dtype}"))'
                continue
            x = scope.draw.choice(holders)
            scope.used.add(x.name)
            at = [axis.name if e == axis.extent else index_into(scope, e) for e in x.shape]
            text = f"({text} + {x.name}[{', '.join(at)}])"
    return text


def _reduction_text(b: Builder, scope: Scope, axes: Sequence[IndexVar]) -> tuple[str, str]:
    """One reduction as text, and its dtype."""
    draw, dtype = b.draw, b.dtype()
    inner = scope.with_variables(*axes)
    fn = draw.weighted(
        {"sum": 6, "prod": 1, "min": 1, "max": 2, "any": 0.7, "all": 0.7, "argmax": 1, "argmin": 1}
    )
    if fn in ("any", "all"):
        kinds = [t.dtype for t in scope.tensors if t.dtype in INTEGERS] or ["int32"]
        source = f"({expression(inner, kinds[0], 1)} > 40)"
        return f"td.{fn}({source}, axis={_axis_text(axes)}{_where(inner, axes)})", "bool"
    if fn in ("argmax", "argmin"):
        exact = [t for t in scope.tensors if t.exact or t.dtype in INTEGERS]
        inner.tensors = exact or [b.input(tuple(a.extent for a in axes), dtype)]
        kind = inner.tensors[0].dtype
        source = _moving(inner, axes, kind, expression(inner, kind, 0))
        return f"td.{fn}({source}, axis={_axis_text(axes)}{_where(inner, axes)})", "int64"
    source = _moving(inner, axes, dtype, expression(inner, dtype, draw.integer(1, 2)))
    if fn == "sum" and draw.chance(0.35):
        source = f"{expression(inner, dtype, 0)} * {expression(inner, dtype, 0)}"
        source = _moving(inner, axes, dtype, source)
    wide, extra = dtype, ""
    if fn in ("sum", "prod"):
        wide = _WIDE.get(dtype, dtype)
        if dtype in ("int8", "int16") and draw.chance(0.3):
            wide, extra = "int64", ', dtype="int64"'
    return f"td.{fn}({source}, axis={_axis_text(axes)}{_where(inner, axes)}{extra})", wide


def _reduction(b: Builder) -> None:
    shape, name = b.shape(0 if b.draw.chance(0.2) else 1, 2), b.fresh("R")
    axes, lines = _axes(b, shape)
    scope = b.scope(shape)
    text, dtype = _reduction_text(b, scope, axes)
    at, start = header(shape)
    lines.append(f'{name} = td.compute({at}, {start} {text}, name="{name}")')
    b.declare("reduction", [Known(name, shape, dtype, exact=False)], lines, scope)


def _matmul(b: Builder) -> None:
    M, N, K = b.extent(), b.extent(), b.extent()
    dtype, name = b.dtype(), b.fresh("C")
    wide = _WIDE.get(dtype, dtype)
    A, B = b.a_tensor((M, K), dtype), b.a_tensor((K, N), dtype)
    scope = b.scope((M, N), [A, B])
    scope.used |= {A.name, B.name}
    if b.draw.chance(0.15):
        lines = [f'{name} = td.einsum("ik,kj->ij", {A.name}, {B.name}, name="{name}")']
    else:
        k = IndexVar(b.fresh("k"), K)
        where = _where(scope.with_variables(k), [k])
        lines = [
            f'{k.name} = td.reduce_axis({K}, name="{k.name}")',
            f"{name} = td.compute(({M}, {N}), lambda i, j: td.sum({A.name}[i, {k.name}] * "
            f'{B.name}[{k.name}, j], axis={k.name}{where}), name="{name}")',
        ]
    b.declare("matmul", [Known(name, (M, N), wide, exact=False)], lines, scope)


def _convolution(b: Builder) -> None:
    """A stencil over a tensor with a halo, as a reduction or written out."""
    base, taps = Extent(b.draw.choice(b.dims).name), b.draw.integer(2, 3)
    stride = b.draw.weighted({1: 4, 2: 1})
    outer = (b.extent(),) if b.draw.chance(0.4) else ()
    wide = base.times(stride).plus(taps - 1)
    dtype, name = b.dtype(), b.fresh("S")
    X, W = b.a_tensor((*outer, wide), dtype), b.a_tensor((Extent(None, 1, taps),), dtype)
    scope = b.scope((*outer, base), [X, W])
    scope.used |= {X.name, W.name}
    v = _LETTERS[len(outer)]
    lead = "i, " if outer else ""
    at, start = header((*outer, base))
    step = v if stride == 1 else f"{stride} * {v}"
    if b.draw.chance(0.5):
        terms = [f"{X.name}[{lead}{step} + {d}] * {W.name}[{d}]" for d in range(taps)]
        lines, text = [], " + ".join(terms)
    else:
        k = b.fresh("k")
        lines = [f'{k} = td.reduce_axis({taps}, name="{k}")']
        text = f"td.sum({X.name}[{lead}{step} + {k}] * {W.name}[{k}], axis={k})"
        dtype = _WIDE.get(dtype, dtype)
    lines.append(f'{name} = td.compute({at}, {start} {text}, name="{name}")')
    b.declare("stencil", [Known(name, (*outer, base), dtype, exact=False)], lines, scope)


def _padded_stencil(b: Builder) -> None:
    """`td.pad`, then a compute that reads neighbours."""
    source = [t for t in b.tensors if 1 <= len(t.shape) <= 2 and t.dtype in b.dtypes]
    x = b.draw.choice(source) if source else b.input(b.shape(1, 2), b.dtype())
    border = b.draw.integer(1, 2)
    mode = b.draw.weighted({"constant": 6, "edge": 2})
    padded, name = b.fresh("P"), b.fresh("S")
    scope = b.scope(x.shape, [x])
    scope.used.add(x.name)
    if mode == "edge":
        scope.assume |= {f"{e} >= 1" for e in x.shape}
    names = _LETTERS[: len(x.shape)]
    taps = []
    for _ in range(b.draw.integer(2, 4)):
        at = [f"{v} + {b.draw.integer(0, 2 * border)}" for v in names]
        taps.append(f"{padded}[{', '.join(at)}]")
    at, start = header(x.shape)
    lines = [f'{padded} = td.pad({x.name}, {border}, {border}, mode="{mode}", name="{padded}")']
    lines.append(f'{name} = td.compute({at}, {start} {" + ".join(taps)}, name="{name}")')
    made = [Known(name, x.shape, x.dtype, exact=False)]
    b.declare("padded stencil", made, lines, scope)


def _normalise(b: Builder) -> None:
    """A reduction inside a larger expression: softmax, mean removal."""
    shape = b.shape(1, 2)
    dtype, name = b.draw.choice([d for d in b.dtypes if d not in _WIDE] or ["int32"]), b.fresh("T")
    x = b.a_tensor(shape, dtype)
    scope = b.scope(shape, [x])
    scope.used.add(x.name)
    k = IndexVar(b.fresh("k"), shape[-1])
    names = _LETTERS[: len(shape)]
    own = f"{x.name}[{', '.join(names)}]"
    row = f"{x.name}[{', '.join([*names[:-1], k.name])}]"
    fn = b.draw.choice(["max", "sum", "min"])
    where = _where(scope.with_variables(k), [k])
    at, start = header(shape)
    lines = [
        f'{k.name} = td.reduce_axis({k.extent}, name="{k.name}")',
        f"{name} = td.compute({at}, {start} {own} {b.draw.choice('+-')} "
        f'td.{fn}({row}, axis={k.name}{where}), name="{name}")',
    ]
    b.declare("inner reduction", [Known(name, shape, dtype, exact=False)], lines, scope)


_ANY, _INTEGER, _SIGNED = 0, 1, 2
# identity, combination, and the types that it is for
_REDUCERS = (
    ("0, 1", "(a[0] + b[0], a[1] * b[1])", _ANY),
    ("0, 0", "(a[0] ^ b[0], a[1] | b[1])", _INTEGER),
    ("0, -1", "(a[0] + b[0], a[1] & b[1])", _SIGNED),
    # these do not commute: affine functions, one after the other; the first that is not 0
    ("1, 0", "(a[0] * b[0], a[1] * b[0] + b[1])", _INTEGER),
    ("0, 0", "tuple(td.select(a[0] != 0, x, y) for x, y in zip(a, b))", _ANY),
)


def _user_reducer(b: Builder) -> None:
    shape, name = b.shape(1, 2), b.fresh("R")
    axes, lines = _axes(b, shape, most=1)
    scope = b.scope(shape)
    inner = scope.with_variables(*axes)
    dtype = b.dtype()
    kind = _ANY if dtype in FLOATS else _INTEGER if dtype.startswith("u") else _SIGNED
    identity, combination, _ = b.draw.choice([r for r in _REDUCERS if r[2] <= kind])
    reducer = b.fresh("red")
    lines.append(
        f"{reducer} = td.reducer(identity=({identity}), combine=lambda a, b: {combination})"
    )
    parts = [_moving(inner, axes, dtype, expression(inner, dtype, 1)) for _ in range(2)]
    sources = f"({', '.join(parts)})"
    call = f"{reducer}({sources}, axis={_axis_text(axes)}{_where(inner, axes)})"
    at, start = header(shape)
    names = [f"{name}_0", f"{name}_1"]
    lines.append(f'{", ".join(names)} = td.compute({at}, {start} {call}, name="{name}")')
    b.declare("user reducer", [Known(n, shape, dtype, exact=False) for n in names], lines, scope)


def _gather(b: Builder) -> None:
    table = b.a_tensor(b.shape(1, 2), b.dtype())
    index = b.input((b.extent(),), b.draw.choice(["int32", "int64"]), table.shape[0])
    shape = (index.shape[0], *table.shape[1:])
    name, scope = b.fresh("G"), b.scope(shape, [table, index])
    scope.used |= {table.name, index.name}
    rest = "".join(f", {v}" for v in _LETTERS[1 : len(shape)])
    text = f"{table.name}[{index.name}[i]{rest}]"
    if b.draw.chance(0.6):
        text += f" + {expression(scope, table.dtype, 1)}"
    at, start = header(shape)
    line = f'{name} = td.compute({at}, {start} {text}, name="{name}")'
    if table.shape[0].dim is not None:
        scope.assume.add(f"{table.shape[0]} >= 1")
    b.declare("gather", [Known(name, shape, table.dtype, exact=False)], [line], scope)


def _reshape(b: Builder) -> None:
    """Row-major reshape; all extents but the first are numbers."""
    inner = b.draw.choice([((6,), (2, 3)), ((4,), (2, 2)), ((2, 3), (6,)), ((2, 3), (3, 2))])
    lead = (b.extent(),) if b.draw.chance(0.5) else ()
    old = (*lead, *(Extent(None, 1, n) for n in inner[0]))
    new = (*lead, *(Extent(None, 1, n) for n in inner[1]))
    x, name = b.a_tensor(old, b.dtype()), b.fresh("V")
    scope = b.scope((), [x])
    scope.used = {x.name}
    line = f'{name} = td.reshape({x.name}, {header(new)[0]}, name="{name}")'
    b.declare("reshape", [Known(name, new, x.dtype, x.below, exact=x.exact)], [line], scope)


Family = Callable[[Builder], None]
FAMILIES: dict[Family, float] = {
    _elementwise: 10,
    _several_outputs: 1.5,
    _reduction: 6,
    _matmul: 4,
    _convolution: 3,
    _padded_stencil: 3,
    _normalise: 2,
    _user_reducer: 1.5,
    _gather: 1.5,
    _reshape: 1,
}


def finish(b: Builder) -> Algorithm:
    """Results: whatever nobody reads, and now and then something in the middle."""
    read = {name for stage in b.stages for name in stage.reads}
    outputs = []
    for stage in b.stages:
        unread = [n for n in stage.defines if n not in read]
        if not set(stage.defines) & read:
            outputs += unread
        else:
            outputs += [n for n in stage.defines if b.draw.chance(0.15)]
    used = read | set(outputs)
    inputs = tuple(x for x in b.inputs if x.name in used)
    return Algorithm(
        tuple(b.dims), inputs, tuple(b.stages), tuple(outputs), tuple(sorted(b.assume)),
        tuple(b.kinds),
    )  # fmt: skip
