"""The corpus: real algorithms by name, as what the fuzzer schedules, runs and shrinks.

Each is a function in `corpus/` whose parameters are extents, any of which may be symbolic.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from itertools import cycle

import tdsl as td
from tdsl.fuzzing.draw import Draw, RandomDraw
from tdsl.fuzzing.subject import expressions
from tdsl.ir.expr import Buffer, Cast, Checked, Expr, Load
from tdsl.ir.visit import free_vars
from tdsl.lang.bounds import evaluate
from tests.fuzz.algorithms import Algorithm, Dim, Extent, Input, Stage
from tests.fuzz.corpus import indexing, ordered, products, reductions, windows
from tests.fuzz.generate import random_algorithm

CORPUS: dict[str, Callable[..., td.Func]] = {
    name: function
    for module in (products, windows, reductions, ordered, indexing)
    for name, function in vars(module).items()
    if inspect.isfunction(function)
}


def algorithm_of(seed: str) -> Algorithm:
    """What a case runs: `matmul.1.42` is of the corpus, `1.42` of the random grammar."""
    name = seed.partition(".")[0]
    return drawn(name, RandomDraw(seed)) if name in CORPUS else random_algorithm(seed)


def case_seeds(count: int, seed: int, share: float) -> Iterator[str]:
    """The cases of a run, a share of them of the corpus, whose algorithms take turns."""
    turns = cycle(RandomDraw(seed).shuffled(list(CORPUS)))
    for n in range(count):
        is_named = int((n + 1) * share) > int(n * share)
        yield f"{next(turns)}.{seed}.{n}" if is_named else f"{seed}.{n}"


def drawn(name: str, draw: Draw) -> Algorithm:
    """An algorithm of the corpus: any of its extents symbolic, now and then one of another size."""
    algorithm = named(name)
    free = draw.chance(0.5)
    changed = draw.choice(algorithm.dims).name if draw.chance(0.3) else None
    dims = [
        Dim(
            d.name,
            draw.integer(1, d.value + 1) if d.name == changed else d.value,
            symbolic=free and draw.chance(0.8),
        )
        for d in algorithm.dims
    ]
    return replace(algorithm, dims=tuple(dims))


@cache
def named(name: str) -> Algorithm:
    """An algorithm of the corpus, every extent symbolic."""
    function = CORPUS[name]
    parameters = inspect.signature(function).parameters.values()
    dims = tuple(Dim(p.name, p.default, symbolic=True) for p in parameters)
    (definition,) = ast.parse(inspect.getsource(function)).body
    assert isinstance(definition, ast.FunctionDef)
    *body, last = definition.body
    scope: dict[str, object] = {"td": td, **{d.name: td.sizes(d.name) for d in dims}}
    exec(compile(ast.Module(body, []), name, "exec"), scope)
    match last:
        case ast.Return(ast.Call(args=[_, arguments, results], keywords=keywords) as call):
            func = eval(compile(ast.Expression(call), name, "eval"), scope)
        case _:
            raise AssertionError(f"{name} does not end with `return td.func(...)`")
    tensors = {n: x for n, x in scope.items() if isinstance(x, td.Tensor)}
    limits = dict(_index_limits(func))
    inputs = [_described(n, tensors[n], limits) for n in _names(arguments)]
    made = {n: x for n, x in tensors.items() if n not in _names(arguments)}
    facts = [ast.literal_eval(keyword.value) for keyword in keywords]
    return Algorithm(
        dims, tuple(inputs), tuple(_stages(body, made, set(tensors))), _names(results),
        tuple(fact for some in facts for fact in some), (name,),
    )  # fmt: skip


def _names(tree: ast.AST) -> tuple[str, ...]:
    return tuple(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def _stages(
    body: Sequence[ast.stmt], made: dict[str, td.Tensor], known: set[str]
) -> Iterator[Stage]:
    """Statements up to one that makes tensors; those that declare arguments are left out."""
    lines: list[str] = []
    reads: set[str] = set()
    for statement in body:
        targets = _names(ast.Tuple(statement.targets)) if isinstance(statement, ast.Assign) else ()
        if set(targets) & (known - set(made)):
            continue
        lines += ast.unparse(statement).splitlines()
        reads |= set(_names(statement)) & known - set(targets)
        makes = tuple(_described(n, made[n], {}) for n in targets if n in made)
        if makes:
            yield Stage(makes, tuple(lines), frozenset(reads))
            lines, reads = [], set()


def _index_limits(func: td.Func) -> Iterator[tuple[Buffer, Expr]]:
    """Tensors whose elements are indices as they are, and the extents that they index."""
    for node in expressions(func):
        if isinstance(node, Checked):
            index = node.index.a if isinstance(node.index, Cast) else node.index
            if isinstance(index, Load):
                yield index.buffer, node.extent


def _described(name: str, tensor: td.Tensor, limits: dict[Buffer, Expr]) -> Input:
    shape = tuple(_extent(e) for e in tensor.buffer.shape)
    limit = limits.get(tensor.buffer)
    below = None if limit is None else _extent(limit)
    return Input(name, shape, tensor.dtype.name, below, tensor.stage.inout)


def _extent(e: int | Expr) -> Extent:
    """An extent as data: a number, or linear in one size."""
    if isinstance(e, int):
        return Extent(None, 1, e)
    sizes = sorted(free_vars(e), key=lambda v: v.name)
    assert len(sizes) <= 1, f"{e} has several sizes"
    zero, one, two = (evaluate(e, dict.fromkeys(sizes, n)) for n in range(3))
    assert two - one == one - zero, f"{e} is not linear"
    return Extent(sizes[0].name, one - zero, zero) if sizes else Extent(None, 1, zero)
