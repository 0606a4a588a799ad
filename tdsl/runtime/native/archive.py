"""Static libraries (`ar` archives with a symbol table), as linkers on Linux read them."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from tdsl.runtime.native.elf import defined_symbols

_MAGIC = b"!<arch>\n"
_HEADER_BYTES = 60
_END = b"`\n"
_SHORT = 15  # a longer name stands in a table, and its header says where


def static_library(objects: Mapping[str, bytes]) -> bytes:
    """An archive of object files by name. Times and owners are 0: equal inputs, equal bytes.

    Raises:
        ValueError: the bytes are not 64-bit ELF objects.
    """
    table, longs = _long_names(objects)
    symbols = [(name, defined_symbols(code)) for name, code in objects.items()]
    texts = b"".join(symbol.encode() + b"\0" for _, found in symbols for symbol in found)
    count = sum(len(found) for _, found in symbols)
    index_bytes = 4 + 4 * count + len(texts)
    position = len(_MAGIC) + _member_bytes(index_bytes)
    if longs:
        position += _member_bytes(len(longs))
    offsets: list[int] = []
    for name, found in symbols:
        offsets += [position] * len(found)
        position += _member_bytes(len(objects[name]))
    index = struct.pack(f">{count + 1}I", count, *offsets) + texts
    parts = [_MAGIC, _member("/", index)]
    if longs:
        parts.append(_member("//", longs))
    parts += [_member(table[name], code) for name, code in objects.items()]
    return b"".join(parts)


def _long_names(objects: Mapping[str, bytes]) -> tuple[dict[str, str], bytes]:
    """What the header of each member calls it, and the table of the names that are too long."""
    table: dict[str, str] = {}
    longs = b""
    for name in objects:
        if len(name) <= _SHORT:
            table[name] = f"{name}/"
        else:
            table[name] = f"/{len(longs)}"
            longs += name.encode() + b"/\n"
    return table, longs


def _member_bytes(size: int) -> int:
    return _HEADER_BYTES + size + size % 2


def _member(name: str, data: bytes) -> bytes:
    head = f"{name:<16}{0:<12}{0:<6}{0:<6}{644:<8}{len(data):<10}".encode() + _END
    return head + data + b"\n" * (len(data) % 2)
