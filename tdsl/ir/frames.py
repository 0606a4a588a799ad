"""The way into isl: its context, budgets, and expressions as affine functions and sets.

Everything lives in one private isl context under one lock (operations hold the GIL, and a budget
is per context). Each query may spend 30 000 isl operations, which is deterministic and takes up to
40 ms; whatever goes wrong inside isl under that budget is `Unknown`, and unknown is never taken
for yes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any, TypeAlias

from tdsl.ir import build
from tdsl.ir.affine import Affine, is_affine, linear
from tdsl.ir.expr import Binary, BinaryOp, Checked, Const, Expr, Select, Unary, UnaryOp, Var
from tdsl.ir.visit import free_vars, loads

BUDGET = 30_000
GHOST_THRESHOLD = 3  # from so many divisions on, each becomes a dimension of its own

LOCK = RLock()

# islpy has no type stubs that mypy could use; these names say what is meant
IslSet: TypeAlias = Any
IslMap: TypeAlias = Any
IslAff: TypeAlias = Any
IslPwAff: TypeAlias = Any
IslSpace: TypeAlias = Any


class Unknown(Exception):  # noqa: N818 - an answer, not a fault
    """The question could not be decided: not affine, or the budget is spent."""


class NotAffine(Unknown):
    """An expression that integer sets cannot hold."""

    def __init__(self, e: Expr) -> None:
        super().__init__(f"{type(e).__name__} is not affine")
        self.expr = e


@cache
def isl() -> Any:
    """The islpy module, loaded on first use (it takes 50 ms)."""
    import islpy

    return islpy


@cache
def context() -> Any:
    """The private context of this process."""
    return isl().Context()


@contextmanager
def budget() -> Iterator[None]:
    """Give the queries inside a fresh allowance; raise `Unknown` when isl gives up.

    Raises:
        Unknown: the allowance is spent, or isl met something it cannot do.
    """
    with LOCK:
        ctx = context()
        ctx.reset_operations()
        ctx.set_max_operations(BUDGET)
        try:
            yield
        except isl().Error as error:
            raise Unknown(str(error)) from error
        finally:
            ctx.set_max_operations(0)
            ctx.reset_operations()


class Sizes:
    """The parameters of a system of sets: sizes, and facts known about them.

    A product of sizes is no affine expression: it becomes a parameter of its own, about which
    only its sign is known. That widens the question, so "yes" stays true.
    """

    def __init__(self, sizes: Iterable[Var], assume: Iterable[Expr] = ()) -> None:
        self.sizes = tuple(sizes)
        self.assume = tuple(assume)
        self._names: dict[Expr, str] = {}
        for size in self.sizes:
            self._name(size)
        frame = Frame(self, (), operands(self.assume))
        with budget():
            facts = [fact for e in self.assume for fact in frame.conditions(e, strict=False)]
            facts += [frame.condition(build.ge(size, 0)) for size in self.sizes]
            universe = isl().Set.universe(frame.space)
            for fact in facts:
                universe = universe.intersect(fact)
            self.context = universe.params()

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> tuple[str, ...]:
        """The isl names of the parameters, in order."""
        return tuple(self._names.values())

    def values(self, params: Mapping[str, int]) -> dict[Var, int]:
        """Values of the sizes (not of their products) out of values by isl name."""
        return {
            e: params[name]
            for e, name in self._names.items()
            if isinstance(e, Var) and name in params
        }

    def covers(self, e: Expr) -> bool:
        """Whether *e* mentions sizes only."""
        return not loads(e) and all(v in self._names for v in free_vars(e))

    def admit(self, form: Affine) -> None:
        """Make each product of sizes in a form a parameter."""
        for atom in form.terms:
            match atom:
                case Binary(BinaryOp.MUL, _, _) if self.covers(atom) and atom not in self._names:
                    self._name(atom)
                case Binary(_, a, b) if a.dtype.is_integer:
                    self.admit(linear(a))
                    self.admit(linear(b))
                case _:
                    pass

    def index(self, e: Expr) -> int | None:
        """The position of the parameter for *e*, or None."""
        return list(self._names).index(e) if e in self._names else None

    def _name(self, e: Expr) -> None:
        # numbered, so that two sizes of one name stay apart
        label = e.name if isinstance(e, Var) else "product"
        self._names[e] = f"{label}_{len(self._names)}"


class Frame:
    """A space of integer points, one dimension per variable, in which expressions become isl's.

    Divisions by literals become isl's floors; where they are nested or many, `ghosts` makes each
    one a dimension q after the variables, with 0 <= e - d*q < d, since nested floors blow up.
    `exprs` are what will be asked about: divisions and products of sizes are looked for in them.
    """

    def __init__(
        self,
        sizes: Sizes,
        dims: Sequence[Var],
        exprs: Iterable[Expr] = (),
        *,
        ghosts: bool = True,
    ) -> None:
        self.sizes = sizes
        self.dims = tuple(dims)
        self.index = {v: i for i, v in enumerate(self.dims)}
        self._ghosts: dict[Binary, int] = {}
        divisions: dict[Binary, int] = {}
        for e in exprs:
            form = linear(e)
            _divisions(form, divisions, 1)
            sizes.admit(form)
        self._params = len(sizes)
        nested = any(depth > 1 for depth in divisions.values())
        if ghosts and (nested or len(divisions) >= GHOST_THRESHOLD):
            for division in divisions:
                self._ghosts[division] = len(self.dims) + len(self._ghosts)
        module = isl()
        names = [f"t{i}" for i in range(len(self.dims) + len(self._ghosts))]
        self.space = module.Space.create_from_names(context(), set=names, params=list(sizes.names))
        self.local = module.LocalSpace.from_space(self.space)
        self._forms: dict[Affine, IslAff] = {}

    @property
    def rank(self) -> int:
        """Dimensions in all, ghosts included."""
        return len(self.dims) + len(self._ghosts)

    def universe(self) -> IslSet:
        """All points; with ghosts, those at which each ghost is its quotient."""
        found = isl().Set.universe(self.space)
        for division, position in self._ghosts.items():
            assert isinstance(division.b, Const)
            d = int(division.b.value)
            rest = linear(division.a) - Affine({division: d})
            assert position < self.rank
            found = found.intersect(self._nonnegative(rest))
            found = found.intersect(self._nonnegative(rest * -1 + (d - 1)))
        return found

    def bounded(self, points: IslSet, var: Var, extent: Expr) -> IslSet:
        """The points with 0 <= var < extent."""
        kind, position = isl().dim_type.set, self.index[var]
        points = points.lower_bound_val(kind, position, 0)
        limit = linear(extent)
        if limit.is_constant:
            return points.upper_bound_val(kind, position, limit.const - 1)
        return points.intersect(self.condition(build.lt(var, extent)))

    def form(self, form: Affine) -> IslAff:
        """The isl affine function of a quasi-affine form.

        Raises:
            NotAffine: an atom is neither a variable nor a division by a literal.
        """
        known = self._forms.get(form)
        if known is not None:
            return known
        module = isl()
        # each consumed argument costs islpy memory, so few operations matter as well as fast ones
        found = module.Aff.zero_on_domain(self.local)
        spelt = _without_remainders(form)
        plain, floors = self._coefficients(spelt)
        if spelt.const:
            found = found.set_constant_val(spelt.const)
        for (kind, position), c in plain.items():
            found = found.set_coefficient_val(kind, position, c)
        for floor, c in floors:
            found = found + self._floor(floor) * c
        self._forms[form] = found
        return found

    def _coefficients(
        self, form: Affine
    ) -> tuple[dict[tuple[Any, int], int], list[tuple[Binary, int]]]:
        """Factors by dimension, and the divisions that stay isl's floors."""
        plain: dict[tuple[Any, int], int] = {}
        floors: list[tuple[Binary, int]] = []
        for atom, c in form.terms.items():
            place = self._place(atom)
            if place is not None:
                plain[place] = plain.get(place, 0) + c
            elif isinstance(atom, Binary) and _divides(atom):
                floors.append((atom, c))
            else:
                raise NotAffine(atom)
        return plain, floors

    def _place(self, atom: Expr) -> tuple[Any, int] | None:
        """The dimension or parameter that an atom is."""
        kinds = isl().dim_type
        if isinstance(atom, Var) and atom in self.index:
            return kinds.in_, self.index[atom]
        if isinstance(atom, Binary) and atom in self._ghosts:
            return kinds.in_, self._ghosts[atom]
        position = self.sizes.index(atom)
        if position is None or position >= self._params:
            return None
        return kinds.param, position

    def _floor(self, atom: Binary) -> IslAff:
        assert isinstance(atom.b, Const)
        return self.form(linear(atom.a)).scale_down_val(int(atom.b.value)).floor()

    def _nonnegative(self, form: Affine) -> IslSet:
        # islpy has no nonneg_basic_set: x >= 0 is -x - 1 < 0
        return isl().Set.from_basic_set(self.form(form * -1 - 1).neg_basic_set())

    def is_plain(self, e: Expr) -> bool:
        """Whether an expression is one affine function, without pieces."""
        return self._is_plain(linear(e))

    def piecewise(self, e: Expr) -> IslPwAff:
        """The isl piecewise function of an expression with min, max, select and abs too.

        Raises:
            NotAffine: some part is not quasi-affine.
        """
        form = linear(e)
        if self._is_plain(form):
            return isl().PwAff.from_aff(self.form(form))
        total: IslPwAff | None = None
        plain: dict[Expr, int] = {}
        for atom, c in form.terms.items():
            if self._is_plain(Affine({atom: 1})):
                plain[atom] = c
                continue
            term = self._piecewise_atom(atom).scale_val(c)
            total = term if total is None else total.add(term)
        rest = isl().PwAff.from_aff(self.form(Affine(plain, form.const)))
        return rest if total is None else total.add(rest)

    def _is_plain(self, form: Affine) -> bool:
        for atom in form.terms:
            match atom:
                case Var():
                    if atom not in self.index and self.sizes.index(atom) is None:
                        return False
                case Binary(BinaryOp.FLOORDIV | BinaryOp.FLOORMOD, a, Const(value=d)) if d > 0:
                    if not self._is_plain(linear(a)):
                        return False
                case Binary(BinaryOp.MIN | BinaryOp.MAX, _, _) | Select() | Unary() | Checked():
                    return False
                case _:
                    if self.sizes.index(atom) is None:
                        return False
        return True

    def _piecewise_atom(self, atom: Expr) -> IslPwAff:
        match atom:
            case Binary(BinaryOp.MIN, a, b):
                return self.piecewise(a).min(self.piecewise(b))
            case Binary(BinaryOp.MAX, a, b):
                return self.piecewise(a).max(self.piecewise(b))
            case Binary(BinaryOp.FLOORDIV, a, Const(value=d)) if d > 0:
                return self.piecewise(a).scale_down_val(int(d)).floor()
            case Binary(BinaryOp.FLOORMOD, a, Const(value=d)) if d > 0:
                inner = self.piecewise(a)
                return inner.sub(inner.scale_down_val(int(d)).floor().scale_val(int(d)))
            case Unary(UnaryOp.ABS, a):
                inner = self.piecewise(a)
                return inner.max(inner.neg())
            case Select(cond, a, b):
                where = self.condition(cond)
                yes = self.piecewise(a).intersect_domain(where)
                no = self.piecewise(b).intersect_domain(where.complement())
                return yes.union_add(no)
            case Checked(index, extent):
                top = build.sub(extent, 1)
                return self.piecewise(build.maximum(build.minimum(index, top), 0))
            case _:
                raise NotAffine(atom)

    def condition(self, e: Expr) -> IslSet:
        """The points at which a bool expression holds.

        Raises:
            NotAffine: some part is not quasi-affine.
        """
        module = isl()
        match e:
            case Const(value=value):
                return module.Set.universe(self.space) if value else module.Set.empty(self.space)
            case Binary(BinaryOp.AND, a, b):
                return self.condition(a).intersect(self.condition(b))
            case Binary(BinaryOp.OR, a, b):
                return self.condition(a).union(self.condition(b))
            case Unary(UnaryOp.NOT, a):
                return self.condition(a).complement()
            case Binary(op, a, b) if op in _GAPS and a.dtype.is_integer:
                return self._comparison(op, a, b)
            case Select(cond, a, b):
                where = self.condition(cond)
                yes = where.intersect(self.condition(a))
                return yes.union(where.complement().intersect(self.condition(b)))
            case _:
                raise NotAffine(e)

    def conditions(self, e: Expr, *, strict: bool = True) -> list[IslSet]:
        """`condition` of each conjunct; without `strict` those that are not affine are left out."""
        found = []
        for part in build.conjuncts(e):
            try:
                found.append(self.condition(part))
            except NotAffine:
                if strict:
                    raise
        return found

    def _comparison(self, op: BinaryOp, a: Expr, b: Expr) -> IslSet:
        if op is BinaryOp.NE:
            return self._comparison(BinaryOp.EQ, a, b).complement()
        gap = linear(build.sub(*((b, a) if _GAPS[op][0] else (a, b)))) + _GAPS[op][1]
        if op is not BinaryOp.EQ:
            gap = _without_floor(gap)
        if not self._is_plain(gap):
            value = self.piecewise(gap.expr())
            return value.zero_set() if op is BinaryOp.EQ else value.nonneg_set()
        if op is BinaryOp.EQ:
            return isl().Set.from_basic_set(self.form(gap).zero_basic_set())
        return self._nonnegative(gap)


