"""An ELF object that holds one array of bytes under a name, to be linked with code that reads it.

LLVM could make it from text, which takes ten times the room and seconds for the weights of a model.
"""

from __future__ import annotations

import struct

ALIGNMENT = 64

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_MACHINES = {"x86_64": 62, "aarch64": 183}
_RELOCATABLE, _VERSION = 1, 1
_BYTES, _SYMBOLS, _STRINGS = 1, 2, 3  # kinds of sections
_ALLOCATED = 2
_GLOBAL_OBJECT = 0x11
_NAMES = b"\0.rodata\0.symtab\0.strtab\0.note.GNU-stack\0"


def data_object(name: str, data: bytes, triple: str) -> bytes:
    """A relocatable object with read-only bytes at a multiple of 64, for x86-64 or aarch64.

    >>> from tdsl.runtime.native.elf import defined_symbols
    >>> defined_symbols(data_object("answer", bytes([42]), "aarch64-unknown-linux-gnu"))
    ['answer']

    Raises:
        KeyError: another architecture.
    """
    machine = _MACHINES[triple.partition("-")[0]]
    strings = _NAMES + name.encode() + b"\0"
    symbols = _SYMBOL.pack(0, 0, 0, 0, 0, 0)
    symbols += _SYMBOL.pack(len(_NAMES), _GLOBAL_OBJECT, 0, 1, 0, len(data))
    at_symbols = -(-(ALIGNMENT + len(data)) // 8) * 8
    at_strings = at_symbols + len(symbols)
    at_sections = -(-(at_strings + len(strings)) // 8) * 8
    sections = (
        _section("", 0, 0, 0),
        _section(".rodata", _BYTES, ALIGNMENT, len(data), flags=_ALLOCATED, align=ALIGNMENT),
        _section(".symtab", _SYMBOLS, at_symbols, len(symbols), link=3, info=1, each=_SYMBOL.size),
        _section(".strtab", _STRINGS, at_strings, len(strings)),
        _section(".note.GNU-stack", _BYTES, at_sections, 0),  # the stack need not be executable
    )
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head = _HEADER.pack(
        ident, _RELOCATABLE, machine, _VERSION, 0, 0, at_sections, 0, _HEADER.size, 0, 0,
        _SECTION.size, len(sections), 3,
    )  # fmt: skip
    body = head.ljust(ALIGNMENT, b"\0") + data
    body = body.ljust(at_symbols, b"\0") + symbols + strings
    return body.ljust(at_sections, b"\0") + b"".join(sections)


def _section(
    name: str, kind: int, start: int, size: int, *, flags: int = 0, link: int = 0, info: int = 0,
    align: int = 8, each: int = 0,
) -> bytes:  # fmt: skip
    place = _NAMES.index(name.encode() + b"\0") if name else 0
    return _SECTION.pack(place, kind, flags, 0, start, size, link, info, align, each)
