"""Tensors are values: placeholders, and what computes, updates and scans return."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tdsl import dtypes
from tdsl.dtypes import DType, as_dtype
from tdsl.errors import DeclarationError, Span, TypeMismatch, UnknownAttribute, caller_span
from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Buffer,
    Cast,
    Checked,
    Const,
    Expr,
    Load,
    Var,
)
from tdsl.ir.growth import LARGEST, growth
from tdsl.ir.stmt import Stmt
from tdsl.ir.visit import walk
from tdsl.lang.bounds import format_expr
from tdsl.lang.value import Arithmetic, Value, as_expr, check_name, is_number

Dim = int | Value
_order = itertools.count()
_names = itertools.count()


@dataclass(eq=False, slots=True, weakref_slot=True)
class Stage:
    """One declaration: the canonical nest that produces `outputs` (and buffers nobody sees).

    An update in place `changes` the buffer that stands for its argument's values before; in its
    nest another buffer stands for those after. `td.func` makes one of them all (lang/in_place).
    """

    name: str
    span: Span | None
    nest: Stmt | None = None
    buffers: tuple[Buffer, ...] = ()
    order: int = field(default_factory=lambda: next(_order))
    inout: bool = False
    changes: Buffer | None = None
    changed_by: list[weakref.ref[Stage]] = field(default_factory=list)
    step_local: frozenset[Buffer] = frozenset()

    @property
    def is_placeholder(self) -> bool:
        """Whether the data come from the caller."""
        return self.nest is None


_NUMPY_WORDS = {
    **dict.fromkeys(
        ("sum", "prod", "min", "max", "any", "all", "argmin", "argmax", "mean"),
        "k = td.reduce_axis(K, name='k'), then td.sum(A[i, k], axis=k) in a td.compute",
    ),
    **dict.fromkeys(
        ("T", "transpose", "swapaxes"), "td.compute((N, M), lambda i, j: A[j, i], name='T')"
    ),
    "reshape": "td.reshape(A, shape, name='R')",
    "flatten": "td.reshape(A, (-1,), name='R')",
    "ravel": "td.reshape(A, (-1,), name='R')",
    "astype": "td.cast(A[i, j], dtype) in a td.compute",
    "dot": "td.einsum('ik,kj->ij', A, B, name='C')",
    "copy": "tensors are values: nothing changes them",
    "size": "the product of A.shape",
}  # what people look for first


class Tensor(Arithmetic):
    """A multi-dimensional value, indexed as `A[i, k]` inside computes.

    Attributes: `name`, `shape` (a tuple of ints and values), `dtype`, `buffer`.
    """

    __slots__ = ("_prefix", "buffer")

    def __init__(self, buffer: Buffer, prefix: tuple[Expr, ...] = ()) -> None:
        self.buffer = buffer
        self._prefix = prefix

    @property
    def name(self) -> str:
        """The name that schedules and errors use."""
        return self.buffer.name

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.buffer.dtype

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Extents, outermost first: ints, sizes or affine expressions of sizes."""
        return tuple(_as_dim(e) for e in self.buffer.shape[len(self._prefix) :])

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return self.buffer.rank - len(self._prefix)

    @property
    def stage(self) -> Stage:
        """The declaration that produces the tensor."""
        assert isinstance(self.buffer.origin, Stage)
        return self.buffer.origin

    @property
    def version(self) -> Buffer:
        """The buffer that stands for the tensor where it is read."""
        return self.buffer

    def __repr__(self) -> str:
        extents = ", ".join(map(format_expr, self.buffer.shape[len(self._prefix) :]))
        return f"<tensor {self.name}: {self.dtype}[{extents}]>"

    def __getitem__(self, at: object) -> Value:
        """The element at integer indices, as many as the tensor has dimensions.

        Raises:
            DeclarationError: too few or too many indices, or a slice.
            TypeMismatch: an index that is no integer.
        """
        given = at if isinstance(at, tuple) else (at,)
        if len(given) != self.ndim:
            raise DeclarationError(
                f"{self.name} has {self.ndim} dimensions but got {len(given)} indices"
            )
        shape = self.buffer.shape[len(self._prefix) :]
        indices = tuple(as_index(i, n, self.name) for i, n in zip(given, shape, strict=True))
        return Value(Load(self.version, self._prefix + indices))

    def __matmul__(self, other: Tensor) -> Value:
        raise TypeMismatch(
            f"there is no '@' of tensors ({self.name} and {other!r})",
            hint=f"td.einsum('ik,kj->ij', {self.name}, ..., name='C')",
        )

    if not TYPE_CHECKING:  # a checker knows what there is

        def __getattr__(self, name: str) -> object:
            """Say how tdsl does what arrays of numpy do by a method."""
            if name not in _NUMPY_WORDS:
                raise AttributeError(f"a tensor has no attribute {name!r}", name=name, obj=self)
            raise UnknownAttribute(
                f"tensor {self.name} has no attribute {name!r}", hint=_NUMPY_WORDS[name]
            )

    def __iter__(self) -> Iterator[Value]:
        raise TypeMismatch(f"tensor {self.name} is no sequence", hint="index it inside td.compute")


