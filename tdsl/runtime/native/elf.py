"""The symbols of ELF objects: what one offers, and what it wants from elsewhere."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Collection

_SYMBOL_TABLE = 2  # SHT_SYMTAB
_LOCAL = 0  # STB_LOCAL
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


def undefined_symbols(code: bytes) -> list[str]:
    """Names of the undefined symbols of a 64-bit little-endian object.

    Raises:
        ValueError: the bytes are not such an object.
    """
    return [name for name, _, section in _symbols(code) if section == 0]


def defined_symbols(code: bytes) -> list[str]:
    """Names of the symbols that an object offers to others.

    Raises:
        ValueError: the bytes are not a 64-bit little-endian object.
    """
    return [name for name, is_local, section in _symbols(code) if section and not is_local]


def _symbols(code: bytes) -> list[tuple[str, bool, int]]:
    """Name, whether it is local, and section (0: elsewhere) of each symbol."""
    if code[:6] != b"\x7fELF\x02\x01":
        raise ValueError("the bytes do not begin like a 64-bit ELF object")
    try:
        return _read(code)
    except (struct.error, IndexError) as error:
        raise ValueError("the ELF object is damaged") from error


def _read(code: bytes) -> list[tuple[str, bool, int]]:
    (table,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    sections = [_SECTION.unpack_from(code, table + size * index) for index in range(count)]
    found = []
    for section in sections:
        kind, offset, length, link = section[1], section[4], section[5], section[6]
        if kind != _SYMBOL_TABLE:
            continue
        strings = sections[link][4]
        for at in range(offset + _SYMBOL.size, offset + length, _SYMBOL.size):
            name, info, _, home, _, _ = _SYMBOL.unpack_from(code, at)
            end = code.index(b"\0", strings + name)
            found.append((code[strings + name : end].decode(), info >> 4 == _LOCAL, home))
    return found


def missing_symbols(code: bytes, known: Collection[str]) -> list[str]:
    """The undefined symbols that neither `known` nor a loaded library defines."""
    process = ctypes.CDLL(None)
    return [
        name
        for name in undefined_symbols(code)
        if name not in known and not hasattr(process, name) and name != "_GLOBAL_OFFSET_TABLE_"
    ]
