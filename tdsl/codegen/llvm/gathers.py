"""Lanes that are looked up: by the machine's gather, one by one, or in a table in registers."""

from __future__ import annotations

from dataclasses import dataclass

from tdsl import dtypes
from tdsl.codegen.llvm.frame import Frame
from tdsl.codegen.llvm.shuffles import resized
from tdsl.codegen.llvm.types import Value, lane_count, literal, memory_type, suffix, vector
from tdsl.ir.expr import Binary, BinaryOp, Broadcast, Cast, Checked, Const, Expr, Load

_GATHERED = 4  # bytes of the least element that machines gather
_SHARE = 8  # lanes for which one permutation of a table is quicker than loads


def gather(f: Frame, e: Load, base: Value, mask: Value | None) -> Value:
    """The elements at an index vector, zero in lanes where the mask is false."""
    (index,) = e.indices
    looked_up = _looked_up(index)
    if looked_up is None:
        return _by_machine(f, e, base, f.value(index), mask)
    table = _table(f, e)
    if table is not None:
        found = table.permuted(f, base, f.value(_at_least(looked_up, 16)), index.lanes)
        if mask is None:
            return found
        chosen = f.builder.broadcast(mask, index.lanes)
        return f.builder.select(chosen, found, Value("zeroinitializer", found.type))
    if mask is None and e.buffer.dtype.bytes < _GATHERED and looked_up.dtype.bits <= 32:
        return _one_by_one(f, e, base, looked_up)
    return _by_machine(f, e, base, f.value(index), mask)


def _looked_up(index: Expr) -> Expr | None:
    """What an index vector is converted from, None where it is computed from several things."""
    match index:
        case Binary(op=BinaryOp.ADD, a=Broadcast(a=Const(value=0)), b=inner):
            return _looked_up(inner)
        case Binary(op=BinaryOp.MUL, a=inner, b=Broadcast(a=Const(value=1))):
            return _looked_up(inner)
        case Cast(a=inner) if inner.dtype.is_integer and inner.dtype.bits <= 32:
            return inner
        case Checked():
            return index
        case _:
            return None


def _at_least(index: Expr, bits: int) -> Expr:
    """An index of so many bits."""
    return index if index.dtype.bits >= bits else Cast(index, dtypes.int32)


def _one_by_one(f: Frame, e: Load, base: Value, index: Expr) -> Value:
    """Scalar loads: LLVM would do that, too, but by way of a vector of addresses."""
    b, element = f.builder, memory_type(e.dtype)
    at = f.value(index)
    widen = "sext" if index.dtype.min < 0 else "zext"
    type_ = vector(element, index.lanes)
    found = Value("poison", type_)
    for lane in range(index.lanes):
        one = b.extract(at, lane, f"i{index.dtype.bits}")
        address = b.address(base, b.convert(widen, one, "i64"), element)
        loaded = b.load(address, element, e.buffer.dtype.bytes, e.buffer)
        found = b.pure(f"insertelement {found.typed}, {loaded.typed}, i32 {lane}", type_)
    return found


def _by_machine(f: Frame, e: Load, base: Value, index: Value, mask: Value | None) -> Value:
    b = f.builder
    lanes = lane_count(index.type)
    element_type = memory_type(e.dtype)
    type_ = vector(element_type, lanes)
    pointers = b.pure(
        f"getelementptr {element_type}, {base.typed}, {index.typed}", vector("ptr", lanes)
    )
    chosen = literal(1, "i1", lanes) if mask is None else b.broadcast(mask, lanes)
    name = f"llvm.masked.gather.{suffix(type_)}.v{lanes}p0"
    b.module.declare(name, f"{type_} @{name}({pointers.type}, {chosen.type}, {type_})")
    # the alignment belongs to the pointers; without it LLVM assumes nothing
    return b.emit(
        f"call {type_} @{name}({pointers.type} align {e.dtype.bytes} {pointers.text}, "
        f"{chosen.typed}, {type_} zeroinitializer)",
        type_,
    )


@dataclass(frozen=True, slots=True)
class _Table:
    """A small table: registers of `width` elements of `bits` bits."""

    load: Load
    bits: int
    width: int
    registers: int

    def permuted(self, f: Frame, base: Value, index: Value, lanes: int) -> Value:
        """Look up in two registers at a time by the low bits, and choose by the others."""
        b = f.builder
        type_ = vector(f"i{self.bits}", self.width)
        parts = [self._register(f, base, n, type_) for n in range(self.registers)]
        pairs = [(parts[n], parts[min(n + 1, self.registers - 1)]) for n in range(0, len(parts), 2)]
        whole = resized(b, index, self.width)
        low = b.convert("trunc", whole, type_)
        wide = int(index.type.rpartition("i")[2].rstrip(">"))
        shift = (2 * self.width).bit_length() - 1
        high = b.binary("lshr", whole, literal(shift, f"i{wide}", self.width))
        high = b.convert("trunc", high, type_)
        found = [self._permute(f, low, first, second) for first, second in pairs]
        bit = 1
        while len(found) > 1:
            chosen = b.binary("and", high, literal(bit, f"i{self.bits}", self.width))
            upper = b.icmp("ne", chosen, Value("zeroinitializer", type_))
            found = [
                b.select(upper, found[n + 1], found[n]) if n + 1 < len(found) else found[n]
                for n in range(0, len(found), 2)
            ]
            bit *= 2
        return resized(b, found[0], lanes)

    def _register(self, f: Frame, base: Value, n: int, type_: str) -> Value:
        start = Value(str(n * self.width), "i64")
        address = f.builder.address(base, start, f"i{self.bits}")
        return f.builder.load(address, type_, self.bits // 8, self.load.buffer)

    def _permute(self, f: Frame, index: Value, first: Value, second: Value) -> Value:
        kind = {8: "qi", 16: "hi"}[self.bits]
        name = f"llvm.x86.avx512.vpermi2var.{kind}.512"
        operands = (first, index, second)
        f.builder.module.declare(
            name, f"{first.type} @{name}({', '.join(x.type for x in operands)})"
        )
        call = f"call {first.type} @{name}({', '.join(x.typed for x in operands)})"
        return f.builder.pure(call, first.type)


def _table(f: Frame, e: Load) -> _Table | None:
    """The buffer as a table in registers, where that is quicker than loads."""
    bits = memory_type(e.dtype)
    feature = {"i8": "avx512vbmi", "i16": "avx512bw"}.get(bits)
    shape = e.buffer.shape
    if feature not in f.target.features or len(shape) != 1 or not isinstance(shape[0], Const):
        return None
    size, count = 8 * e.buffer.dtype.bytes, int(shape[0].value)
    width = 512 // size
    lanes = e.indices[0].lanes
    registers = count // width
    permutations = (registers + 1) // 2
    if not registers or count % width or permutations * _SHARE > lanes or lanes > width:
        return None
    return _Table(e, size, width, registers)