def _as_dim(e: Expr) -> Dim:
    return int(e.value) if isinstance(e, Const) else Value(e)


@dataclass(frozen=True, slots=True)
class Unchecked:
    """An index that the user vouches for."""

    expr: Expr


def unchecked(index_value: object) -> Unchecked:
    """Vouch for a data-dependent index: it is neither clamped nor checked.

    Reading or writing outside the tensor is then undefined, as in C. An index that is not vouched
    for is clamped into the tensor, and the call raises IndexError afterwards.

    >>> import numpy as np
    >>> import tdsl as td
    >>> x = td.placeholder((5,), "float32", name="x")
    >>> at = td.placeholder((2,), "int32", name="at")
    >>> y = td.compute((2,), lambda i: x[td.unchecked(at[i])], name="y")
    >>> gather = td.build(td.func("gather", [x, at], [y]))
    >>> gather(np.arange(5, dtype=np.float32), np.array([4, 0], np.int32))
    array([4., 0.], dtype=float32)
    """
    return Unchecked(as_expr(index_value))


def as_index(i: object, extent: Expr, name: str) -> Expr:
    """An int64 index expression; data-dependent ones are clamped into the extent and flagged."""
    if isinstance(i, slice) or i is Ellipsis or i is None:
        raise DeclarationError(
            f"{name} cannot be sliced", hint="index each dimension: td.compute over the part"
        )
    trusted = isinstance(i, Unchecked)
    e = i.expr if isinstance(i, Unchecked) else as_expr(i, None)
    if not e.dtype.is_integer:
        raise TypeMismatch(
            f"index of {name} is a {e.dtype}", hint="indices are integers: td.cast(x, 'int64')"
        )
    if e.dtype is not dtypes.INDEX:
        e = Cast(e, dtypes.INDEX)
    return e if trusted or not _needs_check(e) else Checked(e, extent)


def _needs_check(e: Expr) -> bool:
    """Whether only the run can tell where the index points: data, products of variables, hashes."""
    if growth(e) > LARGEST:
        return True
    for n in walk(e):
        if isinstance(n, Load):
            return True
        if isinstance(n, Binary) and n.op in _CONSTANT_SIDE:
            constants = [isinstance(x, Const) for x in (n.a, n.b)]
            if not (any(constants) if n.op is BinaryOp.MUL else constants[1]):
                return True
    return False


_CONSTANT_SIDE = {BinaryOp.MUL, BinaryOp.FLOORDIV, BinaryOp.FLOORMOD}


def as_shape(shape: object, what: str = "extent {} of the shape") -> tuple[Expr, ...]:
    """Check a shape: ints >= 0, sizes, or affine expressions of sizes.

    `what` names an extent by its position in messages.

    Raises:
        DeclarationError: a negative extent or one that is not affine.
        TypeMismatch: an extent that is no integer.
    """
    dims = shape if isinstance(shape, (tuple, list)) else (shape,)
    result = []
    for position, dim in enumerate(dims):
        called = what.format(position)
        e = as_expr(dim) if is_number(dim) or isinstance(dim, Value) else None
        if e is None or e.dtype is not dtypes.INDEX:
            raise TypeMismatch(
                f"{called} is {dim!r}, and no integer",
                hint="extents are ints, sizes (N = td.sizes('N')) and sums of them",
            )
        if isinstance(e, Const) and int(e.value) < 0:
            raise DeclarationError(f"{called} is {e.value}: extents are >= 0")
        if not _is_affine(e):
            raise DeclarationError(
                f"{called} is no affine expression of sizes",
                hint="declare a fresh size for it: P = td.sizes('P')",
            )
        result.append(e)
    return tuple(result)


def _is_affine(e: Expr) -> bool:
    match e:
        case Const() | Var():
            return True
        case Binary(op=BinaryOp.ADD | BinaryOp.SUB, a=a, b=b):
            return _is_affine(a) and _is_affine(b)
        case Binary(op=BinaryOp.MUL, a=Const(), b=x) | Binary(op=BinaryOp.MUL, a=x, b=Const()):
            return _is_affine(x)
        case _:
            return False


