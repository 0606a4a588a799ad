"""Extents and work as numbers, for numbers of symbolic sizes."""

from __future__ import annotations

from collections.abc import Mapping

from tdsl.analysis.cost import flops_of
from tdsl.ir.affine import linear
from tdsl.ir.expr import Expr, Var
from tdsl.ir.visit import leaves
from tdsl.lang.func import Func


def number_of(extent: Expr, sizes: Mapping[str, int], unknown: int = 1) -> int:
    """An extent under numbers for sizes, at least 1; variables without a number are `unknown`."""
    form = linear(extent)
    value = form.const
    for atom, factor in form.terms.items():
        name = atom.name if isinstance(atom, Var) else ""
        value += factor * sizes.get(name, unknown)
    return max(1, value)


def is_empty(func: Func) -> bool:
    """Whether an argument has no elements, whatever the sizes."""
    forms = (linear(e) for param in func.program.params for e in param.buffer.shape)
    return any(form.is_constant and form.const <= 0 for form in forms)


def total_flops(func: Func, sizes: Mapping[str, int]) -> float:
    """Floating-point operations of one call."""
    found = 0.0
    for leaf in leaves(func.program.body):
        instances = 1.0
        for it in leaf.block.iters:
            instances *= number_of(it.extent, sizes)
        found += instances * flops_of(leaf.block)
    return found


def total_elements(func: Func, sizes: Mapping[str, int]) -> float:
    """Elements of all arguments of one call."""
    found = 0.0
    for param in func.program.params:
        elements = 1.0
        for extent in param.buffer.shape:
            elements *= number_of(extent, sizes)
        found += elements
    return found