# op: (b - a rather than a - b, constant to add) such that the sum is >= 0 (EQ: == 0)
_GAPS = {
    BinaryOp.LT: (True, -1),
    BinaryOp.LE: (True, 0),
    BinaryOp.GT: (False, -1),
    BinaryOp.GE: (False, 0),
    BinaryOp.EQ: (False, 0),
    BinaryOp.NE: (False, 0),
}


def _without_remainders(form: Affine) -> Affine:
    """Each `x % d` as `x - d * (x // d)`."""
    total = form
    for atom, c in form.terms.items():
        match atom:
            case Binary(BinaryOp.FLOORMOD, a, Const(value=d)) if d > 0 and is_affine(linear(a)):
                inner = linear(a)
                spelt = inner - linear(build.floordiv(a, build.index(int(d)))) * int(d)
                total = total + (_without_remainders(spelt) - Affine({atom: 1})) * c
            case _:
                pass
    return total


def _divides(atom: Binary) -> bool:
    return (
        atom.op is BinaryOp.FLOORDIV
        and isinstance(atom.b, Const)
        and atom.b.value > 0
        and is_affine(linear(atom.a))
    )


def _without_floor(gap: Affine) -> Affine:
    """`rest + x//d >= 0` as `d*rest + x >= 0`; `rest - x//d >= 0` as `d*rest + d-1 >= x`."""
    found = [
        (atom, c)
        for atom, c in gap.terms.items()
        if isinstance(atom, Binary) and atom.op is BinaryOp.FLOORDIV and abs(c) == 1
    ]
    if len(found) != 1:
        return gap
    atom, c = found[0]
    assert isinstance(atom, Binary)
    if not isinstance(atom.b, Const):
        return gap
    d, inner = int(atom.b.value), linear(atom.a)
    rest = Affine({t: k for t, k in gap.terms.items() if t is not atom}, gap.const) * d
    return rest + inner if c == 1 else rest + (d - 1) - inner


