"""Make a failing case smaller, as long as it fails the same check."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import replace

import tdsl as td
from tdsl.fuzzing.shrink import fewer, plainer
from tdsl.fuzzing.step import Step
from tests.fuzz.algorithms import Algorithm, Dim, Input, Stage
from tests.fuzz.generate import is_declarable

Case = tuple[Algorithm, tuple[Step, ...]]
Fails = Callable[[Algorithm, tuple[Step, ...]], bool]


def shrink(case: Case, fails: Fails, budget: int = 400) -> Case:
    """The smallest case found that still fails; `budget` bounds the number of trials."""
    left = budget
    moves = (_fewer_steps, _fewer_outputs, _fewer_stages, _smaller_dims, _plainer_steps, _plainer)
    progress = True
    while progress and left > 0:
        progress = False
        for move in moves:
            candidates = move(case)
            for candidate in candidates:
                left -= 1
                if left < 0:
                    return case
                if _is_usable(candidate[0], case[0]) and fails(*candidate):
                    case, progress = candidate, True
                    break
            if progress:
                break
    return case


def _is_usable(new: Algorithm, old: Algorithm) -> bool:
    if new is old:
        return True
    try:
        return is_declarable(new)
    except (td.TdslError, NameError, KeyError, ValueError, TypeError, SyntaxError):
        return False


def _fewer_steps(case: Case) -> Iterator[Case]:
    return ((case[0], steps) for steps in fewer(case[1]))


def _fewer_outputs(case: Case) -> Iterator[Case]:
    algorithm, steps = case
    if len(algorithm.outputs) > 1:
        for name in algorithm.outputs:
            kept = tuple(n for n in algorithm.outputs if n != name)
            yield _pruned(replace(algorithm, outputs=kept)), steps
    for stage in algorithm.stages:
        inner = [n for n in stage.defines if n not in algorithm.outputs]
        if inner:
            yield _pruned(replace(algorithm, outputs=(inner[0],))), steps


def _fewer_stages(case: Case) -> Iterator[Case]:
    """A declaration's tensors become arguments."""
    algorithm, steps = case
    for stage in algorithm.stages:
        if set(stage.defines) & set(algorithm.outputs):
            continue
        stages = tuple(s for s in algorithm.stages if s is not stage)
        arguments = tuple(Input(x.name, x.shape, x.dtype, x.below) for x in stage.makes)
        yield (
            _pruned(replace(algorithm, stages=stages, inputs=algorithm.inputs + arguments)),
            steps,
        )


def _pruned(algorithm: Algorithm) -> Algorithm:
    """Without the declarations and arguments that the results do not need."""
    needed = set(algorithm.outputs)
    kept: list[Stage] = []
    for stage in reversed(algorithm.stages):
        if needed & set(stage.defines):
            kept.insert(0, stage)
            needed |= stage.reads
    inputs = tuple(x for x in algorithm.inputs if x.name in needed)
    return replace(algorithm, stages=tuple(kept), inputs=inputs)


def _smaller_dims(case: Case) -> Iterator[Case]:
    algorithm, steps = case
    for n, dim in enumerate(algorithm.dims):
        others = list(algorithm.dims)
        values = sorted({1, 2, dim.value // 2, dim.value - 1})
        smaller = [Dim(dim.name, v, dim.symbolic) for v in values if 0 < v < dim.value]
        if dim.symbolic:
            smaller.insert(0, Dim(dim.name, dim.value, symbolic=False))
        for new in smaller:
            others[n] = new
            yield replace(algorithm, dims=tuple(others)), steps


def _plainer_steps(case: Case) -> Iterator[Case]:
    return ((case[0], steps) for steps in plainer(case[1]))


def _plainer(case: Case) -> Iterator[Case]:
    """Parts of expressions in place of the whole."""
    algorithm, steps = case
    for n, stage in enumerate(algorithm.stages):
        for text in _plainer_text("\n".join(stage.lines)):
            changed = replace(stage, lines=tuple(text.splitlines()))
            stages = (*algorithm.stages[:n], changed, *algorithm.stages[n + 1 :])
            new = replace(algorithm, stages=stages)
            yield _pruned(_with_reads(new)), steps


def _with_reads(algorithm: Algorithm) -> Algorithm:
    """Which names each declaration reads, found again from its text."""
    stages = []
    for stage in algorithm.stages:
        names = {
            n.id for n in ast.walk(ast.parse("\n".join(stage.lines))) if isinstance(n, ast.Name)
        }
        stages.append(replace(stage, reads=stage.reads & names))
    return replace(algorithm, stages=tuple(stages))


def _plainer_text(text: str) -> Iterator[str]:
    """The code with one operation replaced by one of its operands, or a keyword left out."""
    tree = ast.parse(text)
    count = sum(1 for _ in ast.walk(tree))
    for position in range(count):
        for choice in range(3):
            copy = ast.parse(text)
            node = list(ast.walk(copy))[position]
            replacement = _operand(node, choice)
            if replacement is None:
                continue
            yield ast.unparse(_Swap(node, replacement).visit(copy))


def _operand(node: ast.AST, choice: int) -> ast.AST | None:
    operands: list[ast.AST] = []
    match node:
        case ast.BinOp(left=left, right=right):
            operands = [left, right]
        case ast.UnaryOp(operand=operand):
            operands = [operand]
        case ast.Call(func=ast.Attribute(attr="select"), args=[_, a, b]):
            operands = [a, b]
        case ast.Call(func=ast.Attribute(attr="maximum" | "minimum"), args=[a, b]):
            operands = [a, b]
        case ast.Call(func=ast.Attribute(attr="abs" | "tanh" | "exp" | "sqrt"), args=[a]):
            operands = [a]
        case ast.Call(keywords=keywords) if any(k.arg == "where" for k in keywords):
            kept = [k for k in keywords if k.arg != "where"]
            operands = [ast.Call(node.func, node.args, kept)]
        case _:
            return None
    return operands[choice] if choice < len(operands) else None


class _Swap(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old = old
        self.new = new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().generic_visit(node)
