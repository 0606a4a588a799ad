"""Random scalar expressions, as text: reads at random indices, and arithmetic on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tdsl.fuzzing.draw import Draw
from tests.fuzz.algorithms import Extent

INTEGERS = ("int32", "int64", "int8", "uint8", "int16", "uint16", "uint32", "uint64")
FLOATS = ("float32", "float64", "float16", "bfloat16")


@dataclass(frozen=True)
class Known:
    """A tensor that later declarations may read. `exact`: its values carry no rounding."""

    name: str
    shape: tuple[Extent, ...]
    dtype: str
    below: Extent | None = None
    exact: bool = True


@dataclass(frozen=True)
class IndexVar:
    """A variable in range(extent)."""

    name: str
    extent: Extent


@dataclass
class Scope:
    """What an expression may use, and what it came to use."""

    draw: Draw
    dims: dict[str, int]
    symbolic: frozenset[str]
    tensors: Sequence[Known]
    variables: Sequence[IndexVar]
    used: set[str] = field(default_factory=set)
    assume: set[str] = field(default_factory=set)

    def is_constant(self, e: Extent) -> bool:
        return e.dim is None or e.dim not in self.symbolic

    def with_variables(self, *extra: IndexVar) -> Scope:
        scope = Scope(
            self.draw, self.dims, self.symbolic, self.tensors, (*self.variables, *extra),
        )  # fmt: skip
        scope.used, scope.assume = self.used, self.assume
        return scope


def index_into(scope: Scope, extent: Extent) -> str:
    """An index that always lies in [0, extent)."""
    draw = scope.draw
    same = [v for v in scope.variables if v.extent == extent]
    if same and draw.chance(0.9):
        return _same_extent(scope, draw.choice(same), extent)
    found: list[str] = []
    for v in scope.variables:
        found += _related(scope, v, extent)
    if found and draw.chance(0.85):
        return draw.choice(found)
    return _clamped(scope, extent)


def _same_extent(scope: Scope, v: IndexVar, extent: Extent) -> str:
    draw = scope.draw
    shape = draw.weighted(
        {"plain": 74, "reversed": 5, "before": 5, "after": 6, "half": 4, "mod": 3, "wrap": 3}
    )
    match shape:
        case "reversed":
            return f"{extent} - 1 - {v.name}"
        case "before":
            return f"td.maximum({v.name} - {draw.integer(1, 2)}, 0)"
        case "after":
            return f"td.minimum({v.name} + {draw.integer(1, 2)}, {extent} - 1)"
        case "half":
            return f"{v.name} // {draw.integer(2, 3)}"
        case "mod" if scope.is_constant(extent):
            high = extent.value(scope.dims)
            return f"{v.name} % {draw.integer(1, high)}" if high else v.name
        case "wrap" if scope.is_constant(extent) and extent.value(scope.dims) > 0:
            return f"({v.name} + {draw.integer(1, 3)}) % ({extent})"
        case _:
            return v.name


def _related(scope: Scope, v: IndexVar, extent: Extent) -> list[str]:
    """Indices made of one variable with another extent."""
    found = []
    if v.extent.dim == extent.dim:
        if v.extent.scale == extent.scale:
            slack = extent.offset - v.extent.offset
            found += [f"{v.name} + {d}" if d else v.name for d in range(slack + 1)]
        for factor in (2, 3):
            room = extent.offset - factor * v.extent.offset + factor - 1
            if extent.scale == factor * v.extent.scale and room >= 0:
                found.append(f"{factor} * {v.name} + {scope.draw.integer(0, room)}")
            fits = v.extent.offset <= factor * extent.offset
            if v.extent.scale == factor * extent.scale and fits:
                found.append(f"{v.name} // {factor}")
    if scope.is_constant(v.extent) and scope.is_constant(extent):
        high, count = extent.value(scope.dims), v.extent.value(scope.dims)
        if 0 < count <= high:
            found.append(v.name)
        if 0 < high < count:
            found.append(f"{v.name} % {high}")
    return found


def _clamped(scope: Scope, extent: Extent) -> str:
    """Any variable, or 0, kept inside by a clamp; the extent must not be 0."""
    if not scope.is_constant(extent) or extent.value(scope.dims) < 1:
        scope.assume.add(f"{extent} >= 1")
    if not scope.variables or scope.draw.chance(0.2):
        return "0"
    v = scope.draw.choice(scope.variables)
    return f"td.minimum({v.name}, {extent} - 1)"


def read(scope: Scope, x: Known) -> str:
    """An element of a tensor at a random place."""
    scope.used.add(x.name)
    if not x.shape:
        return f"{x.name}[()]"
    return f"{x.name}[{', '.join(_place(scope, e) for e in x.shape)}]"


def _place(scope: Scope, extent: Extent) -> str:
    """An affine index, or now and then one that is read from a tensor of indices."""
    holders = [
        t for t in scope.tensors if t.below == extent and len(t.shape) <= len(scope.variables)
    ]
    if holders and scope.draw.chance(0.25):
        return read(scope, scope.draw.choice(holders))
    return index_into(scope, extent)


def guarded_read(scope: Scope, x: Known) -> str:
    """A read shifted out of the tensor, under a condition that keeps it inside."""
    scope.used.add(x.name)
    at, conditions = [], []
    for extent in x.shape:
        same = [v for v in scope.variables if v.extent == extent]
        if not same:
            at.append(index_into(scope, extent))
            continue
        v, shift = scope.draw.choice(same), scope.draw.integer(-2, 2)
        at.append(f"{v.name} + {shift}" if shift else v.name)
        if shift < 0:
            conditions.append(f"({v.name} >= {-shift})")
        elif shift > 0:
            conditions.append(f"({v.name} + {shift} < {extent})")
    inside = f"{x.name}[{', '.join(at)}]"
    if not conditions:
        return inside
    return f"td.select({' & '.join(conditions)}, {inside}, {scope.draw.integer(0, 3)})"


def expression(scope: Scope, dtype: str, depth: int) -> str:
    """An expression of one dtype that reads at least one tensor."""
    draw = scope.draw
    if depth <= 0 or draw.chance(0.15):
        return _leaf(scope, dtype)
    if dtype == "bool":
        return condition(scope, depth - 1)
    a = expression(scope, dtype, depth - 1)
    if draw.chance(0.4):
        return _with_number(draw, dtype, a)
    b = expression(scope, dtype, depth - 1)
    if draw.chance(0.12):
        return f"td.select({_index_condition(scope)}, {a}, {b})"
    if dtype in FLOATS:
        symbol = draw.weighted({"+": 4, "-": 3, "*": 3, "td.maximum": 1, "td.minimum": 1})
    else:
        weights = {"+": 5, "-": 3, "*": 4, "td.maximum": 2, "td.minimum": 2}
        symbol = draw.weighted(weights | {"//": 1, "%": 1, "^": 1, "&": 1, "|": 1})
        if draw.chance(0.1):
            return f"td.select({condition(scope, 0)}, {a}, {b})"
    return f"{symbol}({a}, {b})" if symbol.startswith("td.") else f"({a} {symbol} {b})"


def _with_number(draw: Draw, dtype: str, a: str) -> str:
    if dtype in FLOATS:
        number = draw.choice(["0.5", "2.0", "1.25", "-1.0", "0.1"])
        symbol = draw.choice(["+", "*", "-", "max", "abs", "tanh"])
    else:
        number = str(draw.integer(1, 5))
        symbol = draw.choice(["+", "*", "-", "max", "//", "%", ">>", "<<"])
    if symbol == "max":
        return f"td.maximum({a}, {number})"
    if symbol in ("abs", "tanh"):
        return f"td.{symbol}({a})"
    return f"({a} {symbol} {number})"


def condition(scope: Scope, depth: int) -> str:
    """A bool made of integer or bool tensors (or of index variables)."""
    exact = [t for t in scope.tensors if t.dtype in INTEGERS]
    if not exact or scope.draw.chance(0.3):
        return _index_condition(scope)
    dtype = scope.draw.choice(exact).dtype
    compare = scope.draw.choice(["<", "<=", ">", ">=", "==", "!="])
    a = expression(scope, dtype, depth)
    test = f"({a} {compare} {scope.draw.integer(0, 20)})"
    return f"~{test}" if scope.draw.chance(0.1) else test


def _index_condition(scope: Scope) -> str:
    draw = scope.draw
    if not scope.variables:
        return f"({_leaf(scope, 'int32')} > 3)"
    v, w = draw.choice(scope.variables), draw.choice(scope.variables)
    match draw.integer(0, 4):
        case 0:
            return f"({v.name} % 2 == {draw.integer(0, 1)})"
        case 1 if v.name != w.name:
            return f"({v.name} {draw.choice(['<', '<=', '!='])} {w.name})"
        case 2:
            return f"(({v.name} >= {draw.integer(0, 2)}) & ({w.name} < {draw.integer(1, 5)}))"
        case 3:
            return f"({v.name} + 1 < {v.extent})"
        case _:
            return f"({v.name} < {draw.integer(1, 4)})"


def _leaf(scope: Scope, dtype: str) -> str:
    """A read of that dtype if there is one, else a cast of something exact."""
    draw = scope.draw
    same = [t for t in scope.tensors if t.dtype == dtype]
    if same and draw.chance(0.92):
        x = draw.choice(same)
        return guarded_read(scope, x) if x.shape and draw.chance(0.12) else read(scope, x)
    others = [t for t in scope.tensors if t.dtype not in FLOATS or dtype in FLOATS]
    if others and (not scope.variables or draw.chance(0.7)):
        x = draw.choice(others)
        text = read(scope, x)
        return text if x.dtype == dtype else f'td.cast({text}, "{dtype}")'
    if scope.variables:
        return f'td.cast({draw.choice(scope.variables).name}, "{dtype}")'
    return f'td.cast({read(scope, draw.choice(list(scope.tensors)))}, "{dtype}")'
