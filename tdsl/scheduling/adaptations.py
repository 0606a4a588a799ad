"""Other ways to write a line of a schedule file that an edited algorithm has broken."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tdsl.ir.expr import Var
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.scheduling.schedule import Schedule

_CLOSE = 0.6
_LOOPS = ("LoopArg", "MaybeLoopArg")
_NAMED = (*_LOOPS, "BlockArg", "MaybeBlockArg", "TensorArg", "StoredArg")


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters of one line, replaced: columns count bytes, as `ast` does."""

    line: int
    column: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Adaptation:
    """Edits that may mend a statement, and what they do in words."""

    why: str
    edits: tuple[Edit, ...]


def applied(lines: Sequence[str], edits: Sequence[Edit]) -> list[str]:
    """The lines (counted from 1) with edits made; edits of one line do not overlap."""
    changed = list(lines)
    for edit in sorted(edits, key=lambda e: (e.line, e.column), reverse=True):
        raw = changed[edit.line - 1].encode()
        raw = raw[: edit.column] + edit.text.encode() + raw[edit.end :]
        changed[edit.line - 1] = raw.decode()
    return changed


def adaptations(statement: ast.stmt, body: ast.Module, s: Schedule) -> Iterator[Adaptation]:
    """What may mend a statement, the likeliest first. `s` is as it stands before the statement."""
    yield from _renamed(statement, body, s)
    yield from _all_renamed(statement, body, s)
    call = _call_of(statement)
    if call is not None:
        yield from _without_options(call)
    yield from _other_loops(statement, s)


def _call_of(statement: ast.stmt) -> ast.Call | None:
    match statement:
        case ast.Expr(value=ast.Call() as call) | ast.Assign(value=ast.Call() as call):
            return call
        case _:
            return None


def _renamed(statement: ast.stmt, body: ast.Module, s: Schedule) -> Iterator[Adaptation]:
    """Names of blocks, tensors and loops that are gone, in favour of ones the file never says."""
    blocks = {name.split("@")[0] for name in s.index.leaves}
    tensors = {buffer.name for buffer in s.index.allocs}
    tensors |= {param.buffer.name for param in s.program.params}
    said = [text for _, text in _texts(body)]
    heads = {text.partition(".")[0] for text in said}
    names = {node.id for node in ast.walk(body) if isinstance(node, ast.Name)}
    names |= {text.rpartition(".")[2] for text in said}
    for kind, text in _arguments(statement):
        head, dot, tail = text.partition(".")
        known = blocks if dot or kind in ("BlockArg", "MaybeBlockArg") else tensors
        if kind in _LOOPS and not dot:
            head, tail = "", text
        if head and head not in known:
            for new in _candidates(head, known - heads):
                edits = tuple(_heads_replaced(body, head, new))
                yield Adaptation(f"{head!r} is called {new!r} now", edits)
        elif tail:
            loops = {v.name for v in s.index.loops if not head or v in _around(head, s)}
            for new in _candidates(tail, loops - names) if tail not in loops else ():
                edits = tuple(_loops_replaced(body, tail, new))
                yield Adaptation(f"the loop {tail!r} is called {new!r} now", edits)


def _all_renamed(statement: ast.stmt, body: ast.Module, s: Schedule) -> Iterator[Adaptation]:
    """Loops of a block that are gone, in favour of as many of it that the file never says."""
    gone: dict[str, list[str]] = {}
    for kind, text in _arguments(statement):
        head, dot, tail = text.partition(".")
        if kind in _LOOPS and dot and len(s.index.leaves_of(head)) == 1:
            known = {loop.name for loop in s.loops(head)}
            if tail not in known and tail not in gone.setdefault(head, []):
                gone[head].append(tail)
    said = {text for _, text in _texts(body)}
    for head, old in gone.items():
        new = [x.name for x in s.loops(head) if f"{head}.{x.name}" not in said]
        if len(old) == len(new):
            pairs = list(zip(old, new, strict=True))
            edits = [
                _written(node, f'"{head}.{after}"')
                for before, after in pairs
                for node, text in _texts(body)
                if text == f"{head}.{before}"
            ]
            names = ", ".join(f"{before!r} is {after!r}" for before, after in pairs)
            yield Adaptation(f"loops of {head!r} have other names now: {names}", tuple(edits))


def _around(block: str, s: Schedule) -> set[Var]:
    """The loops around the pieces of a block."""
    paths = (s.index.loop_path(name) for name in s.index.leaves_of(block))
    return {loop.var for path in paths for loop in path}


