"""What is below a node, class by class: how to read it, and how to rebuild the node around it.

Lowering walks trees of ten thousands of nodes some hundred times. The commonest classes have their
functions written out; those of all others follow from the annotations of their fields.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, TypeAlias

from tdsl.ir.expr import Binary, Broadcast, Buffer, Load, Node, Ramp, Var, field_names
from tdsl.ir.stmt import Alloc, Block, For, If, Let, Seq, Stmt, Store

Visit: TypeAlias = Callable[[Node], Node]
Reader: TypeAlias = Callable[[Any], tuple[Node, ...]]
StatementReader: TypeAlias = Callable[[Any], tuple[Stmt, ...]]
Rebuilder: TypeAlias = Callable[[Any, Visit], Node]

_PLAIN = frozenset(
    {"str", "int", "bool", "int | float | bool", "DType", "BinaryOp", "UnaryOp", "MathFn"}
    | {"LoopKind", "Scope", "Tail", "Role", "Span | None"}
)  # annotations of fields that hold no node
_SINGLE = frozenset({"Expr", "Stmt", "Var", "Buffer", "Block"})  # those that hold exactly one
_OPAQUE = (Var, Buffer, Block)  # compared by identity: substitution never rebuilds them


def _node_fields(cls: type) -> tuple[str, ...]:
    """Fields that may hold nodes, in order: none of a node that is never entered."""
    entered = () if issubclass(cls, _OPAQUE) else field_names(cls)
    return tuple(name for name in entered if cls.__annotations__[name] not in _PLAIN)


def _read_load(n: Load) -> tuple[Node, ...]:
    return (n.buffer, *n.indices) if n.mask is None else (n.buffer, *n.indices, n.mask)


def _read_store(n: Store) -> tuple[Node, ...]:
    if n.mask is None:
        return (n.buffer, *n.indices, n.value)
    return (n.buffer, *n.indices, n.value, n.mask)


def _read_for(n: For) -> tuple[Node, ...]:
    return (n.var, n.extent, n.body, *n.parts)


def _read_if(n: If) -> tuple[Node, ...]:
    return (n.cond, n.then) if n.otherwise is None else (n.cond, n.then, n.otherwise)


def _read_arms(n: If) -> tuple[Stmt, ...]:
    return (n.then,) if n.otherwise is None else (n.then, n.otherwise)


def _read_body(n: For | Alloc | Let) -> tuple[Stmt, ...]:
    return (n.body,)


def reader_of(cls: type) -> Reader | None:
    """What reads the nodes directly below one of a class, in field order; None: there are none."""
    names = _node_fields(cls)
    if not names:
        return None
    if all(cls.__annotations__[name] in _SINGLE for name in names):
        get: Callable[[Any], Any] = attrgetter(*names)
        return get if len(names) > 1 else lambda n: (get(n),)

    def read(n: Node) -> tuple[Node, ...]:
        found: list[Node] = []
        for name in names:
            value = getattr(n, name)
            if isinstance(value, Node):
                found.append(value)
            elif isinstance(value, tuple):
                found += [item for item in value if isinstance(item, Node)]
        return tuple(found)

    return read


def statement_reader_of(cls: type) -> StatementReader | None:
    """What reads the statements directly in one of a class; None: there are none."""
    read = reader_of(cls)
    if read is None or not any("Stmt" in cls.__annotations__[name] for name in _node_fields(cls)):
        return None
    return lambda n: tuple(child for child in read(n) if isinstance(child, Stmt))


def _rebuild_binary(n: Binary, f: Callable[[Any], Any]) -> Node:
    a, b = n.a, n.b
    new_a, new_b = f(a), f(b)
    return n if new_a is a and new_b is b else Binary(n.op, new_a, new_b)


def _rebuild_ramp(n: Ramp, f: Callable[[Any], Any]) -> Node:
    base, stride = n.base, n.stride
    new_base, new_stride = f(base), f(stride)
    same = new_base is base and new_stride is stride
    return n if same else Ramp(new_base, new_stride, n.count)


def _rebuild_broadcast(n: Broadcast, f: Callable[[Any], Any]) -> Node:
    new = f(n.a)
    return n if new is n.a else Broadcast(new, n.count)


def _rebuild_load(n: Load, f: Callable[[Any], Any]) -> Node:
    buffer, indices, mask = n.buffer, n.indices, n.mask
    new_buffer, new_indices = f(buffer), _rebuild_items(indices, f)
    new_mask = None if mask is None else f(mask)
    same = new_buffer is buffer and new_indices is indices and new_mask is mask
    return n if same else Load(new_buffer, new_indices, new_mask)


def _rebuild_store(n: Store, f: Callable[[Any], Any]) -> Node:
    buffer, indices, value, mask = n.buffer, n.indices, n.value, n.mask
    new_buffer, new_indices, new_value = f(buffer), _rebuild_items(indices, f), f(value)
    new_mask = None if mask is None else f(mask)
    if new_buffer is buffer and new_indices is indices and new_value is value and new_mask is mask:
        return n
    return Store(new_buffer, new_indices, new_value, new_mask, n.atomic, n.stream)


def _rebuild_let(n: Let, f: Callable[[Any], Any]) -> Node:
    var, value, body = n.var, n.value, n.body
    new_var, new_value, new_body = f(var), f(value), f(body)
    same = new_var is var and new_value is value and new_body is body
    return n if same else Let(new_var, new_value, new_body)


def _rebuild_seq(n: Seq, f: Callable[[Any], Any]) -> Node:
    body = n.body
    new = _rebuild_items(body, f)
    return n if new is body else Seq(new)


def _rebuild_alloc(n: Alloc, f: Callable[[Any], Any]) -> Node:
    buffer, body = n.buffer, n.body
    new_buffer, new_body = f(buffer), f(body)
    same = new_buffer is buffer and new_body is body
    return n if same else Alloc(new_buffer, new_body, n.scope, n.layout)


def _rebuild_for(n: For, f: Callable[[Any], Any]) -> Node:
    var, extent, body, parts = n.var, n.extent, n.body, n.parts
    new_var, new_extent, new_body = f(var), f(extent), f(body)
    new_parts = _rebuild_items(parts, f) if parts else parts
    same = new_var is var and new_extent is extent and new_body is body and new_parts is parts
    if same:
        return n
    return For(new_var, new_extent, new_body, n.kind, new_parts, n.span, n.instruction)


def _rebuild_if(n: If, f: Callable[[Any], Any]) -> Node:
    cond, then, rest = n.cond, n.then, n.otherwise
    new_cond, new_then, new_rest = f(cond), f(then), None if rest is None else f(rest)
    same = new_cond is cond and new_then is then and new_rest is rest
    return n if same else If(new_cond, new_then, new_rest)


def _rebuild_items(items: tuple[Any, ...], f: Callable[[Any], Any]) -> tuple[Any, ...]:
    new = [f(item) for item in items]
    for one, other in zip(new, items, strict=True):
        if one is not other:
            return tuple(new)
    return items


def rebuilder_of(cls: type) -> Rebuilder | None:
    """What rebuilds a node of a class around new nodes below it; None: there are none below it."""
    fields, names = field_names(cls), _node_fields(cls)
    if not names:
        return None

    def visit(value: object, f: Visit) -> object:
        if isinstance(value, Node):
            return f(value)
        if isinstance(value, tuple) and value:
            return _rebuild_items(value, lambda item: f(item) if isinstance(item, Node) else item)
        return value

    def rebuild(n: Node, f: Visit) -> Node:
        changed: dict[str, object] = {}
        for name in names:
            value = getattr(n, name)
            new = visit(value, f)
            if new is not value:
                changed[name] = new
        if not changed:
            return n
        made = cls(**{name: changed.get(name, getattr(n, name)) for name in fields})
        assert isinstance(made, Node)
        return made

    return rebuild


class _Readers(dict[type, Reader | None]):
    def __missing__(self, cls: type) -> Reader | None:
        read = self[cls] = reader_of(cls)
        return read


class _StatementReaders(dict[type, StatementReader | None]):
    def __missing__(self, cls: type) -> StatementReader | None:
        read = self[cls] = statement_reader_of(cls)
        return read


class _Rebuilders(dict[type, Rebuilder | None]):
    def __missing__(self, cls: type) -> Rebuilder | None:
        rebuild = self[cls] = rebuilder_of(cls)
        return rebuild


BELOW = _Readers(
    {
        Load: _read_load,
        Store: _read_store,
        Seq: attrgetter("body"),
        Alloc: attrgetter("buffer", "body"),
        For: _read_for,
        If: _read_if,
    }
)
"""What reads the nodes directly below one of a class, in field order; None: there are none."""

STATEMENTS = _StatementReaders(
    {
        Seq: attrgetter("body"),
        Alloc: _read_body,
        For: _read_body,
        Let: _read_body,
        If: _read_arms,
    }
)
"""What reads the statements directly in one of a class; None: there are none."""

REBUILD = _Rebuilders(
    {
        Binary: _rebuild_binary,
        Ramp: _rebuild_ramp,
        Broadcast: _rebuild_broadcast,
        Load: _rebuild_load,
        Store: _rebuild_store,
        Let: _rebuild_let,
        Seq: _rebuild_seq,
        Alloc: _rebuild_alloc,
        For: _rebuild_for,
        If: _rebuild_if,
    }
)
"""What rebuilds a node of a class around new nodes below it; None: there are none below it."""