def _divisions(form: Affine, found: dict[Binary, int], depth: int) -> None:
    """Every division by a literal as a floor, inner ones first, with its nesting depth."""
    for atom in form.terms:
        match atom:
            case Binary(BinaryOp.FLOORDIV | BinaryOp.FLOORMOD, a, Const(value=d)) if d > 0:
                inner = linear(a)
                if not is_affine(inner):
                    continue
                _divisions(inner, found, depth + 1)
                for quotient in linear(build.floordiv(a, build.index(int(d)))).terms:
                    if isinstance(quotient, Binary) and quotient.op is BinaryOp.FLOORDIV:
                        found[quotient] = max(depth, found.pop(quotient, 0))
            case Binary(BinaryOp.MIN | BinaryOp.MAX, a, b):
                _divisions(linear(a), found, depth)
                _divisions(linear(b), found, depth)
            case _:
                pass


def operands(exprs: Iterable[Expr]) -> Iterator[Expr]:
    """The integer expressions inside conditions, for the search for divisions."""
    for e in exprs:
        match e:
            case Binary(op, a, b) if op.compares or op in (BinaryOp.AND, BinaryOp.OR):
                yield from operands((a, b))
            case Unary(UnaryOp.NOT, a):
                yield from operands((a,))
            case Select(cond, a, b):
                yield from operands((cond, a, b))
            case _ if e.dtype.is_integer:
                yield e
            case _:
                pass


