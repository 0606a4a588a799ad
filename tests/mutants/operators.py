"""Seeded faults: each operator names a mistake that a person could make, and makes it."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Change = Callable[[ast.AST], ast.AST | None]
_ORDERED_BY_TYPE = ("isinstance", "getattr", "hasattr", "cast", "replace", "zip", "min", "max")


@dataclass(frozen=True)
class Mutant:
    """One fault in one file: what an operator makes of the node at `position` (of `ast.walk`).

    `key` finds it again as long as the text of the line stays.
    """

    file: str
    line: int
    operator: str
    position: int
    before: str
    after: str

    @property
    def key(self) -> str:
        return f"{self.file}: {self.operator}: {self.before} -> {self.after}"


def swapped_comparison(node: ast.AST) -> ast.AST | None:
    """`<` for `<=` and `>` for `>=`, and the other way round."""
    swaps = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
    if isinstance(node, ast.Compare) and type(node.ops[0]) in swaps:
        node.ops[0] = swaps[type(node.ops[0])]()
        return node
    return None


def negated_condition(node: ast.AST) -> ast.AST | None:
    """`if not c` for `if c`."""
    if isinstance(node, (ast.If, ast.IfExp, ast.While)):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return node
    return None


def removed_branch(node: ast.AST) -> ast.AST | None:
    """An `if` whose body is never reached."""
    if isinstance(node, ast.If):
        node.test = ast.Constant(value=False)
        return node
    return None


def forgotten_filter(node: ast.AST) -> ast.AST | None:
    """A comprehension that takes everything."""
    if isinstance(node, ast.comprehension) and node.ifs:
        node.ifs = node.ifs[1:]
        return node
    return None


def off_by_one(node: ast.AST) -> ast.AST | None:
    """`x` for `x + 1` and `x - 1`."""
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=ast.Constant(value=1)):
            return left
        case ast.Call(func=ast.Name(id="add"), args=[left, ast.Constant(value=1 | -1)]):
            return left
        case ast.Call(func=ast.Name(id="add"), args=[left, ast.UnaryOp(operand=ast.Constant())]):
            return left
    return None


def added_one(node: ast.AST) -> ast.AST | None:
    """A number one larger: a box, an extent, a depth."""
    if isinstance(node, ast.Constant) and type(node.value) is int and node.value in (0, 1):
        node.value += 1
        return node
    return None


def dropped_intersection(node: ast.AST) -> ast.AST | None:
    """`a` for `a & b` and for `a.intersect(b)`."""
    match node:
        case ast.BinOp(left=left, op=ast.BitAnd()):
            return left
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr.startswith("intersect"):
            return value
    return None


def dropped_union(node: ast.AST) -> ast.AST | None:
    """`a` for `a | b` and for `a.union(b)`."""
    match node:
        case ast.BinOp(left=left, op=ast.BitOr()):
            return left
        case ast.Call(func=ast.Attribute(value=value, attr="union" | "union_disjoint")):
            return value
    return None


def dropped_subtraction(node: ast.AST) -> ast.AST | None:
    """`a` for `a - b` (numbers and sets) and for `a.subtract(b)`."""
    match node:
        case ast.BinOp(left=left, op=ast.Sub()):
            return left
        case ast.Call(func=ast.Attribute(value=value, attr="subtract")):
            return value
    return None


def dropped_element(node: ast.AST) -> ast.AST | None:
    """A listing of kinds that lacks its last one."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)) and len(node.elts) >= 2:
        plain = all(isinstance(e, (ast.Attribute, ast.Constant)) for e in node.elts)
        if plain and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            node.elts = node.elts[:-1]
            return node
    return None


