"""Atomic updates: `buffer[index] = value(buffer[index])` as a compare-and-swap loop."""

from __future__ import annotations

from tdsl.codegen.llvm import floats, memory
from tdsl.codegen.llvm.frame import Frame
from tdsl.codegen.llvm.types import Value, memory_type
from tdsl.ir.expr import Expr, Load, Node, Var
from tdsl.ir.stmt import Store
from tdsl.ir.visit import map_children


def store_atomic(f: Frame, s: Store) -> None:
    """Write the loop; the value's own loads of the element see what is there at that moment."""
    if s.mask is None:
        _store(f, s)
        return
    with f.builder.when(f.value(s.mask)):  # the index is read from memory, too
        _store(f, s)


def _store(f: Frame, s: Store) -> None:
    (index,) = s.indices
    old = Var("old", s.buffer.dtype)
    updated = _with_old(s.value, s, old)
    place = f.value(index)
    some = memory.where_something_is(f, index, None)
    if some is None:
        _update(f, s, updated, old, place)
    else:
        with f.builder.when(some):
            _update(f, s, updated, old, place)


def _with_old(value: Expr, s: Store, old: Var) -> Expr:
    def visit(n: Node) -> Node:
        if isinstance(n, Load) and n.buffer is s.buffer and n.indices == s.indices:
            return old
        return map_children(n, visit)

    result = visit(value)
    assert isinstance(result, Expr)
    return result


def _update(f: Frame, s: Store, updated: Expr, old: Var, place: Value) -> None:
    b = f.builder
    dtype = s.buffer.dtype
    stored_type = memory_type(dtype)
    bits_type = f"i{dtype.bytes * 8}"
    address = b.address(f.pointer(s.buffer), place, stored_type)
    first = b.emit(
        f"load atomic {bits_type}, {address.typed} monotonic, align {dtype.bytes}", bits_type
    )
    before, loop, after = b.block, b.label("swap"), b.label("end")
    b.jump(loop)
    b.start(loop)
    seen = Value(b.fresh(), bits_type)
    phi = b.reserve()
    with b.scope():
        current = floats.from_memory(b, b.convert("bitcast", seen, stored_type), dtype)
        f.values[old] = current
        new = f.value(updated)
        bits = b.convert("bitcast", floats.to_memory(b, new, dtype), bits_type)
        pair = b.emit(
            f"cmpxchg weak {address.typed}, {seen.typed}, {bits.typed} monotonic monotonic, "
            f"align {dtype.bytes}",
            f"{{ {bits_type}, i1 }}",
        )
        found = b.emit(f"extractvalue {pair.typed}, 0", bits_type)
        done = b.emit(f"extractvalue {pair.typed}, 1", "i1")
    b.fill(
        phi,
        f"{seen.text} = phi {bits_type} [{first.text}, %{before}], [{found.text}, %{b.block}]",
    )
    b.branch(done, after, loop)
    b.start(after)
