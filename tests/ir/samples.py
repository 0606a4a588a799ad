"""Programs built by hand, for the tests of the IR tools."""

from tdsl import dtypes
from tdsl.dtypes import DType
from tdsl.ir import build
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Const, Expr, Fma, Load, Var
from tdsl.ir.stmt import (
    Alloc,
    Block,
    BlockKind,
    For,
    IterKind,
    IterVar,
    Leaf,
    Param,
    Program,
    Reducer,
    Role,
    Seq,
    Stmt,
    Write,
)

F32 = dtypes.float32


def iters(spec: str, *extents: Expr | int) -> tuple[IterVar, ...]:
    """`iters("i j reduce:k", M, N, K)`."""
    made = []
    for word, extent in zip(spec.split(), extents, strict=True):
        kind, _, name = word.rpartition(":")
        made.append(IterVar(Var(name), build.as_index(extent), IterKind(kind or "data")))
    return tuple(made)


def loops(names: str, extents: list[Expr | int], body) -> Stmt:
    """`loops("i j", [M, N], lambda i, j: stmt)`: serial loops."""
    vars_ = [Var(name) for name in names.split()]
    nest = body(*vars_)
    for var, extent in reversed(list(zip(vars_, extents, strict=True))):
        nest = For(var, build.as_index(extent), nest)
    return nest


def canonical(block: Block) -> Stmt:
    """The canonical nest of a block."""
    names = " ".join(v.name for v in block.vars)
    return loops(names, [it.extent for it in block.iters], lambda *vs: Leaf(block, vs))


def sum_reducer(dtype: DType) -> Reducer:
    left, right = Var("x", dtype), Var("y", dtype)
    combined = Binary(BinaryOp.ADD, left, right)
    return Reducer("sum", (build.const(0, dtype),), (left,), (right,), (combined,))


def init_block(name: str, buffer: Buffer, *extents: Expr | int, value: float = 0) -> Block:
    its = iters(" ".join("ijlm"[: len(extents)]), *extents)
    at = tuple(it.var for it in its)
    write = Write(buffer, at, build.const(value, buffer.dtype))
    return Block(name, its, (write,), BlockKind.INIT)


def matmul_block(A: Buffer, B: Buffer, C: Buffer, M, N, K) -> Block:
    its = iters("i j reduce:k", M, N, K)
    i, j, k = (it.var for it in its)
    a, b, c = Load(A, (i, k)), Load(B, (k, j)), Load(C, (i, j))
    return Block(
        "C",
        its,
        (Write(C, (i, j), Fma(a, b, c)),),
        BlockKind.REDUCE,
        init=init_block("C.init", C, M, N),
        reducer=sum_reducer(C.dtype),
        sources=(Binary(BinaryOp.MUL, a, b),),
    )


def matmul_relu() -> Program:
    M, N, K = Var("M"), Var("N"), Var("K")
    A, B = Buffer("A", F32, (M, K)), Buffer("B", F32, (K, N))
    C, D = Buffer("C", F32, (M, N)), Buffer("D", F32, (M, N))
    c = matmul_block(A, B, C, M, N, K)
    its = iters("i j", M, N)
    at = tuple(it.var for it in its)
    relu = Binary(BinaryOp.MAX, Load(C, at), Const(0.0, F32))
    d = Block("D", its, (Write(D, at, relu),))
    body = Alloc(C, Seq((canonical(c), canonical(d))))
    params = (Param(A, Role.IN), Param(B, Role.IN), Param(D, Role.OUT))
    return Program("matmul_relu", params, (M, N, K), (), body)


def elementwise(n: Expr | int, dtype: DType, value) -> Program:
    """`out[i] = value(x[i])` over one axis."""
    sizes = (n,) if isinstance(n, Var) else ()
    n = build.as_index(n)
    x, out = Buffer("x", dtype, (n,)), Buffer("out", dtype, (n,))
    its = iters("i", n)
    block = Block("out", its, (Write(out, (its[0].var,), value(Load(x, (its[0].var,)))),))
    params = (Param(x, Role.IN), Param(out, Role.OUT))
    return Program("elementwise", params, sizes, (), canonical(block))
