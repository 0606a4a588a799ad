"""Realise layouts: ``B[k, j]`` stored as (k, j -> j//16, k, j%16) -> ``B[j//16, k, j%16]``.

A layout maps the (compacted) indices of a buffer to those of its storage, whose shape is the image
of the box under the map, or more where the layout says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tdsl.errors import LoweringError
from tdsl.ir.affine import linear
from tdsl.ir.build import index, maximum, sub
from tdsl.ir.expr import Buffer, Expr, Node, Var
from tdsl.ir.interval import Interval, bounds, constant_bounds
from tdsl.ir.stmt import Alloc, Block, Fetch, Layout, Leaf, Param, Program, Stmt
from tdsl.ir.visit import map_children, substitute, walk
from tdsl.lower.accesses import Indices, redirect, touched_buffers
from tdsl.target import Target

_Plans = Mapping[Buffer, tuple[Buffer, Layout]]


def apply_layouts(program: Program, target: Target) -> Program:
    """Rewrite accesses of buffers with a layout to storage indices."""
    del target
    found = {p.buffer: p.layout for p in program.params if p.layout is not None}
    found |= {
        n.buffer: n.layout
        for n in walk(program.body)
        if isinstance(n, Alloc) and n.layout is not None
    }
    if not found:
        return program
    plans = {b: (_storage(b, layout), layout) for b, layout in found.items()}
    params = tuple(
        Param(plans[p.buffer][0], p.role) if p.buffer in plans else p for p in program.params
    )
    body = _rewrite(program.body, plans)
    return Program(program.name, params, program.sizes, program.assume, body)


def _storage(buffer: Buffer, layout: Layout) -> Buffer:
    env: dict[Var, Interval] = {
        var: Interval.of_extent(extent)
        for var, extent in zip(layout.inputs, buffer.shape, strict=True)
    }
    image = [_image(buffer, output, env) for output in layout.outputs]
    if layout.shape is None:
        shape = tuple(image)
    else:
        shape = tuple(_larger(a, b) for a, b in zip(layout.shape, image, strict=True))
    # what is packed lies row after row, however the argument may that it was packed from
    return dataclasses.replace(buffer, shape=shape, strided=False)


def _image(buffer: Buffer, output: Expr, env: Mapping[Var, Interval]) -> Expr:
    lo, hi = bounds(output, env)
    least, most = constant_bounds(output, env)
    if lo is None or hi is None or least is None or least < 0:
        raise LoweringError(
            f"the layout of '{buffer.name}' maps to storage of unknown size",
            hint="use sums, and divisions and remainders by constants, of the indices",
        )
    if most is not None:
        return index(most + 1)
    last = linear(hi)
    # of sizes of 0 nothing is stored, and that is not less than nothing: M - 1 + N - 1
    return (last + max(1, -last.const)).expr()


def _larger(given: Expr, needed: Expr) -> Expr:
    gap = linear(sub(given, needed))
    if gap.is_constant:
        return given if gap.const >= 0 else needed
    return maximum(given, needed)


def _rewrite(s: Stmt, plans: _Plans) -> Stmt:
    def visit(n: Node) -> Node:
        match n:
            case Leaf(block=block):
                fetches = tuple(_fetch(fetch, plans) for fetch in n.fetches)
                if touched_buffers(block).isdisjoint(plans):
                    return n if fetches == n.fetches else dataclasses.replace(n, fetches=fetches)
                return dataclasses.replace(n, block=_laid_out(block, plans), fetches=fetches)
            case Alloc(buffer=buffer) if buffer in plans:
                n = dataclasses.replace(n, buffer=plans[buffer][0], layout=None)
                return map_children(n, visit)
            case Stmt():
                return map_children(n, visit)
            case _:
                return n

    result = visit(s)
    assert isinstance(result, Stmt)
    return result


def _laid_out(block: Block, plans: _Plans) -> Block:
    storage = {old: new for old, (new, _) in plans.items()}
    return redirect(block, storage, lambda buffer, i: _mapped(plans[buffer][1], i))


def _fetch(fetch: Fetch, plans: _Plans) -> Fetch:
    if fetch.buffer not in plans:
        return fetch
    buffer, layout = plans[fetch.buffer]
    return Fetch(buffer, fetch.inputs, _mapped(layout, fetch.indices))


def _mapped(layout: Layout, logical: Indices) -> Indices:
    mapping = dict(zip(layout.inputs, logical, strict=True))
    return tuple(substitute(output, mapping) for output in layout.outputs)