def dropped_call(node: ast.AST) -> ast.AST | None:
    """A check or an addition that is not made."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.Pass()
    return None


def dropped_update(node: ast.AST) -> ast.AST | None:
    """`x += y` left out."""
    return ast.Pass() if isinstance(node, ast.AugAssign) else None


def forgotten_refusal(node: ast.AST) -> ast.AST | None:
    """A `raise` left out."""
    return ast.Pass() if isinstance(node, ast.Raise) and node.exc is not None else None


def wrong_order(node: ast.AST) -> ast.AST | None:
    """The sequence itself for `reversed(...)`."""
    match node:
        case ast.Call(func=ast.Name(id="reversed" | "sorted"), args=[value, *_]):
            return ast.Call(ast.Name("list", ast.Load()), [value], [])
    return None


def swapped_arguments(node: ast.AST) -> ast.AST | None:
    """`f(b, a)` for `f(a, b)`."""
    if not isinstance(node, ast.Call) or len(node.args) != 2 or node.keywords:
        return None
    if isinstance(node.func, ast.Name) and node.func.id in _ORDERED_BY_TYPE:
        return None
    a, b = node.args
    if isinstance(a, (ast.Name, ast.Attribute)) and type(a) is type(b):
        node.args = [b, a]
        return node
    return None


def mixed_up_junction(node: ast.AST) -> ast.AST | None:
    """`or` for `and`, and the other way round."""
    if isinstance(node, ast.BoolOp):
        node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return node
    return None


def mixed_up_quantifier(node: ast.AST) -> ast.AST | None:
    """`any` for `all`, `min` for `max`, and the other way round."""
    swaps = {"any": "all", "all": "any", "min": "max", "max": "min"}
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in swaps:
        node.func.id = swaps[node.func.id]
        return node
    return None


def wrong_answer(node: ast.AST) -> ast.AST | None:
    """`return True` for `return False`, and the other way round."""
    match node:
        case ast.Return(value=ast.Constant(value=bool() as value)):
            return ast.Return(ast.Constant(value=not value))
    return None


OPERATORS: dict[str, Change] = {
    f.__name__: f
    for f in (
        swapped_comparison, negated_condition, removed_branch, forgotten_filter, off_by_one,
        added_one, dropped_intersection, dropped_union, dropped_subtraction, dropped_element,
        dropped_call, dropped_update, forgotten_refusal, wrong_order, swapped_arguments,
        mixed_up_junction, mixed_up_quantifier, wrong_answer,
    )
}  # fmt: skip


class _Rewrite(ast.NodeTransformer):
    """Changes one node."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    tree = ast.parse(source)
    quiet = _untouched(tree)
    for position, node in enumerate(ast.walk(tree)):
        if id(node) in quiet or isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            continue
        spare = copy.deepcopy(node)
        for name, change in OPERATORS.items():
            changed = change(spare)
            if changed is not None:
                spare = copy.deepcopy(node)
                if ast.dump(changed) == ast.dump(node):
                    continue  # `f(a, a)`
                target = getattr(node, "target", None)  # a comprehension has no line of its own
                line = getattr(node, "lineno", getattr(target, "lineno", 0))
                yield Mutant(file, line, name, position, _shown(node), _shown(changed))


def mutated_tree(mutant: Mutant, source: str) -> ast.Module:
    """The module with the fault in it."""
    tree = ast.parse(source)
    target = list(ast.walk(tree))[mutant.position]
    changed = OPERATORS[mutant.operator](copy.deepcopy(target))
    assert changed is not None
    if isinstance(target, ast.stmt | ast.expr):
        ast.copy_location(changed, target)
    new = _Rewrite(target, changed).visit(tree)
    assert isinstance(new, ast.Module)
    return ast.fix_missing_locations(new)


def mutated(mutant: Mutant, source: str) -> str:
    """The same as text."""
    return ast.unparse(mutated_tree(mutant, source))


def _untouched(tree: ast.Module) -> set[int]:
    """Nodes whose change has no effect or is no fault: annotations, messages, defaults, names."""
    quiet: set[int] = set()
    for node in ast.walk(tree):
        skipped: list[ast.AST | None] = []
        match node:
            case ast.FunctionDef():
                skipped = [node.returns, *node.decorator_list]
                skipped += [a.annotation for a in (*node.args.args, *node.args.kwonlyargs)]
                skipped += [*node.args.defaults, *node.args.kw_defaults]
            case ast.AnnAssign():
                skipped = [node.annotation]
            case ast.Assign(targets=[ast.Name(id="__all__")]):
                skipped = [node]
            case ast.ClassDef():
                fields = [s for s in node.body if isinstance(s, ast.AnnAssign)]
                skipped = [*node.bases, *node.keywords, *node.decorator_list, *fields]
            case ast.Raise() | ast.JoinedStr() | ast.Assert():
                skipped = [c for c in ast.iter_child_nodes(node) if not isinstance(c, ast.stmt)]
            case ast.Subscript():
                skipped = [node.slice] if isinstance(node.value, ast.Name) else []
        for child in filter(None, skipped):
            quiet |= {id(n) for n in ast.walk(child)}
    return quiet


def _shown(node: ast.AST) -> str:
    """The first line of a node's text."""
    if isinstance(node, ast.comprehension):
        return "for" + ast.unparse(ast.fix_missing_locations(node)).partition("for")[2]
    return ast.unparse(ast.fix_missing_locations(node)).partition("\n")[0]
