"""Put a mutant into the modules that are loaded already: nothing has to be imported again."""

from __future__ import annotations

import ast
import gc
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from tests.mutants.operators import Mutant, mutated_tree


class NotLiveError(Exception):
    """No loaded function or constant holds the code that the mutant changes."""


def put(mutant: Mutant, root: Path) -> None:
    """Change the function or the constant of the running process that the mutant is in.

    Raises:
        NotLiveError: it is in neither, so that nothing was changed.
    """
    path = root / mutant.file
    source = path.read_text()
    plain, changed = ast.parse(source), mutated_tree(mutant, source)
    old, new = (compile(tree, str(path), "exec", dont_inherit=True) for tree in (plain, changed))
    functions = [(a, b) for a, b in _changed_functions(old, new)]
    found = sum(_replaced(a, b) for a, b in functions)
    found += not functions and _changed_constant(_module(path), plain, changed)
    if not found:
        raise NotLiveError(mutant.key)


def _changed_functions(old: CodeType, new: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Functions of a module or class body, and methods, whose code is not the same."""
    for a, b in zip(_inner(old), _inner(new), strict=True):
        if not a.co_flags & inspect.CO_OPTIMIZED:
            yield from _changed_functions(a, b)
        elif _contents(a) != _contents(b):
            yield a, b


def _inner(code: CodeType) -> list[CodeType]:
    return [c for c in code.co_consts if isinstance(c, CodeType)]


def _contents(code: CodeType) -> tuple[object, ...]:
    """What tells the work of two functions apart; constants by text, for 0 equals False."""
    constants = [_contents(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, code.co_freevars, tuple(constants)


def _replaced(old: CodeType, new: CodeType) -> int:
    """Give every live function of one code another; how many there were."""
    place = (old.co_filename, old.co_qualname, old.co_firstlineno, old.co_code)
    live = [f for f in gc.get_objects() if isinstance(f, FunctionType)]
    found = [
        f
        for f in live
        if (c := f.__code__).co_qualname == old.co_qualname
        and (c.co_filename, c.co_qualname, c.co_firstlineno, c.co_code) == place
    ]
    for function in found:
        function.__code__ = new
    return len(found)


def _module(path: Path) -> ModuleType:
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) == str(path):
            return module
    raise NotLiveError(f"{path} is not loaded")


def _changed_constant(module: ModuleType, plain: ast.Module, changed: ast.Module) -> int:
    """Compute the one assignment that differs again, for all modules that know its name."""
    for a, b in zip(plain.body, changed.body, strict=True):
        if ast.dump(a) != ast.dump(b) and isinstance(b, ast.Assign | ast.AnnAssign):
            scope = dict(vars(module))
            exec(compile(ast.Module([b], []), str(module.__file__), "exec"), scope)
            targets = b.targets if isinstance(b, ast.Assign) else [b.target]
            stored = [n for t in targets for n in ast.walk(t)]  # no variables of comprehensions
            names = [n.id for n in stored if isinstance(n, ast.Name)]
            return sum(_renewed(vars(module)[name], scope[name], name) for name in names)
    return 0


def _renewed(old: object, new: object, name: str) -> int:
    count = 0
    for module in list(sys.modules.values()):
        if vars(module).get(name) is old:
            setattr(module, name, new)
            count += 1
    return count