def fresh_name(name: str | None) -> str:
    """The name given, checked, or a new one."""
    if name is None:
        return f"t{next(_names)}"
    check_name(name, "a tensor")
    return name


def placeholder(
    shape: object,
    dtype: object = "float32",
    name: str | None = None,
    strides: Literal["contiguous", "any"] = "contiguous",
) -> Tensor:
    """Declare an argument: `shape` of ints and sizes, an element type, row-major by default.

    >>> A = placeholder((4, 5), "float32", name="A")
    >>> A
    <tensor A: float32[4, 5]>

    Raises:
        DeclarationError: a bad shape, name or strides.
    """
    if strides not in ("contiguous", "any"):
        raise DeclarationError(f"strides must be 'contiguous' or 'any', got {strides!r}")
    label = fresh_name(name)
    stage = Stage(label, caller_span())
    kind = as_dtype(dtype)
    buffer = Buffer(label, kind, as_shape(shape), strides == "any", stage)
    stage.buffers = (buffer,)
    return Tensor(buffer)


def inout(argument: Tensor) -> Tensor:
    """Let kernels change this placeholder: an update of it writes into the caller's array.

    An update of that update changes the same array once more.

    >>> import numpy as np
    >>> import tdsl as td
    >>> total = td.inout(td.placeholder((3,), "float32", name="total"))
    >>> x = td.placeholder((3,), "float32", name="x")
    >>> i = td.reduce_axis(3, name="i")
    >>> new = td.update(total, over=i, at=(i,), value=x[i], op="add", name="new")
    >>> array = np.ones(3, np.float32)
    >>> _ = td.build(td.func("add_to", [total, x], [new]))(array, np.full(3, 2, np.float32))
    >>> array
    array([3., 3., 3.], dtype=float32)

    Raises:
        DeclarationError: the tensor is no placeholder.
    """
    if not argument.stage.is_placeholder:
        raise DeclarationError(f"{argument.name} is no placeholder: only arguments can be inout")
    argument.stage.inout = True
    return argument


class Axis(Value):
    """An iteration variable declared ahead of its use: a reduction axis or a scan axis."""

    __slots__ = ("extent", "name")

    def __init__(self, extent: Expr, name: str) -> None:
        super().__init__(Var(name))
        self.extent = extent
        self.name = name

    @property
    def var(self) -> Var:
        """The variable that stands for the axis in expressions."""
        assert isinstance(self.expr, Var)
        return self.expr

    def __repr__(self) -> str:
        return f"<axis {self.name}>"


class ScanAxis(Axis):
    """The ordered axis of a scan."""

    __slots__ = ()


def reduce_axis(extent: object, name: str | None = None) -> Axis:
    """Declare a reduction axis over range(extent); it may be used in several computes.

    >>> reduce_axis(8, name="k")
    <axis k>
    """
    return Axis(_extent(extent), fresh_name(name))


def scan_axis(extent: object, name: str | None = None) -> ScanAxis:
    """Declare the ordered axis of a `td.scan`: an extent (a number or a size) and a name.

    >>> scan_axis(8, name="t")
    <axis t>

    Raises:
        DeclarationError: a range in place of an extent.
    """
    return ScanAxis(_extent(extent), fresh_name(name))


def _extent(extent: object) -> Expr:
    """One extent; a (lo, hi) pair is refused with the way to write it."""
    if isinstance(extent, (tuple, list)):
        raise DeclarationError(
            f"an axis counts from 0, got the range {tuple(extent)}",
            hint="use extent hi - lo and add lo where the axis is used",
        )
    return as_shape((extent,), "the extent of the axis")[0]


def parameter_names(fn: Callable[..., object], count: int) -> list[str]:
    """Names for `count` index variables, from the lambda's own parameters where it has them.

    Raises:
        DeclarationError: the function takes another number of arguments.
    """
    code = getattr(fn, "__code__", None)
    if code is None or code.co_flags & 0x04:  # a callable object, or *indices
        return [f"i{n}" for n in range(count)]
    names = list(code.co_varnames[: code.co_argcount])
    if getattr(fn, "__self__", None) is not None:
        names = names[1:]
    defaults = len(getattr(fn, "__defaults__", None) or ())
    if not len(names) - defaults <= count <= len(names):
        made_up = [f"i{n}" for n in range(len(names), count)]
        raise DeclarationError(
            f"the function takes {len(names)} indices but the shape has {count} dimensions",
            hint=f"lambda {', '.join((*names, *made_up)[:count])}: ...",
        )
    return names[:count]


def shape_vars(shape: Sequence[Expr]) -> list[Var]:
    """Sizes that occur in a shape, in order."""
    return [n for e in shape for n in walk(e) if isinstance(n, Var)]