def smallest(points: IslSet) -> tuple[dict[str, int], tuple[int, ...]] | None:
    """A point of a set as (parameters by isl name, dimensions); None for an empty set.

    Sizes are as small as can be, then the dimensions, in order.

    Raises:
        Unknown: the budget is spent.
    """
    module = isl()
    kinds = module.dim_type
    n_param, n_dim = points.dim(kinds.param), points.dim(kinds.set)
    names = [points.get_dim_name(kinds.param, i) for i in range(n_param)]
    with budget():
        if points.is_empty():
            return None
    moved = points.move_dims(kinds.set, 0, kinds.param, 0, n_param)
    try:
        with budget():
            point = moved.lexmin().sample_point()
    except Unknown:  # unbounded below, or too dear: any point will do
        with budget():
            point = moved.sample_point()
    values = [
        int(point.get_coordinate_val(kinds.set, i).to_python()) for i in range(n_param + n_dim)
    ]
    return dict(zip(names, values, strict=False)), tuple(values[n_param:])


def named_point(frame: Frame, point: tuple[dict[str, int], tuple[int, ...]]) -> dict[str, int]:
    """A point of `smallest` by the names of sizes and variables."""
    params, dims = point
    named = frame.sizes.values(params)
    return {size.name: value for size, value in named.items()} | {
        v.name: value for v, value in zip(frame.dims, dims, strict=False)
    }
