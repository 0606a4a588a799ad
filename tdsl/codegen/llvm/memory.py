"""Loads, stores and prefetches: dense, reversed, strided, gathered; masked; non-temporal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce

from tdsl.codegen.llvm import floats
from tdsl.codegen.llvm.frame import Frame
from tdsl.codegen.llvm.gathers import gather
from tdsl.codegen.llvm.patterns import (
    LaneMask,
    Pattern,
    Windows,
    as_ramp,
    lane_mask,
    literal_lanes,
    pattern,
    windows,
)
from tdsl.codegen.llvm.shuffles import resized, shuffle
from tdsl.codegen.llvm.types import (
    Value,
    lane_count,
    literal,
    memory_type,
    suffix,
    vector,
)
from tdsl.errors import InternalError
from tdsl.ir.expr import Broadcast, Buffer, Checked, Const, Expr, Load, Ramp
from tdsl.ir.stmt import Prefetch, Store
from tdsl.ir.visit import walk

_WIDE = 4  # what lies at known distances is read as up to so many vectors
_ZEROS_BYTES = 256  # a masked-off scalar or vector read goes to this many zeros
_STREAM_ALIGN = 16  # narrower non-temporal stores fall apart into scalars
_WIDEST_REGISTER = 512  # bits


def load(f: Frame, e: Load) -> Value:
    """The value of a load, zero in lanes where its mask is false."""
    # one condition for all lanes chooses the address: a masked load of memory that is not there
    # costs some hundred cycles
    given = e.mask.a if isinstance(e.mask, Broadcast) else e.mask
    mask = f.value(given) if given is not None else None
    with f.under(mask):
        stored = _load(f, e, where_something_is(f, e.indices[0], mask))
    return floats.from_memory(f.builder, stored, e.dtype)


def stored(f: Frame, e: Load) -> Value:
    """The elements of a load as they lie in memory: narrow floats are not widened."""
    return _load(f, e, None) if e.mask is None else f.value(e)


def where_something_is(f: Frame, index: Expr, mask: Value | None) -> Value | None:
    """`mask`, false where a checked index had no element at all to be clamped to."""
    b = f.builder
    for n in walk(index):
        if isinstance(n, Checked) and not (isinstance(n.extent, Const) and n.extent.value > 0):
            extent = f.value(n.extent.a if isinstance(n.extent, Broadcast) else n.extent)
            lanes = lane_count(extent.type)
            some = b.icmp("sgt", extent, literal(0, "i64", lanes))
            if mask is not None:
                lanes = max(lanes, lane_count(mask.type))
                some = b.binary("and", b.broadcast(some, lanes), b.broadcast(mask, lanes))
            mask = some
    return mask


def _load(f: Frame, e: Load, mask: Value | None) -> Value:
    (index,) = e.indices
    stride = _stride(index)
    base = f.pointer(e.buffer)
    if index.lanes == 1:
        return _load_here(f, e.buffer, base, f.value(index), 1, mask)
    if isinstance(index, Ramp) and stride in (1, -1):
        start = f.value(index.base)
        if stride == 1:
            return _load_here(f, e.buffer, base, start, index.lanes, mask)
        return _load_reversed(f, e.buffer, base, start, index.lanes, mask)
    found = pattern(index)
    active = LaneMask((), (True,) * index.lanes) if e.mask is None else lane_mask(e.mask)
    if found is not None and active is not None:
        some = where_something_is(f, index, None)
        value = _load_apart(f, e.buffer, base, found, active, some)
        if value is not None:
            return value
    return gather(f, e, base, mask)


def _stride(index: Expr) -> int | None:
    if isinstance(index, Ramp) and isinstance(index.stride, Const):
        return int(index.stride.value)
    return None


def _load_here(
    f: Frame, buffer: Buffer, base: Value, start: Value, lanes: int, mask: Value | None
) -> Value:
    """`lanes` consecutive elements."""
    b = f.builder
    element_type = memory_type(buffer.dtype)
    type_ = vector(element_type, lanes)
    align = buffer.dtype.bytes
    address = b.address(base, start, element_type)
    if mask is not None and lane_count(mask.type) == 1:
        if lanes * align > _ZEROS_BYTES:
            mask = b.broadcast(mask, lanes)
        else:
            zeros = Value(b.module.define_global("tdsl.zeros", _ZEROS), "ptr")
            address, mask = b.select(mask, address, zeros), None
    if mask is None:
        if not _is_ragged(f, buffer, lanes):
            return b.load(address, type_, align, buffer)
        whole = _masked_load(f, buffer, address, 2 * _power(lanes), first_lanes(lanes))
        return shuffle(f.builder, [whole], range(lanes))
    return _masked_load(f, buffer, address, lanes, mask)


def _masked_load(f: Frame, buffer: Buffer, address: Value, lanes: int, mask: Value) -> Value:
    b = f.builder
    type_, align = memory_type(buffer.dtype, lanes), buffer.dtype.bytes
    name = f"llvm.masked.load.{suffix(type_)}.p0"
    b.module.declare(name, f"{type_} @{name}(ptr, {mask.type}, {type_})")
    return b.read(
        f"call {type_} @{name}(ptr align {align} {address.text}, {mask.typed}, "
        f"{type_} zeroinitializer)",
        type_, buffer,
    )  # fmt: skip


def _is_ragged(f: Frame, buffer: Buffer, lanes: int) -> bool:
    """Whether so many lanes are part of a register that masks make one access of.

    What is to stay in registers is accessed plainly: LLVM would keep it in memory for the masks.
    """
    return (
        lanes > 2
        and buffer not in f.registers
        and lanes != _power(lanes)
        and 2 * _power(lanes) <= _registers(f, buffer)
        and _masks_lanes(f)
    )


def first_lanes(lanes: int) -> Value:
    """A mask of the next power of two, in which the first lanes are set."""
    return _literal_mask([k < lanes for k in range(2 * _power(lanes))])


def _literal_mask(on: Sequence[bool]) -> Value:
    bits = ", ".join(f"i1 {'true' if is_on else 'false'}" for is_on in on)
    return Value(f"<{bits}>", vector("i1", len(on)))


_ZEROS = f"internal constant [{_ZEROS_BYTES} x i8] zeroinitializer, align 64"


def _load_reversed(
    f: Frame, buffer: Buffer, base: Value, last: Value, lanes: int, mask: Value | None
) -> Value:
    b = f.builder
    start = b.binary("sub", last, literal(lanes - 1, last.type))
    backwards = range(lanes - 1, -1, -1)
    if mask is not None and lane_count(mask.type) > 1:
        mask = shuffle(f.builder, [mask], backwards)
    return shuffle(f.builder, [_load_here(f, buffer, base, start, lanes, mask)], backwards)


def _load_apart(
    f: Frame, buffer: Buffer, base: Value, found: Pattern, mask: LaneMask, some: Value | None
) -> Value | None:
    """Lanes at known distances, by whole vectors between the first and the last; None: too far.

    `some`: whether there is anything to load at all (None: there is).
    """
    b, active = f.builder, mask.lanes
    wanted = [offset for offset, on in zip(found.offsets, active, strict=True) if on]
    if not wanted:
        return Value("zeroinitializer", memory_type(buffer.dtype, len(active)))
    runs = _runs(f, wanted, len(active), buffer)
    if len(runs.starts) > _WIDE:
        return None
    given = [f.value(condition) for condition in mask.given]
    given += [] if some is None else [some]
    inside = reduce(partial(b.binary, "and"), given) if given else None
    start, span = f.value(found.base), max(wanted) - min(wanted) + 1
    parts = []
    for first in runs.starts:
        at = b.binary("add", start, literal(first, start.type))
        part = _load_here(f, buffer, base, at, min(runs.width, span), inside)
        parts.append(resized(f.builder, part, max(runs.width, 2)))
    picks = [
        runs.pick(offset) if on else -1 for offset, on in zip(found.offsets, active, strict=True)
    ]
    value = shuffle(f.builder, parts, picks)
    if all(active):
        return value
    lanes = range(len(active))
    kept = [lane if on else lane + len(active) for lane, on in zip(lanes, active, strict=True)]
    return shuffle(f.builder, [value, Value("zeroinitializer", value.type)], kept)


def _runs(f: Frame, wanted: Sequence[int], lanes: int, buffer: Buffer) -> Windows:
    """The runs of a power of two that are fewest, then shortest."""
    span = max(wanted) - min(wanted) + 1
    widest = max(_registers(f, buffer), _power(lanes))
    if not _masks_lanes(f):
        widest = min(widest, _power(span))
    width = min(_power(lanes), widest)
    found = [windows(wanted, width)]
    while width < widest:
        width *= 2
        found.append(windows(wanted, width))
    return min(found, key=lambda runs: len(runs.starts))


def _power(count: int) -> int:
    """The greatest power of two up to a number."""
    return 1 << (count.bit_length() - 1)


def _registers(f: Frame, buffer: Buffer) -> int:
    """Elements of one register."""
    return f.target.lanes(buffer.dtype.bytes * 8)


def _masks_lanes(f: Frame) -> bool:
    """Whether some lanes of a register are loaded and stored as quickly as all."""
    return "avx512vl" in f.target.features


def store(f: Frame, s: Store) -> None:
    """Write a value where the mask holds."""
    b = f.builder
    index = as_ramp(s.indices[0])
    lanes = max(index.lanes, s.value.lanes)
    mask = f.value(s.mask) if s.mask is not None else None
    if mask is not None and lane_count(mask.type) == 1:
        with b.when(mask):
            _store(f, s, index, lanes, None)
    else:
        _store(f, s, index, lanes, mask)


def _store(f: Frame, s: Store, index: Expr, lanes: int, mask: Value | None) -> None:
    b = f.builder
    if index.lanes == 1 and lanes > 1:
        raise InternalError(f"{lanes} lanes stored to one element of {s.buffer.name}")
    with f.under(mask):
        value = b.broadcast(f.value(s.value), lanes)
        stored = floats.to_memory(b, value, s.buffer.dtype)
        start = f.value(index.base if isinstance(index, Ramp) else index)
        some = where_something_is(f, index, None)
    if some is None:
        _store_at(f, s, index, start, stored, mask)
    elif lane_count(some.type) == 1:
        with b.when(some):
            _store_at(f, s, index, start, stored, mask)
    else:
        both = some if mask is None else b.binary("and", some, mask)
        _store_at(f, s, index, start, stored, both)


def _store_at(
    f: Frame, s: Store, index: Expr, start: Value, stored: Value, mask: Value | None
) -> None:
    """Store to the elements of an index; `start` is the base of a ramp, else the index itself."""
    b = f.builder
    stride = _stride(index)
    base = f.pointer(s.buffer)
    if index.lanes == 1:
        _store_here(f, s, base, start, stored, None)
    elif stride == 1:
        on = None if mask is None or s.mask is None else literal_lanes(s.mask)
        lone = () if on is None else _lone_lanes(on, s.buffer.dtype.bits)
        for lane in lone:
            _store_lane(f, s, base, start, stored, lane)
        if on is not None and lone:
            on = tuple(is_on and lane not in lone for lane, is_on in enumerate(on))
            mask = _literal_mask(on)
        if on is None or any(on):
            _store_here(f, s, base, start, stored, mask)
    elif stride == -1 and mask is None:
        lanes = lane_count(stored.type)
        first = b.binary("sub", start, literal(lanes - 1, start.type))
        flipped = shuffle(f.builder, [stored], range(lanes - 1, -1, -1))
        _store_here(f, s, base, first, flipped, None)
    else:
        with f.under(mask):
            places = f.value(index) if isinstance(index, Ramp) else start
        _scatter(f, s, base, places, stored, mask)


def _store_here(
    f: Frame, s: Store, base: Value, start: Value, stored: Value, mask: Value | None
) -> None:
    b = f.builder
    buffer = s.buffer
    align = buffer.dtype.bytes
    address = b.address(base, start, memory_type(buffer.dtype))
    lanes = lane_count(stored.type)
    if mask is None and _is_ragged(f, buffer, lanes):
        mask = first_lanes(lanes)
        stored = resized(f.builder, stored, 2 * _power(lanes))
    if mask is not None:
        name = f"llvm.masked.store.{suffix(stored.type)}.p0"
        b.module.declare(name, f"void @{name}({stored.type}, ptr, {mask.type})")
        b.effect(
            f"call void @{name}({stored.typed}, ptr align {align} {address.text}, {mask.typed})"
        )
        b.forget(buffer)
    elif s.stream and lanes * align >= _STREAM_ALIGN and lanes * align % _STREAM_ALIGN == 0:
        _store_streaming(f, buffer, stored, address, align)
    else:
        b.store(stored, address, align, buffer)


def _lone_lanes(on: Sequence[bool], bits: int) -> tuple[int, ...]:
    """The lanes that a literal mask leaves alone in their register.

    LLVM 22 makes a scalar store of such a one for x86, and where the vector was cut to narrower
    elements it stores the lane as wide as it was before: it overwrites what lies behind.
    """
    wide = _WIDEST_REGISTER // bits
    registers = [range(n, min(n + wide, len(on))) for n in range(0, len(on), wide)]
    left = [[lane for lane in lanes if on[lane]] for lanes in registers]
    return tuple(lanes[0] for lanes in left if len(lanes) == 1)


def _store_lane(f: Frame, s: Store, base: Value, start: Value, stored: Value, lane: int) -> None:
    b = f.builder
    type_ = memory_type(s.buffer.dtype)
    address = b.address(base, b.binary("add", start, literal(lane, start.type)), type_)
    b.store(b.extract(stored, lane, type_), address, s.buffer.dtype.bytes, s.buffer)


def _store_streaming(f: Frame, buffer: Buffer, stored: Value, address: Value, align: int) -> None:
    """Past the caches where the address allows; a plain store elsewhere.

    The check costs nothing beside the memory traffic, and one code serves every array.
    """
    b = f.builder
    f.streams = True
    bits = b.convert("ptrtoint", address, "i64")
    low = b.binary("and", bits, literal(_STREAM_ALIGN - 1, "i64"))
    past, plain, after = b.label("stream"), b.label("plain"), b.label("end")
    b.branch(b.icmp("eq", low, literal(0, "i64")), past, plain)
    b.start(past)
    b.effect(f"store {stored.typed}, {address.typed}, align {_STREAM_ALIGN}, !nontemporal !1")
    b.module.define_nontemporal()
    b.jump(after)
    b.start(plain)
    b.store(stored, address, align, buffer)
    b.jump(after)
    b.start(after)


def _scatter(
    f: Frame, s: Store, base: Value, index: Value, stored: Value, mask: Value | None
) -> None:
    b = f.builder
    lanes = lane_count(index.type)
    element_type = memory_type(s.buffer.dtype)
    if mask is None:  # scalar stores beat the scatter instruction by far
        for lane in range(lanes):
            address = b.address(base, b.extract(index, lane, "i64"), element_type)
            b.store(b.extract(stored, lane, element_type), address, s.buffer.dtype.bytes, s.buffer)
        return
    pointers = b.pure(
        f"getelementptr {element_type}, {base.typed}, {index.typed}", vector("ptr", lanes)
    )
    name = f"llvm.masked.scatter.{suffix(stored.type)}.v{lanes}p0"
    b.module.declare(name, f"void @{name}({stored.type}, {pointers.type}, {mask.type})")
    b.effect(
        f"call void @{name}({stored.typed}, {pointers.type} align {s.buffer.dtype.bytes} "
        f"{pointers.text}, {mask.typed})"
    )
    b.forget(s.buffer)


def prefetch(f: Frame, s: Prefetch) -> None:
    """Ask for a cache line; a wrong address is harmless."""
    b = f.builder
    (index,) = s.indices
    address = b.address(f.pointer(s.buffer), f.value(index), memory_type(s.buffer.dtype))
    b.module.declare("llvm.prefetch.p0", "void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    b.effect(f"call void @llvm.prefetch.p0({address.typed}, i32 0, i32 3, i32 1)")
