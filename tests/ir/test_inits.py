import tdsl as td
from tdsl.ir import build
from tdsl.ir.expr import Binary, BinaryOp, Var
from tdsl.ir.inits import derive_inits
from tdsl.ir.stmt import Alloc, For, Guard, Leaf, Part, Seq
from tdsl.ir.visit import leaves, loop_path
from tests.ir import samples


def matmul_leaf():
    return leaves(samples.matmul_relu().body)[0].block


def nest_of(stmt, name):
    """Loop names around the leaf of a block."""
    leaf = next(n for n in leaves(stmt) if n.block.name == name)
    return [loop.var.name for loop in loop_path(stmt, leaf)]


def test_init_of_the_canonical_nest_runs_before_the_reduction_loop():
    body = derive_inits(samples.matmul_relu().body)
    assert [leaf.block.name for leaf in leaves(body)] == ["C.init", "C", "D"]
    assert nest_of(body, "C.init") == ["i", "j"]
    assert nest_of(body, "C") == ["i", "j", "k"]


def test_deriving_twice_changes_nothing():
    body = derive_inits(samples.matmul_relu().body)
    assert derive_inits(body) is body


def tiled(block):
    M, N, K = (it.extent for it in block.iters)
    io, jo, k, ii, ji = (Var(n) for n in ("io", "jo", "k", "ii", "ji"))
    i, j = build.add(build.mul(io, 4), ii), build.add(build.mul(jo, 8), ji)
    guards = (Guard(build.lt(i, M)), Guard(build.lt(j, N)), Guard(build.lt(k, K)))
    leaf = Leaf(block, (i, j, k), guards)
    order = [(io, build.ceildiv(M, 4)), (jo, build.ceildiv(N, 8)), (k, K), (ii, 4), (ji, 8)]
    stmt = leaf
    for var, extent in reversed(order):
        stmt = For(var, build.as_index(extent), stmt)
    return stmt


def test_init_copies_the_data_loops_inside_the_reduction_with_fresh_variables():
    stmt = tiled(matmul_leaf())
    body = derive_inits(stmt)
    assert nest_of(body, "C.init") == ["io", "jo", "ii", "ji"]
    init = next(n for n in leaves(body) if n.block.name == "C.init")
    update = next(n for n in leaves(body) if n.block.name == "C")
    assert len(init.guards) == 2  # none on k
    for fresh, old in zip(loop_path(body, init)[2:], loop_path(body, update)[3:], strict=True):
        assert fresh.var is not old.var


def test_loop_fused_of_data_and_reduction_counts_as_reduction():
    block = matmul_leaf()
    M, N, K = (it.extent for it in block.iters)
    i, j, k = Var("i"), Var("j"), Var("k")
    fused = For(Var("jk"), build.mul(N, K), Leaf(block, (i, j, k)), parts=(Part(j, N), Part(k, K)))
    body = derive_inits(For(i, M, fused))
    assert nest_of(body, "C.init") == ["i", "j"]
    init = leaves(body)[0]
    assert init.bindings[0] is i
    assert init.bindings[1] is not j


def test_split_of_a_fused_loop_initialises_the_whole_extent():
    block = matmul_leaf()
    M, N, _ = (it.extent for it in block.iters)
    i, x = Var("i"), Var("x")
    leaf = Leaf(block, (i, build.floordiv(x, 5), build.floormod(x, 5)))
    body = derive_inits(For(i, M, For(x, build.mul(N, 5), leaf)))
    init = leaves(body)[0]
    inner = loop_path(body, init)[-1]
    assert inner.extent is N
    assert init.bindings == (i, inner.var)


def test_reduction_without_loops_is_initialised_right_before_its_leaf():
    block = matmul_leaf()
    i, j = Var("i"), Var("j")
    leaf = Leaf(block, (i, j, build.index(0)))
    body = derive_inits(For(i, block.iters[0].extent, For(j, block.iters[1].extent, leaf)))
    assert nest_of(body, "C.init") == ["i", "j"]
    assert isinstance(body.body.body, Seq)


def test_frozen_init_is_left_where_it_is():
    program = samples.matmul_relu()
    c = leaves(program.body)[0].block
    frozen = samples.canonical(c.init)
    assert isinstance(program.body, Alloc)
    body = Seq((frozen, *program.body.body.body))
    assert derive_inits(body) is body


def test_skewed_tile_keeps_the_tile_of_the_init():
    block = matmul_leaf()
    M, N, _ = (it.extent for it in block.iters)
    i, jo, k, js = Var("i"), Var("jo"), Var("k"), Var("js")
    inner = Binary(BinaryOp.SUB, js, k)
    j = build.add(build.mul(jo, 8), inner)
    guards = (Guard(build.ge(inner, 0)), Guard(build.lt(inner, 8)))
    nest = For(k, build.index(5), For(js, build.index(12), Leaf(block, (i, j, k), guards)))
    body = derive_inits(For(i, M, For(jo, build.ceildiv(N, 8), nest)))
    init = leaves(body)[0]
    assert nest_of(body, "C.init") == ["i", "jo", "js"]
    assert len(init.guards) == 2


def test_init_of_a_reduction_inside_a_scan_stays_in_its_step():
    X, W = td.placeholder((5, 3), name="X"), td.placeholder((3, 3), name="W")
    t, k = td.scan_axis(5, name="t"), td.reduce_axis(3, name="k")

    def step(t, prev):
        g = td.compute((3,), lambda i: td.sum(W[i, k] * prev["h"][k], axis=k), name="g")
        return {"h": lambda i: g[i] + X[t, i]}

    f = td.func("f", [X, W], [td.scan(t, {"h": ((3,), 0.0)}, step, name="rnn")["h"]])
    body = derive_inits(f.program.body)
    assert nest_of(body, "g.init") == ["t", "i"]
    assert nest_of(body, "g") == ["t", "i", "k"]
