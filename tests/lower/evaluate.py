"""Evaluates expansions on numpy arrays, element by element, with the exact semantics of the IR."""

import ctypes
import functools
import operator

import llvmlite.binding as llvm
import numpy as np

from tdsl.ir.expr import (
    Binary,
    BinaryOp,
    Bitcast,
    Broadcast,
    Cast,
    Const,
    Expr,
    Fma,
    Select,
    Unary,
    UnaryOp,
    Var,
)
from tdsl.lower.maths import Expansion

_FMA = """
declare {t} @llvm.fma.{s}({t}, {t}, {t})
define void @f(i64 %n, ptr %a, ptr %b, ptr %c, ptr %r) {{
entry: br label %loop
loop:
  %i = phi i64 [0, %entry], [%j, %loop]
  %pa = getelementptr {t}, ptr %a, i64 %i
  %pb = getelementptr {t}, ptr %b, i64 %i
  %pc = getelementptr {t}, ptr %c, i64 %i
  %pr = getelementptr {t}, ptr %r, i64 %i
  %x = load {t}, ptr %pa
  %y = load {t}, ptr %pb
  %z = load {t}, ptr %pc
  %v = call {t} @llvm.fma.{s}({t} %x, {t} %y, {t} %z)
  store {t} %v, ptr %pr
  %j = add i64 %i, 1
  %more = icmp ult i64 %j, %n
  br i1 %more, label %loop, label %out
out: ret void
}}
"""


@functools.cache
def _fma_function(name: str):
    """The processor's fused multiply-add (or libm's) over arrays."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    kind, suffix = {"float32": ("float", "f32"), "float64": ("double", "f64")}[name]
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten()
    )
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(_FMA.format(t=kind, s=suffix)), machine)
    engine.finalize_object()
    types = [ctypes.c_int64] + [ctypes.c_void_p] * 4
    return engine, ctypes.CFUNCTYPE(None, *types)(engine.get_function_address("f"))


def fma(a, b, c):
    arrays = [np.ascontiguousarray(x) for x in np.broadcast_arrays(a, b, c)]
    result = np.empty_like(arrays[0])
    _, call = _fma_function(result.dtype.name)
    if result.size:
        call(result.size, *(x.ctypes.data for x in arrays), result.ctypes.data)
    return result


def _shift_left(a, b):
    if a.dtype.kind == "f":
        known = np.where(np.isnan(b), 0, b).astype(np.int64)
        return np.where(np.isnan(b), b, np.ldexp(a, known)).astype(a.dtype)
    bits = a.dtype.itemsize * 8
    fits = (b >= 0) & (b < bits)
    return np.where(fits, a << np.where(fits, b, 0), 0).astype(a.dtype)


def _shift_right(a, b):
    bits = a.dtype.itemsize * 8
    fits = (b >= 0) & (b < bits)
    return (
        a >> np.where(fits, b, bits - 1)
        if a.dtype.kind == "i"
        else np.where(fits, a >> np.where(fits, b, 0), 0).astype(a.dtype)
    )


_BINARY = {
    BinaryOp.ADD: operator.add,
    BinaryOp.SUB: operator.sub,
    BinaryOp.MUL: operator.mul,
    BinaryOp.TRUEDIV: operator.truediv,
    BinaryOp.MIN: lambda a, b: np.where((a <= b) | np.isnan(a), a, b),
    BinaryOp.MAX: lambda a, b: np.where((a >= b) | np.isnan(a), a, b),
    BinaryOp.AND: operator.and_,
    BinaryOp.OR: operator.or_,
    BinaryOp.XOR: operator.xor,
    BinaryOp.SHL: _shift_left,
    BinaryOp.SHR: _shift_right,
    BinaryOp.LT: operator.lt,
    BinaryOp.LE: operator.le,
    BinaryOp.GT: operator.gt,
    BinaryOp.GE: operator.ge,
    BinaryOp.EQ: operator.eq,
    BinaryOp.NE: operator.ne,
}
_UNARY = {
    UnaryOp.NEG: operator.neg,
    UnaryOp.NOT: np.invert,
    UnaryOp.ABS: np.abs,
    UnaryOp.TRUNC: np.trunc,
    UnaryOp.ROUND: np.rint,
    UnaryOp.SQRT: np.sqrt,
    UnaryOp.ISNAN: np.isnan,
}


def _cast(a, to):
    if to.kind not in "iu" or a.dtype.kind in "iub":
        return a.astype(to)
    info = np.iinfo(to)
    top = float(2 ** (info.bits - (info.min < 0)))
    clipped = np.where(np.isnan(a) | (a >= top) | (a < float(info.min)), 0, a).astype(to)
    return np.where(a >= top, info.max, np.where(a < float(info.min), info.min, clipped)).astype(to)


def _evaluate(e: Expr, values: dict[Var, np.ndarray]):
    match e:
        case Var():
            return values[e]
        case Const():
            return e.dtype.numpy.type(e.value)
        case Broadcast(a=a):
            return _evaluate(a, values)
        case Binary(op=op, a=a, b=b):
            return _BINARY[op](_evaluate(a, values), _evaluate(b, values))
        case Unary(op=op, a=a):
            return _UNARY[op](_evaluate(a, values))
        case Fma(a=a, b=b, c=c):
            return fma(*(_evaluate(part, values) for part in (a, b, c)))
        case Select(cond=cond, a=a, b=b):
            return np.where(*(_evaluate(part, values) for part in (cond, a, b)))
        case Cast(a=a, type=to):
            return _cast(_evaluate(a, values), to.numpy)
        case Bitcast(a=a, type=to):
            return _evaluate(a, values).view(to.numpy)
        case _:
            raise AssertionError(f"an expansion holds {type(e).__name__}")


def evaluate(expansion: Expansion, inputs: dict[Var, np.ndarray]) -> np.ndarray:
    """The result of an expansion for arrays of arguments."""
    values = dict(inputs)
    with np.errstate(all="ignore"):
        for var, e in expansion.lets:
            values[var] = _evaluate(e, values)
        return np.asarray(_evaluate(expansion.result, values))