def _arguments(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """Names that the calls of a statement pass, with the kind of argument that each is."""
    for call in ast.walk(statement):
        match call:
            case ast.Call(func=ast.Attribute(attr="loops"), args=[ast.Constant(value=str() as b)]):
                yield "BlockArg", b
            case ast.Call(func=ast.Attribute(attr=name), args=args, keywords=keywords):
                if name not in PRIMITIVES:
                    continue
                known = PRIMITIVES[name].signature.parameters
                given = list(zip(_positions(known.values()), args, strict=False))
                by_name = {str(k.arg): k.value for k in keywords}
                given += [(p, by_name[p.name]) for p in known.values() if p.name in by_name]
                for parameter, value in given:
                    kind = str(parameter.annotation)
                    if kind in _NAMED and isinstance(value, ast.Constant):
                        yield kind, str(value.value)
            case _:
                pass


def _positions(parameters: Iterable[inspect.Parameter]) -> Iterator[inspect.Parameter]:
    """The parameter at each position: `*loops` stands at all that are left."""
    for parameter in parameters:
        yield parameter
        while parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            yield parameter


def _texts(tree: ast.AST) -> Iterator[tuple[ast.Constant, str]]:
    """Every string in a piece of the file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, node.value


def _candidates(name: str, unsaid: set[str]) -> list[str]:
    """Names that are close or hold the old one as a word, or the only one that is left."""
    close = difflib.get_close_matches(name, unsaid, n=3, cutoff=_CLOSE)
    longer = [new for new in sorted(unsaid) if name in new.split("_") or new in name.split("_")]
    return close or longer or (list(unsaid) if len(unsaid) == 1 else [])


def _heads_replaced(body: ast.Module, old: str, new: str) -> Iterator[Edit]:
    for node, text in _texts(body):
        head, dot, tail = text.partition(".")
        if head == old:
            yield _written(node, f'"{new}{dot}{tail}"')


def _loops_replaced(body: ast.Module, old: str, new: str) -> Iterator[Edit]:
    for node, text in _texts(body):
        head, dot, tail = text.rpartition(".")
        if tail == old:
            yield _written(node, f'"{head}{dot}{new}"')


def _written(node: ast.expr, text: str) -> Edit:
    return Edit(node.lineno, node.col_offset, _end(node), text)


def _end(node: ast.expr | ast.keyword) -> int:
    assert node.end_col_offset is not None  # parsed from text, so it stands somewhere
    return node.end_col_offset


_OPTIONAL = {"tail": "the tail is left to the default", "lanes": "the target's own width"}


def _without_options(call: ast.Call) -> Iterator[Adaptation]:
    """Without tail= or lanes=; `s.vectorize(i, 16)` without the number."""
    before = call.args[-1] if call.args else call.func
    for keyword in call.keywords:
        if keyword.arg in _OPTIONAL:
            yield Adaptation(_OPTIONAL[keyword.arg], (_taken_out(before, keyword),))
        before = keyword.value
    match call:
        case ast.Call(func=ast.Attribute(attr="vectorize"), args=[first, second]):
            yield Adaptation(_OPTIONAL["lanes"], (_taken_out(first, second),))
        case _:
            pass


def _taken_out(before: ast.expr, node: ast.expr | ast.keyword) -> Edit:
    """Without an argument, and without the comma before it if that is on the same line."""
    start = _end(before) if before.end_lineno == node.lineno else node.col_offset
    return Edit(node.lineno, start, _end(node), "")


def _other_loops(statement: ast.stmt, s: Schedule) -> Iterator[Adaptation]:
    """`i, j = s.loops("C")` where C has another number of loops now."""
    match statement:
        case ast.Assign(
            targets=[ast.Tuple(elts=names)],
            value=(
                ast.Call(args=[ast.Constant(value=str() as block)])
                | ast.Subscript(value=ast.Call(args=[ast.Constant(value=str() as block)]))
            ) as query,
        ) if len(s.index.leaves_of(block)) == 1:
            found = [loop.name for loop in s.loops(block)]
        case _:
            return
    wanted = [name.id for name in names if isinstance(name, ast.Name)]
    places = range(len(found) - len(wanted) + 1)
    ends = {n: n + len(wanted) for n in places}
    alike = {
        n: sum(a == b for a, b in zip(wanted, found[n:end], strict=True)) for n, end in ends.items()
    }
    for n in sorted(places, key=lambda n: -alike[n]):
        end = ends[n]
        piece = f"[{n or ''}:{'' if end == len(found) else end}]"
        edit = _written(query, f's.loops("{block}")' + ("" if piece == "[:]" else piece))
        shown = ", ".join(found)
        yield Adaptation(f"{block!r} has the loops {shown} now", (edit,))
