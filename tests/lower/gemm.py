"""The schedule that reaches the machine's limit for matmul, as a tree built by hand.

Panels of B are packed into a private buffer at each parallel iteration, tiles of C live in
registers and are copied out at the end, A is read in place.
"""

from tdsl import dtypes
from tdsl.ir.build import add, as_index, ceildiv, const, floordiv, floormod, index, lt, mul
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Fma, Load, Var
from tdsl.ir.stmt import (
    Alloc,
    Block,
    BlockKind,
    For,
    Guard,
    IterKind,
    IterVar,
    Layout,
    Leaf,
    LoopKind,
    Param,
    Program,
    Reducer,
    Role,
    Scope,
    Seq,
    Write,
)

f32 = dtypes.float32

P, U, V = LoopKind.PARALLEL, LoopKind.UNROLLED, LoopKind.VECTORIZED
LANES = 16


def loop(var, extent, body, kind=LoopKind.SERIAL):
    return For(var, as_index(extent), body, kind)


def iters(spec, *extents):
    kinds = {"k": IterKind.REDUCE}
    return tuple(
        IterVar(Var(name), extent, kinds.get(name, IterKind.DATA))
        for name, extent in zip(spec, extents, strict=True)
    )


def sizes_of(M, N, K):
    return tuple(Var(n) if e is None else index(e) for n, e in zip("MNK", (M, N, K), strict=True))


def blocks(A, B, C, packed, tile, M, N, K):
    """The update with its init, the copy of B, and the copy of the tile to C."""
    zero = const(0.0, f32)
    i, j = iters("ij", M, N)
    init = Block("C.init", (i, j), (Write(tile, (i.var, j.var), zero),), BlockKind.INIT)
    i, j, k = iters("ijk", M, N, K)
    x, y = Var("x", f32), Var("y", f32)
    reducer = Reducer("sum", (zero,), (x,), (y,), (Binary(BinaryOp.ADD, x, y),))
    a, b = Load(A, (i.var, k.var)), Load(packed, (k.var, j.var))
    value = Fma(a, b, Load(tile, (i.var, j.var)))
    write = Write(tile, (i.var, j.var), value)
    source = Binary(BinaryOp.MUL, a, b)
    update = Block("C", (i, j, k), (write,), BlockKind.REDUCE, None, init, reducer, (source,))
    r, c = IterVar(Var("r"), K), IterVar(Var("c"), N)
    copy = Write(packed, (r.var, c.var), Load(B, (r.var, c.var)))
    pack = Block("B.C", (r, c), (copy,), BlockKind.COPY)
    i, j = iters("ij", M, N)
    copy = Write(C, (i.var, j.var), Load(tile, (i.var, j.var)))
    return update, pack, Block("C.out", (i, j), (copy,), BlockKind.COPY)


def gemm(M=None, N=None, K=None, rows=14, columns=32, panel_layout=True):
    """C = A @ B in tiles of rows by columns; an extent of None is a symbolic size."""
    M, N, K = sizes_of(M, N, K)
    A, B = Buffer("A", f32, (M, K)), Buffer("B", f32, (K, N))
    C, packed = Buffer("C", f32, (M, N)), Buffer("B.C", f32, (K, N))
    tile = Buffer("C.tile", f32, (M, N))
    update, pack, out = blocks(A, B, C, packed, tile, M, N, K)
    jo, io = Var("jo"), Var("io")

    def vector(make):
        """Unrolled vectors of a panel's columns: make(column) is the leaf."""
        outer, lane = Var("ji"), Var("l")
        column = add(add(mul(jo, columns), mul(outer, LANES)), lane)
        return loop(outer, columns // LANES, loop(lane, LANES, make(column), V), U)

    def tiled(block, *reduced):
        ii = Var("ii")
        row = add(mul(io, rows), ii)

        def leaf(column):
            guards = (Guard(lt(row, M)), Guard(lt(column, N)))
            return Leaf(block, (row, column, *reduced), guards)

        return loop(ii, rows, vector(leaf), U)

    p, k = Var("p"), Var("k")
    packing = loop(p, K, vector(lambda c: Leaf(pack, (p, c), (Guard(lt(c, N)),))))
    micro = Seq((loop(k, K, tiled(update, k)), tiled(out)))
    panels = loop(io, ceildiv(M, rows), Alloc(tile, micro, Scope.REGISTER))
    a, b = Var("a"), Var("b")
    layout = Layout((a, b), (floordiv(b, LANES), a, floormod(b, LANES))) if panel_layout else None
    body = Alloc(packed, Seq((packing, panels)), Scope.GLOBAL, layout)
    params = (Param(A, Role.IN), Param(B, Role.IN), Param(C, Role.OUT))
    named = tuple(e for e in (M, N, K) if isinstance(e, Var))
    return Program("gemm", params, named, (), loop(jo, ceildiv(N, columns), body, P))
