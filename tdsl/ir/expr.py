"""Expression nodes.

Semantics, the same on every target:

- Integers wrap at their width. FLOORDIV and FLOORMOD round towards minus infinity; x // 0 and
  x % 0 are 0, INT_MIN // -1 wraps to INT_MIN. Shifts by the width or more give 0, or the sign for
  SHR of a signed value; a negative shift count counts as one past the width.
- TRUEDIV is of floats only and follows IEEE 754. MIN and MAX propagate NaN (numpy's rule); of equal
  operands (zeros of both signs) they give the first.
- SHL of floats scales (lowered IR): `a * 2**b`, of an integral `b`, rounded once.
- CAST float to int truncates and saturates, NaN gives 0; int to int wraps; int to float and
  float to float round to nearest even; to bool is `!= 0`.
- float16 and bfloat16 round after every operation; denormals are kept; nothing is contracted:
  only an FMA node rounds once.
- AND, OR, XOR, NOT act on bits of integers and on truth of bools. A SELECT evaluates only the arm
  it takes: a load in the other arm need not be in bounds.
- A LOAD with a mask yields zero where the mask is false and touches no memory there.

Nodes are immutable and compared by structure, except `Var` and `Buffer`, which are compared by
identity: two loops called i differ.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum
from typing import TypeAlias, TypeVar, dataclass_transform

from tdsl import dtypes
from tdsl.dtypes import DType

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def node(cls: type[T]) -> type[T]:
    """Make *cls* an immutable, slotted, structurally compared node."""
    return dataclass(frozen=True, slots=True)(cls)


class Node:
    """Base of expressions and statements; see visit.py for walking and rebuilding."""

    __slots__ = ()


class Expr(Node):
    """Base of expressions. `dtype` is the element type, `lanes` the vector width (1: scalar)."""

    __slots__ = ()

    @property
    def dtype(self) -> DType:
        """Element type of the value."""
        raise AssertionError(type(self))

    @property
    def lanes(self) -> int:
        """Number of vector lanes; above 1 only in lowered IR."""
        return 1


class BinaryOp(Enum):
    """Two-operand operations; the value is the symbol used by the IR text."""

    ADD = "+"
    SUB = "-"
    MUL = "*"
    TRUEDIV = "/"
    FLOORDIV = "//"
    FLOORMOD = "%"
    MIN = "min"
    MAX = "max"
    AND = "&"
    OR = "|"
    XOR = "^"
    SHL = "<<"
    SHR = ">>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    EQ = "=="
    NE = "!="

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is Python code

    @property
    def compares(self) -> bool:
        """Whether the result is a bool whatever the operands."""
        return self in _COMPARISONS


_COMPARISONS = frozenset(
    {BinaryOp.LT, BinaryOp.LE, BinaryOp.GT, BinaryOp.GE, BinaryOp.EQ, BinaryOp.NE}
)


class UnaryOp(Enum):
    """One-operand operations that are exact on every target."""

    NEG = "neg"
    NOT = "not"
    ABS = "abs"
    FLOOR = "floor"
    CEIL = "ceil"
    TRUNC = "trunc"
    ROUND = "round"  # half to even
    SQRT = "sqrt"  # correctly rounded
    ISNAN = "isnan"  # result: bool
    ISINF = "isinf"  # result: bool
    POPCOUNT = "popcount"
    CLZ = "clz"


class MathFn(Enum):
    """Transcendental functions: call nodes until lowering expands them into polynomials."""

    EXP = "exp"
    EXP2 = "exp2"
    EXPM1 = "expm1"
    LOG = "log"
    LOG2 = "log2"
    LOG10 = "log10"
    LOG1P = "log1p"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    ASIN = "asin"
    ACOS = "acos"
    ATAN = "atan"
    ATAN2 = "atan2"
    SINH = "sinh"
    COSH = "cosh"
    TANH = "tanh"
    ERF = "erf"
    SIGMOID = "sigmoid"
    RSQRT = "rsqrt"
    POW = "pow"
    FMOD = "fmod"


@dataclass(frozen=True, slots=True, eq=False)
class Var(Expr):
    """A named integer or value: a loop variable, an iteration variable, a size, a let."""

    name: str
    type: DType = dtypes.INDEX
    width: int = 1

    @property
    def dtype(self) -> DType:
        return self.type

    @property
    def lanes(self) -> int:
        return self.width


@dataclass(frozen=True, slots=True, eq=False)
class Buffer(Node):
    """A named tensor in memory: row-major, logical shape. Where it lives is said by `Alloc`.

    `strided` marks a parameter declared with strides="any"; `origin` is the declaration that the
    buffer stands for, opaque to the IR.
    """

    name: str
    type: DType
    shape: tuple[Expr, ...]
    strided: bool = False
    origin: object = None

    @property
    def dtype(self) -> DType:
        """Element type."""
        return self.type

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


@node
class Const(Expr):
    """A literal. Floats are held as Python floats already rounded to the dtype."""

    value: int | float | bool
    type: DType = dtypes.INDEX

    @property
    def dtype(self) -> DType:
        return self.type

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Const) or self.type is not other.type:
            return False
        if type(self.value) is int and type(other.value) is int:
            return self.value == other.value
        return repr(self.value) == repr(other.value)  # tells zeros apart, and NaN equals NaN

    def __hash__(self) -> int:
        value = self.value
        return hash((value if type(value) is int else repr(value), self.type.code))


@node
class Binary(Expr):
    """`a op b`; both operands have one dtype (shift counts too) and one lane count."""

    op: BinaryOp
    a: Expr
    b: Expr

    @property
    def dtype(self) -> DType:
        return dtypes.bool_ if self.op in _COMPARISONS else self.a.dtype

    @property
    def lanes(self) -> int:
        return self.a.lanes


@node
class Unary(Expr):
    """`op(a)`."""

    op: UnaryOp
    a: Expr

    @property
    def dtype(self) -> DType:
        return dtypes.bool_ if self.op in (UnaryOp.ISNAN, UnaryOp.ISINF) else self.a.dtype

    @property
    def lanes(self) -> int:
        return self.a.lanes


@node
class Fma(Expr):
    """`a * b + c` of floats, rounded once."""

    a: Expr
    b: Expr
    c: Expr

    @property
    def dtype(self) -> DType:
        return self.a.dtype

    @property
    def lanes(self) -> int:
        return self.a.lanes


@node
class Select(Expr):
    """`a if cond else b`, evaluating only the arm taken, lane by lane."""

    cond: Expr
    a: Expr
    b: Expr

    @property
    def dtype(self) -> DType:
        return self.a.dtype

    @property
    def lanes(self) -> int:
        return self.a.lanes


@node
class Cast(Expr):
    """A value converted to another element type."""

    a: Expr
    type: DType

    @property
    def dtype(self) -> DType:
        return self.type

    @property
    def lanes(self) -> int:
        return self.a.lanes


@node
class Bitcast(Expr):
    """The same bits read as another element type of the same width."""

    a: Expr
    type: DType

    @property
    def dtype(self) -> DType:
        return self.type

    @property
    def lanes(self) -> int:
        return self.a.lanes


@node
class Math(Expr):
    """A transcendental function of floats."""

    fn: MathFn
    args: tuple[Expr, ...]

    @property
    def dtype(self) -> DType:
        return self.args[0].dtype

    @property
    def lanes(self) -> int:
        return self.args[0].lanes


@node
class Extern(Expr):
    """A call of a foreign C function on scalars."""

    symbol: str
    args: tuple[Expr, ...]
    type: DType

    @property
    def dtype(self) -> DType:
        return self.type

    @property
    def lanes(self) -> int:
        return self.args[0].lanes if self.args else 1


@node
class Checked(Expr):
    """A data-dependent index, clamped into [0, extent) and flagged when it lay outside.

    A flagged call raises IndexError after the kernel ends. `access` numbers the check in messages.
    """

    index: Expr
    extent: Expr
    access: int = 0

    @property
    def dtype(self) -> DType:
        return self.index.dtype

    @property
    def lanes(self) -> int:
        return self.index.lanes


@node
class Load(Expr):
    """An element of a buffer. Masked and vector forms appear only in lowered IR."""

    buffer: Buffer
    indices: tuple[Expr, ...]
    mask: Expr | None = None

    @property
    def dtype(self) -> DType:
        return self.buffer.dtype

    @property
    def lanes(self) -> int:
        return max((index.lanes for index in self.indices), default=1)


@node
class Ramp(Expr):
    """The vector base, base + stride, ... (lowered IR)."""

    base: Expr
    stride: Expr
    count: int

    @property
    def dtype(self) -> DType:
        return self.base.dtype

    @property
    def lanes(self) -> int:
        return self.count


@node
class Broadcast(Expr):
    """A scalar repeated in every lane (lowered IR)."""

    a: Expr
    count: int

    @property
    def dtype(self) -> DType:
        return self.a.dtype

    @property
    def lanes(self) -> int:
        return self.count


@node
class Shuffle(Expr):
    """Lanes picked from the concatenation of vectors (lowered IR)."""

    vectors: tuple[Expr, ...]
    picks: tuple[int, ...]

    @property
    def dtype(self) -> DType:
        return self.vectors[0].dtype

    @property
    def lanes(self) -> int:
        return len(self.picks)


AnyExpr: TypeAlias = (
    Var
    | Const
    | Binary
    | Unary
    | Fma
    | Select
    | Cast
    | Bitcast
    | Math
    | Extern
    | Checked
    | Load
    | Ramp
    | Broadcast
    | Shuffle
)


_FIELD_NAMES: dict[type, tuple[str, ...]] = {}


def field_names(cls: type) -> tuple[str, ...]:
    """Names of the dataclass fields of a node class, in order."""
    names = _FIELD_NAMES.get(cls)
    if names is None:
        names = _FIELD_NAMES[cls] = tuple(f.name for f in fields(cls))
    return names
